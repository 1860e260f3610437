"""How many columns there are: peaks split, merged, added and dropped where the likelihood asks for it.

Every change is proposed from the residual, fitted with its surroundings, and kept if the deviance it saves exceeds
what noise alone would give at the expected number of false alarms (likelihood ratio, Wilks 1938), in units of the
residual's own power, so that scan noise and misfit do not count as columns.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from atomseg_app.atoms import model, precision
from atomseg_app.atoms.problem import Prior, Problem
from atomseg_app.atoms.proposals import RESOLVED, Judge, Proposal, proposed, whitened_distance
from atomseg_app.atoms.refine import Fit, descend
from atomseg_app.operations import Report

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_PAIR_RATIO = 1.3  # common shape longer than this may be pairs
_SPARROW = 2.0  # widths between two equal columns from which there is a dip between them (Sparrow 1916)
_BLOB = 1.6  # detections nearer than this, in widths along their line, may be one column
_SURROUNDINGS = 5.0  # widths round a change within which columns are fitted again
_ROUNDS = 3
_DOUBTFUL = 6.0  # a column with less than this of the deviance it needs is looked at with its neighbours unknown
_WEAK = 0.25  # an added column is at least this fraction of the typical one
FIXED_SHAPE = 1e-3
_NOWHERE = (np.inf, np.inf, -np.inf, -np.inf)


@dataclass(frozen=True)
class Resolved:
    """A fit, and the probability (n,) that each of its columns is no noise; its residual's power where known."""

    fit: Fit
    probability: Floats
    excess: Floats | None = None


def resolve(
    fit: Fit,
    probability: Floats,
    false_alarms: float,
    core: tuple[float, float, float, float],
    report: Report,
    *,
    trusting: bool = False,
) -> Resolved:
    """Fit with as many columns as the image supports; columns are added only in ``core`` (left, top, right, bottom).

    ``trusting`` keeps every column of the fit and adds none, but for those that it splits: a network that knows how
    columns stand to each other, and what else there is, has seen more than the likelihood of each. Where anything
    changed the fit is roughly at rest.
    """
    found = _as_pairs(Resolved(fit, probability), report.part(0.0, 0.5))
    excess = precision.excess_power(found.fit)
    where = _NOWHERE if trusting else core
    judge, found = Judge.of(excess, false_alarms, where, trusting=trusting), replace(found, excess=excess)
    start = found
    for _ in range(2):
        better = changed(found, judge, report.part(0.5, 0.8))
        if better is found:
            break
        found = better
    if found is not start:
        found = _at_rest(found, report.part(0.8, 0.9))
    for _ in range(0 if trusting else _ROUNDS):  # one may lose its support when another is gone
        supported = _supported(found.fit, judge)
        if supported.all() or not supported.any():
            break
        found = _at_rest(_taken(found, supported), report.part(0.9, 1.0))
    return found


def _at_rest(found: Resolved, report: Report) -> Resolved:
    fit = found.fit
    return replace(found, fit=descend(fit.problem, fit.at, fit.noise, report, roughly=True))


def _taken(found: Resolved, keep: Bools) -> Resolved:
    """Only the columns of a mask (n,)."""
    fit = found.fit
    at = fit.problem.start(fit.state.take(keep), fit.at.coefficients, fit.at.own[keep])
    return replace(found, fit=replace(fit, at=at, moved=fit.moved[keep]), probability=found.probability[keep])


def _supported(fit: Fit, judge: Judge) -> Bools:
    """Whether the amplitude of each column (n,) stands out of its own error (Wald 1943).

    The error is the marginal one, so that a column beside another which explains the same pixels is less certain.
    """
    problem = fit.problem
    needed = judge.needed(problem.scene.data.numel() / (2 * np.pi * problem.sigma**2), 1)
    square, keep = fit.state.amplitude**2, np.ones(len(fit.state), bool)
    doubtful = np.flatnonzero(square * fit.equations.amplitude_information() < _DOUBTFUL * needed)
    variance = fit.equations.amplitude_variance(doubtful)
    keep[doubtful] = square[doubtful] > needed * variance
    return keep


def _as_pairs(found: Resolved, report: Report) -> Resolved:
    """The same blobs each as two columns side by side, if all of the image together says so.

    A common shape can swallow a common dumbbell; only the whole image can tell, by Schwarz's criterion (1978).
    """
    fit = found.fit
    major, minor, angle = (float(np.median(v)) for v in fit.state.axes())
    if major < _PAIR_RATIO * minor:
        return found
    group = _groups(fit.state, _BLOB)
    weight = np.abs(fit.state.amplitude)
    total = np.bincount(group, weight)
    x, y = (np.bincount(group, weight * v) / total for v in (fit.state.x, fit.state.y))
    amplitude = np.bincount(group, fit.state.amplitude * weight) / total
    half = np.sqrt(major**2 - minor**2)
    dx, dy = half * np.cos(np.deg2rad(angle)), half * np.sin(np.deg2rad(angle))
    count = len(x)
    pairs = model.ColumnState(
        np.concatenate([x - dx, x + dx]),
        np.concatenate([y - dy, y + dy]),
        np.tile(0.6 * amplitude, 2),
        model.round_root(np.full(2 * count, minor)),
    )
    problem = Problem(fit.problem.scene, minor, fit.problem.spacing / 2, fit.problem.prior, free=fit.problem.free)
    trial = descend(problem, problem.start(pairs), None, report)
    # By the noise of the blobs, for both: each by its own leaves about as many units as there are pixels.
    saved = fit.problem.deviance(fit.at, fit.noise) - problem.deviance(trial.at, fit.noise)
    extra = 4 * (2 * count - len(fit.state))
    apart = np.hypot(*(v[:count] - v[count:] for v in (trial.state.x, trial.state.y)))
    if np.median(apart) < _SPARROW * float(np.median(trial.state.axes()[1])):
        return found  # any elongated blob is better described by two than by one; only a dip between them shows two
    if saved < extra * np.log(max(trial.problem.scene.data.numel() / len(pairs), 2.0)):
        return found
    probability = np.zeros(count)
    np.maximum.at(probability, group, found.probability)
    return Resolved(trial, np.tile(probability, 2))


def _groups(state: model.ColumnState, reach: float) -> Ints:
    """Number (n,) of the cluster each column belongs to: chains of columns within ``reach`` of their own widths."""
    points = np.stack([state.x, state.y], axis=1)
    major = float(np.median(state.axes()[0]))
    pairs = cKDTree(points).query_pairs(reach * major, output_type="ndarray")
    near = pairs[whitened_distance(state, pairs) < reach]
    n = len(state)
    graph = csr_matrix((np.ones(len(near)), (near[:, 0], near[:, 1])), shape=(n, n))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def changed(found: Resolved, judge: Judge, report: Report) -> Resolved:
    """One round of merges, splits and additions; the same object where nothing is worth changing.

    Columns round an accepted change are as fitted with it, all others where they were.
    """
    fit = found.fit
    proposal = proposed(fit, judge)
    if not proposal.count:
        return found
    accepted, trial = _tried(fit, proposal, report)
    if not accepted.any():
        return found
    near, number = trial.near, len(fit.state)
    state, own = fit.state.joined(trial.fit.state), np.concatenate([fit.at.own, trial.fit.at.own])
    keep = np.ones(number, bool)
    keep[proposal.removed[accepted[proposal.removed_by]]] = False
    fitted = np.concatenate([accepted[trial.near_to], accepted[proposal.added_by]])
    keep[near[accepted[trial.near_to]]] = False
    rows = np.concatenate([np.flatnonzero(keep), number + np.flatnonzero(fitted)])
    of_old = np.concatenate([found.probability, found.probability[near], np.ones(len(proposal.added))])
    problem = fit.problem
    at = problem.start(state.take(rows), trial.fit.at.coefficients, own[rows])
    moved = np.concatenate([fit.moved, trial.fit.moved])[rows]
    return Resolved(Fit(problem, at, fit.noise, moved, fit.equations), of_old[rows])


@dataclass(frozen=True)
class _Trial:
    """Fit of the columns ``near`` (m,) a change, each to change ``near_to`` (m,), followed by the added ones."""

    fit: Fit
    near: Ints
    near_to: Ints


def _tried(fit: Fit, proposal: Proposal, report: Report) -> tuple[Bools, _Trial]:
    """Which changes are worth it (k,), and the fit with all of them; everything far from a change stays fixed."""
    problem, state = fit.problem, fit.state
    kept = np.setdiff1d(np.arange(len(state)), proposal.removed)
    centres = np.stack([proposal.x, proposal.y], axis=1)
    points = np.stack([state.x[kept], state.y[kept]], axis=1)
    distance, nearest = cKDTree(centres).query(points)
    touched = distance < _SURROUNDINGS * problem.sigma
    near = kept[touched]
    fixed = problem.renderer.render(state.take(kept[~touched]))
    prior = Prior(problem.prior.own_sd, FIXED_SHAPE)
    local = Problem(problem.scene, problem.sigma, problem.spacing, prior, free=problem.free, fixed=fixed)
    active = state.take(near).joined(proposal.added)
    own = np.concatenate([fit.at.own[near], np.zeros((len(proposal.added), fit.at.own.shape[1]))])
    trial = descend(local, local.start(active, fit.at.coefficients, own), fit.noise, report, roughly=True)
    saved_image = problem.deviance_image(fit.at, fit.noise) - local.deviance_image(trial.at, fit.noise)
    where = model.ColumnState(proposal.x, proposal.y, np.ones(proposal.count), state.root[:1].repeat(proposal.count, 0))
    saved = problem.renderer.moments(problem.renderer.padded(saved_image), where, 0, power=0)[:, 0, 0]
    added = trial.state.take(np.arange(len(near), len(active)))
    accepted = (saved > proposal.needed) & _sound(added, proposal, state)
    return accepted, _Trial(trial, near, nearest[touched])


def _sound(added: model.ColumnState, proposal: Proposal, before: model.ColumnState) -> Bools:
    """Whether each change leaves columns (k,) that are strong enough and not on top of each other."""
    typical = float(np.median(before.amplitude))
    good = np.ones(proposal.count, bool)
    good[proposal.added_by[added.amplitude / typical < _WEAK]] = False
    points = np.stack([added.x, added.y], axis=1)
    reach = RESOLVED * float(np.median(added.axes()[0])) if len(added) else 0.0
    pairs = cKDTree(points).query_pairs(reach, output_type="ndarray") if len(added) else np.zeros((0, 2), int)
    close = pairs[whitened_distance(added, pairs) < RESOLVED]
    good[proposal.added_by[close[:, 0]]] = False
    return good
