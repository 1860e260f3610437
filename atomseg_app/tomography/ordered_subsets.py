"""SART, OS-SART and OSEM: some views at a time, so that one pass through all of them does the work of many.

Andersen and Kak, Ultrason. Imaging 6 (1984) 81 (SART, one view at a time); Hudson and Larkin, IEEE Trans. Med. Imaging
13 (1994) 601 (OSEM).
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from atomseg_app.rays.kernels import ADD, MULTIPLY
from atomseg_app.tomography.iterates import Iterate
from atomseg_app.tomography.mlem import SMALLEST_RATIO, start
from atomseg_app.tomography.problem import Floats, Indices, Problem

_GOLDEN = (5**0.5 - 1) / 2


def subsets(problem: Problem, count: int) -> list[Indices]:
    """The used views in ``count`` subsets, evenly spread over the angles, each far from the one before it."""
    views = problem.views
    order = views[np.argsort(np.asarray(problem.geometry.tilt_deg)[views], kind="stable")]
    count = min(count, len(order))
    steps = np.argsort(np.mod(np.arange(count) * _GOLDEN, 1), kind="stable")
    sequence = np.argsort(steps, kind="stable")
    return [np.ascontiguousarray(order[first::count]) for first in sequence]


def sart(problem: Problem, measured: Floats, image: Floats, count: int) -> Iterator[Iterate]:
    """Iterates of SART, each a pass through ``count`` subsets of views; as many as views for one at a time."""
    parts = subsets(problem, count)
    weights = [problem.per_voxel(part) for part in parts]
    while True:
        misfit = np.zeros(problem.geometry.views, np.float32)
        for part, weight in zip(parts, weights, strict=True):
            problem.forward(image, problem.scratch, part)
            problem.subtract(measured, problem.ray_weight, part, misfit)
            problem.back(problem.scratch, image, part, ADD, weight, problem.relaxation, problem.limits.least)
        yield Iterate(image, misfit)


def osem(problem: Problem, measured: Floats, image: Floats, count: int) -> Iterator[Iterate]:
    """Iterates of OSEM, each a pass through ``count`` subsets of views."""
    parts = subsets(problem, count)
    weights = [problem.per_voxel(part) for part in parts]
    level = start(problem, measured, image)
    while True:
        misfit = np.zeros(problem.geometry.views, np.float32)
        for part, weight in zip(parts, weights, strict=True):
            problem.forward(image, problem.scratch, part)
            problem.divide(measured, SMALLEST_RATIO * level, part, misfit)
            problem.back(problem.scratch, image, part, MULTIPLY, weight)
        yield Iterate(image, misfit)
