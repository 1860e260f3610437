"""SIRT: every ray's difference spread along the ray, all views at once, weighted by lengths and by coverage.

Gregor and Benson, IEEE Trans. Med. Imaging 27 (2008) 918: x <- x + r C A^T R (b - A x), R and C one over the sums of
the rows and columns of A; converges for a relaxation r below 2.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from atomseg_app.rays.kernels import ADD
from atomseg_app.tomography.iterates import Iterate
from atomseg_app.tomography.problem import Floats, Problem


def sirt(problem: Problem, measured: Floats, image: Floats) -> Iterator[Iterate]:
    """Iterates of SIRT from ``image``, kept at or above the problem's least value."""
    views, least = problem.views, problem.limits.least
    while True:
        misfit = np.zeros(problem.geometry.views, np.float32)
        problem.forward(image, problem.scratch, views)
        problem.subtract(measured, problem.ray_weight, views, misfit)
        problem.back(problem.scratch, image, views, ADD, problem.voxel_weight, problem.relaxation, least)
        yield Iterate(image, misfit)
