"""How far a blob stands out of noise: the noise of a filter's response, where it is, and how heavy its tail."""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage, special

from atomseg_app.atoms.background import Grey, binned
from atomseg_app.atoms.scale import radial_spectrum

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

_BLOCK_PX = 4  # a small part of the windows over which noise is averaged
_LEAST_POWER = np.float32(0.02)
_SMALLEST_LEVEL = 1 / 20
"""An empty corner is never taken to be quieter than this part of the rms noise, or any speck would stand out."""


class Running:
    """Running mean of an image (y, x) over a square window, read off at single pixels.

    It is formed of means of small blocks, which are fine enough for it and 16 times fewer.
    """

    def __init__(self, values: Grey, window_px: float) -> None:
        self._mean = ndimage.uniform_filter(
            binned(values, _BLOCK_PX), max(1, round(max(5.0, window_px) / _BLOCK_PX)), mode="mirror"
        )

    def at(self, rows: Index, cols: Index) -> Floats:
        """Mean (n,) round given pixels."""
        return np.asarray(self._mean[rows // _BLOCK_PX, cols // _BLOCK_PX], float)


def _sample(values: Grey) -> Grey:
    """Every so many pixels (n,) of an image, the same ones of every image of that shape."""
    return values.ravel()[:: max(1, values.size // 2**17)]


class Intensity:
    """Blurred image (y, x) against which noise is looked at, with its running ``mean`` over a window."""

    def __init__(self, values: Grey, window_px: float) -> None:
        self.values = values
        self.mean = Running(values, window_px)
        grey = _sample(values)
        self._shares = np.array_split(np.argsort(grey), 16) if len(grey) >= 256 else []
        self._grey = np.array([grey[share].mean(dtype=float) for share in self._shares])

    def line_of_means(self, power: Grey) -> tuple[float, float]:
        """Slope and offset of a sample of the power against intensity, from the means over sixteen equal shares."""
        y = np.array([power[share].mean(dtype=float) for share in self._shares])
        if not len(y) or np.ptp(self._grey) <= 0:
            return 0.0, 1.0
        weight = 1 / np.maximum(y, _LEAST_POWER) ** 2  # the scatter of a mean power goes with itself
        spread = self._grey - np.average(self._grey, weights=weight)
        slope = float(np.average(spread * y, weights=weight) / np.average(spread**2, weights=weight))
        return slope, float(np.average(y - slope * self._grey, weights=weight))


class Noise:
    """Noise of an image (y, x) whose columns were taken off, as far as they are known.

    Its spectrum is that of :func:`radial_spectrum`; its level varies from place to place as the output of a filter
    blind to planes and saddles (difference of two Laplacians, Immerkaer, Comput. Vis. Image Underst. 64, 300, 1996),
    averaged over a window. :meth:`following` lets it go with the image's intensity as well.
    ``counts`` is the mean number of events in a pixel round each pixel, None where they are many.
    """

    def __init__(self, grey: Grey, window_px: float, counts: Running | None) -> None:
        self._spectrum = radial_spectrum(grey)
        self.shape = grey.shape
        self._counts = counts
        self._intensity: Intensity | None = None
        self._slope, self._offset = 0.0, 1.0
        fine = _twice_differenced(grey)
        fine *= fine
        mean = float(fine.mean())
        self._flat = mean <= 0
        if self._flat:
            return
        self._pixel_noise = np.sqrt(mean) / 6  # the filter's weights squared add up to 36
        fine /= mean
        self._around = Running(fine, window_px)
        self._sample = _sample(fine).copy()

    def following(self, intensity: Intensity) -> Noise:
        """The same noise, its level a straight line in a blurred image times a slowly varying factor.

        Counts are noisier where they are many.
        """
        other = copy(self)
        if not self._flat:
            other._intensity = intensity
            other._slope, other._offset = intensity.line_of_means(self._sample)
        return other

    def _power(self, intensity: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Noise power expected of an intensity, in units of its mean over the image."""
        return np.maximum(self._offset + self._slope * intensity, _LEAST_POWER)

    def white_deviation(self, scale_px: float) -> float:
        """Standard deviation of the LoG response, were the noise of single pixels all there is, and white."""
        return 0.0 if self._flat else float(self._pixel_noise / (scale_px * np.sqrt(2 * np.pi)))

    def deviation(self, scale_px: float) -> float:
        """Mean standard deviation of the LoG response of that scale; never below rounding of single precision."""
        return max(float(np.sqrt(self._spectrum.noise_variance(scale_px)[0])), 3e-5)

    def expected_maxima(self, scale_px: float, height: float) -> float:
        """Number of maxima above a height, in standard deviations (>= 1), that pure noise has in the whole image.

        For a Gaussian field ``area k^2 / 2 (2 pi)^(-3/2) u exp(-u^2 / 2)`` with its rms wave number ``k`` in rad/px
        (Adler, The Geometry of Random Fields, 1981).
        """
        _, k2 = self._spectrum.noise_variance(scale_px)
        number = self.shape[0] * self.shape[1] * k2 / 2 * (2 * np.pi) ** -1.5
        return float(number * height * np.exp(-(height**2) / 2))

    def threshold(self, scale_px: float, false_alarms: float) -> float:
        """Height, in standard deviations, that maxima of pure noise exceed ``false_alarms`` times in the image."""
        if self.expected_maxima(scale_px, 1.0) <= false_alarms:
            return 1.0
        from scipy import optimize  # slow to import, and the network needs none of it

        return float(
            optimize.brentq(lambda height: self.expected_maxima(scale_px, height) - false_alarms, 1.0, 40.0, xtol=1e-3)
        )

    def standing(self, height: npt.NDArray[Any], rows: Index, cols: Index, scale_px: float) -> Floats:
        """Responses (n,) seen at given pixels, in standard deviations of the noise were there nothing to see."""
        if self._flat:
            return np.asarray(height / self.deviation(scale_px), float)
        power = self._around.at(rows, cols)
        if self._intensity is not None:  # white noise that answers h adds h/2, on average, to the blurred image
            power *= self._power(self._intensity.values[rows, cols].astype(float) - height / 2)
            power /= self._power(self._intensity.mean.at(rows, cols))
        return np.asarray(height / (self.deviation(scale_px) * np.sqrt(np.maximum(power, _SMALLEST_LEVEL**2))))

    def heavy_tailed(self, standing: Floats, rows: Index, cols: Index, scale_px: float) -> Floats:
        """The standing (n,) in a normal law of what stands so high in noise of few counts.

        With few counts under the filter its tail is that of a Poisson law with the skewness of filtered shot noise,
        ``0.473 / (t sqrt(counts per pixel))`` from its third cumulant, here in a form continuous in the count.
        """
        if self._counts is None:
            return standing
        events = 4.47 * scale_px**2 * np.maximum(self._counts.at(rows, cols), 1e-4)
        tail = special.gammainc(np.maximum(events + standing * np.sqrt(events), 1e-3), events)
        return np.asarray(np.minimum(standing, -special.ndtri(np.maximum(tail, 1e-300))))


def _twice_differenced(grey: Grey) -> Grey:
    """Second difference along y of the second difference along x, the image mirrored at its border."""
    full = np.pad(grey, 1, mode="reflect")
    along = full[:, :-2] + full[:, 2:]
    along -= 2 * full[:, 1:-1]
    both = along[:-2] + along[2:]
    both -= 2 * along[1:-1]
    return np.asarray(both)


def noise_probability(standing: Floats, threshold: float) -> Floats:
    """Share of noise among maxima of that standing: one half at the threshold, falling with the normal tail."""
    return np.asarray(special.expit(special.log_ndtr(-standing) - special.log_ndtr(-threshold)))
