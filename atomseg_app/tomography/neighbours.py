"""First shifts of all: each view against its neighbour of lower tilt, outwards from the least tilted one.

What a tilt makes narrower is stretched back by the ratio of the cosines before the two are correlated. The shifts add
up from view to view, errors too; the common line and the centre of mass, or projection matching, follow.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from atomseg_app.operations import Report
from atomseg_app.tomography.align_views import AlignViews
from atomseg_app.tomography.shifts import Band, phase_shift

Floats = npt.NDArray[np.float64]

_ROUNDS = 3
_STEEPEST = 0.25  # ratio of cosines beyond which stretching would show nothing but blur


def outwards(tilt_deg: Floats, indices: npt.NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Pairs (view, neighbour of lower tilt that is known already), from the least tilted view to both sides."""
    order = indices[np.argsort(tilt_deg[indices], kind="stable")]
    middle = int(np.argmin(np.abs(tilt_deg[order])))
    yield from ((int(order[at]), int(order[at - 1])) for at in range(middle + 1, len(order)))
    yield from ((int(order[at]), int(order[at + 1])) for at in range(middle - 1, -1, -1))


def neighbour_shifts(
    views: AlignViews, turn_deg: Floats, start_xy: Floats, reach_px: float, band: Band, report: Report
) -> Floats:
    """Shifts (view, 2) as x, y on the detector, starting from ``start_xy``; the least tilted view keeps its own.

    ``turn_deg`` (view,) is the direction of the tilt axis in each view.
    """
    shift = start_xy.astype(float).copy()
    height, width = views.values.shape[1:]
    reach = (min(reach_px, width / 3), min(reach_px, height / 3))
    pairs = list(outwards(views.tilt_deg, views.indices))
    for done, (view, neighbour) in enumerate(pairs):
        report.progress(done / len(pairs), "correlating neighbours")
        fixed = _stretched(views.values[neighbour], shift[neighbour], turn_deg[neighbour], 1.0)
        ratio = _ratio(views.tilt_deg[view], views.tilt_deg[neighbour])
        at = start_xy[view] + shift[neighbour] - start_xy[neighbour]
        for turn in range(_ROUNDS):
            moved = _stretched(views.values[view], at, turn_deg[view], ratio)
            dx, dy = phase_shift(moved, fixed, band, reach if turn == 0 else (min(4, reach[0]), min(4, reach[1])))
            theta = np.deg2rad(turn_deg[view])
            cos, sin = np.cos(theta), np.sin(theta)
            at = at + np.array([cos * dx * ratio - sin * dy, sin * dx * ratio + cos * dy])
            if np.hypot(dx, dy) < 0.02:
                break
        shift[view] = at
    return shift


def _ratio(tilt_deg: float, lower_deg: float) -> float:
    """How much narrower a flat sample looks than at the lower tilt; 1 where it would look wider, or vanish."""
    high, low = abs(np.cos(np.deg2rad(tilt_deg))), abs(np.cos(np.deg2rad(lower_deg)))
    return float(high / low) if _STEEPEST * low < high < low else 1.0


def _stretched(image: npt.NDArray[np.float32], shift_xy: Floats, turn_deg: float, ratio: float) -> Floats:
    """View (y, x) with its shift and turn taken back, and stretched across the axis by 1 / ``ratio``."""
    theta = np.deg2rad(turn_deg)
    centre = (np.array(image.shape) - 1) / 2
    # Rows of matrix and offset are y, x, as scipy has it: at (t, y) it reads R(turn) (t ratio, y) + shift.
    matrix = np.array([[np.cos(theta), np.sin(theta) * ratio], [-np.sin(theta), np.cos(theta) * ratio]])
    offset = centre + shift_xy[::-1] - matrix @ centre
    return np.asarray(ndimage.affine_transform(image, matrix, offset, order=1, mode="constant"), float)
