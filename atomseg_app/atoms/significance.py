"""How far a blob stands out of noise: the noise of a filter's response, where it is, and how heavy its tail."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage, optimize, special

from atomseg_app.atoms.background import Grey
from atomseg_app.atoms.scale import radial_spectrum

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]

_SMALLEST_LEVEL = 1 / 20
"""An empty corner is never taken to be quieter than this part of the rms noise, or any speck would stand out."""


class Noise:
    """Noise of an image (y, x) whose columns were taken off, as far as they are known.

    Its spectrum is that of :func:`radial_spectrum`; its level varies from place to place as the output of a filter
    blind to planes and saddles (difference of two Laplacians, Immerkaer, Comput. Vis. Image Underst. 64, 300, 1996).
    ``quantum`` is the step between the grey levels of the image, one count at least: 0 for continuous values.
    """

    def __init__(self, grey: Grey, window_px: float, quantum: float) -> None:
        self._spectrum = radial_spectrum(grey)
        self.shape = grey.shape
        second = np.array([1.0, -2.0, 1.0], np.float32)
        fine = ndimage.correlate1d(
            ndimage.correlate1d(grey, second, axis=0, mode="mirror"), second, axis=1, mode="mirror"
        )
        fine *= fine
        size = max(5, round(window_px))
        power = ndimage.uniform_filter(fine, size, mode="mirror")
        mean = float(power.mean())
        self._flat = mean <= 0
        if self._flat:
            self._level = np.ones_like(grey)
            self._counts = np.full_like(grey, np.inf)
            return
        power = np.maximum(power, mean * _SMALLEST_LEVEL**2)
        self._level = np.sqrt(power / mean)
        # Poisson noise of n counts has the variance n quanta squared; the filter has 36 times the variance of a pixel.
        self._counts = power / np.float32(36 * max(quantum, 1e-9) ** 2)

    def deviation(self, scale_px: float) -> float:
        """Mean standard deviation of the LoG response of that scale; never below rounding of single precision."""
        return max(float(np.sqrt(self._spectrum.log_power(self._spectrum.noise, scale_px))), 3e-5)

    def threshold(self, scale_px: float, false_alarms: float) -> float:
        """Height, in standard deviations, that maxima of pure noise exceed ``false_alarms`` times in the image.

        Expected number of maxima of a Gaussian field above u (Adler, The Geometry of Random Fields, 1981):
        ``area k^2 / 2 (2 pi)^(-3/2) u exp(-u^2 / 2)`` with the field's rms wave number ``k`` (rad/px).
        """
        variance = self._spectrum.log_power(self._spectrum.noise, scale_px)
        moment = self._spectrum.log_power(self._spectrum.noise, scale_px, moment=2)
        k2 = moment / variance if variance > 0 else 3 / scale_px**2
        number = self.shape[0] * self.shape[1] * k2 / 2 * (2 * np.pi) ** -1.5
        if number * np.exp(-0.5) <= false_alarms:
            return 1.0
        return float(optimize.brentq(lambda u: number * u * np.exp(-u * u / 2) - false_alarms, 1.0, 40.0))

    def standing(self, height: npt.NDArray[np.floating], rows: Index, cols: Index, scale_px: float) -> Floats:
        """Responses (n,) seen at given pixels, in standard deviations of the noise there."""
        return np.asarray(height / (self.deviation(scale_px) * self._level[rows, cols].astype(float)))

    def heavy_tailed(self, standing: Floats, rows: Index, cols: Index, scale_px: float) -> Floats:
        """The standing (n,) in a normal law of what stands so high in noise of few counts.

        With few counts under the filter the response follows a gamma law of skewness
        ``0.473 / (t sqrt(counts per pixel))`` (third cumulant of filtered shot noise).
        """
        skewness = 0.473 / (scale_px * np.sqrt(self._counts[rows, cols].astype(float)))
        return _gamma_to_normal(standing, skewness)


def _gamma_to_normal(height: Floats, skewness: Floats) -> Floats:
    """Normal quantile of the same upper tail as a height in a standardised gamma law (Wilson-Hilferty cube root).

    Wilson & Hilferty, PNAS 17, 684 (1931).
    """
    shape = 4 / np.maximum(skewness, 1e-3) ** 2
    ratio = np.maximum(1 + height / np.sqrt(shape), 1e-6)
    return np.asarray((np.cbrt(ratio) - (1 - 1 / (9 * shape))) * 3 * np.sqrt(shape))


def noise_probability(standing: Floats, threshold: float) -> Floats:
    """Share of noise among maxima of that standing: one half at the threshold, falling with the normal tail."""
    return np.asarray(special.expit(special.log_ndtr(-standing) - special.log_ndtr(-threshold)))
