"""The pixels in which an image was recorded, where it was enlarged afterwards.

Enlarging adds pixels and no knowledge. Its mark is in the noise, which fills all frequencies of a recorded image evenly
and those of an enlarged one up to the Nyquist frequency of the old pixels only: a plateau that ends in a cliff, with
nothing beyond but what rounding put there. Linear interpolation leaves more beyond, but bends where the old pixels were
(:mod:`~atomseg_app.atoms.linear_enlargement`). Such an image is brought back to its own pixels, in which noise is
independent again, so that the same columns are found, and the same pictures made, however much it was enlarged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from atomseg_app.atoms.linear_enlargement import LinearGrid, linear_grids
from atomseg_app.atoms.scale import RadialSpectrum, radial_spectrum
from atomseg_app.data import Array, Image
from atomseg_app.operations import Report

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

    1 where it is as recorded. Both grids cover the same field, from outer edge to outer edge, unless ``grids``, along y
    and x, say where the recorded pixels of an image that was enlarged linearly lie.
    """

    factor: float
    region: tuple[int, int, int, int]
    grids: tuple[LinearGrid, LinearGrid] | None = None

    @classmethod
    def of(cls, image: Image, region: tuple[int, int, int, int] | None = None) -> OwnSampling:
        """Of a region of an image, or all of it. What is small, flat or has holes is taken as recorded."""
        left, top, right, bottom = region = region or (0, 0, image.shape[1], image.shape[0])
        values = image.values[top:bottom, left:right]
        if not np.isfinite(values).all():
            return cls(1.0, region)
        grids = linear_grids(values, _step(_middle(values)))
        if grids is not None:
            return cls(_whole(2 / (grids[0].step + grids[1].step)), region, grids)
        return cls(_enlarged(values), region)

    @property
    def enlarged(self) -> bool:
        """Whether the image has more pixels than were recorded."""
        return self.factor != 1

    def tell(self, report: Report) -> None:
        """Note that work is done in the recorded pixels, where they are others."""
        if self.enlarged:
            report.note(f"The image is enlarged {self.factor:.3g} times: the pixels of its recording are worked on.")

    def recorded(self, image: Image) -> Image:
        """The region in its own pixels: the corners of linear pieces, else the cubic spline through the image, at their
        centres."""
        left, top, right, bottom = self.region
        values = np.asarray(image.values[top:bottom, left:right], np.float32)
        if self.grids is not None:
            of_rows, of_columns = self.grids
            values = of_columns.recorded(of_rows.recorded(values.astype(np.float64)).T).T.astype(np.float32)
        else:
            zoom = [1 / ratio for ratio, _ in self._axes]
            values = ndimage.zoom(values, zoom, order=3, mode="nearest", grid_mode=True)
        of_y, of_x = (None if size is None else size * self.factor for size in image.pixel_size_nm)
        return replace(image, values=np.asarray(values, np.float32), pixel_size_nm=(of_y, of_x))

    def picture_in_file(self, picture: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """A picture (y, x) in own pixels in those of the region: the cubic spline through it."""
        left, top, right, bottom = self.region
        along = np.array([ratio for ratio, _ in self._axes])
        first = np.array([shift for _, shift in self._axes])
        shown = ndimage.affine_transform(
            picture, 1 / along, -first / along, output_shape=(bottom - top, right - left), order=3, mode="nearest"
        )
        return np.asarray(shown, np.float32)

    def in_file(self, table: Array) -> Array:
        """Rows of columns (n,) measured in the own pixels, in pixels of the image."""
        out, (left, top, _, _) = table.copy(), self.region
        (along_y, first_y), (along_x, first_x) = self._axes
        out["x_px"] = left + table["x_px"] * along_x + first_x
        out["y_px"] = top + table["y_px"] * along_y + first_y
        for name in _LENGTHS:
            out[name] *= self.factor
        out["integrated_intensity"] *= self.factor**2
        return out

    def in_own(self, table: Array) -> Array:
        """The inverse of :meth:`in_file`."""
        out, (left, top, _, _) = table.copy(), self.region
        (along_y, first_y), (along_x, first_x) = self._axes
        out["x_px"] = (table["x_px"] - left - first_x) / along_x
        out["y_px"] = (table["y_px"] - top - first_y) / along_y
        for name in _LENGTHS:
            out[name] /= self.factor
        out["integrated_intensity"] /= self.factor**2
        return out

    @property
    def _axes(self) -> tuple[tuple[float, float], tuple[float, float]]:
        """Width of an own pixel, and the place of the middle of the first, in pixels of the region, along y and x."""
        if self.grids is not None:
            of_y, of_x = ((1 / grid.step, float(grid.in_file(0.0))) for grid in self.grids)
            return of_y, of_x
        left, top, right, bottom = self.region
        height, width = (size / max(1, round(size / self.factor)) for size in (bottom - top, right - left))
        return (height, (height - 1) / 2), (width, (width - 1) / 2)


def middle_spectrum(values: npt.NDArray[Any]) -> tuple[RadialSpectrum, float] | None:
    """Spectrum of the middle of an image (y, x) as if it had a variance of 1, and the power of its rounding in that.

    None where it is too small, flat, or has holes.
    """
    grey = _middle(values)
    if min(grey.shape) < _LEAST_PX or not np.isfinite(grey).all() or not grey.std() > 0:
        return None
    unit = float(grey.std())
    spectrum = radial_spectrum(((grey - grey.mean()) / unit).astype(np.float32))
    return (spectrum, (_step(grey) / unit) ** 2 / 12) if len(spectrum.k) >= _LEAST_RINGS else None


def _middle(values: npt.NDArray[Any]) -> Floats:
    height, width = (min(size, _PART_PX) for size in values.shape)
    top, left = (values.shape[0] - height) // 2, (values.shape[1] - width) // 2
    return np.asarray(values[top : top + height, left : left + width], np.float64)


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
