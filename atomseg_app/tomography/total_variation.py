"""Total variation: the image with the least edges that explains the views as well as their noise allows.

Chambolle and Pock, J. Math. Imaging Vis. 40 (2011) 120, with their diagonal preconditioning (ICCV 2011, 1762): steps
are one over the sums of rows and columns, so that no norm is needed. min |A x - b|^2 / 2 + w TV(x), x within limits.
The weight that is found, where none is given, is what keeps noise from making edges: noise of rms s in each of n views
adds up to s sqrt(n) where it is smeared back, and differences hold against a share of that.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from atomseg_app.tomography.iterates import Iterate
from atomseg_app.tomography.least_squares import chosen, dot
from atomseg_app.tomography.problem import Floats, Problem
from atomseg_app.tomography.variation_kernels import divergence, dual_step, primal_step

_SHARE = 0.6
_BALANCE = 5.0
"""How much longer steps of the duals are than those of the image: as fast for noisy views as for clean ones."""
MODEL_ERROR = 0.004
"""Of the rms of the views: what voxels and interpolation cannot explain in any case."""


def chambolle_pock(
    problem: Problem, measured: Floats, image: Floats, noise: float, weight: float | None = None
) -> Iterator[Iterate]:
    """Iterates towards the minimum; ``weight`` in grey levels times voxels is found from the rms ``noise`` if None."""
    lanes, rays = problem.lane_count, np.float32(_BALANCE) * problem.as_data(problem.ray_weight)
    wanted = chosen(problem, measured)
    strength = found_weight(problem, wanted, noise) if weight is None else weight
    dual, ahead, pull, spread = problem.new_data(), image.copy(), problem.new_image(), problem.new_image()
    edges = np.zeros((3, *problem.as_blocks(image).shape), np.float32)
    steps = primal_steps(problem, image)
    blocks = [problem.as_blocks(array) for array in (pull, spread, image, ahead)]
    while True:
        problem.forward(ahead, problem.scratch, problem.views)
        difference = problem.scratch - wanted
        misfit = np.asarray(np.abs(difference).sum(axis=problem.ray_axes), np.float32)
        difference *= rays
        dual += difference
        dual /= 1 + rays
        dual_step(blocks[3], strength, 0.5 * _BALANCE, lanes, edges)
        problem.back(dual, pull, problem.views)
        divergence(edges, blocks[1])
        blocks[0] -= blocks[1]
        primal_step(blocks[0], steps, problem.limits.least, blocks[2], blocks[3])
        yield Iterate(image, misfit)


def found_weight(problem: Problem, measured: Floats, noise: float) -> float:
    """Weight of total variation for views of this rms noise."""
    rays = float(np.count_nonzero(problem.ray_weight)) * measured.size / problem.as_data(problem.ray_weight).size
    model = MODEL_ERROR * (dot(measured, measured) / max(rays, 1.0)) ** 0.5
    return float(_SHARE * np.hypot(noise, model) * np.sqrt(len(problem.views)))


def primal_steps(problem: Problem, image: Floats) -> Floats:
    """Steps of every voxel [block, i, j, lane], from the sums of columns of projector and differences; 0 outside."""
    weight = problem.voxel_weight
    steps = np.where(weight > 0, 1 / _BALANCE / (1 / np.maximum(weight, 1e-30) + 6), 0).astype(np.float32)
    spread = problem.spread(steps)
    blocks = problem.as_blocks(image)
    return np.broadcast_to(spread if spread.ndim == blocks.ndim else spread[None], blocks.shape)
