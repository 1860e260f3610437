"""MLEM: the image that makes measured counts most likely, by factors, so that it stays positive.

Shepp and Vardi, IEEE Trans. Med. Imaging 1 (1982) 113: x <- x / (A^T 1) A^T (b / A x). Counts below zero, which noise
and an offset make, count as zero.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from atomseg_app.rays.kernels import MULTIPLY
from atomseg_app.tomography.iterates import Iterate
from atomseg_app.tomography.problem import Floats, Problem

SMALLEST_RATIO = 1e-6
"""Of the mean value of the image: projections below this are empty."""


def mlem(problem: Problem, measured: Floats, image: Floats) -> Iterator[Iterate]:
    """Iterates of MLEM; an empty image starts as a constant one with the right mean."""
    views = problem.views
    level = start(problem, measured, image)
    while True:
        misfit = np.zeros(problem.geometry.views, np.float32)
        problem.forward(image, problem.scratch, views)
        problem.divide(measured, SMALLEST_RATIO * level, views, misfit)
        problem.back(problem.scratch, image, views, MULTIPLY, problem.voxel_weight)
        yield Iterate(image, misfit)


def start(problem: Problem, measured: Floats, image: Floats) -> float:
    """Fill an empty image with the mean grey level that explains the data, 0 where nothing can be; give the level.

    Data below zero are set to zero.
    """
    np.maximum(measured, 0, out=measured)
    lengths = problem.new_data()
    problem.forward(problem.new_image(1.0), lengths, problem.views)
    total = max(float(lengths.sum(dtype=np.float64)), 1.0)
    level = max(float(measured.sum(dtype=np.float64)) / total, 1e-12)
    if not image.any():
        problem.inside(image)[...] = problem.spread((problem.voxel_weight > 0) * np.float32(level))
    return level
