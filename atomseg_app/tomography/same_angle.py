"""Views sorted by their angle, those at one angle as their mean: networks take each angle once."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_SAME_DEG = 1e-3


def merged(views: Floats, tilt_deg: Doubles, shift_px: Doubles) -> tuple[Floats, Doubles, Doubles]:
    """Views (view, y, t) in ascending order of angle, their angles and shifts; each angle once.

    Views that share an angle are moved onto the first of them by linear interpolation where their shifts differ, then
    averaged, so that a view given twice counts as once.
    """
    order = np.argsort(tilt_deg, kind="stable")
    first = np.flatnonzero(np.diff(tilt_deg[order], prepend=-np.inf) > _SAME_DEG)
    groups = np.split(order, first[1:])
    leading = np.array([group[0] for group in groups])
    if len(groups) == len(order):
        return np.ascontiguousarray(views[order]), tilt_deg[order], shift_px[order]
    found = np.empty((len(groups), *views.shape[1:]), np.float32)
    for place, group in enumerate(groups):
        moved = [_moved(views[view], shift_px[view] - shift_px[group[0]]) for view in group]
        found[place] = np.mean(moved, axis=0, dtype=np.float64)
    return found, tilt_deg[leading], shift_px[leading]


def _moved(view: Floats, shift: float) -> Floats:
    """A view (y, t) as it is ``shift`` px to the left; beyond its ends it goes on as it ends."""
    if not shift:
        return view
    place = np.clip(np.arange(view.shape[1]) + shift, 0, view.shape[1] - 1)
    low = np.minimum(place.astype(np.intp), view.shape[1] - 2)
    share = (place - low).astype(np.float32)
    return np.asarray(view[:, low] * (1 - share) + view[:, low + 1] * share, np.float32)
