"""Dislocation cores by Burgers circuits, and grain boundaries by neighbours of another grain.

Every edge of the Delaunay triangulation of one sublattice is a lattice step, whole in units of the grain's vectors.
Round a triangle of perfect crystal the steps add up to nothing; round a core they add up to its Burgers vector. The sum
does not depend on which diagonal of a square the triangulation took, so unlike counting neighbours (five and seven) it
holds for every lattice. Triangles that do not close and touch each other are one core: a column out of place opens
several, whose sum is nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import Delaunay, QhullError, cKDTree

from atomseg_app.atoms.lattice import Floats, Grain, Ints, Lattice

Bools = npt.NDArray[np.bool_]

_LONGEST = 2.3  # lattice vectors: an edge longer than this bridges a hole
_BESIDE = 1.3  # longer lattice vectors: a column of another grain so near makes a boundary
_LEAST_COLUMNS = 12


@dataclass(frozen=True)
class Dislocation:
    """A core: position (x, y) in square pixels, grain, Burgers vector (h, k) in lattice vectors, rows of its columns.

    ``margin`` is how far the least certain step of the circuit is from being another one, in standard deviations.
    """

    xy: tuple[float, float]
    grain: int
    burgers: tuple[int, int]
    rows: tuple[int, ...]
    margin: float


def dislocations(lattice: Lattice) -> list[Dislocation]:
    """Cores in every grain, on its brightest sublattice, whose circuits lie inside the grain."""
    found: list[Dislocation] = []
    for number, grain in enumerate(lattice.grains):
        rows = lattice.rows(number, 0)
        if len(rows) >= _LEAST_COLUMNS:
            found += _in_grain(lattice.xy[rows], rows, grain, number)
    return found


def _in_grain(xy: Floats, rows: Ints, grain: Grain, number: int) -> list[Dislocation]:
    try:
        mesh = Delaunay(xy)
    except QhullError:  # all on one line
        return []
    triangle = mesh.simplices
    turn = np.cross(xy[triangle[:, 1]] - xy[triangle[:, 0]], xy[triangle[:, 2]] - xy[triangle[:, 0]])
    triangle = np.where((turn > 0)[:, None], triangle, triangle[:, ::-1])
    edge = xy[np.roll(triangle, -1, axis=1)] - xy[triangle]  # (t, 3, 2)
    place = edge @ np.linalg.inv(grain.vectors_px)
    step = np.rint(place).astype(np.int64)
    sound = (np.hypot(*np.moveaxis(edge, -1, 0)) < _LONGEST * np.hypot(*grain.vectors_px.T).max()).all(axis=1)
    open_sum = step.sum(axis=1)
    is_open = np.flatnonzero(sound & np.abs(open_sum).any(axis=1))
    if not len(is_open):
        return []
    off = np.abs(place - step)
    scatter = 1.4826 * float(np.median(off[sound])) + 1e-9
    found = []
    for members in _clusters(triangle, is_open):
        burgers = open_sum[members].sum(axis=0)
        around = _around(mesh, triangle, members, sound)
        if around is None or not burgers.any():
            continue
        margin = (0.5 - float(off[around].max())) / scatter
        corners = np.unique(triangle[members])
        x, y = xy[corners].mean(axis=0)
        found.append(
            Dislocation(
                (float(x), float(y)), number, (int(burgers[0]), int(burgers[1])), tuple(rows[corners].tolist()), margin
            )
        )
    return found


def _clusters(triangle: Ints, chosen: Ints) -> list[Ints]:
    """Chosen triangles in groups that share corners."""
    corners = triangle[chosen]
    node = np.unique(corners, return_inverse=True)[1].reshape(corners.shape) + len(chosen)
    start = np.repeat(np.arange(len(chosen)), 3)
    size = len(chosen) + int(node.max()) - len(chosen) + 1
    graph = coo_matrix((np.ones(start.size), (start, node.ravel())), (size, size))
    label = connected_components(graph, directed=False)[1][: len(chosen)]
    return [chosen[label == group] for group in np.unique(label)]


def _around(mesh: Delaunay, triangle: Ints, members: Ints, sound: Bools) -> Ints | None:
    """Closed triangles that touch a group of open ones; None where the group reaches the rim of the grain."""
    corners = np.unique(triangle[members])
    touching = np.flatnonzero(np.isin(triangle, corners).any(axis=1))
    if not sound[touching].all() or np.isin(mesh.convex_hull, corners).any():
        return None
    return np.setdiff1d(touching, members)


def boundary_columns(lattice: Lattice) -> tuple[Bools, Ints]:
    """Columns (n,) with a column of another grain beside them, and which grain (n,), -1 where none."""
    other = np.full(len(lattice), -1, np.int64)
    inside = np.flatnonzero(lattice.grain >= 0)
    if len(lattice.grains) < 2:
        return other >= 0, other
    for number, grain in enumerate(lattice.grains):
        rows, foreign = lattice.rows(number), inside[lattice.grain[inside] != number]
        reach = _BESIDE * float(np.hypot(*grain.vectors_px.T).max())
        if len(foreign) and len(rows):
            distance, to = cKDTree(lattice.xy[foreign]).query(lattice.xy[rows], distance_upper_bound=reach)
            near = np.isfinite(distance)
            other[rows[near]] = lattice.grain[foreign[to[near]]]
    return other >= 0, other
