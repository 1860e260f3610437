"""How much each column scatters, with an error bar: by a joint fit of amplitudes, or by the cell round each column.

The fit takes positions as known and one shape for all columns of a sublattice, and solves for all amplitudes and the
smooth background at once (weighted least squares, Fisher information for the error bars). So neighbours' tails, a
background or thickness gradient, and columns cut by the border are accounted for, and a place where no column was
found can be asked for the amplitude that is there. The cell sums pixels nearer to a column than to any other, out to a
radius (E et al., Ultramicroscopy 133, 109, 2013, for Voronoi cells), after the model's background and the tails of the
neighbours are taken off.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from scipy.sparse.linalg import splu
from scipy.spatial import cKDTree

from atomseg_app.atoms import measured, model, normal, precision
from atomseg_app.atoms.noise import Noise, estimate
from atomseg_app.atoms.problem import Point, Prior, Problem, Scene
from atomseg_app.atoms.refine import Fit
from atomseg_app.data import FLAG_NOT_CONVERGED, Array
from atomseg_app.operations import Report

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CELL_RADIUS_SIGMA = 2.6  # a Gaussian has 97 % of its volume within
_STEPS = 6
_AT_REST = 1e-3  # of an error bar
_DENSE = 900
_SHAPE_SD = 1e-3  # shapes are given, not fitted
_SPREAD_BEYOND = 0.3  # of the usual amplitude: how well that of a column beyond the border is known
_FIRST_NOISE = Noise(0.0, 0.01, 1e-6)


@dataclass(frozen=True, eq=False)
class Places:
    """Positions (m, 2) as x, y in pixels of the file, and the group (m,) of columns that each would belong to."""

    xy_px: Floats
    group: npt.NDArray[np.integer]


@dataclass(frozen=True, eq=False)
class Intensities:
    """Measured columns and, behind them, the places asked for beside them: arrays (n,), in grey levels of the file.

    ``volume`` is grey level times px², the integral of the fitted Gaussian; ``level`` the background under the column.
    """

    amplitude: Floats
    amplitude_err: Floats
    sigma_px: Floats
    level: Floats

    @property
    def volume(self) -> Floats:
        """Integral of each column's Gaussian."""
        return np.asarray(2 * np.pi * self.sigma_px**2 * self.amplitude)

    @property
    def volume_err(self) -> Floats:
        """One standard deviation of :attr:`volume`, the width taken as known."""
        return np.asarray(2 * np.pi * self.sigma_px**2 * self.amplitude_err)


class _AmplitudeProblem(Problem):
    """The fit of one scene in which positions and shapes are known."""

    def normal_equations(self, at: Point, weight: torch.Tensor) -> normal.Normal:
        """Joint normal equations that move amplitudes and the background alone."""
        whole = super().normal_equations(at, weight)
        free = _free(whole.layout)
        matrix = sp.diags(free) @ whole.matrix @ sp.diags(free) + sp.diags(1 - free)
        return normal.Normal(whole.layout, sp.csr_matrix(matrix), whole.gradient * free)

    def with_new_gradient(
        self, equations: normal.Normal, at: Point, weight: torch.Tensor, data: torch.Tensor | None = None
    ) -> normal.Normal:
        """Normal equations of :meth:`normal_equations` with another gradient."""
        whole = super().with_new_gradient(equations, at, weight, data)
        return whole.with_gradient(whole.gradient * _free(whole.layout))


def _free(layout: normal.Layout) -> Floats:
    """1 for each unknown (count,) that may move, 0 for the others."""
    free = np.zeros(layout.count)
    free[_linear(layout)] = 1
    return free


def _linear(layout: normal.Layout) -> Ints:
    """Indices of the unknowns that the model is linear in: amplitudes, then the background."""
    amplitude = np.arange(layout.columns) * layout.own + 2
    return np.concatenate([amplitude, layout.first_node + np.arange(layout.nodes)]).astype(np.int64)


@dataclass(frozen=True, eq=False)
class Amplitudes:
    """A joint fit of amplitudes: the scene, the model at its best, the noise, and the variance (n,) in scene units.

    The first ``kept`` columns are those asked for; others stand beyond the border.
    """

    scene: Scene
    problem: Problem
    at: Point
    noise: Noise
    variance: Floats
    kept: int

    @property
    def intensities(self) -> Intensities:
        """The fit in units of the file."""
        state, scale = self.at.state.take(np.arange(self.kept)), self.scene.scale
        level = _at_columns(self.problem.background.render(self.at.coefficients), state)
        return Intensities(
            state.amplitude * scale,
            np.sqrt(self.variance[: self.kept]) * scale,
            state.sigma,
            level * scale + self.scene.offset,
        )


def fit_amplitudes(
    values: npt.NDArray[np.generic],
    table: Array,
    spacing_px: float,
    report: Report,
    *,
    group: npt.NDArray[np.integer] | None = None,
    sites: Places | None = None,
    beyond: Places | None = None,
    device: torch.device | None = None,
) -> Amplitudes:
    """Amplitudes of the columns of a table (n,), then of ``sites`` (m,), in an image (y, x), all at once.

    Columns of a group (n,), the sublattice where not given, have one shape; sites take that of their group, or that of
    all columns. ``beyond`` the border are columns whose tails reach in: they have about the amplitude of their group
    and are no part of the result. Raises Cancelled.
    """
    scene = Scene.of(values, device or torch.device("cpu"))
    group = table["sublattice"] if group is None else group
    state = common_shapes(measured.state_of(table, scene), group, table["flag"] != FLAG_NOT_CONVERGED)
    state, labels = _with_places(state, np.asarray(group), sites)
    count = len(state)
    state, _ = _with_places(state, labels, beyond)
    pull = np.zeros(len(state))
    if beyond is not None and len(beyond.xy_px):
        level = {
            int(label): float(np.median(state.amplitude[: len(table)][group == label])) for label in np.unique(group)
        }
        usual = np.array([level.get(int(label), 0.0) for label in beyond.group])
        state.amplitude[count:] = usual
        pull[count:] = 1 / (_SPREAD_BEYOND * np.maximum(np.abs(usual), 1e-3)) ** 2
    problem = _AmplitudeProblem(scene, float(np.median(state.sigma)), spacing_px, Prior(_SHAPE_SD, _SHAPE_SD))
    return _descend(problem, problem.start(state), pull, count, report)


def common_shapes(
    state: model.ColumnState, group: npt.NDArray[np.integer], sound: npt.NDArray[np.bool_]
) -> model.ColumnState:
    """The same columns, each with the median shape of the sound ones of its group (n,)."""
    root = state.root.copy()
    for label in np.unique(group):
        rows = group == label
        asked = rows & sound if (rows & sound).any() else rows
        root[rows] = np.median(state.root[asked], axis=0)
    return replace(state, root=root)


def _with_places(
    state: model.ColumnState, group: npt.NDArray[np.integer], places: Places | None
) -> tuple[model.ColumnState, npt.NDArray[np.integer]]:
    """Columns followed by others of no amplitude at given places, with the shape of their group; and all groups."""
    if places is None or not len(places.xy_px):
        return state, group
    typical = np.median(state.root, axis=0)
    shape = {int(label): state.root[np.flatnonzero(group == label)[0]] for label in np.unique(group)}
    root = np.array([shape.get(int(label), typical) for label in places.group])
    x, y = np.asarray(places.xy_px, float).T
    more = model.ColumnState(x.copy(), y.copy(), np.zeros(len(x)), root)
    return state.joined(more), np.concatenate([group, places.group])


def _descend(problem: Problem, at: Point, pull: Floats, kept: int, report: Report) -> Amplitudes:
    """Reweighted least squares: the model is linear, but its noise depends on it. ``pull`` (n,) is the information that
    holds amplitudes where they start, ``kept`` the number of columns asked for.
    """
    scene, noise, count = problem.scene, _FIRST_NOISE, len(at.state)
    usual = at.state.amplitude.copy()
    for taken in range(1, _STEPS + 1):
        report.progress(taken / _STEPS, f"Measuring {kept} columns")
        matrix, gradient = _linear_part(problem.normal_equations(at, problem.weight(at, noise)), pull)
        gradient[:count] -= pull * (at.state.amplitude - usual)
        step = splu(matrix.tocsc()).solve(gradient)
        state = replace(at.state, amplitude=at.state.amplitude + step[:count])
        coefficients = at.coefficients + step[count:].reshape(at.coefficients.shape)
        at = Point(state, at.own, at.common, coefficients, problem.image(state, coefficients))
        moved = float(np.max(np.abs(step[:count]) * np.sqrt(matrix.diagonal()[:count]), initial=0.0))
        noise = estimate(scene.data - at.image, at.image, scene.valid)
        if moved < _AT_REST and taken > 2:
            break
    equations = problem.normal_equations(at, problem.weight(at, noise))
    variance = _variance(_linear_part(equations, pull)[0], at.state)
    fit = Fit(problem, at, noise, np.zeros(count), equations)
    variance = variance * (float(precision.excess_power(fit)[2]) if count else 1.0)
    return Amplitudes(scene, problem, at, noise, variance, kept)


def _linear_part(equations: normal.Normal, pull: Floats) -> tuple[sp.csr_matrix, Floats]:
    """Normal equations of amplitudes and background alone; pixels that no one speaks for are held."""
    layout = equations.layout
    index = _linear(layout)
    matrix = equations.matrix[index][:, index]
    least = 1e-9 * float(matrix.diagonal().max())
    held = np.full(len(index), least)
    held[: layout.columns] += pull
    return sp.csr_matrix(matrix + sp.diags(held)), equations.gradient[index]


def _variance(matrix: sp.csr_matrix, state: model.ColumnState) -> Floats:
    """Marginal variance (n,) of the amplitudes: diagonal of the inverse, columns far apart probed together."""
    count = len(state)
    if matrix.shape[0] <= _DENSE:
        return np.asarray(np.diag(np.linalg.inv(matrix.toarray()))[:count])
    colour = normal.colours(state.x, state.y)
    probes = np.zeros((matrix.shape[0], int(colour.max()) + 1))
    probes[np.arange(count), colour] = 1
    answer = splu(matrix.tocsc()).solve(probes)
    return np.asarray(answer[np.arange(count), colour])


def cell_sums(fit: Amplitudes, radius_px: float, *, subtract_background: bool = True) -> tuple[Floats, Floats]:
    """Sum over the pixels of each column's cell (n,) and its error, in grey levels of the file times px².

    A pixel belongs to the nearest column if that is within the radius. Tails of the other columns are taken off as the
    fit has them, the background too unless it is wanted.
    """
    state, problem = fit.at.state, fit.problem
    owner = cells(np.stack([state.x, state.y], axis=1), problem.scene.shape, radius_px)
    inside = owner >= 0
    cell = owner[inside]
    residual = (fit.scene.data - fit.at.image).cpu().numpy().astype(np.float64)
    valid = fit.scene.valid.cpu().numpy()
    variance = fit.noise.variance(fit.at.image).cpu().numpy().astype(np.float64)
    rows, cols = np.nonzero(inside)
    dx, dy = cols - state.x[cell], rows - state.y[cell]
    q = state.precision[cell]
    own = state.amplitude[cell] * np.exp(-0.5 * (q[:, 0, 0] * dx**2 + 2 * q[:, 0, 1] * dx * dy + q[:, 1, 1] * dy**2))
    value = own + np.where(valid, residual, 0)[inside]
    total = np.bincount(cell, value, len(state)) * fit.scene.scale
    error = np.sqrt(np.bincount(cell, variance[inside], len(state))) * fit.scene.scale
    if not subtract_background:
        level = problem.background.render(fit.at.coefficients).cpu().numpy().astype(np.float64)[inside]
        total += np.bincount(cell, level * fit.scene.scale + fit.scene.offset, len(state))
    return np.asarray(total[: fit.kept]), np.asarray(error[: fit.kept])


def cells(xy_px: Floats, shape: tuple[int, int], radius_px: float) -> Ints:
    """Column (y, x) that each pixel is nearest to, -1 where none is within the radius."""
    rows, cols = np.indices(shape)
    points = np.stack([cols.ravel(), rows.ravel()], axis=1)
    distance, owner = cKDTree(xy_px).query(points, distance_upper_bound=radius_px)
    return np.where(np.isfinite(distance), owner, -1).reshape(shape).astype(np.int64)


def _at_columns(image: torch.Tensor, state: model.ColumnState) -> Floats:
    """Values of an image (y, x) at the nearest pixel of each column (n,)."""
    height, width = image.shape
    rows = np.clip(np.rint(state.y), 0, height - 1).astype(np.int64)
    cols = np.clip(np.rint(state.x), 0, width - 1).astype(np.int64)
    return np.asarray(image.cpu().numpy()[rows, cols], np.float64)
