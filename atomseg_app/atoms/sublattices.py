"""Sublattices: parts of a crystal that one lattice repeats, told apart by their offset and by their intensity.

Two columns of a cell that sit where a smaller cell would repeat (the two kinds of a perovskite along [001]) look like
one lattice to their positions; a superlattice is kept where intensities or positions alternate on it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree
from scipy.stats import f as f_distribution

from atomseg_app.atoms.translations import reduced

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

_MIXED = 0.5  # of the smaller part: columns within a cell of the other, for both to be of one crystal
_RARE = 0.05  # of the columns of the fullest sublattice
_SAME_SITE = 0.12  # fraction of a cell
_CHANCE = 1e-6
_BY_INTENSITY, _BY_POSITION, _BY_BLOCKS = 0.15, 0.3, 0.5
"""Share of the variance that a superlattice must explain: everywhere in the same sense, or in blocks of cells."""
_WORTH = 0.5  # of what a smaller cell leaves unexplained: as much a larger one must leave at most
_HALF_WINDOW = np.array([(h, k) for h in range(3) for k in range(-2, 3) if (h, k) > (0, 0)])
_LEAST_PAIRS = 2
_CLIP = 4.0
_BLOCK_CELLS, _ALL = 8, 1 << 20


@dataclass(frozen=True)
class Motif:
    """Columns of one crystal: ``rows`` (n,), cells ``index`` (n, 2), ``site`` (n,), vectors (2, 2), fractional
    positions ``sites`` (m, 2) of the sublattices, any integers added.
    """

    rows: Ints
    index: Ints
    site: Ints
    vectors: Floats
    sites: Floats


def motifs_of(xy: Floats, part: Ints, index: Ints, vectors: Floats) -> list[Motif]:
    """Crystals among connected parts (n,) of one lattice: parts that interpenetrate belong together.

    Offsets between parts are taken locally, from each column to the nearest of the other part, so that strain and
    rotation across the image do not blur them.
    """
    numbers = [int(p) for p in np.unique(part[part >= 0])]
    rows = {p: np.flatnonzero(part == p) for p in numbers}
    trees = {p: cKDTree(xy[rows[p]]) for p in numbers}
    cell = 1.2 * float(np.hypot(*vectors.T).max())
    links = []
    for i, p in enumerate(numbers):
        for j, q in enumerate(numbers):
            if len(rows[p]) < len(rows[q]) or p == q:
                continue
            near = np.isfinite(trees[p].query(xy[rows[q]], distance_upper_bound=cell)[0]).mean()
            if near >= _MIXED:
                links.append((i, j))
    ends = np.array(links, np.int64).reshape(-1, 2).T
    graph = coo_matrix((np.ones(len(links)), (ends[0], ends[1])), (len(numbers), len(numbers)))
    count, crystal = connected_components(graph, directed=False)
    return [
        _assembled(xy, [rows[p] for p, c in zip(numbers, crystal, strict=True) if c == k], index, vectors)
        for k in range(count)
    ]


def _assembled(xy: Floats, parts: list[Ints], index: Ints, vectors: Floats) -> Motif:
    """One crystal from its parts: their cells counted from the largest part, equal offsets made one sublattice."""
    parts = sorted(parts, key=len, reverse=True)
    base = parts[0]
    tree, inverse = cKDTree(xy[base]), np.linalg.inv(vectors)
    index = index.copy()
    site = np.full(len(xy), -1, np.int64)
    site[base] = 0
    sites = [np.zeros(2)]
    for rows in parts[1:]:
        near = base[tree.query(xy[rows])[1]]
        # Cells from the base's origin to each column of the part, along the way over the nearest base column.
        place = (xy[rows] - xy[near]) @ inverse + index[near] - index[rows]
        offset = np.median(place, axis=0)
        fraction = offset - np.floor(offset)
        whole = np.rint(offset - fraction).astype(np.int64)
        for known, other in enumerate(sites):
            if _apart(fraction - other, vectors) < _SAME_SITE:
                index[rows] += whole + np.rint(fraction - other).astype(np.int64)
                site[rows] = known
                break
        else:
            index[rows] += whole
            site[rows] = len(sites)
            sites.append(fraction)
    counts = np.bincount(site[site >= 0])
    rare = counts < _RARE * counts.max()  # scattered columns that happen to lie a lattice vector apart
    number = np.cumsum(~rare) - 1
    together = np.concatenate(parts)
    together = together[~rare[site[together]]]
    site, sites = np.where(site >= 0, number[site], -1), [s for s, r in zip(sites, rare, strict=True) if not r]
    return Motif(together, index[together], site[together], vectors, np.array(sites))


def primitive(motif: Motif) -> Motif:
    """The motif on the smallest cell that repeats its positions; sublattices that it maps on each other are one."""
    shifts = [shift for shift in motif.sites - motif.sites[0] if _maps_on_itself(motif.sites + shift, motif)]
    if len(shifts) < 2:
        return motif
    around = np.stack(np.meshgrid(*[np.arange(-2, 3)] * 2), axis=-1).reshape(-1, 2)
    points = (np.array(shifts)[:, None] + around).reshape(-1, 2) @ motif.vectors
    points = points[np.argsort(np.hypot(*points.T), kind="stable")][1:]
    area = abs(float(np.linalg.det(motif.vectors))) / len(shifts)
    spanned = np.abs(points[0, 0] * points[:, 1] - points[0, 1] * points[:, 0])
    vectors = reduced(np.stack([points[0], points[int(np.argmax(np.abs(spanned - area) < 0.3 * area))]]))
    if abs(abs(np.linalg.det(vectors)) - area) > 0.3 * area:
        return motif
    inverse = motif.vectors @ np.linalg.inv(vectors)
    places = motif.sites @ inverse
    sites: list[Floats] = []
    number = np.empty(len(places), np.int64)
    for old, place in enumerate(places):
        same = [k for k, other in enumerate(sites) if _apart(place - other, vectors) < _SAME_SITE]
        number[old] = same[0] if same else len(sites)
        if not same:
            sites.append(place - np.floor(place + 1e-6))
    site = number[motif.site]
    index = np.rint(motif.index @ inverse + places[motif.site] - np.array(sites)[site]).astype(np.int64)
    return replace(motif, index=index, site=site, vectors=vectors, sites=np.array(sites))


def _maps_on_itself(sites: Floats, motif: Motif) -> bool:
    return all(min(_apart(site - other, motif.vectors) for other in motif.sites) < _SAME_SITE for site in sites)


def _apart(fraction: Floats, vectors: Floats) -> float:
    """Distance of a fractional position from the nearest lattice point, in units of the shorter vector."""
    return float(np.hypot(*((fraction - np.rint(fraction)) @ vectors)) / np.hypot(*vectors.T).min())


def split_by_superlattice(motif: Motif, xy: Floats, amplitude: Floats) -> Motif:
    """The motif on the smallest larger cell on which intensities or positions alternate; as it is if on none."""
    contrasts = _contrasts(motif, amplitude)
    found = [_superlattice(motif, values, _BY_INTENSITY, _ALL) for values in contrasts]
    found += [_superlattice(motif, values, _BY_POSITION, _ALL) for values in _shifts(motif, xy)]
    if not any(found):  # across an interface the stronger columns may be the other ones
        found = [_superlattice(motif, values, _BY_BLOCKS, _BLOCK_CELLS, orders=(2,)) for values in contrasts]
    best = max((pair for pair in found if pair is not None), key=lambda pair: pair[0], default=None)
    return motif if best is None else on_superlattice(motif, best[1])


def _superlattice(
    motif: Motif, values: Floats, least: float, block_cells: int, orders: tuple[int, ...] = (2, 3, 4)
) -> tuple[int, Ints] | None:
    """Number of cells and matrix of the larger cell that explains at least that share of the variance of values."""
    found, left = None, 1 - least
    for order in orders:
        shares = [(_explained(values, motif, matrix, block_cells), matrix) for matrix in _cells_of(order)]
        share, matrix = max(shares, key=lambda pair: pair[0])
        if 1 - share < left:
            found, left = (order, matrix), _WORTH * (1 - share)
    return found


def _cells_of(order: int) -> list[Ints]:
    """All larger cells of that many cells, as matrices (2, 2) of Hermite's normal form."""
    return [
        np.array([[a, b], [0, order // a]]) for a in range(1, order + 1) if order % a == 0 for b in range(order // a)
    ]


def _coset(index: Ints, matrix: Ints) -> tuple[Ints, Ints]:
    """Cell (n, 2) on the larger lattice, and the remainder (n, 2) in the smaller."""
    (a, b), (_, d) = matrix.tolist()
    first = np.floor_divide(index[:, 0], a)
    h = index[:, 0] - first * a
    rest = index[:, 1] - first * b
    second = np.floor_divide(rest, d)
    return np.stack([first, second], axis=1), np.stack([h, rest - second * d], axis=1)


def on_superlattice(motif: Motif, matrix: Ints) -> Motif:
    """The same columns on larger cells ``matrix @ vectors``: as many sublattices for each one as cells go into it."""
    cell, rest = _coset(motif.index, matrix)
    big = matrix @ motif.vectors
    vectors = reduced(big)
    change = np.rint(big @ np.linalg.inv(vectors)).astype(np.int64)
    cosets, number = np.unique(np.concatenate([motif.site[:, None], rest], axis=1), axis=0, return_inverse=True)
    inverse = np.linalg.inv(vectors)
    sites = (motif.sites[cosets[:, 0]] + cosets[:, 1:]) @ motif.vectors @ inverse
    whole = np.floor(sites + 1e-6).astype(np.int64)
    site = number.reshape(-1)
    return replace(motif, index=cell @ change + whole[site], site=site, vectors=vectors, sites=sites - whole)


def _explained(values: Floats, motif: Motif, matrix: Ints, block_cells: int) -> float:
    """Share of the variance of values (n,) between the cosets of a larger cell, per sublattice; 0 if by chance.

    Counted in blocks of some cells, about the means of each.
    """
    known = np.isfinite(values)
    if np.count_nonzero(known) < 12:
        return 0.0
    order = round(float(np.linalg.det(matrix)))
    rest = _coset(motif.index, matrix)[1]
    block = np.floor_divide(motif.index[known], block_cells)
    block -= block.min(axis=0)
    site = (block[:, 0] * (block[:, 1].max() + 1) + block[:, 1]) * (motif.site.max() + 1) + motif.site[known]
    group = ((site * order + rest[known, 0]) * order) + rest[known, 1]
    values = values[known]
    within, total = _scatter(values, group), _scatter(values, site)
    classes, sites = np.count_nonzero(np.bincount(group)), np.count_nonzero(np.bincount(site))
    more, free = classes - sites, len(values) - classes
    if more < 1 or free < 4 or total <= 0:
        return 0.0
    ratio = (total - within) / more / max(within / free, 1e-300)
    if f_distribution.sf(ratio, more, free) > _CHANCE:
        return 0.0
    return 1 - within / free / (total / (len(values) - sites))


def _scatter(values: Floats, group: Ints) -> float:
    """Sum of squares about the means of the groups."""
    count = np.maximum(np.bincount(group), 1)
    return float(((values - (np.bincount(group, values) / count)[group]) ** 2).sum())


def _contrasts(motif: Motif, amplitude: Floats) -> list[Floats]:
    """Logarithm of the amplitude (n,) against the mean round it, a few outliers clipped."""
    with np.errstate(divide="ignore", invalid="ignore"):
        logarithm = np.log(np.abs(amplitude[motif.rows]))
    return [_clipped(_against_surroundings(logarithm, motif))] if np.isfinite(logarithm).any() else []


def _shifts(motif: Motif, xy: Floats) -> list[Floats]:
    """Displacements (n,) along x and y against the mean round each column."""
    away = xy[motif.rows] - motif.index @ motif.vectors
    return [_clipped(_against_surroundings(away[:, axis], motif)) for axis in range(2)]


def _clipped(values: Floats) -> Floats:
    known = values[np.isfinite(values)]
    if not len(known):
        return values
    spread = 1.4826 * np.median(np.abs(known - np.median(known)))
    return np.clip(values, -_CLIP * spread, _CLIP * spread)


def _against_surroundings(values: Floats, motif: Motif) -> Floats:
    """Values (n,) less their mean over the cells within two of each column, on the same sublattice.

    Cells count in opposite pairs, so that a slope (thickness, strain) leaves nothing; NaN where there are few.
    """
    result = np.full(len(values), np.nan)
    for site in np.unique(motif.site):
        rows = np.flatnonzero((motif.site == site) & np.isfinite(values))
        if not len(rows):
            continue
        low = motif.index[rows].min(axis=0) - 2
        grid, known = (np.zeros(tuple(np.ptp(motif.index[rows], axis=0) + 5)) for _ in range(2))
        place = motif.index[rows] - low
        grid[tuple(place.T)], known[tuple(place.T)] = values[rows], 1
        total, count = values[rows].copy(), np.ones(len(rows))
        for step in _HALF_WINDOW:
            one, other = tuple((place + step).T), tuple((place - step).T)
            both = known[one] * known[other]
            total += both * (grid[one] + grid[other])
            count += 2 * both
        enough = count >= 1 + 2 * _LEAST_PAIRS
        result[rows[enough]] = (values[rows] - total / count)[enough]
    return result
