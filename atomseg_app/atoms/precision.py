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

from atomseg_app.atoms.refine import LEAST_DAMPING, Fit

Floats = npt.NDArray[np.float64]

_SEED = 20011
_LEAST = 0.25
_SAMPLES = 5000
_DEEP_SIGMA = 4.0  # columns nearer to the border than this are not asked
_CHANCE = 2.0  # standard deviations of the estimate that do not count as excess


def position_errors(fit: Fit) -> Floats:
    """Standard deviations (n, 2) of x and y in pixels."""
    equations = fit.problem.normal_equations(fit.at, fit.noise)
    variance = equations.position_variance(fit.state.x, fit.state.y)
    excess = excess_power(fit)
    return np.asarray(np.sqrt(np.maximum(variance, 0) * excess[:2]))


def excess_power(fit: Fit) -> Floats:
    """Power (3,) of the residual in the patterns of a shift in x, in y and of an amplitude, 1 for white noise."""
    problem, at = fit.problem, fit.at
    deviation = fit.noise.variance(at.image).sqrt()
    generator = torch.Generator().manual_seed(_SEED)
    white = torch.randn(at.image.shape, generator=generator).to(at.image.device)
    fake = at.image + white * deviation
    equations = problem.normal_equations(replace(at, own=0 * at.own, common=0 * at.common), fit.noise, fake)
    fitted, _ = problem.stepped(at, equations, LEAST_DAMPING)
    real = _pattern_power((problem.scene.data - at.image) / deviation * problem.valid, fit)
    reference = _pattern_power((fake - fitted.image) / deviation * problem.valid, fit)
    excess = np.log(np.maximum(real / np.maximum(reference, 1e-12), _LEAST))
    asked = min(problem.scene.data.numel() / (4 * np.pi * problem.sigma**2), float(len(fit.state)))
    chance = _CHANCE * np.sqrt(4 / asked)
    return np.asarray(np.exp(np.sign(excess) * np.maximum(np.abs(excess) - chance, 0)))


def _pattern_power(residual: torch.Tensor, fit: Fit) -> Floats:
    """Mean square (3,) of the projections of a standardised residual on each pattern, placed at random near columns."""
    renderer, state, deep = fit.problem.renderer, fit.state, _DEEP_SIGMA * fit.problem.sigma
    height, width = fit.problem.scene.shape
    sound = (state.x > deep) & (state.x < width - 1 - deep) & (state.y > deep) & (state.y < height - 1 - deep)
    sound &= fit.converged
    state = state.take(sound) if sound.any() else state
    copies = max(1, _SAMPLES // len(state))
    many = state.take(np.tile(np.arange(len(state)), copies))
    dx, dy = np.random.default_rng(_SEED).normal(0, fit.problem.sigma, (2, len(many)))
    moments = renderer.moments(renderer.padded(residual), replace(many, x=many.x + dx, y=many.y + dy), 1)
    return np.array([np.mean(moments[:, j, i] ** 2) for j, i in ((0, 1), (1, 0), (0, 0))])
