"""Differences of neighbouring voxels and what total variation needs of them, for images [block, i, j, lane].

Lanes go on from one block to the next, up to ``lane_count`` of them; beyond the last voxel of any axis the difference
is zero. Total variation is isotropic: the sum of the lengths of the three differences.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from atomseg_app.rays.compiled import kernel
from atomseg_app.rays.threads import in_pieces

_ZERO = np.float32(0)


@kernel
def _differences(image: Any, block: int, i: int, j: int, lane: int, beside: bool) -> Any:
    """To the next voxel along i, j and the lanes; the latter only if there is one ``beside`` in this block."""
    here = image[block, i, j, lane]
    below = image[block, i + 1, j, lane] - here if i + 1 < image.shape[1] else _ZERO
    right = image[block, i, j + 1, lane] - here if j + 1 < image.shape[2] else _ZERO
    return below, right, image[block, i, j, lane + 1] - here if beside else _ZERO


@kernel
def _go_on(dual: Any, weight: Any, step: Any, block: int, i: int, j: int, lane: int, along: Any) -> None:
    """Take one vector a step on, then back to a length up to ``weight``."""
    a = dual[0, block, i, j, lane] + step * along[0]
    b = dual[1, block, i, j, lane] + step * along[1]
    c = dual[2, block, i, j, lane] + step * along[2]
    factor = weight / max(np.sqrt(a * a + b * b + c * c), weight)
    dual[0, block, i, j, lane] = factor * a
    dual[1, block, i, j, lane] = factor * b
    dual[2, block, i, j, lane] = factor * c


@kernel
def _dual(image: Any, weight: Any, step: Any, lane_count: int, first: int, last: int, dual: Any) -> None:
    """``dual`` [3, block, i, j, lane] goes ``step`` times the differences on, then back to lengths up to ``weight``."""
    _, rows, columns, lanes = image.shape
    for number in range(first, last):
        block, i = number // rows, number % rows
        pairs = min(lanes - 1, lane_count - 1 - block * lanes)
        goes_on = (block + 1) * lanes < lane_count
        for j in range(columns):
            for lane in range(pairs):
                _go_on(dual, weight, step, block, i, j, lane, _differences(image, block, i, j, lane, True))
            for lane in range(pairs, lanes):
                below, right, beside = _differences(image, block, i, j, lane, False)
                if goes_on:
                    beside = image[block + 1, i, j, 0] - image[block, i, j, lane]
                _go_on(dual, weight, step, block, i, j, lane, (below, right, beside))


@kernel
def _divergence(dual: Any, first: int, last: int, total: Any) -> None:
    """``total`` becomes the divergence of ``dual``: minus the adjoint of the differences, as duals beyond are zero."""
    _, rows, columns, lanes = total.shape
    for number in range(first, last):
        block, i = number // rows, number % rows
        for j in range(columns):
            for lane in range(lanes):
                value = dual[0, block, i, j, lane] + dual[1, block, i, j, lane] + dual[2, block, i, j, lane]
                if i > 0:
                    value -= dual[0, block, i - 1, j, lane]
                if j > 0:
                    value -= dual[1, block, i, j - 1, lane]
                total[block, i, j, lane] = value
            for lane in range(1, lanes):
                total[block, i, j, lane] -= dual[2, block, i, j, lane - 1]
            if block > 0:
                total[block, i, j, 0] -= dual[2, block - 1, i, j, lanes - 1]


@kernel
def _lengths(image: Any, lane_count: int, first: int, last: int, totals: Any) -> None:
    """``totals`` [number] becomes the total variation of each row."""
    _, rows, columns, lanes = image.shape
    for number in range(first, last):
        block, i = number // rows, number % rows
        pairs = min(lanes - 1, lane_count - 1 - block * lanes)
        goes_on = (block + 1) * lanes < lane_count
        total = 0.0
        for j in range(columns):
            for lane in range(lanes):
                below, right, beside = _differences(image, block, i, j, lane, lane < pairs)
                if lane >= pairs and goes_on:
                    beside = image[block + 1, i, j, 0] - image[block, i, j, lane]
                total += np.sqrt(below * below + right * right + beside * beside)
        totals[number] = total


@kernel
def _primal(pull: Any, steps: Any, least: Any, first: int, last: int, image: Any, ahead: Any) -> None:
    """``image`` goes ``-steps * pull``, at or above ``least``; ``ahead`` becomes as far beyond it again."""
    _, rows, columns, lanes = image.shape
    for number in range(first, last):
        block, i = number // rows, number % rows
        for j in range(columns):
            for lane in range(lanes):
                before = image[block, i, j, lane]
                after = max(before - steps[block, i, j, lane] * pull[block, i, j, lane], least)
                image[block, i, j, lane] = after
                ahead[block, i, j, lane] = 2 * after - before


def dual_step(image: Any, weight: float, step: float, lane_count: int, dual: Any) -> None:
    """Take the dual of total variation a step on from an image; its vectors stay no longer than ``weight``."""
    numbers = np.float32(max(weight, 1e-30)), np.float32(step)
    rows = image.shape[0] * image.shape[1]
    in_pieces(lambda first, last: _dual(image, *numbers, lane_count, first, last, dual), rows)


def divergence(dual: Any, total: Any) -> None:
    """Write the divergence of vectors (3, block, i, j, lane) to an image."""
    in_pieces(lambda first, last: _divergence(dual, first, last, total), total.shape[0] * total.shape[1])


def primal_step(pull: Any, steps: Any, least: float, image: Any, ahead: Any) -> None:
    """Take the image a step against its gradient ``pull``, and look as far ahead again."""
    rows, smallest = image.shape[0] * image.shape[1], np.float32(least)
    in_pieces(lambda first, last: _primal(pull, steps, smallest, first, last, image, ahead), rows)


def total_variation(image: Any, lane_count: int) -> float:
    """Sum over voxels of the length of the differences to the next ones."""
    rows = image.shape[0] * image.shape[1]
    parts = np.zeros(rows)
    in_pieces(lambda first, last: _lengths(image, lane_count, first, last, parts), rows)
    return float(parts.sum())
