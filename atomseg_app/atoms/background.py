"""An image made ready for detection: finite, unit scale, no plane under it; and its local noise level."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from atomseg_app.errors import UserError
from atomseg_app.operations import Report

Grey = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_FILL_BLUR_PX = 6.0

_SINGLE_EVENTS = 20.0
"""Mean events per pixel up to which their discreteness is kept account of."""


@dataclass(frozen=True)
class Prepared:
    """Image ``(y, x)`` float32 = (file values - ``plane``) / ``unit``; ``valid`` is where the file says something.

    ``counts`` is the number of events in each pixel where these are so few that single ones show, else None.
    """

    values: Grey
    valid: Mask | None
    plane: tuple[float, float, float]
    unit: float
    counts: Grey | None

    def level(self, x_px: npt.ArrayLike, y_px: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Value of the plane taken off, in file units, at positions in pixels."""
        offset, slope_x, slope_y = self.plane
        return np.asarray(offset + slope_x * np.asarray(x_px, float) + slope_y * np.asarray(y_px, float))

    def without(self, mask: Mask) -> Prepared:
        """Copy in which the pixels of a mask are left out as well: they take the value of the nearest other pixel."""
        valid = ~mask if self.valid is None else self.valid & ~mask
        return replace(self, values=_filled(self.values, valid), valid=valid)


def prepare(values: npt.NDArray[Any], report: Report) -> Prepared | None:
    """Finite float32 image without its mean plane, in units of its own standard deviation; None if it is flat.

    Pixels that are NaN or infinite take the value of the nearest finite one and are searched no further.
    Raises UserError where the array is no real two-dimensional image.
    """
    if values.ndim != 2 or values.dtype.kind not in "fiub":
        raise UserError(f"Columns are found in a real image (y, x), not in {values.dtype} of shape {values.shape}.")
    if values.size == 0:
        return None
    grey: npt.NDArray[Any] = values.astype(np.float64 if values.dtype.itemsize > 2 else np.float32)
    finite = np.isfinite(values)
    valid = None
    if not finite.any():
        report.note("No pixel of the image is a finite number; there is nothing to find.")
        return None
    if not finite.all():
        report.note(f"{int((~finite).sum()):,} pixels are not finite numbers; they are left out of the search.")
        grey, valid = _filled(grey, finite), finite
    size = max(abs(float(grey.min())), abs(float(grey.max())))
    counts = _counts(grey)
    plane = _fit_plane(grey)
    ny, nx = grey.shape
    grey -= (plane[0] + plane[2] * np.arange(ny))[:, None]
    grey -= (plane[1] * np.arange(nx))[None, :]
    unit = float(np.sqrt(np.mean([row.var(dtype=np.float64) + row.mean(dtype=np.float64) ** 2 for row in grey])))
    if unit <= 1e-6 * size:  # flat to the precision of single-precision numbers
        return None
    grey /= unit
    return Prepared(grey.astype(np.float32, copy=False), valid, plane, unit, counts)


def _filled(grey: npt.NDArray[Any], valid: Mask) -> npt.NDArray[Any]:
    """Image with its other pixels at the value of the nearest valid one, blurred so that they carry no streaks."""
    nearest = ndimage.distance_transform_edt(~valid, return_distances=False, return_indices=True)
    full = np.asarray(grey[tuple(nearest)])
    return np.where(valid, full, ndimage.gaussian_filter(full, _FILL_BLUR_PX))


def _counts(grey: npt.NDArray[Any]) -> Grey | None:
    """Events per pixel, if the image has few grey levels and few steps of them in a pixel; else None."""
    distinct = np.unique(grey.ravel()[:: max(1, grey.size // 65536)])
    if not 2 <= len(distinct) <= 256:
        return None
    counts = (grey - distinct[0]) / np.diff(distinct).min()
    return counts.astype(np.float32) if counts.mean() < _SINGLE_EVENTS else None


def burnt_in(grey: Grey, extent_px: float) -> Mask | None:
    """Labels and scale bars drawn into an image (y, x), with their blurred rim; None where there are none.

    They are areas within a tenth of the highest contrast, longer than an extent, that end sharply all round: three
    pixels away the image is at less than half of it.
    """
    sample = grey.ravel()[:: grey.size // 2**18 | 1]
    middle, high = float(np.median(sample)), float(grey.max())
    labels, number = ndimage.label(grey > high - 0.1 * (high - middle), np.ones((3, 3)))
    mask = np.zeros(grey.shape, bool)
    for i, box in enumerate(ndimage.find_objects(labels) if number else []):
        if max(side.stop - side.start for side in box) <= extent_px:
            continue
        around = tuple(slice(max(0, side.start - 6), side.stop + 6) for side in box)
        rim = ndimage.binary_dilation(labels[around] == i + 1, np.ones((3, 3)), iterations=3)
        beyond = ndimage.binary_dilation(rim, np.ones((3, 3)), iterations=2) & ~rim
        if np.median(grey[around][beyond]) < (middle + high) / 2:
            mask[around] |= rim
    return mask if mask.any() else None


def _fit_plane(grey: npt.NDArray[Any]) -> tuple[float, float, float]:
    """Least-squares plane (offset at pixel 0, slope in x, slope in y); the grid's moments make it separable."""
    ny, nx = grey.shape
    rows, cols = grey.mean(axis=1, dtype=np.float64), grey.mean(axis=0, dtype=np.float64)
    x, y = np.arange(nx) - (nx - 1) / 2, np.arange(ny) - (ny - 1) / 2
    slope_x = float(cols @ x / (x @ x)) if nx > 1 else 0.0
    slope_y = float(rows @ y / (y @ y)) if ny > 1 else 0.0
    return float(rows.mean()) - slope_x * (nx - 1) / 2 - slope_y * (ny - 1) / 2, slope_x, slope_y


def binned(grey: Grey, factor: int) -> Grey:
    """Mean over ``factor``^2 blocks; a remainder at the right and bottom is filled up by repeating the last pixels."""
    if factor == 1:
        return grey
    ny, nx = grey.shape
    pad = (-ny % factor, -nx % factor)
    if any(pad):
        grey = np.pad(grey, ((0, pad[0]), (0, pad[1])), mode="edge")
    rows = grey[::factor].copy()
    for k in range(1, factor):
        rows += grey[k::factor]
    out = rows[:, ::factor].copy()
    for k in range(1, factor):
        out += rows[:, k::factor]
    out /= np.float32(factor**2)
    return out
