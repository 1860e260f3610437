"""Places of a lattice where no column was found, and which places lie inside a crystal rather than at its rim."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from atomseg_app.atoms.lattice import STEPS, Floats, Ints, Lattice

Bools = npt.NDArray[np.bool_]

_SAME_PLACE = 0.3  # of the shorter lattice vector: predictions of one site
_TAKEN = 0.35  # of the nearest-neighbour distance: a column so near stands for the site, displaced
_LEAST_WITNESSES = 3  # columns one step away that miss a neighbour at the site
_ROUND = 1.5  # longer lattice vectors, round a place, in which its surroundings are looked at
_HALF_TURN_DEG = 200.0
WIDEST_GAP_DEG = 140.0  # without a column, seen from inside a crystal; from a straight facet it is 180


@dataclass(frozen=True, eq=False)
class VacantSites:
    """Arrays (m,): positions (m, 2) in square pixels and their errors (m, 2), grain, sublattice."""

    xy: Floats
    err: Floats
    grain: Ints
    site: Ints

    def __len__(self) -> int:
        return len(self.grain)

    def take(self, index: npt.ArrayLike) -> VacantSites:
        """Sites at an index or mask."""
        i = np.asarray(index)
        return VacantSites(self.xy[i], self.err[i], self.grain[i], self.site[i])


def vacant_sites(lattice: Lattice, shape: tuple[float, float], margin: float) -> VacantSites:
    """Sites inside the crystals, ``margin`` from the border of an image of ``shape`` (y, x) in square pixels, at which
    at least three neighbours of the same sublattice miss a column.

    Each neighbour says where it should be by its lattice vectors, so that bending and dislocations do no harm.
    """
    sites = _everywhere(lattice, _LEAST_WITNESSES)
    if not len(sites):
        return sites
    x, y = sites.xy.T
    deep = (x >= margin) & (y >= margin) & (x <= shape[1] - 1 - margin) & (y <= shape[0] - 1 - margin)
    sites = sites.take(deep)
    sites = sites.take(_free(lattice, sites.xy)) if len(sites) else sites
    return sites.take(enclosed(lattice, sites.xy, sites.grain, shape, in_rows=True))


def sites_beyond(lattice: Lattice, shape: tuple[float, float], reach: float, inside: float) -> VacantSites:
    """Sites outside an image of ``shape`` (y, x) in square pixels but not farther than ``reach``, of which at least one
    neighbour is a column; sites ``inside`` the border by less that no column was found at are among them, because half
    a column is easily missed.
    """
    sites = _everywhere(lattice, 1)
    if not len(sites):
        return sites
    x, y = sites.xy.T
    depth = np.minimum(np.minimum(x, shape[1] - 1 - x), np.minimum(y, shape[0] - 1 - y))
    sites = sites.take((depth < inside) & (depth > -reach))
    return sites.take(_free(lattice, sites.xy)) if len(sites) else sites


def _everywhere(lattice: Lattice, witnesses: int) -> VacantSites:
    """Sites that at least so many neighbours miss a column at, in all sublattices of all grains."""
    parts = [
        _of_sublattice(lattice, number, site, witnesses)
        for number, grain in enumerate(lattice.grains)
        for site in range(len(grain.sites))
    ]
    parts.append(VacantSites(np.zeros((0, 2)), np.zeros((0, 2)), np.zeros(0, np.int64), np.zeros(0, np.int64)))
    return VacantSites(*(np.concatenate([getattr(p, name) for p in parts]) for name in ("xy", "err", "grain", "site")))


def _free(lattice: Lattice, xy: Floats) -> Bools:
    """Whether no column stands at places (m, 2), not even displaced."""
    usual = float(np.median(cKDTree(lattice.xy).query(lattice.xy, 2)[0][:, 1]))
    return np.asarray(cKDTree(lattice.xy).query(xy)[0] > _TAKEN * usual)


def _of_sublattice(lattice: Lattice, number: int, site: int, least: int) -> VacantSites:
    """Sites of one sublattice that at least so many of its columns miss, wherever they lie."""
    rows = lattice.rows(number, site)
    vectors = lattice.grains[number].vectors_px
    start, direction = np.nonzero(lattice.steps[rows] < 0)
    said = lattice.xy[rows[start]] + STEPS[direction] @ vectors
    if not len(said):
        return VacantSites(said, said, np.zeros(0, np.int64), np.zeros(0, np.int64))
    pairs = cKDTree(said).query_pairs(_SAME_PLACE * float(np.hypot(*vectors.T).min()), output_type="ndarray")
    graph = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), (len(said),) * 2)
    count, place = connected_components(graph, directed=False)
    witnesses = np.bincount(place, minlength=count)
    xy = np.stack([np.bincount(place, said[:, axis], count) for axis in (0, 1)], axis=1) / witnesses[:, None]
    square = np.stack([np.bincount(place, (said[:, axis] - xy[place, axis]) ** 2, count) for axis in (0, 1)], axis=1)
    err = np.sqrt(square / np.maximum(witnesses - 1, 1)[:, None] / witnesses[:, None])
    asked = witnesses >= least
    many = int(asked.sum())
    return VacantSites(xy[asked], err[asked], np.full(many, number), np.full(many, site))


def enclosed(lattice: Lattice, xy: Floats, grain: Ints, shape: tuple[float, float], *, in_rows: bool = False) -> Bools:
    """Whether places (m, 2) have columns of their grain (m,) all round, but where the image ends.

    ``shape`` (y, x) in square pixels. A gap that points out of the image within a lattice vector counts as filled;
    with ``in_rows`` only if there are columns on both sides of it, as in a row along the border: a facet near the
    border has none there.
    """
    result = np.zeros(len(xy), bool)
    for number in np.unique(grain[grain >= 0]):
        longer = float(np.hypot(*lattice.grains[number].vectors_px.T).max())
        columns = lattice.xy[lattice.rows(int(number))]
        tree = cKDTree(columns)
        for place in np.flatnonzero(grain == number):
            near = columns[tree.query_ball_point(xy[place], _ROUND * longer)] - xy[place]
            near = near[np.hypot(*near.T) > 1e-6 * longer]
            if len(near) > 2:
                angle = np.arctan2(near[:, 1], near[:, 0])
                closed = _closed_in_rows if in_rows else _closed
                result[place] = closed(xy[place], angle, longer, shape)
    return result


def _closed(place: Floats, angle: Floats, reach: float, shape: tuple[float, float]) -> bool:
    """Whether directions (k,) to columns, and those that leave the image, are without a wide gap round a place (2,)."""
    rim = np.linspace(-np.pi, np.pi, 72, endpoint=False)
    gaps, _ = _gaps(np.concatenate([angle, rim[_outside(place, rim, reach, shape)]]))
    return bool(gaps.max() < np.deg2rad(WIDEST_GAP_DEG))


def _closed_in_rows(place: Floats, angle: Floats, reach: float, shape: tuple[float, float]) -> bool:
    """Whether directions (k,) to columns leave no wide gap but one, of a half turn, that leaves the image."""
    gaps, middle = _gaps(angle)
    wide = gaps >= np.deg2rad(WIDEST_GAP_DEG)
    half = gaps[wide] < np.deg2rad(_HALF_TURN_DEG)
    return bool((half & _outside(place, middle[wide], reach, shape)).all())


def _gaps(angle: Floats) -> tuple[Floats, Floats]:
    """Gaps between directions (k,) in order, and the direction of their middle."""
    angle = np.sort(angle)
    gaps = np.diff(np.append(angle, angle[0] + 2 * np.pi))
    return gaps, angle + gaps / 2


def _outside(place: Floats, angle: Floats, reach: float, shape: tuple[float, float]) -> Bools:
    """Whether points at a distance from a place (2,), in directions (k,), lie outside the image."""
    at = place + reach * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return np.asarray((at < 0).any(axis=1) | (at[:, 0] > shape[1] - 1) | (at[:, 1] > shape[0] - 1))
