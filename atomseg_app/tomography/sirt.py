"""SIRT: every ray's difference spread along the ray, all views at once, weighted by lengths and by coverage.

Gregor and Benson, IEEE Trans. Med. Imaging 27 (2008) 918: x <- x + r C A^T R (b - A x), R and C one over the sums of
the rows and columns of A; converges for a relaxation r below 2.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from atomseg_app.tomography import kernels
from atomseg_app.tomography.blocks import Block
from atomseg_app.tomography.iterates import Iterate, Problem


def sirt(problem: Problem, measured: Block, image: Block) -> Iterator[Iterate]:
    """Iterates of SIRT from ``image``, kept at or above the problem's least value."""
    projector, views = problem.projector, problem.views
    while True:
        misfit = np.zeros(len(measured), np.float32)
        projector.forward(image, problem.scratch, views)
        problem.subtract(measured, problem.ray_weight, views, misfit)
        projector.back(
            problem.scratch, image, views, kernels.ADD, problem.voxel_weight, problem.relaxation, problem.least
        )
        yield Iterate(image, misfit)
