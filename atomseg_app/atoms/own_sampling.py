"""The pixels in which an image was recorded, where it was enlarged afterwards.

Enlarging adds pixels and no knowledge. Its mark is in the noise, which fills all frequencies of a recorded image evenly
and those of an enlarged one up to the Nyquist frequency of the old pixels only: a plateau that ends in a cliff, with
nothing beyond but what rounding put there. Such an image is brought back to its own pixels, in which noise is
independent again, so that the same columns are found however much it was enlarged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from atomseg_app.atoms.scale import RadialSpectrum, radial_spectrum
from atomseg_app.data import Array, Image

Floats = npt.NDArray[np.float64]

_PART_PX, _LEAST_PX, _LEAST_RINGS = 512, 48, 8
_LEAST, _MOST = 1.65, 5.0  # times an image is enlarged that is brought back
_AT = np.array([0.5, 0.7, 0.8, 1.0])
_END_DB = 2.0  # by which a plateau has fallen where it ends, from 0.8 of that frequency on
_FLAT_DB = 3.0  # by which it may fall from 0.5 to 0.7 of that frequency, where columns may still stand out of it
_CLIFF, _CLIFF_DB = 1.35, 18.0  # times that frequency, from which on there is so much less than at 0.8 of it,
_EMPTY, _EMPTY_DB = 1.6, 30.0  # and from which on there is nothing: so much less, or
_ROUNDING_DB = 3.0  # no more than that above the noise of rounding
_WHOLE = 0.08  # nearer to a whole number than this, relatively, a factor is that number
_LENGTHS = ("x_err_px", "y_err_px", "sigma_px")


@dataclass(frozen=True)
class OwnSampling:
    """Recorded pixels, ``factor`` times as wide as those of an image, of its ``region`` (left, top, right, bottom).

    1 where it is as recorded. Both grids cover the same field, from outer edge to outer edge.
    """

    factor: float
    region: tuple[int, int, int, int]

    @classmethod
    def of(cls, image: Image, region: tuple[int, int, int, int]) -> OwnSampling:
        """Of a region of an image. Regions that are small, flat or have holes are taken as recorded."""
        left, top, right, bottom = region
        values = image.values[top:bottom, left:right]
        factor = _enlarged(values)
        return cls(factor if factor == 1 or np.isfinite(values).all() else 1.0, region)

    def recorded(self, image: Image) -> Image:
        """The region in its own pixels: the cubic spline through the image, at their centres."""
        left, top, right, bottom = self.region
        values = np.asarray(image.values[top:bottom, left:right], np.float32)
        zoom = [1 / ratio for ratio in self._ratios]
        values = ndimage.zoom(values, zoom, order=3, mode="nearest", grid_mode=True)
        of_y, of_x = (None if size is None else size * self.factor for size in image.pixel_size_nm)
        return Image(np.asarray(values, np.float32), (of_y, of_x))

    def in_file(self, table: Array) -> Array:
        """Rows of columns (n,) measured in the own pixels, in pixels of the image."""
        out, (left, top, _, _), (along_y, along_x) = table.copy(), self.region, self._ratios
        out["x_px"] = left + (table["x_px"] + 0.5) * along_x - 0.5
        out["y_px"] = top + (table["y_px"] + 0.5) * along_y - 0.5
        for name in _LENGTHS:
            out[name] *= self.factor
        out["integrated_intensity"] *= self.factor**2
        return out

    @property
    def _ratios(self) -> tuple[float, float]:
        """Widths of an own pixel in pixels of the image, along y and x."""
        left, top, right, bottom = self.region
        height, width = (size / max(1, round(size / self.factor)) for size in (bottom - top, right - left))
        return height, width


def middle_spectrum(values: npt.NDArray[Any]) -> tuple[RadialSpectrum, float] | None:
    """Spectrum of the middle of an image (y, x) as if it had a variance of 1, and the power of its rounding in that.

    None where it is too small, flat, or has holes.
    """
    height, width = (min(size, _PART_PX) for size in values.shape)
    top, left = (values.shape[0] - height) // 2, (values.shape[1] - width) // 2
    grey = np.asarray(values[top : top + height, left : left + width], np.float64)
    if min(grey.shape) < _LEAST_PX or not np.isfinite(grey).all() or not grey.std() > 0:
        return None
    unit = float(grey.std())
    spectrum = radial_spectrum(((grey - grey.mean()) / unit).astype(np.float32))
    return (spectrum, (_step(grey) / unit) ** 2 / 12) if len(spectrum.k) >= _LEAST_RINGS else None


def _enlarged(values: npt.NDArray[Any]) -> float:
    """Times that an image was enlarged, 1 if it was not."""
    middle = middle_spectrum(values)
    if middle is None:
        return 1.0
    spectrum, rounding_power = middle
    frequency = spectrum.k / (2 * np.pi)
    power, most, rounding = (
        10 * np.log10(level + 1e-14) for level in (spectrum.noise, spectrum.total, np.float64(rounding_power))
    )
    for end in frequency[(frequency > 0.5 / _MOST) & (frequency < 0.5 / _LEAST)]:
        before, nearer, edge, there = np.interp(end * _AT, frequency, power)
        less = power[frequency >= _CLIFF * end].max()
        nothing = most[frequency >= _EMPTY * end].max()  # in no direction: a slow detector blurs along lines only
        ends = (
            there < edge - _END_DB
            and less < edge - _CLIFF_DB
            and nothing < max(edge - _EMPTY_DB, rounding + _ROUNDING_DB)
        )
        if ends and before - nearer < _FLAT_DB:
            return _whole(0.5 / float(end))
    return 1.0


def _step(grey: Floats) -> float:
    """Distance of neighbouring grey levels; 0 where there are so many that rounding does not show."""
    levels = np.unique(grey)
    return float(np.diff(levels).min()) if len(levels) > 1 else 0.0


def _whole(factor: float) -> float:
    """The factor, or the whole number that it is hardly to be told from."""
    whole = float(round(factor))
    return whole if abs(factor - whole) < _WHOLE * whole else factor
