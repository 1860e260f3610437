"""From columns to grains: regions grown from column to column along the lattice vectors of a neighbourhood.

Neighbourhoods all over the image propose lattice vectors (:mod:`translations`); the ones along which most columns can
be reached make the first grain, the rest of the columns the next, until no crystal of some size is left.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from heapq import heappop, heappush

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from atomseg_app.atoms.lattice import STEPS, Floats, Grain, Ints, Lattice, positions_of
from atomseg_app.atoms.sublattices import Motif, motifs_of, primitive, split_by_superlattice
from atomseg_app.atoms.translations import local_vectors, reduced
from atomseg_app.atoms.weighted import fit_cells, local_map
from atomseg_app.data import Columns
from atomseg_app.operations import Report

_NEIGHBOURHOODS = (140, 70, 36)
"""Columns that propose lattice vectors together: many see through noise and large cells, few fit into small grains."""
_SEEDS = 24
_OF_STEP = 0.12
"""Of the length of a step: how far from its ideal place a column may be, which is 7 degrees of turn."""
_OF_NEAREST = 0.4
_LOOSE = 2.0  # once the indices are known, columns this many times as far away are taken in if their neighbours agree
_AS_GOOD = 0.96  # of the most columns reached: the smallest cell among these is the lattice
_LEAST_COLUMNS = 12
_ONE_GRAIN = 0.08
"""Largest difference of an element of the local map within a grain: 4.6 degrees of turn, 8 % of strain."""
_SAMPLED = 3000
_OTHER_SITE = 0.8  # of the shortest vector: columns of a cell that are nearer to each other are of two sublattices
_ROUNDS = 3


@dataclass(frozen=True)
class Options:
    """What may be asked: the smallest grain in columns, whether intensities tell sublattices apart."""

    least_columns: int = _LEAST_COLUMNS
    use_intensity: bool = True


def fit_lattice(columns: Columns, options: Options = Options(), report: Report | None = None) -> Lattice:
    """Grains, cells and sublattices of all columns; frames of a movie have grains of their own."""
    xy, err = positions_of(columns)
    amplitude = columns.table["amplitude"]
    n = len(xy)
    grain, site = np.full(n, -1, np.int64), np.full(n, -1, np.int64)
    index = np.zeros((n, 2), np.int64)
    grains: list[Grain] = []
    for frame in np.unique(columns.table["frame"]):
        left = np.flatnonzero(columns.table["frame"] == frame)
        for size in _NEIGHBOURHOODS:
            while len(left) >= options.least_columns:
                found = _next_grain(xy[left], err[left], amplitude[left], size, options)
                if report is not None:
                    report.progress(1 - len(left) / max(n, 1), f"{len(grains)} grains")
                if not found:
                    break
                for part in found:
                    rows = left[part.rows]
                    grain[rows], index[rows], site[rows] = len(grains), part.index, part.site
                    grains.append(part.grain)
                left = np.setdiff1d(left, np.concatenate([left[part.rows] for part in found]))
    lattice = Lattice(xy, err, grain, index, site, np.full((n, len(STEPS)), -1, np.int64), tuple(grains))
    return replace(lattice, steps=step_table(lattice))


@dataclass(frozen=True)
class _Part:
    """A grain among the points it was looked for in."""

    rows: Ints
    index: Ints
    site: Ints
    grain: Grain


def _next_grain(xy: Floats, err: Floats, amplitude: Floats, size: int, options: Options) -> list[_Part]:
    """The crystal along whose vectors most points can be reached; several parts where they lie apart; [] if none."""
    if len(xy) < options.least_columns:
        return []
    nearest = float(np.median(cKDTree(xy).query(xy, 2)[0][:, 1]))
    all_of_it = np.ones(len(xy), bool)
    grown = [(vectors, _joined(xy, nearest, vectors, all_of_it)) for vectors in _proposals(xy, min(size, len(xy)))]
    reach = [links.reached(options.least_columns) for _, links in grown]
    if not grown or max(reach) < options.least_columns:
        return []
    good = [pair for pair, count in zip(grown, reach, strict=True) if count >= _AS_GOOD * max(reach)]
    vectors, links = min(good, key=lambda pair: abs(float(np.linalg.det(pair[0]))))
    for _ in range(_ROUNDS):
        vectors, like = _most_common(xy, links, vectors)
        links = _joined(xy, nearest, vectors, like)
        if links.reached(options.least_columns) < options.least_columns:
            return []
    part, index = links.cells(xy, _OTHER_SITE * float(np.hypot(*vectors.T).min()), options.least_columns)
    parts = []
    for motif in motifs_of(xy, part, index, vectors):
        if len(motif.rows) < options.least_columns:
            continue
        motif = primitive(motif)
        fine = split_by_superlattice(motif, xy, amplitude) if options.use_intensity else motif
        parts.append(_fitted(_with_displaced(fine, xy, nearest), xy, err, amplitude))
    return parts


def _proposals(xy: Floats, size: int) -> list[Floats]:
    """Different lattice vectors that neighbourhoods of ``size`` points, spread over all, propose."""
    tree = cKDTree(xy)
    found: list[Floats] = []
    for seed in _spread(xy, min(_SEEDS, max(1, 3 * len(xy) // size))):
        vectors = local_vectors(xy[np.atleast_1d(tree.query(xy[seed], size)[1])])
        if vectors is None:
            continue
        scale = np.hypot(*vectors.T).max()
        if not any(np.abs(vectors - other).max() < 0.03 * scale for other in found):
            found.append(vectors)
    return found


def _spread(xy: Floats, count: int) -> list[int]:
    """Rows of points far from each other, the first near the middle of all."""
    chosen = [int(np.argmin(np.hypot(*(xy - np.median(xy, axis=0)).T)))]
    distance = np.hypot(*(xy - xy[chosen[0]]).T)
    while len(chosen) < count:
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, np.hypot(*(xy - xy[chosen[-1]]).T))
    return chosen


@dataclass(frozen=True)
class _Links:
    """Steps (n, 8) from each point to others along lattice vectors, -1 for none, and how far off the ideal place."""

    steps: Ints
    misfit: Floats

    def reached(self, least: int) -> int:
        """Points in connected parts that are not much smaller than ``least``."""
        n = len(self.steps)
        start, direction = np.nonzero(self.steps[:, ::2] >= 0)
        graph = coo_matrix((np.ones(len(start)), (start, self.steps[start, 2 * direction])), (n, n))
        part = connected_components(graph, directed=False)[1]
        return int(np.count_nonzero(np.bincount(part)[part] >= _least_part(least))) if n else 0

    def cells(self, xy: Floats, closest: float, least: int) -> tuple[Ints, Ints]:
        """Connected part (n,) of each point, -1 in small ones, and its cell (n, 2) counted from within the part.

        The surest steps go first. A point whose cell is taken by another nearer than ``closest`` is not of this part:
        so that one bad step does not make two sublattices one (round a dislocation, cells repeat at a distance).
        """
        part, index = np.full(len(xy), -1, np.int64), np.zeros((len(xy), 2), np.int64)
        number = 0
        for seed in np.lexsort((self.misfit.sum(axis=1), -np.count_nonzero(self.steps >= 0, axis=1))).tolist():
            if part[seed] < 0 and (self.steps[seed] >= 0).any():
                rows = self._grown_from(seed, xy, closest, part, index)
                part[rows] = number if len(rows) >= _least_part(least) else -2
                number += len(rows) >= _least_part(least)
        return np.maximum(part, -1), index

    def _grown_from(self, seed: int, xy: Floats, closest: float, part: Ints, index: Ints) -> list[int]:
        """Rows reached from one, cells written into ``index``."""
        rows: list[int] = []
        seen: set[int] = set()
        taken: dict[tuple[int, int], list[int]] = {}
        heap: list[tuple[float, int, int, int]] = [(0.0, seed, 0, 0)]
        moves = STEPS.tolist()
        while heap:
            _, row, h, k = heappop(heap)
            if row in seen or part[row] != -1:
                continue
            there = taken.setdefault((h, k), [])
            if any(np.hypot(*(xy[row] - xy[other])) < closest for other in there):
                continue
            there.append(row)
            seen.add(row)
            rows.append(row)
            index[row] = h, k
            misfit = self.misfit[row].tolist()
            for direction, other in enumerate(self.steps[row].tolist()):
                if other >= 0 and other not in seen:
                    heappush(heap, (misfit[direction], other, h + moves[direction][0], k + moves[direction][1]))
        return rows


def _least_part(least: int) -> int:
    return max(4, least // 3)


def _joined(xy: Floats, nearest: float, vectors: Floats, allowed: npt.NDArray[np.bool_]) -> _Links:
    """Steps between allowed points that end near their ideal place; a point ends at most one step of a direction."""
    rows = np.flatnonzero(allowed)
    steps, misfit = np.full((len(xy), len(STEPS)), -1, np.int64), np.zeros((len(xy), len(STEPS)))
    tree = cKDTree(xy[rows])
    for direction, step in list(enumerate(STEPS))[::2]:
        vector = step @ vectors
        reach = min(_OF_STEP * float(np.hypot(*vector)), _OF_NEAREST * nearest)
        distance, to = tree.query(xy[rows] + vector, distance_upper_bound=reach)
        start = np.flatnonzero(np.isfinite(distance))
        start = start[np.argsort(distance[start], kind="stable")]
        start = start[np.unique(to[start], return_index=True)[1]]
        one, other = rows[start], rows[to[start]]
        steps[one, direction], misfit[one, direction] = other, distance[start]
        steps[other, direction + 1], misfit[other, direction + 1] = one, distance[start]
    return _Links(steps, misfit)


def _most_common(xy: Floats, links: _Links, vectors: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """The vectors that most points see round themselves, and which points see about these.

    Steps forgive an angle of 7 degrees each; the map of all steps round a point is far surer, so that crystals that
    are turned by less come apart.
    """
    ideal = STEPS @ vectors
    gradient = local_map(xy, np.arange(len(xy)), links.steps, ideal, np.ones_like(xy), order=1).gradient
    flat = gradient.reshape(-1, 4)
    known = np.flatnonzero(np.isfinite(flat).all(axis=1))
    if not len(known):
        return vectors, np.ones(len(xy), bool)
    # Noise of single points is averaged over their neighbours before the densest place is looked for.
    beside = np.where(np.isin(links.steps, known), links.steps, -1)
    sums = flat[known] + np.where(beside[known, :, None] >= 0, np.nan_to_num(flat)[beside[known]], 0).sum(axis=1)
    smooth = sums / (1 + np.count_nonzero(beside[known] >= 0, axis=1))[:, None]
    some = smooth[:: max(1, len(smooth) // _SAMPLED)]
    near = cKDTree(some)
    densest = some[int(np.argmax(near.query_ball_point(some, _ONE_GRAIN / 2, return_length=True)))]
    members = np.abs(smooth - densest).max(axis=1) < _ONE_GRAIN / 2
    map_ = np.median(smooth[members], axis=0)
    alike = np.zeros(len(xy), bool)
    alike[known] = np.abs(smooth - map_).max(axis=1) < _ONE_GRAIN
    # At borders columns have too few steps to say; a step to one that is alike speaks for them.
    unknown = ~np.isfinite(flat).all(axis=1)
    alike[unknown] = ((links.steps[unknown] >= 0) & alike[links.steps[unknown]]).any(axis=1)
    return reduced(vectors @ map_.reshape(2, 2).T), alike


def _with_displaced(motif: Motif, xy: Floats, nearest: float) -> Motif:
    """The motif with columns taken in that are farther from their place, where indexed neighbours agree on it."""
    taken = np.zeros(len(xy), bool)
    taken[motif.rows] = True
    free = np.flatnonzero(~taken)
    if not len(free):
        return motif
    tree = cKDTree(xy[free])
    votes: dict[tuple[int, int, int, int], int] = {}
    occupied = set(zip(*motif.index.T.tolist(), motif.site.tolist(), strict=True))
    for step in STEPS:
        vector = step @ motif.vectors
        reach = _LOOSE * min(_OF_STEP * float(np.hypot(*vector)), 0.5 * _OF_NEAREST * nearest)
        distance, to = tree.query(xy[motif.rows] + vector, distance_upper_bound=reach)
        for place in np.flatnonzero(np.isfinite(distance)):
            cell = tuple((motif.index[place] + step).tolist())
            key = (int(free[to[place]]), *cell, int(motif.site[place]))
            if key[1:] not in occupied:
                votes[key] = votes.get(key, 0) + 1
    rows, cells, sites = [], [], []
    used: set[int] = set()
    for (row, h, k, s), count in sorted(votes.items(), key=lambda item: -item[1]):
        if count >= 3 and row not in used and (h, k, s) not in occupied:
            used.add(row)
            occupied.add((h, k, s))
            rows.append(row)
            cells.append((h, k))
            sites.append(s)
    if not rows:
        return motif
    return Motif(
        np.concatenate([motif.rows, rows]), np.concatenate([motif.index, np.array(cells)]),
        np.concatenate([motif.site, sites]), motif.vectors, motif.sites,
    )  # fmt: skip


def _fitted(motif: Motif, xy: Floats, err: Floats, amplitude: Floats) -> _Part:
    """The grain of a motif: vectors and origins by weighted least squares, the brightest sublattice first."""
    bright = [_median(np.abs(amplitude[motif.rows[motif.site == s]])) for s in range(len(motif.sites))]
    counts = np.bincount(motif.site, minlength=len(motif.sites))
    order = np.lexsort((-counts, -np.array(bright)))
    site = np.argsort(order)[motif.site]
    shift = np.floor(motif.sites[order] - motif.sites[order][0] + 0.02).astype(np.int64)
    index = motif.index + shift[site]
    middle = np.rint(np.median(index, axis=0)).astype(np.int64)
    index = index - middle
    # The brightest sublattice alone makes the lattice: shifts of the others (polar domains) must not bend it.
    first = site == 0
    fit = fit_cells(xy[motif.rows[first]], err[motif.rows[first]], index[first], site[first])
    away = xy[motif.rows] - index @ fit.vectors
    origins = np.array([np.median(away[site == s], axis=0) for s in range(len(order))])
    sites = (origins - fit.origins[0]) @ np.linalg.inv(fit.vectors)
    sites[0] = 0
    whole = np.floor(sites + 0.02).astype(np.int64)
    grain = Grain(fit.vectors, fit.origins[0], sites - whole, fit.vectors_err, len(index))
    return _Part(motif.rows, index + whole[site], site.astype(np.int64), grain)


def _median(values: npt.NDArray[np.float64]) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else 0.0


def step_table(lattice: Lattice) -> Ints:
    """Rows (n, 8) of the columns one step away on the same sublattice: near the place, with the index of the place."""
    n = len(lattice)
    steps = np.full((n, len(STEPS)), -1, np.int64)
    for number, grain in enumerate(lattice.grains):
        for site in range(len(grain.sites)):
            rows = lattice.rows(number, site)
            if len(rows):
                steps[rows] = _steps_within(lattice, rows, grain.vectors_px)
    return steps


def _steps_within(lattice: Lattice, rows: Ints, vectors: Floats) -> Ints:
    """:func:`step_table` of one sublattice of one grain."""
    xy, index = lattice.xy[rows], lattice.index[rows]
    tree = cKDTree(xy)
    shortest = float(np.hypot(*vectors.T).min())
    steps = np.full((len(rows), len(STEPS)), -1, np.int64)
    for direction, step in enumerate(STEPS):
        vector = step @ vectors
        distance, to = tree.query(xy + vector, distance_upper_bound=_LOOSE * _OF_STEP * float(np.hypot(*vector)))
        start = np.flatnonzero(np.isfinite(distance) & (distance < 0.5 * shortest))
        # The index must agree but where a dislocation breaks it: there the nearest to the ideal place counts.
        agrees = np.abs(index[to[start]] - index[start] - step).max(axis=1) == 0
        start = start[agrees | (distance[start] < _OF_STEP * shortest)]
        steps[start, direction] = rows[to[start]]
    return steps
