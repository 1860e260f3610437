"""What iterations over slices in lanes need besides the projector: copying in and out, and elementwise steps."""

from __future__ import annotations

from typing import Any

import numpy as np

from atomseg_app.rays.compiled import (
    add_scaled,
    at_least,
    greater,
    kernel,
    load,
    minus,
    over,
    plus,
    root,
    store,
    times,
    zeros,
)  # fmt: skip
from atomseg_app.rays.kernels import PAD

_TILE = 16  # numbers of each slice copied before the next slice's: all of them lie in the nearest cache together


@kernel
def spread(stack: Any, first_slice: int, block: Any) -> None:
    """Copy ``stack`` [slice, i, j] from a slice on to ``block`` [i, j, lane] inside its border."""
    count = min(block.shape[2], stack.shape[0] - first_slice)
    for i in range(stack.shape[1]):
        for first in range(0, stack.shape[2], _TILE):
            last = min(first + _TILE, stack.shape[2])
            for lane in range(count):
                for j in range(first, last):
                    block[i, j, lane] = stack[first_slice + lane, i, j]


@kernel
def gather(block: Any, first_slice: int, stack: Any) -> None:
    """Inverse of :func:`spread`."""
    count = min(block.shape[2], stack.shape[0] - first_slice)
    for i in range(stack.shape[1]):
        for first in range(0, stack.shape[2], _TILE):
            last = min(first + _TILE, stack.shape[2])
            for lane in range(count):
                for j in range(first, last):
                    stack[first_slice + lane, i, j] = block[i, j, lane]


@kernel
def relax(projected: Any, measured: Any, keep: Any, change: Any, views: int, bins: int, dual: Any) -> None:
    """``dual`` becomes ``keep * dual + change * (projected - measured)``, with weights [view, t]."""
    for view in range(views):
        row = view * (bins + 2 * PAD) + PAD
        for t in range(bins):
            at = row + t
            kept = add_scaled(zeros(dual), keep[view, t], load(dual, at))
            store(dual, at, add_scaled(kept, change[view, t], minus(load(projected, at), load(measured, at))))


@kernel
def vary(
    pull: Any, steps: Any, limit: Any, half: Any, least: Any, depth: int, width: int,
    image: Any, ahead: Any, down: Any, right: Any,
) -> None:  # fmt: skip
    """One step of total variation in both its unknowns, in one pass over the image.

    ``down`` and ``right`` go ``half`` times the differences of ``ahead`` on, then back to lengths up to ``limit`` (one
    pixel, a number a lane); ``image`` goes ``steps`` [z, x] times (their divergence less ``pull``), stays at ``least``
    or above, and ``ahead`` becomes as far beyond it again.
    """
    row = width + 2 * PAD
    most = load(limit, 0)
    smallest = at_least(most, np.float32(1e-30))
    for z in range(depth):
        first = (z + PAD) * row + PAD
        here, left = load(ahead, first), zeros(image)
        for x in range(width):
            at = first + x
            beside = load(ahead, at + 1)
            lower, further = zeros(image), zeros(image)
            if z + 1 < depth:
                lower = add_scaled(load(down, at), half, minus(load(ahead, at + row), here))
            if x + 1 < width:
                further = add_scaled(load(right, at), half, minus(beside, here))
            shrink = over(most, greater(root(plus(times(lower, lower), times(further, further))), smallest))
            lower, further = times(lower, shrink), times(further, shrink)
            store(down, at, lower)
            store(right, at, further)
            pushed = minus(plus(minus(lower, load(down, at - row)), minus(further, left)), load(pull, at))
            before = load(image, at)
            after = at_least(add_scaled(before, steps[z, x], pushed), least)
            store(image, at, after)
            store(ahead, at, minus(plus(after, after), before))
            here, left = beside, further
