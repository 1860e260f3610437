"""Areas of surfaces between labelled voxels, from how often lines in 13 directions cross them.

Crofton's formula, as Ohser and Muecklich (Statistical Analysis of Microstructures in Materials Science, 2000) use it on
voxels: a surface of area S is crossed S / (2 a) times on average by parallel lines of which each stands for the area a
across them. Directions weigh as much as the part of the sphere that is nearest to them, for voxels of any proportions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import cache

import numpy as np
import numpy.typing as npt

from atomseg_app.data import Array

STEPS = tuple(
    (z, y, x) for z in (0, 1) for y in (-1, 0, 1) for x in (-1, 0, 1) if (z, y, x) > (0, 0, 0)
)  # fmt: skip
"""The 13 directions to neighbours (z, y, x), one of each pair of opposites."""
_SAMPLES = 200_000
_TOGETHER = 16  # slices, so that pairs of a large volume need little memory


def areas(numbers: Array, count: int, spacing: Sequence[float]) -> npt.NDArray[np.float64]:
    """Area of the surface of each number 1..``count`` in an array (z, y, x), in the unit of ``spacing`` squared.

    Where the array ends is no surface.
    """
    crossings = np.zeros(count + 1)
    for part in _slabs(len(numbers)):
        for step, weight in zip(STEPS, weights(tuple(spacing)), strict=True):
            here, there = _pairs(numbers[part(step)], step)
            apart = here != there
            crossings += weight * (_counts(here[apart], count) + _counts(there[apart], count))
    return crossings[1:]


def contact_areas(
    numbers: Array, other: npt.NDArray[np.bool_], count: int, spacing: Sequence[float]
) -> npt.NDArray[np.float64]:
    """Area that each number 1..``count`` has in common with a mask of the same shape."""
    crossings = np.zeros(count + 1)
    for part in _slabs(len(numbers)):
        for step, weight in zip(STEPS, weights(tuple(spacing)), strict=True):
            (here, there), (mask, beyond) = (_pairs(each[part(step)], step) for each in (numbers, other))
            crossings += weight * (_counts(here[beyond], count) + _counts(there[mask], count))
    return crossings[1:]


def _counts(numbers: Array, count: int) -> npt.NDArray[np.int64]:
    return np.bincount(numbers, minlength=count + 1)


def _slabs(length: int) -> Iterator[Callable[[Sequence[int]], slice]]:
    """Slabs along z, as functions of a step: one that goes up takes a slice more, which the next slab begins with."""
    for start in range(0, length, _TOGETHER):
        stop = min(start + _TOGETHER, length)
        yield lambda step, start=start, stop=stop: slice(start, stop + step[0])  # type: ignore[misc]


@cache
def weights(spacing: tuple[float, ...]) -> tuple[float, ...]:
    """Area that one crossing in each direction stands for: twice its share of directions times the area of a line."""
    vectors = np.array(STEPS) * np.asarray(spacing)
    lengths = np.linalg.norm(vectors, axis=1)
    directions = _spread(_SAMPLES)
    nearest = np.abs(directions @ (vectors / lengths[:, None]).T).argmax(axis=1)
    share = np.bincount(nearest, minlength=len(STEPS)) / _SAMPLES
    return tuple(2 * share * float(np.prod(spacing)) / lengths)


def _spread(count: int) -> npt.NDArray[np.float64]:
    """Points evenly spread over the sphere along a golden spiral."""
    index = np.arange(count) + 0.5
    height, turn = 1 - 2 * index / count, np.pi * (1 + 5**0.5) * index
    width = np.sqrt(1 - height**2)
    return np.stack([height, width * np.cos(turn), width * np.sin(turn)], axis=1)


def _pairs(values: Array, step: Sequence[int]) -> tuple[Array, Array]:
    """Views of an array at voxels and at those a step on, where both are inside."""
    first = tuple(slice(max(0, -n), min(size, size - n)) for n, size in zip(step, values.shape, strict=True))
    last = tuple(slice(max(0, n), min(size, size + n)) for n, size in zip(step, values.shape, strict=True))
    return values[first], values[last]
