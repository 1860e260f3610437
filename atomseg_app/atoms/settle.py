"""The few columns that still move when all others have come to rest are brought to rest by themselves.

Most of a joint step would be spent on columns that no longer need it. Here only the few are rendered and moved,
against the Fisher information of the last joint step; a joint step afterwards lets the others answer.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
import torch
from scipy.sparse.linalg import splu

from atomseg_app.atoms import model, normal
from atomseg_app.atoms.problem import Point, Problem

Floats = npt.NDArray[np.float64]

_STEPS = 12
HELD_BACK = 0.1  # of its step for a column whose step makes things worse
_STEP_SHAPE = 0.25


def settled(problem: Problem, at: Point, weight: torch.Tensor, equations: normal.Normal, few: npt.ArrayLike,
            damping: float, tolerance: float) -> Point:  # fmt: skip
    """The point after the columns at index ``few`` (k,) moved less than ``tolerance`` error bars, or a few steps.

    ``weight`` (y, x) and ``equations`` are those of the last joint step; the same point if it would get worse.
    """
    rows, layout, prior = np.asarray(few), equations.layout, problem.prior
    unknowns = (rows[:, None] * layout.own + np.arange(layout.own)).ravel()
    matrix = equations.matrix[unknowns][:, unknowns]
    diagonal = matrix.diagonal()
    bars = 1 / np.sqrt(equations.position_information()[rows])
    patches = _Patches(problem, at, weight, at.state.take(rows))
    state, own = patches.state, at.own[rows]
    swing, last = np.zeros(len(rows)), np.zeros((len(rows), 2))
    for _ in range(_STEPS):
        moments = model.moment_vector(patches.score_moments())
        gradient = (model.coefficients(state, problem.sigma) @ moments[..., None])[..., 0] @ layout.projection
        gradient[:, 3:] -= own / prior.own_sd**2
        damped = sp.csc_matrix(matrix + sp.diags(diagonal * (damping + np.repeat(swing, layout.own))))
        step = splu(damped).solve(gradient.ravel()).reshape(len(rows), layout.own)
        step[:, 3:] = np.clip(step[:, 3:], -_STEP_SHAPE, _STEP_SHAPE)
        patches.move(problem.moved(state, step @ layout.projection.T))
        worse = patches.gains() < 0
        if worse.any():
            step[worse] *= HELD_BACK
            patches.move(problem.moved(state, step @ layout.projection.T))
        patches.keep()
        before, state = state, patches.state
        own = own + step[:, 3:]
        moved = np.stack([state.x - before.x, state.y - before.y], axis=1) / bars
        swing, last = steadied(swing, moved, last), moved
        swing[worse] = np.maximum(10 * swing[worse], 1.0)
        if np.abs(moved).max() < tolerance:
            break
    columns = at.state
    everywhere = replace(columns, x=columns.x.copy(), y=columns.y.copy(), amplitude=columns.amplitude.copy(),
                         root=columns.root.copy())  # fmt: skip
    everywhere.x[rows], everywhere.y[rows], everywhere.amplitude[rows] = state.x, state.y, state.amplitude
    everywhere.root[rows] = state.root
    all_own = at.own.copy()
    all_own[rows] = own
    then = Point(everywhere, all_own, at.common, at.coefficients, patches.image())
    return then if problem.misfit(then, weight) < problem.misfit(at, weight) else at


class _Patches:
    """Residual and weight of an image under a few columns, which may move; only their patches are looked at."""

    def __init__(self, problem: Problem, at: Point, weight: torch.Tensor, state: model.ColumnState) -> None:
        self._render, self._data = problem.renderer, problem.scene.data
        self._residual, self._weight = (self._render.padded(v) for v in (self._data - at.image, weight))
        self.state = state
        self._chunks = list(self._render.chunks(state))
        self.keep()

    def keep(self) -> None:
        """Take the columns where they are for the start of the next move."""
        self._seen = [(self._render.patches(self._residual, chunk),
                       self._render.patches(self._weight, chunk).mul_(chunk.gaussian), chunk)
                      for chunk in self._chunks]  # fmt: skip

    def score_moments(self) -> Floats:
        """Moments (k, 3, 3) of weighted residual times each Gaussian."""
        return np.concatenate([model.patch_moments(left * weight, chunk, 2) for left, weight, chunk in self._seen])

    def move(self, state: model.ColumnState) -> None:
        """Put the columns somewhere else."""
        for chunk in self._chunks:
            self._render.add(self._residual, chunk, self.state.amplitude[chunk.rows])
        self.state, self._chunks = state, list(self._render.chunks(state))
        for chunk in self._chunks:
            self._render.add(self._residual, chunk, -state.amplitude[chunk.rows])

    def gains(self) -> Floats:
        """By how much the misfit round each column (k,), where it was, has fallen since the last :meth:`keep`."""
        falls = [
            ((left.square() - self._render.patches(self._residual, chunk).square_()) * weight).sum((1, 2))
            for left, weight, chunk in self._seen
        ]
        return torch.cat(falls).cpu().numpy().astype(np.float64)

    def image(self) -> torch.Tensor:
        """Model of the image (y, x)."""
        pad, (height, width) = self._render.pad, self._data.shape
        return self._data - self._residual[pad : pad + height, pad : pad + width]


def steadied(swing: Floats, moved: Floats, last: Floats) -> Floats:
    """Damping (n,) of single columns: more for one that turns back as far as it came, which would swing for ever."""
    back = np.sum(moved * np.where(np.isfinite(last), last, 0), axis=1)
    turned = back < -0.3 * np.sum(np.where(np.isfinite(last), last, 0) ** 2, axis=1)
    return np.where(turned, np.minimum(np.maximum(4 * swing, 0.3), 10.0), swing / 3)
