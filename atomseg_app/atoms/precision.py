"""Error bars of fitted positions: Fisher information, widened for noise that the model takes as white but is not.

Noise correlated along or across scan lines, interpolated images and misfit of the column shape all make errors larger
than the Cramér-Rao bound of white noise. The residual is asked for its power in the very patterns that move a column;
the same question put to white noise after the same fit is the reference, so that no correction for fitted parameters
is needed.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import torch

from atomseg_app.atoms import model
from atomseg_app.atoms.refine import LEAST_DAMPING, Fit

Floats = npt.NDArray[np.float64]

_SEED = 20011
_LEAST = 0.25
_SAMPLES = 5000
_DEEP_SIGMA = 4.0  # columns nearer to the border than this are not asked
_TRUSTED = 0.98  # of the projections, the smaller ones: one bad column must not speak for all
_CHANCE = 2.0  # standard deviations of the estimate that do not count as excess


def position_errors(fit: Fit, excess: Floats | None = None) -> Floats:
    """Standard deviations (n, 2) of x and y in pixels; ``excess`` is :func:`excess_power` where it is known."""
    variance = fit.equations.position_variance(fit.state.x, fit.state.y)
    excess = excess_power(fit) if excess is None else excess
    return np.asarray(np.sqrt(np.maximum(variance, 0) * excess[:2]))


def excess_power(fit: Fit) -> Floats:
    """Power (3,) of the residual in the patterns of a shift in x, in y and of an amplitude, 1 for white noise.

    What chance alone would show counts as none.
    """
    problem, at = fit.problem, fit.at
    deviation = fit.noise.variance(at.image).sqrt()
    asked = _Patterns(fit)
    white = torch.randn(at.image.shape, generator=torch.Generator().manual_seed(_SEED)).to(at.image.device)
    start = replace(at, own=0 * at.own, common=0 * at.common)
    weight = problem.weight(at, fit.noise)
    equations = problem.with_new_gradient(fit.equations, start, weight, at.image + white * deviation)
    taken = problem.response(at, equations.layout, equations.solve(LEAST_DAMPING))
    real = asked.power((problem.scene.data - at.image) / deviation * problem.valid)
    reference = asked.power((white - taken / deviation) * problem.valid)
    excess = real / reference
    logarithm = np.log(np.maximum(excess, _LEAST))
    independent = min(problem.scene.data.numel() / (4 * np.pi * problem.sigma**2), float(len(fit.state)))
    chance = _CHANCE * np.sqrt(4 / independent)
    return np.asarray(np.exp(np.sign(logarithm) * np.maximum(np.abs(logarithm) - chance, 0)))


class _Patterns:
    """Patterns of a column's shift and of its amplitude, at random places near the sound columns of a fit."""

    def __init__(self, fit: Fit) -> None:
        state, sigma = fit.state, fit.problem.sigma
        height, width = fit.problem.scene.shape
        deep = np.minimum(np.minimum(state.x, width - 1 - state.x), np.minimum(state.y, height - 1 - state.y))
        sound = fit.converged & (deep > _DEEP_SIGMA * sigma)
        state = state.take(sound) if sound.any() else state
        many = state.take(np.tile(np.arange(len(state)), max(1, _SAMPLES // len(state))))
        dx, dy = np.random.default_rng(_SEED).normal(0, sigma, (2, len(many)))
        self._places: model.ColumnState = replace(many, x=many.x + dx, y=many.y + dy)
        self._renderer = fit.problem.renderer

    def power(self, standardised: torch.Tensor) -> Floats:
        """Mean square (3,) of the projections of an image (y, x) on the three patterns."""
        moments = self._renderer.moments(self._renderer.padded(standardised), self._places, 1)
        return np.array([_trimmed(moments[:, j, i] ** 2) for j, i in ((0, 1), (1, 0), (0, 0))])


def _trimmed(squares: Floats) -> float:
    """Mean without the largest few."""
    return max(float(np.mean(np.sort(squares)[: max(1, int(_TRUSTED * len(squares)))])), 1e-12)
