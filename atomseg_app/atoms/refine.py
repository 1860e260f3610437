"""Joint maximum-likelihood fit of all columns of an image, their background, their shape and the noise.

Fisher scoring on the quasi-likelihood of Poisson-Gaussian noise: the score is (data - model)/variance(model), which
for pure Poisson counts is that of the exact likelihood. Each step solves the sparse normal equations of everything at
once, so neighbours' tails, the background and the common shape are all accounted for, in steps and in error bars.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from atomseg_app.atoms import model, noise, normal
from atomseg_app.atoms.spline import Background
from atomseg_app.operations import Report

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

MAX_STEPS = 20
_NOISE_STEPS = (1, 3)  # after which the noise is estimated anew
_PAIR_REACH_SIGMA = 6.0
_STEP_SIGMA = 0.4  # largest move in one step, in widths
_STEP_SHAPE = 0.25
_TOLERANCE = 0.02  # of the error bar: a step below this has converged
_CONVERGED = 0.3  # of the error bar: a column whose last step was longer has not
_ROUGHNESS = 1e-3
_FREE_PRIOR = 0.6  # s.d. of a free ellipse's log-shape round the common one


@dataclass(frozen=True)
class Scene:
    """One image ready to be fitted: ``data`` (y, x) float32 scaled to about 0..1, ``valid`` where it counts.

    Values of the file are ``data * scale + offset``.
    """

    data: torch.Tensor
    valid: torch.Tensor
    offset: float
    scale: float

    @classmethod
    def of(cls, values: npt.NDArray[np.generic], device: torch.device) -> Scene:
        """Scene of an image (y, x) of any real type; NaN and infinities do not count."""
        array = np.asarray(values)
        finite = np.isfinite(array)
        sample = array[finite]
        sample = sample[:: max(1, sample.size // 200_000)].astype(np.float64)
        low, middle, high = np.percentile(sample, [1, 50, 99]) if sample.size else (0.0, 0.0, 1.0)
        scale = float(high - low) or 1.0
        data = np.where(finite, (array - middle) / scale, 0).astype(np.float32)
        return cls(torch.from_numpy(data).to(device), torch.from_numpy(finite).to(device), float(middle), scale)


@dataclass(frozen=True)
class Fit:
    """A fitted model in scene units. ``converged`` (n,); ``variance`` (n, 2) of x and y in px²; ``log_width`` (n,)."""

    state: model.ColumnState
    level: Floats
    noise: noise.Noise
    variance: Floats
    converged: Bools
    deviance: float


@dataclass(frozen=True)
class Prior:
    """What is known of each column's own shape: deviations (n, 1 or 3) are normal round 0 with ``sd``.

    ``coefficients`` are the background's, whose roughness is held down a little.
    """

    deviation: Floats
    sd: float
    coefficients: Floats

    def added(self, equations: normal.Normal) -> normal.Normal:
        """Normal equations with this prior."""
        layout = equations.layout
        extra = np.zeros(layout.count)
        own = extra[: layout.first_node].reshape(layout.columns, layout.own)
        own[:, 3:] = 1 / self.sd**2
        gradient = equations.gradient.copy()
        gradient[: layout.first_node].reshape(layout.columns, layout.own)[:, 3:] -= self.deviation / self.sd**2
        matrix = equations.matrix.copy()
        matrix.setdiag(matrix.diagonal() + extra)
        return normal.Normal(layout, matrix, gradient)


@dataclass(frozen=True)
class Point:
    """Where a fit stands: columns, prior with the background's coefficients, and the image they make."""

    state: model.ColumnState
    prior: Prior
    image: torch.Tensor


class Problem:
    """The fit of one scene: what does not change from step to step."""

    def __init__(self, scene: Scene, sigma_px: float, spacing_px: float, *, free: bool = False) -> None:
        self.scene, self.sigma, self.free = scene, sigma_px, free
        shape = (int(scene.data.shape[0]), int(scene.data.shape[1]))
        reach = max(3, int(np.ceil(model.REACH_SIGMA * sigma_px)))
        self.renderer = model.Renderer(shape, reach, sigma_px, scene.data.device)
        self.background = Background(shape, max(2.0 * spacing_px, 8 * sigma_px), scene.data.device)
        self.valid = scene.valid.to(torch.float32)

    def image(self, state: model.ColumnState, coefficients: Floats) -> torch.Tensor:
        """Model of the image (y, x)."""
        return self.renderer.render(state).add_(self.background.render(coefficients))

    def deviance(self, at: Point, noise_model: noise.Noise) -> float:
        """Twice the negative log of likelihood and prior, up to a constant."""
        v = noise_model.variance(at.image)
        terms = ((self.scene.data - at.image) ** 2 / v + torch.log(v)) * self.valid
        return float(terms.sum(dtype=torch.float64)) + float(np.sum(at.prior.deviation**2)) / at.prior.sd**2

    def stepped(self, at: Point, equations: normal.Normal, damping: float) -> tuple[Point, Floats]:
        """The next point, and how far each column moved in units of its error bar (n,)."""
        step, layout = equations.solve(damping), equations.layout
        columns = _limited(layout.column_steps(step), at.state, self.sigma)
        moved = at.state.moved(columns)
        height, width = self.scene.data.shape
        moved = replace(moved, x=np.clip(moved.x, -0.5, width - 0.5), y=np.clip(moved.y, -0.5, height - 0.5))
        own = step[: layout.first_node].reshape(layout.columns, layout.own)[:, 3:]
        nodes = step[layout.first_node : layout.first_node + layout.nodes].reshape(self.background.shape)
        prior = replace(at.prior, deviation=at.prior.deviation + own, coefficients=at.prior.coefficients + nodes)
        size = np.max(np.abs(columns[:, :2]) * np.sqrt(equations.position_information()), axis=1)
        return Point(moved, prior, self.image(moved, prior.coefficients)), size

    def normal_equations(self, at: Point, noise_model: noise.Noise) -> normal.Normal:
        """Joint normal equations at a point."""
        state, image, prior = at.state, at.image, at.prior
        weight = self.valid / noise_model.variance(image)
        score = (self.scene.data - image) * weight
        layout = normal.Layout(len(state), self.background.count, self.free)
        padded = self.renderer.padded(weight)
        moments = self.renderer.information(self.renderer.padded(score), padded, state)
        one, two = normal.neighbours(state, _PAIR_REACH_SIGMA * self.sigma)
        pairs = (one, two, self.renderer.pair_information(padded, state, one, two))
        gram = self.background.gram(weight)
        stiffness = _ROUGHNESS * float(gram.diagonal().mean())
        rough = self.background.roughness() * stiffness
        node_gradient = self.background.adjoint(score) - (rough @ prior.coefficients.ravel()).reshape(
            self.background.shape
        )
        equations = normal.assemble(
            layout, state, self.sigma, moments, pairs, self.background, node_gradient, gram + rough
        )
        return prior.added(equations)


def fit(scene: Scene, start: model.ColumnState, spacing_px: float, report: Report, *, free: bool = False) -> Fit:
    """Fit all columns of a scene from a start (amplitudes in scene units). Raises Cancelled."""
    sigma = float(np.median(start.sigma))
    problem = Problem(scene, sigma, spacing_px, free=free)
    coefficients = np.zeros(problem.background.shape)
    prior = Prior(np.zeros((len(start), 3 if free else 1)), _FREE_PRIOR if free else 0.02, coefficients)
    at = Point(start, prior, problem.image(start, coefficients))
    noise_model = noise.Noise(0.0, 0.01, 1e-6)
    damping = 1e-2
    moved = np.full(len(start), np.inf)
    rounding = 1e-8 * scene.data.numel()
    for taken in range(1, MAX_STEPS + 1):
        report.progress(taken / MAX_STEPS, "Fitting all columns")
        equations = problem.normal_equations(at, noise_model)
        before = problem.deviance(at, noise_model)
        for _ in range(6):
            trial, moved = problem.stepped(at, equations, damping)
            if moved.max() < _TOLERANCE or problem.deviance(trial, noise_model) <= before + rounding:
                break
            damping = max(10 * damping, 1e-3)
        else:
            break
        at, damping = trial, damping / 10
        if taken in _NOISE_STEPS:
            noise_model = noise.estimate(scene.data - at.image, at.image, scene.valid)
        elif taken > _NOISE_STEPS[-1] and moved.max() < _TOLERANCE:
            break
    equations = problem.normal_equations(at, noise_model)
    variance = equations.position_variance(at.state.x, at.state.y)
    level = problem.background.render(at.prior.coefficients)
    iy = np.clip(np.rint(at.state.y), 0, level.shape[0] - 1).astype(int)
    ix = np.clip(np.rint(at.state.x), 0, level.shape[1] - 1).astype(int)
    below = level.cpu().numpy().astype(np.float64)[iy, ix]
    return Fit(at.state, below, noise_model, variance, moved < _CONVERGED, problem.deviance(at, noise_model))


def _limited(steps: Floats, state: model.ColumnState, sigma: float) -> Floats:
    """Steps (n, 6) kept inside a trust region: a fraction of a width, of the amplitude and of the shape."""
    out = steps.copy()
    move = np.hypot(steps[:, 0], steps[:, 1]) / (_STEP_SIGMA * sigma)
    out[:, :2] /= np.maximum(move, 1)[:, None]
    size = np.abs(state.amplitude)
    out[:, 2] = np.clip(steps[:, 2], -(most := 0.7 * np.maximum(size, np.median(size))), most)
    out[:, 3:] = np.clip(steps[:, 3:], -_STEP_SHAPE, _STEP_SHAPE)
    return out
