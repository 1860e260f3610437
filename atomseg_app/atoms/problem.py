"""One image and its model: deviance, joint normal equations and steps, for the fit in :mod:`refine`."""

from __future__ import annotations

from copy import copy
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch

from atomseg_app.atoms import model, normal
from atomseg_app.atoms.noise import Noise
from atomseg_app.atoms.quadrature import WeightGrid
from atomseg_app.atoms.spline import Background

Floats = npt.NDArray[np.float64]

_PAIR_REACH_SIGMA = 6.0
_NODES_SPACING = 2.0  # nodes of the background, in column spacings
_NODES_SIGMA = 8.0  # and at least this many widths
_STEP_SIGMA = 0.4  # largest move in one step, in widths
_STEP_AMPLITUDE = 0.7
_CONTRAST = 0.3  # amplitude, in scene units, that a column may well have
_STEP_SHAPE = 0.25
_BEYOND_SIGMA = 0.75  # how far outside the image the centre of a column may lie whose tail is in it
_SMALL = 0.02  # of a step, over which the model is as good as linear
_ROUGHNESS = 1e-3  # of the data's own weight on a node


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

    def without(self, mask: npt.NDArray[np.bool_]) -> Scene:
        """The same scene in which the pixels of a mask (y, x) do not count."""
        return replace(self, valid=self.valid & ~torch.from_numpy(mask).to(self.valid.device))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of pixels."""
        return int(self.data.shape[0]), int(self.data.shape[1])


@dataclass(frozen=True)
class Prior:
    """What is known of shapes before the fit, as standard deviations of logarithms.

    A column's own shape is normal round the common one with ``own_sd``; the common one round its start with
    ``common_sd``.
    """

    own_sd: float
    common_sd: float = np.inf

    def penalty(self, at: Point) -> float:
        """Twice the negative log of the prior at a point, up to a constant."""
        return float(np.sum(at.own**2)) / self.own_sd**2 + float(np.sum(at.common**2)) / self.common_sd**2

    def added(self, equations: normal.Normal, at: Point) -> normal.Normal:
        """Normal equations with this prior."""
        layout = equations.layout
        information = np.zeros(layout.count)
        layout.own_of(information)[:] = 1 / self.own_sd**2
        if layout.common:
            information[-3:] = 1 / self.common_sd**2
        matrix = equations.matrix.copy()
        matrix.setdiag(matrix.diagonal() + information)
        return normal.Normal(layout, matrix, self.pulled(equations.gradient, layout, at))

    def pulled(self, gradient: Floats, layout: normal.Layout, at: Point) -> Floats:
        """Gradient (count,) with this prior's part."""
        gradient = gradient.copy()
        layout.own_of(gradient)[:] -= at.own / self.own_sd**2
        if layout.common:
            gradient[-3:] -= at.common / self.common_sd**2
        return gradient


@dataclass(frozen=True)
class Point:
    """Where a fit stands: columns, their own (n, 1 or 3) and common (3,) departures in shape, background, image."""

    state: model.ColumnState
    own: Floats
    common: Floats
    coefficients: Floats
    image: torch.Tensor


class Problem:
    """The fit of one scene by columns of about ``sigma_px`` on a background; ``fixed`` (y, x) is added to the model."""

    def __init__(
        self,
        scene: Scene,
        sigma_px: float,
        spacing_px: float,
        prior: Prior,
        *,
        free: bool = False,
        fixed: torch.Tensor | None = None,
    ) -> None:
        self.scene, self.sigma, self.spacing, self.prior, self.free = scene, sigma_px, spacing_px, prior, free
        self._fixed = fixed
        reach = max(3, int(np.ceil(model.REACH_SIGMA * sigma_px)))
        self.renderer = model.Renderer(scene.shape, reach, sigma_px, scene.data.device)
        self.grid = WeightGrid(scene.shape, sigma_px, scene.data.device)
        node_px = max(_NODES_SPACING * spacing_px, _NODES_SIGMA * sigma_px)
        self.background = Background(scene.shape, node_px, scene.data.device)
        self.valid = scene.valid.to(torch.float32)

    def on(self, scene: Scene) -> Problem:
        """The same problem for other data of the same shape."""
        other = copy(self)
        other.scene = scene
        return other

    def expecting(self, prior: Prior) -> Problem:
        """The same problem with another prior."""
        other = copy(self)
        other.prior = prior
        return other

    def start(self, state: model.ColumnState, coefficients: Floats | None = None, own: Floats | None = None) -> Point:
        """First point of a fit; without coefficients on a level background, without ``own`` of the common shape."""
        if coefficients is None:
            coefficients = np.zeros(self.background.shape)
        if own is None:
            own = np.zeros((len(state), 3 if self.free else 1))
        return Point(state, own, np.zeros(3), coefficients, self.image(state, coefficients))

    def image(self, state: model.ColumnState, coefficients: Floats) -> torch.Tensor:
        """Model of the image (y, x)."""
        image = self.renderer.render(state).add_(self.background.render(coefficients))
        return image if self._fixed is None else image.add_(self._fixed)

    def deviance_image(self, at: Point, noise: Noise) -> torch.Tensor:
        """Quasi-deviance of each pixel (y, x)."""
        return noise.deviance(self.scene.data, at.image) * self.valid

    def weight(self, at: Point, noise: Noise) -> torch.Tensor:
        """What each pixel (y, x) counts at a point: 1/variance."""
        return self.valid / noise.variance(at.image)

    def misfit(self, at: Point, weight: torch.Tensor) -> float:
        """What a step lowers: weighted squared residuals, shapes off their prior, roughness of the background."""
        residual = self.scene.data - at.image
        nodes = at.coefficients.ravel()
        rough = float(nodes @ (self.background.roughness @ nodes)) * _ROUGHNESS * self.background.mean_gram(weight)
        return float((residual.square_() * weight).sum(dtype=torch.float64)) + self.prior.penalty(at) + rough

    def deviance(self, at: Point, noise: Noise) -> float:
        """Quasi-deviance of the image, and of the shapes from their prior."""
        return float(self.deviance_image(at, noise).sum(dtype=torch.float64)) + self.prior.penalty(at)

    def normal_equations(self, at: Point, weight: torch.Tensor) -> normal.Normal:
        """Joint normal equations at a point for weights (y, x)."""
        state = at.state
        score = (self.scene.data - at.image) * weight
        sums = self.grid.sums(weight)
        moments = (self.renderer.moments(self.renderer.padded(score), state, 2), *self.grid.own(sums, state))
        one, two = normal.neighbours(state, _PAIR_REACH_SIGMA * self.sigma)
        pairs = (one, two, self.grid.pairs(sums, state, one, two))
        gram = self.background.gram(weight)
        rough = self.background.roughness * (_ROUGHNESS * self.background.mean_gram(weight))
        layout = normal.Layout(len(state), self.background.count, self.free)
        nodes = (self._node_gradient(at, score, weight), gram + rough)
        return self.prior.added(normal.assemble(layout, state, self.sigma, moments, pairs, self.background, nodes), at)

    def _node_gradient(self, at: Point, score: torch.Tensor, weight: torch.Tensor) -> Floats:
        stiffness = _ROUGHNESS * self.background.mean_gram(weight)
        pull = stiffness * (self.background.roughness @ at.coefficients.ravel())
        return np.asarray(self.background.adjoint(score) - pull.reshape(self.background.shape))

    def with_new_gradient(
        self, equations: normal.Normal, at: Point, weight: torch.Tensor, data: torch.Tensor | None = None
    ) -> normal.Normal:
        """Normal equations at a point near the one that the information of ``equations`` is for, with its weights.

        They are for the scene's data or other ``data`` (y, x).
        """
        score, layout = ((self.scene.data if data is None else data) - at.image) * weight, equations.layout
        moments = self.renderer.moments(self.renderer.padded(score), at.state, 2)
        derivatives = model.coefficients(at.state, self.sigma)
        gradient = normal.gradient_of(layout, derivatives, moments, self._node_gradient(at, score, weight))
        return equations.with_gradient(self.prior.pulled(gradient, layout, at))

    def stepped(self, at: Point, equations: normal.Normal, step: Floats) -> tuple[Point, Floats]:
        """The point after a step in the unknowns, and how each column moved in x and y in its error bars (n, 2).

        Steps too long to be trusted are shortened.
        """
        step, layout = step.copy(), equations.layout
        for shape in (layout.own_of(step), step[layout.count - layout.common :]):
            np.clip(shape, -_STEP_SHAPE, _STEP_SHAPE, out=shape)
        state = self.moved(at.state, layout.column_steps(step))
        coefficients = at.coefficients + layout.nodes_of(step).reshape(self.background.shape)
        common = at.common + step[-3:] if layout.common else at.common
        moved = np.stack([state.x - at.state.x, state.y - at.state.y], axis=1)
        moved *= np.sqrt(equations.position_information())
        own = at.own + layout.own_of(step)
        return Point(state, own, common, coefficients, self.image(state, coefficients)), moved

    def gains(
        self, state: model.ColumnState, before: torch.Tensor, after: torch.Tensor, weight: torch.Tensor
    ) -> Floats:
        """By how much the misfit round each column (n,) falls from one image of the model (y, x) to another."""
        data = self.scene.data
        fall = ((data - before).square_() - (data - after).square_()) * weight
        return self.renderer.moments(self.renderer.padded(fall), state, 0)[:, 0, 0]

    def moved(self, state: model.ColumnState, steps: Floats) -> model.ColumnState:
        """Columns after steps (n, 6), shortened where they are too long to be trusted, and kept in the image."""
        state = state.moved(_limited(steps, state, self.sigma))
        (height, width), beyond = self.scene.shape, _BEYOND_SIGMA * self.sigma
        x, y = np.clip(state.x, -beyond, width - 1 + beyond), np.clip(state.y, -beyond, height - 1 + beyond)
        return replace(state, x=x, y=y)

    def response(self, at: Point, layout: normal.Layout, step: Floats) -> torch.Tensor:
        """Change of the model's image (y, x) for a step in the unknowns, to first order."""
        state = at.state.moved(_SMALL * layout.column_steps(step))
        nodes = layout.nodes_of(step).reshape(self.background.shape)
        columns = (self.renderer.render(state) - self.renderer.render(at.state)) / _SMALL
        return columns + self.background.render(nodes)


def _limited(steps: Floats, state: model.ColumnState, sigma: float) -> Floats:
    """Steps (n, 6) kept inside a trust region: a fraction of a width and of the amplitude."""
    out = steps.copy()
    move = np.hypot(steps[:, 0], steps[:, 1]) / (_STEP_SIGMA * sigma)
    out[:, :2] /= np.maximum(move, 1)[:, None]
    size = np.abs(state.amplitude)
    most = _STEP_AMPLITUDE * np.maximum(size, max(float(np.median(size)), _CONTRAST))
    out[:, 2] = np.clip(steps[:, 2], -most, most)
    return out
