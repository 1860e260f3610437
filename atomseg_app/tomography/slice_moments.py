"""Mass and first moment of every slice across the tilt axis, straight from the pixels of views that may be turned."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from atomseg_app.tomography.align_views import AlignViews

Floats = npt.NDArray[np.float64]


def turned_back(shift_xy: Floats, turn_deg: Floats) -> Floats:
    """Detector shifts (view, 2) as x, y in the frame whose y is the tilt axis: R(-turn) of each."""
    return turned(shift_xy, -turn_deg)


def turned(shift_xy: Floats, turn_deg: Floats) -> Floats:
    """Vectors (view, 2) as x, y, turned from x towards y."""
    cos, sin = np.cos(np.deg2rad(turn_deg)), np.sin(np.deg2rad(turn_deg))
    x, y = shift_xy.T
    return np.stack([cos * x - sin * y, sin * x + cos * y], axis=1)


def slice_moments(views: AlignViews, turn_deg: Floats) -> tuple[Floats, Floats]:
    """Sum of each slice and of its pixels times their t, both (view, y), in the frame turned with the tilt axis.

    Rows are those of the detector; t and y are measured from its centre, so shifts are still in both. A pixel is
    shared by the two rows that it lies between. Views that cannot be used give zeros.
    """
    count, height, width = views.values.shape
    x = np.broadcast_to(np.arange(width) - (width - 1) / 2, (height, width))
    y = np.broadcast_to((np.arange(height) - (height - 1) / 2)[:, None], (height, width))
    mass, first = np.zeros((count, height)), np.zeros((count, height))
    for view in views.indices:
        turn = np.deg2rad(turn_deg[view])
        values = views.values[view].astype(float)
        if turn == 0:
            mass[view], first[view] = values.sum(axis=1), (values * x).sum(axis=1)
            continue
        t = np.cos(turn) * x + np.sin(turn) * y
        row = -np.sin(turn) * x + np.cos(turn) * y + (height - 1) / 2
        below = np.floor(row).astype(np.int64)
        share = row - below
        for place, weight in ((below, 1 - share), (below + 1, share)):
            inside = ((place >= 0) & (place < height)).ravel()
            at, part = place.ravel()[inside], (weight * values).ravel()[inside]
            mass[view] += np.bincount(at, part, height)
            first[view] += np.bincount(at, part * t.ravel()[inside], height)
    return mass, first


def shifted_rows(rows: Floats, shift_px: Floats) -> Floats:
    """Rows (view, y) read at y + shift, by cubic splines; NaN where that lies outside."""
    from scipy.interpolate import CubicSpline

    y = np.arange(rows.shape[1])
    shifted = np.full(rows.shape, np.nan)
    for index, (row, shift) in enumerate(zip(rows, shift_px, strict=True)):
        at = y + shift
        inside = (at >= 0) & (at <= len(y) - 1)
        shifted[index, inside] = CubicSpline(y, row)(at[inside])
    return shifted
