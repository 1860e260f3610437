"""An image made ready for detection: finite, unit scale, no plane under it; and its local noise level."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from atomseg_app.errors import UserError
from atomseg_app.operations import Report

Grey = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Prepared:
    """Image ``(y, x)`` float32 = (file values - ``plane``) / ``unit``; ``valid`` is where the file had numbers.

    ``quantum`` is the step between its grey levels, in the same unit; 0 if values are continuous.
    """

    values: Grey
    valid: Mask | None
    plane: tuple[float, float, float]
    unit: float
    quantum: float

    def level(self, x_px: npt.ArrayLike, y_px: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Value of the plane taken off, in file units, at positions in pixels."""
        offset, slope_x, slope_y = self.plane
        return np.asarray(offset + slope_x * np.asarray(x_px, float) + slope_y * np.asarray(y_px, float))


def prepare(values: npt.NDArray[np.generic], report: Report) -> Prepared | None:
    """Finite float32 image without its mean plane, in units of its own standard deviation; None if it is flat.

    Pixels that are NaN or infinite take the value of the nearest finite one and are searched no further.
    Raises UserError where the array is no real two-dimensional image.
    """
    if values.ndim != 2 or values.dtype.kind not in "fiub":
        raise UserError(f"Columns are found in a real image (y, x), not in {values.dtype} of shape {values.shape}.")
    if values.size == 0:
        return None
    grey = values.astype(np.float64 if values.dtype.itemsize > 2 else np.float32)
    valid = np.isfinite(grey)
    if not valid.any():
        report.note("No pixel of the image is a finite number; there is nothing to find.")
        return None
    masked = None
    if not valid.all():
        report.note(f"{int((~valid).sum()):,} pixels are not finite numbers; they are left out of the search.")
        nearest = ndimage.distance_transform_edt(~valid, return_distances=False, return_indices=True)
        grey, masked = grey[tuple(nearest)], valid
    size = max(abs(float(grey.min())), abs(float(grey.max())))
    quantum = _quantum(grey)
    plane = _fit_plane(grey)
    ny, nx = grey.shape
    grey -= plane[0] + plane[1] * np.arange(nx)[None, :] + plane[2] * np.arange(ny)[:, None]
    unit = float(grey.std())
    if unit <= 1e-6 * size or unit == 0:  # flat to the precision of single-precision numbers
        return None
    grey /= unit
    return Prepared(grey.astype(np.float32, copy=False), masked, plane, unit, quantum / unit)


def _quantum(grey: npt.NDArray[np.floating]) -> float:
    """Smallest step between the values of an image if it has few distinct ones, as counts and 8-bit images do; else 0."""
    step = max(1, grey.size // 65536)
    distinct = np.unique(grey.ravel()[::step])
    if not 2 <= len(distinct) <= min(4096, grey.size // step // 4):
        return 0.0
    return float(np.diff(distinct).min())


def _fit_plane(grey: npt.NDArray[np.floating]) -> tuple[float, float, float]:
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
    rows = np.add.reduceat(grey, np.arange(0, grey.shape[0], factor), axis=0)
    return np.asarray(rows.reshape(len(rows), -1, factor).sum(axis=2, dtype=np.float32) / factor**2)
