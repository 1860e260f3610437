"""Crystals seen along a zone axis: the two-dimensional cell of atomic columns and what each column holds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from scipy.sparse.csgraph import connected_components

from atomseg_app.errors import UserError
from atomseg_app.simulate.crystals import Floats, Structure, UnitCell, expand, structures, symmetry_operations

Zone = tuple[int, int, int]

_ONE_COLUMN_PM = 1.0  # atoms whose projections are nearer than this are one column
_FARTHEST_CELL = 16  # cells searched along each axis for the shortest projected vectors
_MOST_ZONES = 4
_UNRESOLVED_PM = 50.0  # columns nearer than this are one in any image
_LEAST_SPACING_PM = 110.0  # mean distance of what remains, below which there is no image of columns

_USUAL: dict[str, tuple[Zone, ...]] = {
    "triclinic": ((0, 0, 1), (1, 0, 0), (0, 1, 0)),
    "monoclinic": ((0, 1, 0), (0, 0, 1), (1, 0, 0)),
    "orthorhombic": ((0, 0, 1), (1, 0, 0), (0, 1, 0), (1, 1, 0), (1, 0, 1), (0, 1, 1)),
    "tetragonal": ((0, 0, 1), (1, 0, 0), (1, 1, 0), (1, 1, 1)),
    "hexagonal": ((0, 0, 1), (1, 0, 0), (2, 1, 0)),
    "cubic": ((0, 0, 1), (0, 1, 1), (1, 1, 1), (0, 1, 2), (1, 1, 2)),
}


@dataclass(frozen=True)
class Projection:
    """A crystal seen along a zone axis.

    ``a_pm``, ``b_pm`` (2,) the reduced cell of the projection, a along +x and b with y > 0; ``x_pm``, ``y_pm`` (K,)
    columns in that cell; ``atoms`` (K,) tuples of (atomic number, atoms a repeat, occupancy counted); ``repeat_pm`` the
    period along the axis, for a sheet the height of its cell, which holds each atom once. With x right and y down the
    axis points along the beam, into the image.
    """

    structure: Structure
    zone: Zone
    a_pm: Floats
    b_pm: Floats
    x_pm: Floats
    y_pm: Floats
    atoms: tuple[tuple[tuple[int, float], ...], ...]
    repeat_pm: float

    @property
    def sheet(self) -> bool:
        """Whether it is a sheet of its own fixed number of layers."""
        return self.structure.sheet

    @property
    def area_pm2(self) -> float:
        """Area of the projected cell."""
        return float(abs(self.a_pm[0] * self.b_pm[1] - self.a_pm[1] * self.b_pm[0]))


@cache
def project(structure: Structure, zone: Zone) -> Projection:
    """The structure seen along [uvw] of its conventional cell. Raises ``UserError`` for [000]."""
    if not any(zone):
        raise UserError("A zone axis needs at least one index that is not zero, for example 0 0 1.")
    cell = expand(structure)
    frame, plane, repeat_pm = _projected_lattice(cell, zone)
    flat = cell.xyz @ cell.basis_pm @ frame.T  # (N, 2) pm
    at = flat @ np.linalg.inv(plane)
    apart = at[:, None] - at[None, :]
    apart -= np.round(apart)
    _, column = connected_components(np.linalg.norm(apart @ plane, axis=-1) < _ONE_COLUMN_PM, directed=False)
    positions, atoms = [], []
    for index in range(column.max() + 1):
        members = np.flatnonzero(column == index)
        centre = at[members[0]] - apart[members[0], members].mean(axis=0)
        positions.append(centre - np.floor(centre + 1e-6))
        numbers = cell.numbers[members]
        share = cell.occupancy[members] / len(cell.centrings)
        atoms.append(tuple((int(z), round(float(share[numbers == z].sum()), 9)) for z in np.unique(numbers)))
    x, y = (np.array(positions) @ plane).T
    return Projection(structure, zone, plane[0], plane[1], x, y, tuple(atoms), repeat_pm)


def _projected_lattice(cell: UnitCell, zone: Zone) -> tuple[Floats, Floats, float]:
    """Frame (2, 3) of the image's x and y, reduced cell (2, 2) rows a and b in it, and the repeat along the axis.

    The shortest projected lattice vectors span the projected lattice once area times repeat is the volume of the
    primitive cell; the search widens until it is.
    """
    axis = np.array(zone) @ cell.basis_pm
    axis /= np.linalg.norm(axis)
    primitive_pm3 = abs(np.linalg.det(cell.basis_pm)) / len(cell.centrings)
    for reach in range(max(map(abs, zone)) + 1, _FARTHEST_CELL):
        steps = np.arange(-reach, reach + 1)
        corners = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 1, 3)
        vectors = (corners + cell.centrings).reshape(-1, 3) @ cell.basis_pm
        along = vectors @ axis
        across = vectors - along[:, None] * axis
        length = np.linalg.norm(across, axis=1)
        repeat_pm = float(np.abs(along[(length < 1e-3) & (np.abs(along) > 1)]).min())
        # Of equally short vectors the first in a fixed order, so that the same crystal always lies the same way.
        order = np.lexsort((*np.round(-across.T, 3), np.round(length, 3)))
        order = order[length[order] > 1]
        first = across[order[0]]
        x = first / length[order[0]]
        y = np.cross(axis, x)
        height = across[order] @ y
        second = across[order[np.flatnonzero(height > 1e-3 * length[order])[0]]]
        frame = np.stack([x, y])
        plane = np.stack([first, second]) @ frame.T
        if abs(np.linalg.det(plane) * repeat_pm / primitive_pm3 - 1) < 1e-6:
            return frame, plane, repeat_pm
    raise UserError(f"The cell is too oblique to be seen along {list(zone)}; give its reduced cell.")


def crystal_system(structure: Structure) -> str:
    """Crystal system, for its usual axes: trigonal groups count as hexagonal or, on rhombohedral axes, as cubic."""
    number = structure.space_group
    if 143 <= number <= 194 and abs(structure.cell[5] - 120) > 0.01:
        return "cubic"
    for last, system in ((2, "triclinic"), (15, "monoclinic"), (74, "orthorhombic"), (142, "tetragonal")):
        if number <= last:
            return system
    return "hexagonal" if number <= 194 else "cubic"


def zones(structure: Structure) -> tuple[Zone, ...]:
    """Usual low-index axes that are not equivalent and along which columns can be told apart, four at most."""
    if structure.sheet:
        return ((0, 0, 1),)
    if structure.zones:
        return structure.zones
    turns = np.unique(symmetry_operations(structure.operations)[0].astype(int), axis=0)
    found: list[Zone] = []
    seen: set[Zone] = set()
    for zone in _USUAL[crystal_system(structure)]:
        if zone in seen or len(found) == _MOST_ZONES:
            continue
        images = turns @ np.array(zone)
        seen |= {(u, v, w) for u, v, w in (*images.tolist(), *(-images).tolist())}
        if resolvable(project(structure, zone)):
            found.append(zone)
    return tuple(found)


def resolvable(projection: Projection) -> bool:
    """Whether columns, those nearer than 50 pm taken as one, are 110 pm apart or more on average."""
    plane = np.stack([projection.a_pm, projection.b_pm])
    at = np.stack([projection.x_pm, projection.y_pm], axis=1) @ np.linalg.inv(plane)
    apart = at[:, None] - at[None, :]
    apart -= np.round(apart)
    groups, _ = connected_components(np.linalg.norm(apart @ plane, axis=-1) < _UNRESOLVED_PM, directed=False)
    return bool(np.sqrt(projection.area_pm2 / groups) >= _LEAST_SPACING_PM)


@cache
def library(held_out: bool | None = None) -> tuple[Projection, ...]:
    """Projections of the bundled structures along their usual axes: all, or only those held out, or only the others."""
    wanted = [one for one in structures() if held_out is None or one.held_out == held_out]
    return tuple(project(one, zone) for one in wanted for zone in zones(one))
