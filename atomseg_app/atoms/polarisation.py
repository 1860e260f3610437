"""Polar displacement: how far a column lies from the centre of the cage that its neighbours of another kind make.

In a perovskite along [001] the B column against the four A columns round it. The cage is taken as the lattice has it,
so a missing corner is no shift: the centre is the mean of the corners less the mean of their ideal places about the
column. Errors follow from those of the column and of the corners.
"""

from __future__ import annotations

import numpy as np

from atomseg_app.atoms import weighted
from atomseg_app.atoms.lattice import Floats, Grain, Ints, Lattice, aspect
from atomseg_app.atoms.physics_operations import MeasurePolarisation
from atomseg_app.atoms.strain import lattice_for
from atomseg_app.data import Columns, with_quantities
from atomseg_app.errors import UserError
from atomseg_app.operations import Report

_SAME_SHELL = 1.15  # neighbours up to this much farther than the nearest are of one cage
_LEAST_SPAN = 0.2  # ratio of the axes of the corners that are there


def measure_polarisation(columns: Columns, parameters: MeasurePolarisation, report: Report) -> Columns:
    """Columns with ``polar_x_px``, ``polar_y_px`` and errors, ``polar_px`` and its direction; NaN on other sublattices.

    Raises UserError where there are no two sublattices, or not those asked for.
    """
    columns, lattice = lattice_for(columns, report)
    shift, error = np.full((len(columns), 2), np.nan), np.full((len(columns), 2), np.nan)
    measured = 0
    for number, grain in enumerate(lattice.grains):
        sites = len(grain.sites)
        inner = 1 if parameters.sublattice is None else parameters.sublattice
        cage = 0 if parameters.cage is None else parameters.cage
        if max(inner, cage) < sites and inner != cage:
            rows = lattice.rows(number, inner)
            shift[rows], error[rows] = cage_shift(lattice, number, inner, cage)
            measured += 1
    if not measured:
        most = max(len(grain.sites) for grain in lattice.grains)
        raise UserError(
            f"{columns.source.name}: no crystal has both sublattices asked for ({most} found at most, numbered from "
            "0); a polar shift needs two different ones."
        )
    shift, error = shift / aspect(columns), error / aspect(columns)
    length = np.hypot(*shift.T)
    with np.errstate(invalid="ignore", divide="ignore"):
        length_error = np.sqrt(((shift * error) ** 2).sum(axis=1)) / length
        direction = np.degrees(np.arctan2(shift[:, 1], shift[:, 0]))
    return with_quantities(
        columns,
        {
            "polar_x_px": shift[:, 0], "polar_y_px": shift[:, 1],
            "polar_x_err_px": error[:, 0], "polar_y_err_px": error[:, 1],
            "polar_px": length, "polar_err_px": length_error, "polar_direction_deg": direction,
        },
    )  # fmt: skip


def corners_of(grain: Grain, inner: int, cage: int) -> Ints:
    """Cells (m, 2) of the corners round a column in cell (0, 0): the nearest shell of the other sublattice.

    The shell is that of the most even places: taken as if the column were in the middle of it.
    """
    span = np.arange(-2, 3)
    cells = np.stack(np.meshgrid(span, span), axis=-1).reshape(-1, 2)
    ways = (cells + grain.sites[cage] - grain.sites[inner]) @ grain.vectors_px
    length = np.hypot(*ways.T)
    near = length < _SAME_SHELL * length.min()
    if np.count_nonzero(near) < 3 or np.linalg.matrix_rank(ways[near], tol=_LEAST_SPAN * length.min()) < 2:
        near = length < 1.6 * length.min()
    return np.asarray(cells[near])


def cage_shift(lattice: Lattice, number: int, inner: int, cage: int) -> tuple[Floats, Floats]:
    """Shift (k, 2) of the columns of a sublattice from the centre of their cages, and its error (k, 2); square px."""
    grain, rows = lattice.grains[number], lattice.rows(number, inner)
    corners = corners_of(grain, inner, cage)
    place = {tuple(cell): row for row in lattice.rows(number, cage).tolist() for cell in [lattice.index[row].tolist()]}
    around = np.array(
        [[place.get((h + dh, k + dk), -1) for dh, dk in corners.tolist()] for h, k in lattice.index[rows].tolist()]
    ).reshape(len(rows), len(corners))
    there = around >= 0
    count = np.maximum(there.sum(axis=1), 1)[:, None]
    # Ideal ways from the centre of a whole cage to its corners: what is left of them is zero but for missing corners.
    ways = corners @ grain.vectors_px
    ways = ways - ways.mean(axis=0)
    centre = (np.where(there[..., None], lattice.xy[around] - ways, 0)).sum(axis=1) / count
    known = np.isfinite(lattice.err).any()
    variance = weighted.usable_errors(lattice.err) ** 2 if known else np.full_like(lattice.err, np.nan)
    spread = variance[rows] + np.where(there[..., None], variance[around], 0).sum(axis=1) / count**2
    far = np.hypot(*(lattice.xy[rows] - centre).T) > 0.5 * np.hypot(*grain.vectors_px.T).min()
    good = (there.sum(axis=1) >= max(2, len(corners) // 2 + 1)) & ~far
    shift = np.where(good[:, None], lattice.xy[rows] - centre, np.nan)
    return shift, np.where(good[:, None], np.sqrt(spread), np.nan)
