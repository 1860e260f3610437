"""The images of a tilt series as projectors take them: float32, used views only, axis along y, no pixel unknown."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from atomseg_app.data import TiltSeries
from atomseg_app.errors import UserError
from atomseg_app.operations import Report

Views = npt.NDArray[np.float32]

_NEAR = 2  # pixels looked at on each side of one that is no number


def views_along_y(series: TiltSeries, report: Report | None = None, rows: slice = slice(None)) -> Views:
    """Used views (view, y, x) of a series, contiguous float32, transposed where the tilt axis is x.

    ``rows`` chooses slices along the axis, so that a large series is read slab by slab. Pixels that are no number are
    filled from their neighbours, and the report says how many. Raises UserError for a view without a single number.
    """
    used = series.used
    turned = series.values if series.tilt_axis == "y" else series.values.transpose(0, 2, 1)
    turned = turned[:, rows]
    views = np.empty((len(used), *turned.shape[1:]), np.float32)
    filled = 0
    for place, view in enumerate(used):
        views[place] = turned[view]
        finite = np.isfinite(views[place])
        if finite.all():
            continue
        if not finite.any():
            raise UserError(
                f"View {view} of {series.source.name} ({series.tilt_deg[view]:g} degrees) holds no number; exclude it."
            )
        filled += finite.size - np.count_nonzero(finite)
        _fill(views[place], finite)
    if filled and report is not None:
        report.note(f"{filled} pixels of the series are no number; they were filled from their neighbours.")
    return views


def _fill(view: Views, finite: npt.NDArray[np.bool_]) -> None:
    """Fill in place: each pixel with the mean of the numbers near it, or, far from any, with the nearest number."""
    size = 2 * _NEAR + 1
    total = ndimage.uniform_filter(np.where(finite, view, 0).astype(np.float64), size, mode="constant")
    share = ndimage.uniform_filter(finite.astype(np.float64), size, mode="constant")
    near = ~finite & (share > 0.5 / size**2)
    far = ~finite & ~near
    if far.any():
        nearest = ndimage.distance_transform_edt(~finite, return_distances=False, return_indices=True)
        view[far] = view[tuple(index[far] for index in nearest)]
    view[near] = total[near] / share[near]
