"""Joint maximum-likelihood fit of all columns of an image, their background, their shape and the noise.

Fisher scoring on the quasi-likelihood of Poisson-Gaussian noise: the score is (data - model)/variance(model), which
for pure Poisson counts is that of the exact likelihood. Each step solves the sparse normal equations of everything at
once, so neighbours' tails, the background and the common shape are all accounted for, in steps and in error bars.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from atomseg_app.atoms import model
from atomseg_app.atoms.noise import Noise, estimate
from atomseg_app.atoms.normal import Normal
from atomseg_app.atoms.problem import Point, Prior, Problem, Scene
from atomseg_app.atoms.settle import HELD_BACK, settled, steadied
from atomseg_app.operations import Report

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

MAX_STEPS = 16
_LEAST_GAIN = 0.1  # of chi-square: less is one column moving by a third of its error bar
LEAST_DAMPING = 1e-3  # keeps two columns that are nearly one from swinging round each other
_MOST_DAMPING = 1e3
_NEAR = 0.15  # of the error bar, or
_NEAR_SIGMA = 0.02  # of a width, on average: columns that move no more keep their Fisher information
_ROUGHLY = 0.1  # of the error bar, on average, still to go, or
_ROUGH_GAIN = 1.0  # of chi-square are enough where another descent follows
_FEW = 0.5  # of the columns: when so few still move they are fitted by themselves,
_ROUNDS = 3  # at most so many times
_FAR = 0.03  # of a width, on average: after a step as long as that the noise is estimated anew
_TOLERANCE = 0.04  # of the error bar: a step below this has converged
_CONVERGED = 0.3  # of the error bar: a column whose last step was longer has not
_OFF = 0.15  # in the logarithm: widths nearer to the one a problem was made for need no other
FREE_SD = 0.6  # of a free ellipse's log-shape round the common one
WIDTH_SD = 0.01  # of a shared column's log-width before the image has been asked
_WIDTH_SD_MOST = 0.3
_START_NOISE = Noise(0.0, 0.01, 1e-6)


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted model, in units of its scene; ``moved`` (n,) is the last step in error bars.

    ``equations`` are those of the last step, a small part of an error bar before ``at``.
    """

    problem: Problem
    at: Point
    noise: Noise
    moved: Floats
    equations: Normal

    @property
    def state(self) -> model.ColumnState:
        """The columns."""
        return self.at.state

    @property
    def converged(self) -> Bools:
        """Whether each column has come to rest (n,)."""
        return np.asarray(self.moved < _CONVERGED)

    @property
    def level(self) -> Floats:
        """Background under each column (n,), in scene units."""
        image = self.problem.background.render(self.at.coefficients)
        height, width = self.problem.scene.shape
        rows = np.clip(np.rint(self.state.y), 0, height - 1).astype(np.int64)
        cols = np.clip(np.rint(self.state.x), 0, width - 1).astype(np.int64)
        return image.cpu().numpy().astype(np.float64)[rows, cols]


def fit(scene: Scene, start: model.ColumnState, spacing_px: float, report: Report, *, free: bool = False) -> Fit:
    """Fit all columns of a scene from a start (amplitudes in scene units). Raises Cancelled.

    Where columns of a shared shape differ more in width than noise explains, as sublattices may, they are given the
    spread that they show (empirical Bayes), so that none is forced to a width that is not its own.
    """
    prior = Prior(FREE_SD if free else WIDTH_SD)
    problem = Problem(scene, float(np.median(start.sigma)), spacing_px, prior, free=free)
    if free:
        return descend(problem, problem.start(start), None, report)
    found = descend(problem, problem.start(start), None, report.part(0.0, 0.4), roughly=True)
    sigma = float(np.median(found.state.sigma))
    if abs(np.log(sigma / problem.sigma)) > _OFF:  # how far things reach was reckoned with another width
        problem = Problem(scene, sigma, spacing_px, prior)
        found = descend(problem, problem.start(found.state), found.noise, report.part(0.4, 0.5), roughly=True)
    spread = _width_spread(found)
    if spread >= 2 * WIDTH_SD:
        problem = problem.expecting(Prior(spread))
    return descend(problem, found.at, found.noise, report.part(0.5, 1.0), known=False)


def rested(fit: Fit, report: Report) -> Fit:
    """The fit at rest: itself where it is."""
    if fit.moved.max(initial=0) < _TOLERANCE:
        return fit
    return descend(fit.problem, fit.at, fit.noise, report, near=fit.equations)


def _width_spread(found: Fit) -> float:
    """Standard deviation of the columns' true log-widths, by moments of what a fit without prior would give."""
    known = 1 / found.problem.prior.own_sd**2
    information = found.equations.own_shape_information() - known
    sound = found.converged & (information > 0.05 * known)
    if sound.sum() < 5:
        return 0.0
    unpulled = found.at.own[sound, 0] * (1 + known / information[sound])
    excess = np.median((unpulled - np.median(unpulled)) ** 2) / 0.455 - np.median(1 / information[sound])
    return float(min(np.sqrt(max(excess, 0.0)), _WIDTH_SD_MOST))


def descend(
    problem: Problem, at: Point, noise: Noise | None, report: Report, *, known: bool = True, roughly: bool = False,
    near: Normal | None = None,
) -> Fit:  # fmt: skip
    """Levenberg-Marquardt from a point until no column moves; the noise is estimated anew where not ``known``.

    ``roughly`` is enough where another descent follows. ``near`` is the information at a point near by with this noise.
    """
    scene = problem.scene
    known, fresh_noise = known and noise is not None, noise is None
    if noise is None:
        noise = _START_NOISE
    elif not known:
        noise = estimate(scene.data - at.image, at.image, scene.valid)
    damping, swing, rounds = 1e-2, np.zeros(len(at.state)), 0
    moved, length, weight, equations, far = np.full((len(at.state), 2), np.inf), np.inf, None, near, near is None
    for taken in range(1, MAX_STEPS + 1):
        report.progress(taken / MAX_STEPS, f"Fitting {len(at.state)} columns")
        last, before_length = moved, length
        if weight is None or far:
            weight = problem.weight(at, noise)
        if equations is None or far:
            equations = problem.normal_equations(at, weight)
        else:
            equations = problem.with_new_gradient(equations, at, weight)
        before = problem.misfit(at, weight)
        trial, moved, gain = _bettered(problem, at, equations, weight, before, damping, swing)
        if gain < -_LEAST_GAIN:
            damping *= 10
            if damping > _MOST_DAMPING:
                break
            moved = last
            continue
        at, damping = trial, max(damping / 5, LEAST_DAMPING)
        swing = steadied(swing, moved, last)
        moving = np.flatnonzero(np.abs(moved).max(axis=1) > _TOLERANCE)
        length, in_widths = _lengths(moved, equations, problem.sigma)
        far = length > _NEAR and in_widths > _NEAR_SIGMA
        resting = not len(moving) or gain < _LEAST_GAIN or rounds == _ROUNDS
        early = fresh_noise and (taken == 1 or in_widths > _FAR)
        if roughly:
            resting = not early and (gain < _ROUGH_GAIN or _to_go(length, before_length) < _ROUGHLY)
        if known and resting:
            break
        if not known and (resting or early):
            fresh = estimate(scene.data - at.image, at.image, scene.valid)
            if resting and not early and (roughly or noise.agrees(fresh, at.image)):
                break
            noise, far = fresh, True
        if not early and not resting and len(moving) < _FEW * len(moved):
            at = settled(problem, at, weight, equations, moving, damping, _TOLERANCE)
            rounds += 1
    assert equations is not None  # at least one step was taken
    return Fit(problem, at, noise, np.abs(moved).max(axis=1), equations)


def _lengths(moved: Floats, equations: Normal, sigma: float) -> tuple[float, float]:
    """Mean length of the steps of columns in their error bars, and in widths."""
    longest = np.abs(moved).max(axis=1, initial=0)
    spoken_of = equations.position_information().max(axis=1)
    bars = np.sqrt(1 / np.maximum(spoken_of, np.finfo(float).tiny)) * (spoken_of > 0)
    return float(longest.mean()), float((longest * bars).mean() / sigma)


def _to_go(length: float, before: float) -> float:
    """How much further a descent goes whose last steps were so long, if each is as much shorter than the one before."""
    if not np.isfinite(before) or length >= before:
        return length
    return length * min(length / (before - length), 1.0)


def _bettered(problem: Problem, at: Point, equations: Normal, weight: torch.Tensor, before: float, damping: float,
              swing: Floats) -> tuple[Point, Floats, float]:  # fmt: skip
    """The next point, how far each column moved (n, 2) and what the misfit gained.

    Where it gained nothing, the columns round which the misfit grew are held back: one bad pair stops no other column.
    """
    step = equations.solve(damping, swing)
    trial, moved = problem.stepped(at, equations, step)
    gain = before - problem.misfit(trial, weight)
    for _ in range(2):
        if gain >= -_LEAST_GAIN:
            break
        worse = problem.gains(at.state, at.image, trial.image, weight) < 0
        swing[worse] = np.maximum(10 * swing[worse], 1.0)
        equations.layout.columns_of(step)[worse] *= HELD_BACK
        trial, moved = problem.stepped(at, equations, step)
        gain = before - problem.misfit(trial, weight)
    return trial, moved, gain
