"""Total variation: the image with the least edges that explains the views as well as their noise allows.

Chambolle and Pock, J. Math. Imaging Vis. 40 (2011) 120, with their diagonal preconditioning (ICCV 2011, 1762): steps
are one over the sums of rows and columns, so that no norm is needed. min |A x - b|^2 / 2 + w TV(x), x within limits.
The weight that is found, where none is given, is what keeps noise from making edges: noise of rms s in each of n views
adds up to s sqrt(n) where it is smeared back, and differences hold against a share of that.

An iteration is one sweep over blocks of slices: each takes its step against the duals, and these go on from where that
leads as soon as the next block is there too. So beside image and views only the duals are kept whole.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from atomseg_app.rays.kernels import ADD
from atomseg_app.tomography.edges import Edges, look_ahead
from atomseg_app.tomography.iterates import Iterate
from atomseg_app.tomography.least_squares import dot
from atomseg_app.tomography.problem import Floats, Problem

_SHARE = 0.6
_BALANCE = 5.0
"""How much longer steps of the duals are than those of the image: as fast for noisy views as for clean ones."""
MODEL_ERROR = 0.004
"""Of the rms of the views: what voxels and interpolation cannot explain in any case."""


def chambolle_pock(
    problem: Problem, measured: Floats, image: Floats, noise: float, weight: float | None = None
) -> Iterator[Iterate]:
    """Iterates towards the minimum; ``weight`` in grey levels times voxels is found from the rms ``noise`` if None.

    Data of views that are not in use are set to zero.
    """
    _leave_out(problem, measured)
    one, images = problem.piece, problem.pieces(image)
    strength = found_weight(problem, measured, noise) if weight is None else weight
    edges = Edges(len(images), images[0].shape, problem.border, problem.lane_count, strength)
    data = _DataDuals(one, problem.pieces(measured), problem.pieces(problem.new_data()))
    steps = primal_steps(one)
    spread = np.ascontiguousarray(one.spread(steps))
    # Where the images are going, of this block and of the one before, whose last slice waits for the first of this.
    ahead = one.new_image()
    waiting = one.new_image() if len(images) > 1 else ahead
    moving, before = False, np.zeros(problem.geometry.views, np.float32)
    while True:
        misfit = np.zeros(problem.geometry.views, np.float32)
        for number, part in enumerate(images):
            ahead[...] = part
            if moving:
                edges.add_divergence(number, spread, part)
                one.back(data.duals[number], part, one.views, ADD, steps, -1.0, one.limits.least)
                look_ahead(part, ahead)
            if number > 0:
                edges.step(number - 1, waiting, ahead, 0.5 * _BALANCE)
            data.step(number, ahead, misfit)
            ahead, waiting = waiting, ahead
        edges.step(len(images) - 1, waiting, None, 0.5 * _BALANCE)
        if moving:
            yield Iterate(image, before)
        before, moving = misfit, True


class _DataDuals:
    """The duals of the views, block by block."""

    def __init__(self, one: Problem, measured: list[Floats], duals: list[Floats]) -> None:
        self._one, self._measured, self.duals = one, measured, duals
        self._rays = np.float32(_BALANCE) * one.as_data(one.ray_weight)
        self._shorter = 1 / (1 + self._rays)

    def step(self, number: int, ahead: Floats, misfit: Floats) -> None:
        """Go on from where the image of a block leads; adds its sums of |measured - projected| to ``misfit``."""
        one, dual = self._one, self.duals[number]
        one.forward(ahead, one.scratch, one.views)
        for view in one.views:
            difference = one.scratch[view]
            difference -= self._measured[number][view]
            misfit[view] += np.abs(difference).sum()
            difference *= self._rays[view]
            dual[view] += difference
            dual[view] *= self._shorter[view]


def found_weight(problem: Problem, measured: Floats, noise: float) -> float:
    """Weight of total variation for views of this rms noise."""
    rays = float(np.count_nonzero(problem.ray_weight)) * measured.size / problem.as_data(problem.ray_weight).size
    model = MODEL_ERROR * (dot(measured, measured) / max(rays, 1.0)) ** 0.5
    return float(_SHARE * np.hypot(noise, model) * np.sqrt(len(problem.views)))


def primal_steps(problem: Problem) -> Floats:
    """Steps of voxels as weights are, from the sums of columns of projector and differences; 0 outside."""
    weight = problem.voxel_weight
    return np.where(weight > 0, 1 / _BALANCE / (1 / np.maximum(weight, 1e-30) + 6), 0).astype(np.float32)


def _leave_out(problem: Problem, measured: Floats) -> None:
    """Data of views that are not in use become zero."""
    unused = np.setdiff1d(np.arange(problem.geometry.views), problem.views)
    measured[..., unused, :, :] = 0
