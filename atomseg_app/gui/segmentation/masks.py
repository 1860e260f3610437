"""Shapes as masks of voxels: round brushes along a stroke, balls, polygons, and connected parts of a slice."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Point = tuple[float, float]
Window = tuple[int, int, int, int]
"""Top, left, bottom, right in pixels; bottom and right are not included."""


def capsule(start: Point, end: Point, radius_px: float, aspect: Point = (1.0, 1.0)) -> tuple[Window, Mask]:
    """Pixels within ``radius_px`` of the line from ``start`` to ``end`` (y, x): a round brush that was drawn along it.

    ``aspect`` (y, x) >= 1 stretches pixels as they are drawn, so that the brush is round on the screen.
    """
    reach_y, reach_x = radius_px / aspect[0], radius_px / aspect[1]
    top, bottom = min(start[0], end[0]) - reach_y, max(start[0], end[0]) + reach_y
    left, right = min(start[1], end[1]) - reach_x, max(start[1], end[1]) + reach_x
    window = (int(np.ceil(top)), int(np.ceil(left)), int(np.floor(bottom)) + 1, int(np.floor(right)) + 1)
    y = (np.arange(window[0], window[2], dtype=np.float32)[:, None] - start[0]) * aspect[0]
    x = (np.arange(window[1], window[3], dtype=np.float32)[None, :] - start[1]) * aspect[1]
    along_y, along_x = (end[0] - start[0]) * aspect[0], (end[1] - start[1]) * aspect[1]
    length = along_y**2 + along_x**2
    if length == 0:
        return window, y**2 + x**2 <= radius_px**2
    share = np.clip((y * along_y + x * along_x) / length, 0, 1)
    return window, (y - share * along_y) ** 2 + (x - share * along_x) ** 2 <= radius_px**2


def ball(centre: tuple[float, float, float], radius_px: float, aspect: Sequence[float]) -> tuple[list[int], Mask]:
    """First voxel (z, y, x) and mask of a ball; ``aspect`` (z, y, x) >= 1 are sizes of voxels over the smallest."""
    first, squares = [], []
    for axis, (middle, stretch) in enumerate(zip(centre, aspect, strict=True)):
        reach = radius_px / stretch
        start, stop = int(np.ceil(middle - reach)), int(np.floor(middle + reach)) + 1
        line = ((np.arange(start, stop, dtype=np.float32) - middle) * stretch) ** 2
        first.append(start)
        squares.append(line.reshape([-1 if axis == other else 1 for other in range(3)]))
    return first, squares[0] + squares[1] + squares[2] <= radius_px**2


def polygon(corners: Sequence[Point], shape: tuple[int, int]) -> tuple[Window, Mask]:
    """Pixels of an image of ``shape`` whose centres lie in a closed polygon of corners (y, x), by the even-odd rule."""
    points = np.asarray(corners, float)
    top, left = np.maximum(np.floor(points.min(0)).astype(int), 0)
    bottom, right = np.minimum(np.ceil(points.max(0)).astype(int) + 1, shape)
    window = (int(top), int(left), int(max(top, bottom)), int(max(left, right)))
    mask = np.zeros((window[2] - window[0], window[3] - window[1]), bool)
    ends = np.roll(points, -1, axis=0)
    columns = np.arange(window[1], window[3])
    for row in range(mask.shape[0]):
        y = row + window[0]
        crossing = (points[:, 0] <= y) != (ends[:, 0] <= y)
        if crossing.any():
            start, end = points[crossing], ends[crossing]
            x = start[:, 1] + (y - start[:, 0]) * (end[:, 1] - start[:, 1]) / (end[:, 0] - start[:, 0])
            mask[row] = np.searchsorted(np.sort(x), columns, side="right") % 2 == 1
    return window, mask


def flooded(same: Mask, seed: tuple[int, int]) -> Mask:
    """The pixels of a mask that are connected to ``seed`` (y, x) by their sides; none where the seed is outside it.

    Runs of a row are joined to the runs of the next row that they touch, from the seed on.
    """
    result = np.zeros_like(same)
    if not same[seed]:
        return result
    runs = [_runs(row) for row in same]
    done = [np.zeros(len(starts), bool) for starts, _ in runs]
    waiting = [(seed[0], int(np.searchsorted(runs[seed[0]][0], seed[1], side="right")) - 1)]
    done[seed[0]][waiting[0][1]] = True
    while waiting:
        row, run = waiting.pop()
        start, stop = runs[row][0][run], runs[row][1][run]
        result[row, start:stop] = True
        for beside in (row - 1, row + 1):
            if 0 <= beside < len(runs):
                starts, stops = runs[beside]
                first = int(np.searchsorted(stops, start, side="right"))
                last = int(np.searchsorted(starts, stop, side="left"))
                for touched in range(first, last):
                    if not done[beside][touched]:
                        done[beside][touched] = True
                        waiting.append((beside, touched))
    return result


def _runs(row: Mask) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp]]:
    """Where runs of set pixels begin, and where they have ended."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], row.view(np.int8), [0]])))
    return edges[::2], edges[1::2]
