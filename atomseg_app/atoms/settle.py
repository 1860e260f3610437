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
    render = problem.renderer
    state, own = at.state.take(rows), at.own[rows]
    mine = render.render(state)
    rest = at.image - mine
    swing, last = np.zeros(len(rows)), np.zeros((len(rows), 2))
    for _ in range(_STEPS):
        score = render.padded((problem.scene.data - rest - mine) * weight)
        moments = model.moment_vector(render.moments(score, state, 2))
        gradient = (model.coefficients(state, problem.sigma) @ moments[..., None])[..., 0] @ layout.projection
        gradient[:, 3:] -= own / prior.own_sd**2
        damped = sp.csc_matrix(matrix + sp.diags(diagonal * (damping + np.repeat(swing, layout.own))))
        step = splu(damped).solve(gradient.ravel()).reshape(len(rows), layout.own)
        step[:, 3:] = np.clip(step[:, 3:], -_STEP_SHAPE, _STEP_SHAPE)
        trial = problem.moved(state, step @ layout.projection.T)
        rendered = render.render(trial)
        worse = problem.gains(state, rest + mine, rest + rendered, weight) < 0
        if worse.any():
            step[worse] *= HELD_BACK
            trial = problem.moved(state, step @ layout.projection.T)
            rendered = render.render(trial)
        before, state, mine = state, trial, rendered
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
    then = Point(everywhere, all_own, at.common, at.coefficients, rest + mine)
    return then if problem.misfit(then, weight) < problem.misfit(at, weight) else at


def steadied(swing: Floats, moved: Floats, last: Floats) -> Floats:
    """Damping (n,) of single columns: more for one that turns back as far as it came, which would swing for ever."""
    back = np.sum(moved * np.where(np.isfinite(last), last, 0), axis=1)
    turned = back < -0.3 * np.sum(np.where(np.isfinite(last), last, 0) ** 2, axis=1)
    return np.where(turned, np.minimum(np.maximum(4 * swing, 0.3), 10.0), swing / 3)
