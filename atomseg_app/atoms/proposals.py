"""Where the number of columns may be wrong: doubled detections, columns too long, and peaks left in the residual."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from scipy import special
from scipy.spatial import cKDTree

from atomseg_app.atoms import model
from atomseg_app.atoms.refine import Fit

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

RESOLVED = 1.4  # two columns nearer than this, in widths, cannot be told from one
_APART = 4.0  # changes tried together are this far apart, in widths
_HALF = (0.7, 1.6)  # half a split pair's distance, in widths
_MEDIAN_OF_TWO = 2 * np.log(2)  # of chi-square with two degrees of freedom
_WEAK = 0.2  # of the typical amplitude: peaks weaker than this are no columns beside them


@dataclass(frozen=True)
class Judge:
    """What a change in the number of columns must be worth: ``power`` of the residual and the alarms allowed.

    ``core`` (left, top, right, bottom) is the part of the image, in pixels, where columns may be added. One who is
    ``trusting`` adds and splits, but takes no column away that detection saw.
    """

    power: float
    false_alarms: float
    core: tuple[float, float, float, float]
    trusting: bool = False

    @classmethod
    def of(
        cls, excess: Floats, false_alarms: float, core: tuple[float, float, float, float], *, trusting: bool = False
    ) -> Judge:
        """Judge for an image whose residual has that excess power."""
        return cls(max(1.0, float(excess.max())), false_alarms, core, trusting)

    def concerned(self, x: Floats, y: Floats) -> npt.NDArray[np.bool_]:
        """Whether positions (n,) lie in the part of the image whose columns are wanted."""
        left, top, right, bottom = self.core
        return np.asarray((x >= left) & (x < right) & (y >= top) & (y < bottom))

    def needed(self, chances: float, unknowns: int) -> float:
        """Deviance that a change with so many unknowns must save, when it had that many chances to turn up."""
        return self.power * float(special.chdtri(unknowns, min(self.false_alarms / max(chances, 1), 0.5)))


@dataclass(frozen=True)
class Proposal:
    """``count`` changes to try together, each round a point ``x``, ``y`` (k,) where it must save ``needed`` (k,).

    Rows ``removed`` (r,) are taken away by change ``removed_by`` (r,), columns ``added`` (a,) put in by ``added_by``.
    """

    x: Floats
    y: Floats
    needed: Floats
    removed: Ints
    removed_by: Ints
    added: model.ColumnState
    added_by: Ints

    @property
    def count(self) -> int:
        """Number of changes."""
        return len(self.x)


@dataclass(frozen=True)
class Change:
    """One change: the rows it removes, the columns it puts in, its worth for ordering and what it must save."""

    removed: tuple[int, ...]
    added: model.ColumnState
    worth: float
    needed: float


def proposed(fit: Fit, judge: Judge) -> Proposal:
    """The most promising changes that do not touch each other."""
    merges = [] if judge.trusting else _merges(fit, judge)
    changes = sorted([*merges, *_splits(fit, judge), *_peaks(fit, judge)], key=lambda c: -c.worth)
    chosen: list[Change] = []
    centres: list[Floats] = []
    used: set[int] = set()
    for change in changes:
        centre = np.array([change.added.x.mean(), change.added.y.mean()])
        apart = not centres or np.min(np.hypot(*(np.array(centres) - centre).T)) > _APART * fit.problem.sigma
        if apart and used.isdisjoint(change.removed):
            chosen.append(change)
            centres.append(centre)
            used.update(change.removed)
    place = np.array(centres).reshape(-1, 2)
    added = model.ColumnState(np.empty(0), np.empty(0), np.empty(0), np.empty((0, 2, 2)))
    for change in chosen:
        added = added.joined(change.added)
    return Proposal(
        place[:, 0],
        place[:, 1],
        np.array([c.needed for c in chosen]),
        np.array([i for c in chosen for i in c.removed], np.int64),
        np.array([k for k, c in enumerate(chosen) for _ in c.removed], np.int64),
        added,
        np.array([k for k, c in enumerate(chosen) for _ in range(len(c.added))], np.int64),
    )


def whitened_distance(state: model.ColumnState, pairs: npt.NDArray[np.integer]) -> Floats:
    """Distance of pairs (m, 2) of columns in widths along their line (m,)."""
    one, two = pairs[:, 0], pairs[:, 1]
    gap = np.stack([state.x[one] - state.x[two], state.y[one] - state.y[two]], axis=1)
    mean = (state.precision[one] + state.precision[two]) / 2
    return np.asarray(np.sqrt(np.einsum("mi,mij,mj->m", gap, mean, gap)))


def _merges(fit: Fit, judge: Judge) -> list[Change]:
    """Pairs so near that one column may do; two are kept only if they save what a split must."""
    state = fit.state
    points = np.stack([state.x, state.y], axis=1)
    reach = RESOLVED * float(np.median(state.axes()[0]))
    pairs = cKDTree(points).query_pairs(reach, output_type="ndarray")
    pairs = pairs[whitened_distance(state, pairs) < RESOLVED]
    changes = []
    for i, j in pairs:
        a = np.maximum(np.abs(state.amplitude[[i, j]]), 1e-9)
        both = state.take([i, j])
        one = model.ColumnState(
            np.array([np.average(both.x, weights=a)]),
            np.array([np.average(both.y, weights=a)]),
            np.array([both.amplitude.sum()]),
            both.root[:1],
        )
        changes.append(Change((int(i), int(j)), one, np.inf, -judge.needed(len(state), 3)))
    return changes


def _splits(fit: Fit, judge: Judge) -> list[Change]:
    """Columns that want to be longer than the common shape (Rao's score test, 1948): perhaps two."""
    problem, state, at = fit.problem, fit.state, fit.at
    weight = problem.weight(at, fit.noise)
    score = (problem.scene.data - at.image) * weight
    render = problem.renderer
    of_score = render.moments(render.padded(score), state, 2)
    squares = problem.grid.own(problem.grid.sums(weight), state)[1]
    c = model.coefficients(state, problem.sigma)
    gradient = (c @ model.moment_vector(of_score)[..., None])[..., 0]
    own = c @ model.moment_matrix(squares) @ np.swapaxes(c, 1, 2)
    turn = np.eye(6)
    turn[3, [3, 5]], turn[4, [3, 5]], turn[5, [3, 4, 5]] = (1, 1), (1, -1), (0, 1, 0)
    gradient, own = gradient @ turn.T, turn @ own @ turn.T  # x, y, A, size, and the two of elongation
    rest, long = slice(0, 4), slice(4, 6)
    ridge = own[:, rest, rest] + 1e-9 * np.eye(4) * np.trace(own[:, rest, rest], axis1=1, axis2=2)[:, None, None]
    schur = own[:, long, long] - own[:, long, rest] @ np.linalg.solve(ridge, own[:, rest, long])
    step = np.linalg.solve(schur + 1e-9 * np.eye(2), gradient[:, long, None])[..., 0]
    statistic = np.einsum("ni,ni->n", gradient[:, long], step)
    spread = max(judge.power, float(np.median(statistic)) / _MEDIAN_OF_TWO)
    needed = spread / judge.power * judge.needed(len(state), 3)
    changes = []
    for i in np.flatnonzero(statistic > needed):
        elongation = np.array([[step[i, 0], step[i, 1]], [step[i, 1], -step[i, 0]]])
        values, vectors = np.linalg.eigh(elongation)
        half = float(np.clip(np.sqrt(np.exp(min(values[1], 1)) - np.exp(values[0])), *_HALF))
        dx, dy = np.linalg.solve(state.root[i], half * vectors[:, 1])
        two = model.ColumnState(
            state.x[i] + np.array([dx, -dx]),
            state.y[i] + np.array([dy, -dy]),
            np.full(2, 0.6 * state.amplitude[i]),
            state.root[[i, i]],
        )
        changes.append(Change((int(i),), two, float(statistic[i]), max(needed, float(statistic[i]))))
    return changes


def _peaks(fit: Fit, judge: Judge) -> list[Change]:
    """Peaks of the residual that look like a column, away from those there are."""
    problem, state, at = fit.problem, fit.state, fit.at
    sigma = problem.sigma
    size = max(1, int(sigma / 1.5))
    weight = problem.weight(at, fit.noise)
    score = (problem.scene.data - at.image) * weight
    reach = int(np.ceil(3 * sigma / size))
    steps = torch.arange(-reach, reach + 1, dtype=torch.float32, device=score.device) * (size / sigma)
    flat = torch.exp(-0.5 * steps**2)

    def filtered(image: torch.Tensor, profile: torch.Tensor) -> torch.Tensor:
        across = torch.nn.functional.conv2d(image, profile[None, None, None, :], padding="same")
        return torch.nn.functional.conv2d(across, profile[None, None, :, None], padding="same")[0, 0]

    area = size**2
    coarse = [torch.nn.functional.avg_pool2d(v[None, None], size) * area for v in (score, weight)]
    sign = 1.0 if np.median(state.amplitude) > 0 else -1.0
    signal = filtered(coarse[0], flat) * sign
    information = filtered(coarse[1], flat**2)
    root = torch.sqrt(torch.clamp_min(information, 0.3 * float(information.median())))
    z = signal / root
    around = 2 * max(1, round(sigma / size)) + 1
    top = torch.nn.functional.max_pool2d(z[None, None], around, 1, around // 2)[0, 0]
    chances = problem.scene.data.numel() / (2 * np.pi * sigma**2)
    needed = judge.needed(chances, 1)
    weak = _WEAK * abs(float(np.median(state.amplitude)))
    rows, cols = torch.nonzero((z == top) & (z**2 > needed) & (z > 0) & (signal / root**2 > weak), as_tuple=True)
    heights, amplitudes = z[rows, cols].cpu().numpy(), (signal / root**2)[rows, cols].cpu().numpy()
    y, x = ((v.cpu().numpy() + 0.5) * size - 0.5 for v in (rows, cols))
    if not len(x):
        return []
    distance, _ = cKDTree(np.stack([state.x, state.y], axis=1)).query(np.stack([x, y], axis=1))
    common = state.root[int(np.argsort(state.sigma)[len(state) // 2])]
    return [
        Change(
            (),
            model.ColumnState(x[k : k + 1], y[k : k + 1], sign * amplitudes[k : k + 1].astype(float), common[None]),
            float(heights[k] ** 2),
            judge.needed(chances, 3),
        )
        for k in np.flatnonzero((distance > RESOLVED * sigma) & judge.concerned(x, y))
    ]
