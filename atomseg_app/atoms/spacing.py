"""Nearest-neighbour distances of a table of columns, with numpy alone, so that the window can have them too."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from atomseg_app.data import Columns


def nearest_px(columns: Columns, scale: npt.ArrayLike = (1.0, 1.0)) -> npt.NDArray[np.float64]:
    """Distance (n,) of each column to its nearest in the same frame, in pixels times ``scale`` (x, y); inf if alone."""
    distance = np.full(len(columns), np.inf)
    points = columns.xy_px * np.asarray(scale)
    for frame in np.unique(columns.table["frame"]):
        rows = np.flatnonzero(columns.table["frame"] == frame)
        distance[rows] = _nearest(points[rows])
    return distance


def _nearest(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Nearest-neighbour distance (n,) of points (n, 2): sweep along the longer axis until no pair can be nearer."""
    along = int(np.argmax(np.ptp(points, axis=0)))
    order = np.argsort(points[:, along], kind="stable")
    ordered = points[order]
    nearest = np.full(len(points), np.inf)
    for step in range(1, len(points)):
        gap = ordered[step:] - ordered[:-step]
        if (gap[:, along] >= np.maximum(nearest[step:], nearest[:-step])).all():
            break
        length = np.hypot(gap[:, 0], gap[:, 1])
        nearest[step:] = np.minimum(nearest[step:], length)
        nearest[:-step] = np.minimum(nearest[:-step], length)
    result = np.empty_like(nearest)
    result[order] = nearest
    return result
