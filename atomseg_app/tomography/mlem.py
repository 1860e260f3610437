"""MLEM: the image that makes measured counts most likely, by factors, so that it stays positive.

Shepp and Vardi, IEEE Trans. Med. Imaging 1 (1982) 113: x <- x / (A^T 1) A^T (b / A x). Counts below zero, which noise
and an offset make, count as zero.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from atomseg_app.tomography import kernels
from atomseg_app.tomography.blocks import Block
from atomseg_app.tomography.iterates import Iterate, Problem
from atomseg_app.tomography.kernels import PAD

_SMALLEST_RATIO = 1e-6  # of the mean value of the image: projections below are empty


def mlem(problem: Problem, measured: Block, image: Block) -> Iterator[Iterate]:
    """Iterates of MLEM; an empty image starts as a constant one with the right mean."""
    projector, views = problem.projector, problem.views
    np.maximum(measured, 0, out=measured)
    level = start_level(problem, measured)
    if not image.any():
        image[PAD:-PAD, PAD:-PAD] = (problem.voxel_weight > 0)[:, :, None] * np.float32(level)
    while True:
        misfit = np.zeros(len(measured), np.float32)
        projector.forward(image, problem.scratch, views)
        problem.divide(measured, _SMALLEST_RATIO * level, views, misfit)
        projector.back(problem.scratch, image, views, kernels.MULTIPLY, problem.voxel_weight)
        yield Iterate(image, misfit)


def start_level(problem: Problem, measured: Block) -> float:
    """Mean grey level per voxel that explains the sum of the views, never quite zero."""
    rays = (problem.ray_weight[problem.views] > 0).sum() * measured.shape[2]
    lengths = np.divide(1, problem.ray_weight, out=np.zeros_like(problem.ray_weight), where=problem.ray_weight > 0)
    length = float(lengths[problem.views].sum()) * measured.shape[2]
    return max(float(measured[problem.views].sum(dtype=np.float64)) / max(length, 1), 1e-12) if rays else 1e-12
