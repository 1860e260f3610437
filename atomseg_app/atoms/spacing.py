"""Nearest-neighbour distances of a table of columns, with numpy alone, so that the window can have them too."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from atomseg_app.data import Columns

Floats = npt.NDArray[np.float64]


def nearest_px(columns: Columns, scale: npt.ArrayLike = (1.0, 1.0)) -> Floats:
    """Distance (n,) of each column to its nearest in the same frame, in pixels times ``scale`` (x, y); inf if alone."""
    distance = np.full(len(columns), np.inf)
    points = columns.xy_px * np.asarray(scale)
    for frame in np.unique(columns.table["frame"]):
        rows = np.flatnonzero(columns.table["frame"] == frame)
        distance[rows] = _nearest(points[rows])
    return distance


def _nearest(points: Floats) -> Floats:
    """Nearest-neighbour distance (n,) of points (n, 2), on a grid of cells that is made coarser where it must be."""
    nearest = np.full(len(points), np.inf)
    if len(points) < 2:
        return nearest
    points = points - points.min(axis=0)
    # Small cells first: where points are crowded, those that suit the average would hold too many of them.
    spread = np.diff(np.percentile(points, (5, 95), axis=0), axis=0)[0]
    cell = float(max(np.sqrt(spread.prod() / len(points)) / 6, spread.max() / len(points), np.ptp(points) * 1e-6))
    left = np.arange(len(points))
    while len(left) and cell > 0:
        nearest[left] = _in_reach(points, left, cell)
        # Whatever lies beyond the cells looked at is farther away than a cell.
        left = left[nearest[left] > cell]
        if cell > np.ptp(points):
            break
        cell *= 2
    return nearest if cell > 0 else np.zeros(len(points))


def _in_reach(points: Floats, rows: npt.NDArray[np.intp], cell: float) -> Floats:
    """Distance of some points to their nearest in their own and the eight cells round it; inf if these are empty."""
    column, row = np.floor(points / cell).astype(np.int64).T + 1
    width = int(column.max()) + 2
    key = row * width + column
    order = np.argsort(key, kind="stable")
    ordered = key[order]
    best = np.full(len(rows), np.inf)
    for below in (-width, 0, width):  # cells beside each other have keys that follow each other
        first = np.searchsorted(ordered, key[rows] + below - 1, "left")
        last = np.searchsorted(ordered, key[rows] + below + 1, "right")
        for step in range(int((last - first).max())):
            some = np.flatnonzero(first + step < last)
            other = order[first[some] + step]
            length = np.hypot(*(points[other] - points[rows[some]]).T)
            best[some] = np.where(other == rows[some], best[some], np.minimum(best[some], length))
    return best
