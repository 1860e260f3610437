"""Sublattices from a known crystal: which column of its projection each column of a grain is.

The projected cell is laid over the fitted lattice in every way that its lengths and angle allow, shifted so that one
sublattice meets one column of the crystal; of the ways that place every sublattice, the one whose intensities follow
the scattering of the columns (sum of Z^1.7: Pennycook & Boatner, Nature 336, 565, 1988) is taken.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np

from atomseg_app.atoms.grains import step_table
from atomseg_app.atoms.lattice import Floats, Grain, Ints, with_lattice
from atomseg_app.atoms.physics_operations import AssignSublattices
from atomseg_app.atoms.strain import lattice_for
from atomseg_app.data import Columns
from atomseg_app.errors import UserError
from atomseg_app.operations import Report
from atomseg_app.simulate.crystals import Structure, element, structures
from atomseg_app.simulate.projection import Projection, project

_MISFIT = 0.06  # relative, of lengths and of the angle's cosine
_NEAR = 0.17  # of the shorter vector of the projected cell
_POWER = 1.7
_LARGEST = 3  # cells along each fitted vector that the projected cell may span


def assign_sublattices(columns: Columns, parameters: AssignSublattices, report: Report) -> Columns:
    """Columns whose sublattices are those of the crystal's projection, the strongest 0; their elements in the metadata.

    Raises UserError for an unknown crystal, and where it fits no grain.
    """
    columns, lattice = lattice_for(columns, report)
    projection = project(_structure(parameters.crystal), parameters.zone)
    size = columns.pixel_size_nm[1]
    strength = np.array([sum(count * z**_POWER for z, count in atoms) for atoms in projection.atoms])
    order = np.argsort(-strength, kind="stable")
    grains, index, site = list(lattice.grains), lattice.index.copy(), lattice.site.copy()
    fitted = 0
    for number, grain in enumerate(lattice.grains):
        rows = lattice.rows(number)
        amplitude = np.abs(columns.table["amplitude"][rows])
        found = _overlay(grain, lattice.index[rows], lattice.site[rows], amplitude, projection, strength, size)
        if found is None:
            report.note(f"Grain {number} is not this crystal along this axis; its sublattices stay as they are.")
            continue
        cell, which, vectors, origin = found
        fractions = _fractions(projection)[order]
        start = origin + fractions[0] @ vectors
        grains[number] = replace(grain, vectors_px=vectors, sites=fractions - fractions[0], origin_px=start)
        index[rows], site[rows] = cell, np.argsort(order)[which]
        fitted += 1
    if not fitted:
        raise UserError(
            f"{columns.source.name}: no grain fits {projection.structure} along {parameters.zone}; "
            "check the axis, the pixel size and the columns found."
        )
    assigned = replace(lattice, index=index, site=site, grains=tuple(grains))
    result = with_lattice(columns, replace(assigned, steps=step_table(assigned)))
    names = ["+".join(element(z) for z, _ in projection.atoms[place]) for place in order]
    return replace(result, metadata={**result.metadata, "sublattices": names})


def _structure(name: str) -> Structure:
    if name.lower().endswith(".cif"):
        from atomseg_app.simulate.cif import read_cif

        return read_cif(Path(name))
    known = {str(structure): structure for structure in structures()}
    if name not in known:
        raise UserError(f"There is no crystal {name!r}; give a CIF file, or one of: {', '.join(sorted(known))}.")
    return known[name]


def _fractions(projection: Projection) -> Floats:
    """Fractional positions (k, 2) of the projected columns."""
    places = np.stack([projection.x_pm, projection.y_pm], axis=1)
    return np.asarray(places @ np.linalg.inv(np.stack([projection.a_pm, projection.b_pm])))


def _overlay(
    grain: Grain,
    index: Ints,
    site: Ints,
    amplitude: Floats,
    projection: Projection,
    strength: Floats,
    size: float | None,
) -> tuple[Ints, Ints, Floats, Floats] | None:
    """Cells (n, 2), projected column (n,), vectors and origin of the best way to lay the crystal over a grain."""
    plane = np.stack([projection.a_pm, projection.b_pm])
    fractions = _fractions(projection)
    level = np.log(strength)
    best: tuple[float, tuple[Ints, Ints, Floats, Floats]] | None = None
    for matrix in _cells(grain.vectors_px, plane, size):
        vectors = matrix @ grain.vectors_px
        place = (index + grain.sites[site]) @ np.linalg.inv(matrix)
        group = _groups(place, vectors)
        heads = np.array([place[group == g][0] for g in range(group.max() + 1)])
        bright = np.log([max(float(np.median(amplitude[group == g])), 1e-300) for g in range(len(heads))])
        for start in range(len(fractions)):
            apart = heads[:, None] - heads[0] + fractions[start] - fractions[None]
            whole = np.rint(apart)
            distance = np.hypot(*np.moveaxis((apart - whole) @ vectors, -1, 0)) / np.hypot(*vectors.T).min()
            which = np.argmin(distance, axis=1)
            if distance.min(axis=1).max() > _NEAR or len(set(which.tolist())) < len(which):
                continue
            score = -float(np.var(bright - level[which])) + 1e-3 * float(level[which].mean())
            score -= float(distance.min(axis=1).mean())
            if best is None or score > best[0] + 1e-9:
                cell = np.rint(place - heads[0] + fractions[start] - fractions[which[group]]).astype(np.int64)
                origin = grain.origin_px + (heads[0] - fractions[start]) @ vectors
                best = score, (cell, which[group], vectors, origin)
    return None if best is None else best[1]


def _cells(vectors: Floats, plane: Floats, size: float | None) -> list[Ints]:
    """Integer matrices (2, 2) to cells of the shape asked for, and of its size where the pixel size is known."""
    wanted = plane @ plane.T
    found = []
    span = range(-_LARGEST, _LARGEST + 1)
    for entries in product(span, repeat=4):
        matrix = np.array(entries).reshape(2, 2)
        if matrix[0, 0] * matrix[1, 1] == matrix[0, 1] * matrix[1, 0]:
            continue
        cell = matrix @ vectors
        have = cell @ cell.T
        scale = np.sqrt(np.linalg.det(wanted) / np.linalg.det(have)) if size is None else (size * 1000) ** 2
        lengths = np.sqrt(np.diag(wanted))
        if np.abs((have * scale - wanted) / np.outer(lengths, lengths)).max() < 2 * _MISFIT:
            found.append(matrix)
    if size is None and found:
        least = min(abs(np.linalg.det(matrix)) for matrix in found)
        found = [matrix for matrix in found if abs(np.linalg.det(matrix)) < least + 0.5] + [
            matrix for matrix in found if abs(np.linalg.det(matrix)) >= least + 0.5
        ]
    return found


def _groups(place: Floats, vectors: Floats) -> Ints:
    """Number (n,) of the place in the cell that each position has."""
    rest = place - np.floor(place + 1e-3)
    rounded = np.rint(rest * 720).astype(np.int64)
    return np.asarray(np.unique(rounded, axis=0, return_inverse=True)[1]).reshape(-1)
