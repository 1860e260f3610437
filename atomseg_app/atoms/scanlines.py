"""Scan noise: each line of a scanned image is displaced by its own small amount, which changes slowly along the line.

The displacements are random effects of the joint likelihood: line y moves by j(y, x) at x, independent from line to
line, with covariance s² exp(-|x - x'|/length) along it; both numbers are estimated from the residual. Columns that
share lines tell their common displacement apart from their own positions, so nothing is drawn towards a lattice
(best linear unbiased prediction, Henderson 1975). What cannot be told apart widens the error bars.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from scipy.linalg import cho_solve_banded, cholesky_banded

from atomseg_app.atoms import model
from atomseg_app.atoms.normal import Normal
from atomseg_app.atoms.refine import Fit, descend
from atomseg_app.operations import Report

Floats = npt.NDArray[np.float64]

_NODES = 16  # intervals along a line within which a displacement changes linearly
_NODE_SIGMA = 6.0  # which are at least this long, in column widths
_CERTAIN = 6.0  # standard errors by which displacements must stand out to be modelled
_LEAST_PX = 0.05
_DRAWS = 4
_SEED = 40013
_STEP_PX = 0.05
_LONGEST = 0.4  # of a width: longer moves are left to the fit


@dataclass(frozen=True)
class Straightened:
    """A fit to the image with its lines put back, and how much wider (2,) the variance of x and y is for it."""

    fit: Fit
    widening: Floats


def straighten(fit: Fit, report: Report) -> Straightened:
    """Estimate and take out the displacement of lines along x and along y, and fit again where there was any."""
    widening, straight = np.ones(2), fit
    for axis, name in ((0, "x"), (1, "y")):
        lines = _Lines(straight, axis)
        spread = lines.spread()
        if spread is None:
            continue
        displacement, moves, widening[axis] = lines.solve(*spread)
        straight = _put_back(straight, axis, lines.slope * displacement, moves)
        report.note(f"Scan lines are displaced by {spread[0]:.2f} px r.m.s. along {name}; taken out of the fit.")
    if straight is not fit:
        straight = descend(straight.problem, straight.at, straight.noise, report, near=straight.equations)
    return Straightened(straight, widening)


def _put_back(fit: Fit, axis: int, displaced: torch.Tensor, moves: Floats) -> Fit:
    """The fit on data without what displaced lines put in, its columns moved (n,) along an axis accordingly."""
    scene = replace(fit.problem.scene, data=fit.problem.scene.data - displaced)
    problem, longest = fit.problem.on(scene), _LONGEST * fit.problem.sigma
    state = _moved(fit.state, axis, np.clip(moves, -longest, longest))
    at = replace(fit.at, state=state, image=problem.image(state, fit.at.coefficients))
    return replace(fit, problem=problem, at=at)


class _Lines:
    """Displacements of the lines of one fit along one axis (0: x, 1: y), to first order."""

    def __init__(self, fit: Fit, axis: int) -> None:
        self.fit, self.axis = fit, axis
        problem, at = fit.problem, fit.at
        self.height, self.width = problem.scene.shape
        ahead, behind = (problem.renderer.render(_moved(at.state, axis, sign * _STEP_PX)) for sign in (1, -1))
        self.slope = (ahead - behind) / (2 * _STEP_PX)
        self.weight = problem.weight(at, fit.noise)
        intervals = int(np.clip(self.width / (_NODE_SIGMA * problem.sigma), 1, _NODES))
        self.nodes = intervals + 1
        self.gap = (self.width - 1) / intervals
        self.hats = _hats(np.clip(at.state.x, 0, self.width - 1) / self.gap, self.nodes)
        rows = np.clip(np.rint(at.state.y), 0, self.height - 1).astype(np.int64)
        lines = rows[:, None] + np.arange(-problem.renderer.reach, problem.renderer.reach + 1)
        self.outside = (lines < 0) | (lines >= self.height)
        self.lines = np.clip(lines, 0, self.height - 1)
        self.information = np.maximum(self._line_sums(self.weight * self.slope), 0)
        self.score = self._line_sums((problem.scene.data - at.image) * self.weight)

    def _line_sums(self, image: torch.Tensor) -> Floats:
        """Sum (n, p) along each line of an image (y, x) times the derivative of each column with its position."""
        renderer, state = self.fit.problem.renderer, self.fit.state
        padded = renderer.padded(image)
        out = np.empty((len(state), renderer.size))
        unit, precision = renderer.unit, state.precision
        for chunk in renderer.chunks(state):
            weighted = renderer.patches(padded, chunk) * chunk.gaussian
            basis = torch.stack([torch.ones_like(chunk.dx), chunk.dx], dim=2)
            sums = torch.bmm(weighted, basis).cpu().numpy().astype(np.float64)
            q = precision[chunk.rows, self.axis] * state.amplitude[chunk.rows, None] * unit
            dy = chunk.dy.cpu().numpy().astype(np.float64)
            out[chunk.rows] = q[:, 0, None] * sums[..., 1] + q[:, 1, None] * dy * sums[..., 0]
        out[self.outside] = 0
        return out

    def shared(self, values: Floats, shares: Floats) -> Floats:
        """Sum of values (n, p) over the columns of each line, by shares (n, k): (height, k)."""
        where = self.lines.ravel()
        parts = [np.bincount(where, (values * share[:, None]).ravel(), self.height) for share in shares.T]
        return np.stack(parts, axis=1)

    def spread(self) -> tuple[float, float] | None:
        """Standard deviation and correlation length of the displacements in pixels; None where there are none."""
        nearest = np.eye(self.nodes)[np.argmax(self.hats, axis=1)]  # so that no two nodes share a column's noise
        score, information = self.shared(self.score, nearest), self.shared(self.information, nearest)
        lags = []
        for lag in range(1, min(6, self.nodes)):
            product = score[:, :-lag] * score[:, lag:]
            expected = information[:, :-lag] * information[:, lag:]
            if expected.sum() <= 0:
                return None
            value = product.sum() / expected.sum()
            error = np.sqrt(np.sum(product**2)) / expected.sum()
            lags.append((lag, value, error))
        if len(lags) < 2 or lags[0][1] < _CERTAIN * lags[0][2] or lags[0][1] < _LEAST_PX**2:
            return None
        lag, value = np.array([(k, v) for k, v, e in lags if v > 2 * e]).T
        slope = np.polyfit(lag, np.log(value), 1, w=np.sqrt(value))[0] if len(lag) > 1 else -1.0
        length = self.gap / float(np.clip(-slope, 0.02, 3.0))
        # The fit took the mean over a column's lines for its position; that share is missing from the residual.
        seen = self.information[self.information.sum(axis=1) > 0]
        lines = float(np.median(seen.sum(axis=1) ** 2 / np.sum(seen**2, axis=1)))
        variance = lags[0][1] * np.exp(self.gap / length) / (1 - 1 / max(lines, 2.0))
        return float(np.sqrt(variance)), length

    def solve(self, spread_px: float, length_px: float) -> tuple[torch.Tensor, Floats, float]:
        """Displacement (y, x) of every pixel's line, moves (n,) of columns, and how much wider their variance is."""
        system = _System(self, spread_px, length_px)
        moves, nodes = system.solve(self.score.sum(axis=1), self.shared(self.score, self.hats))
        along = _hats(np.arange(self.width) / self.gap, self.nodes)
        displacement = torch.as_tensor(nodes @ along.T, dtype=torch.float32, device=self.slope.device)
        generator = torch.Generator().manual_seed(_SEED)
        random = np.random.default_rng(_SEED)
        squares = []
        for _ in range(_DRAWS):
            white = torch.randn(self.slope.shape, generator=generator).to(self.slope.device)
            sums = self._line_sums(white * self.weight.sqrt())
            drawn = system.solve(sums.sum(axis=1), self.shared(sums, self.hats) + system.prior_draw(random))[0]
            squares.append(drawn**2 * system.diagonal)
        return displacement, moves, float(max(1.0, np.mean(squares)))


class _System:
    """Normal equations of columns and line displacements, the latter eliminated line by line."""

    def __init__(self, lines: _Lines, spread_px: float, length_px: float) -> None:
        self.lines = lines
        height, nodes, n = lines.height, lines.nodes, len(lines.fit.state)
        equations: Normal = lines.fit.equations
        own = np.arange(n) * equations.layout.own + lines.axis
        # What lines say of columns, plus what holds overlapping columns apart; so the sum stays positive definite.
        between = equations.matrix[own][:, own].minimum(0)
        between.setdiag(0)
        lumped = lines.information.sum(axis=1) - np.asarray(between.sum(axis=1)).ravel()
        self.matrix = sp.csr_matrix(between + sp.diags(lumped))
        self.diagonal = np.maximum(lumped, 1e-12)
        rho = np.exp(-lines.gap / length_px)
        scale = 1 / (spread_px**2 * (1 - rho**2))
        line = np.full(nodes, (1 + rho**2) * scale)
        line[[0, -1]] = scale
        beside = np.append(np.full(nodes - 1, -rho * scale), 0.0)
        prior = np.stack([np.tile(np.roll(beside, 1), height), np.tile(line, height)])  # upper banded form
        self._prior_root = cholesky_banded(prior)
        data = np.zeros((2, height, nodes))
        data[1] = lines.shared(lines.information, lines.hats**2)
        data[0, :, 1:] = lines.shared(lines.information, lines.hats[:, :-1] * lines.hats[:, 1:])
        self._root = cholesky_banded(prior + data.reshape(2, -1))
        at = np.arange(n)[:, None, None]
        where = lines.lines[:, :, None] * nodes + np.arange(nodes)
        values = lines.information[:, :, None] * lines.hats[:, None, :]
        keep = values > 0
        rows = np.broadcast_to(at, where.shape)[keep]
        self.coupling = sp.csr_matrix((values[keep], (rows, where[keep])), shape=(n, height * nodes))

    def prior_draw(self, random: np.random.Generator) -> Floats:
        """A draw (height, nodes) of the prior's part of the gradient."""
        z = random.standard_normal(self._prior_root.shape[1])
        drawn: Floats = self._prior_root[1] * z
        drawn[1:] += self._prior_root[0, 1:] * z[:-1]
        return drawn.reshape(self.lines.height, self.lines.nodes)

    def solve(self, columns: Floats, nodes: Floats) -> tuple[Floats, Floats]:
        """Moves of columns (n,) and displacements of nodes (height, nodes) for the two gradients."""
        flat = nodes.ravel()
        coupling = self.coupling
        rhs = columns - coupling @ cho_solve_banded((self._root, False), flat)
        x, r = np.zeros_like(rhs), rhs.copy()
        z = r / self.diagonal
        p, rz = z.copy(), float(r @ z)
        goal = 1e-8 * rz
        for _ in range(400):
            if rz <= goal:
                break
            q = self.matrix @ p - coupling @ cho_solve_banded((self._root, False), coupling.T @ p)
            curvature = float(p @ q)
            if curvature <= 0:
                break
            x += rz / curvature * p
            r -= rz / curvature * q
            z = r / self.diagonal
            rz, old = float(r @ z), rz
            p = z + rz / old * p
        displaced = cho_solve_banded((self._root, False), flat - coupling.T @ x)
        return x, displaced.reshape(self.lines.height, self.lines.nodes)


def _moved(state: model.ColumnState, axis: int, step: float | Floats) -> model.ColumnState:
    return replace(state, x=state.x + step) if axis == 0 else replace(state, y=state.y + step)


def _hats(position: Floats, nodes: int) -> Floats:
    """Linear shares (n, nodes) of positions (n,) counted in node intervals."""
    return np.asarray(np.maximum(0, 1 - np.abs(position[:, None] - np.arange(nodes))))
