"""The basins of a landscape of depths, compiled: each voxel after deeper ones, necks weighed where basins meet."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from atomseg_app.rays.compiled import kernel


def basins(
    depth: npt.NDArray[np.float32], order: npt.NDArray[np.int64], shape: tuple[int, int, int], splitting: float,
    least_dip: float,
) -> npt.NDArray[np.int32]:  # fmt: skip
    """Number of the basin of each voxel, flat, from 1 on; 0 for voxels that are not in ``order``, deepest first.

    Voxels in ``order`` are not at the border of ``shape``. Two basins are one unless the depth where they meet is less
    than ``splitting`` times that of the shallower one, and less by ``least_dip`` at least.
    """
    steps = np.array(
        [
            (z * shape[1] + y) * shape[2] + x
            for z in (-1, 0, 1) for y in (-1, 0, 1) for x in (-1, 0, 1) if (z, y, x) != (0, 0, 0)
        ],
        np.int64,
    )  # fmt: skip
    found = np.zeros(len(depth), np.int32)
    _flood(depth, order, steps, np.float32(splitting), np.float32(least_dip), found)
    return found


@kernel
def _root(parent: Any, one: int) -> Any:
    while parent[one] != one:
        parent[one] = parent[parent[one]]
        one = parent[one]
    return one


@kernel
def _flood(depth: Any, order: Any, steps: Any, splitting: Any, least_dip: Any, found: Any) -> None:
    """Fill ``found``; basins merge as their trees of numbers do, the deeper one's number stays."""
    parent = np.zeros(len(order) + 1, np.int32)
    peak = np.zeros(len(order) + 1, np.float32)
    count = 0
    for here in order:
        level = depth[here]
        best, deepest = 0, np.float32(-1)
        for step in steps:
            other = found[here + step]
            if other > 0 and depth[here + step] > deepest:
                deepest, best = depth[here + step], other
        if best == 0:
            count += 1
            parent[count], peak[count] = count, level
            found[here] = count
            continue
        found[here] = best
        for step in steps:
            other = found[here + step]
            if other == 0:
                continue
            one, two = _root(parent, best), _root(parent, other)
            if one == two:
                continue
            if peak[one] < peak[two]:
                one, two = two, one
            if level >= splitting * peak[two] or level > peak[two] - least_dip:
                parent[two] = one
    numbers = np.zeros(count + 1, np.int32)
    last = 0
    for here in np.sort(order):
        root = _root(parent, found[here])
        if numbers[root] == 0:
            last += 1
            numbers[root] = last
        found[here] = numbers[root]
