"""Number of atoms in every column, from the intensities alone or against a simulated library.

Intensities of columns of equal thickness scatter round one value, so their distribution is a mixture whose components
are numbers of atoms (Van Aert et al., Nature 470, 374, 2011). How many there are is where the integrated classification
likelihood is least; where it has no clear minimum that is said, for then the counts are no measurement.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from atomseg_app.atoms.defect_operations import CountAtoms
from atomseg_app.atoms.mixture import Mixture, fit_mixture, mixtures
from atomseg_app.atoms.thickness_library import read_library
from atomseg_app.data import FLAG_EDGE, FLAG_VACANT, Array, Columns, with_quantities
from atomseg_app.errors import UserError
from atomseg_app.operations import Report

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

CLEAR = 6.0  # of the criterion, a Bayes factor of 20: less between two minima leaves both possible
_BEYOND = 4  # numbers of components past which a minimum is believed to be the least
_LEAST_COLUMNS = 5


@dataclass(frozen=True, eq=False)
class Counts:
    """Atoms (n,) in columns with their probability (n,), the mixture, the criterion (g,) of each number of components
    and the other numbers of components that it does not exclude.
    """

    atoms: Ints
    probability: Floats
    mixture: Mixture
    of_component: Ints
    criterion: Floats
    rivals: tuple[int, ...]


def count_atoms(columns: Columns, parameters: CountAtoms, report: Report) -> Columns:
    """Columns with ``atoms`` and ``atoms_probability``, NaN for columns cut by the border; means, widths and the
    criterion in the metadata. Raises UserError for an unknown quantity or fewer than five columns.
    """
    table = columns.table
    values, asked = _values(table, parameters.quantity)
    if parameters.library:
        atoms, library = read_library(parameters.library)
        counts = counted_by_library(values[asked] * parameters.library_scale, atoms, library)
        _say_library(counts, library, report)
    else:
        most = min(parameters.most_components, int(asked.sum()) // 2)
        counts = counted(
            values[asked],
            most,
            growing=parameters.width == "growing",
            components=parameters.components,
            first_atoms=parameters.first_atoms,
            report=report,
        )
        _say(counts, parameters, report)
    result, sure = np.full(len(table), np.nan), np.full(len(table), np.nan)
    result[asked], sure[asked] = counts.atoms, counts.probability
    found = with_quantities(columns, {"atoms": result, "atoms_probability": sure})
    report.progress(1.0, f"{int(np.nansum(result))} atoms in {int(asked.sum())} columns")
    return replace(found, metadata={**columns.metadata, "atom_counts": _summary(counts)})


def _values(table: Array, quantity: str) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Intensities (n,) of that name and which rows count."""
    names = [name for name in table.dtype.names or () if table.dtype[name].kind == "f"]
    if quantity not in names:
        raise UserError(
            f"The table has no intensity {quantity!r}; measure intensities first, or use one of its fields."
        )
    values = table[quantity].astype(np.float64)
    asked = np.isfinite(values) & (table["flag"] != FLAG_EDGE) & (table["flag"] != FLAG_VACANT)
    if asked.sum() < _LEAST_COLUMNS:
        raise UserError(
            f"Atoms are counted from the distribution of intensities, but only {int(asked.sum())} columns that the "
            "border does not cut have one; find more columns."
        )
    return values, asked


def counted(
    values: Floats,
    most: int,
    *,
    growing: bool = False,
    components: int | None = None,
    first_atoms: int | None = None,
    report: Report | None = None,
) -> Counts:
    """Counts from intensities (n,) alone. Each component is one atom more than the one below, but where a gap between
    two is as wide as two or more of its neighbours.
    """
    scale = float(np.median(np.abs(values))) or 1.0
    tried = mixtures(values / scale, most, growing=growing)
    if report is not None:
        report.progress(0.9, f"{most} numbers of components tried")
    criterion = np.array([mixture.icl for mixture in tried])
    chosen = int(np.argmin(criterion)) + 1 if components is None else min(components, most)
    best = tried[chosen - 1]
    mixture = replace(best, means=best.means * scale, widths=best.widths * scale)
    number = _numbers(mixture.means, first_atoms)
    component = mixture.belongs.argmax(axis=1)
    return Counts(
        number[component], mixture.belongs.max(axis=1), mixture, number, criterion, _rivals(criterion, chosen, most)
    )


def _numbers(means: Floats, first: int | None) -> Ints:
    """Atoms of each component (g,), ascending."""
    if len(means) < 2:
        return np.array([first or 1])
    gap = np.diff(means)
    usual = np.array([np.median(np.delete(gap, i)[max(0, i - 3) : i + 3]) if len(gap) > 2 else gap[i]
                      for i in range(len(gap))])  # fmt: skip
    steps = np.maximum(np.rint(gap / np.maximum(usual, 1e-300)), 1).astype(np.int64)
    if first is None:
        first = max(1, round(float(means[0] / np.median(gap / steps))))
    return first + np.concatenate([[0], np.cumsum(steps)])


def _rivals(criterion: Floats, chosen: int, most: int) -> tuple[int, ...]:
    """Other numbers of components that the criterion does not exclude; the largest tried if it still falls there."""
    near = criterion < criterion[chosen - 1] + CLEAR
    if chosen > most - _BEYOND:
        near[-1] = True
    near[chosen - 1] = False
    return tuple(int(number) + 1 for number in np.flatnonzero(near))


def counted_by_library(values: Floats, atoms: Ints, library: Floats) -> Counts:
    """Counts from intensities (n,) in the library's unit: a mixture whose means are the library's (m,), so that the
    scatter round it is measured too (De wael et al., Ultramicroscopy 177, 69, 2017). What lies outside the library by
    more than its last step is given its nearest end, with no probability.
    """
    covered = (values > library[0] - (library[1] - library[0])) & (values < 2 * library[-1] - library[-2])
    if not covered.any():
        raise UserError(
            f"No intensity lies in the library, from {library[0]:g} to {library[-1]:g}; the columns have about "
            f"{np.median(values):.3g}. Give the factor between the two as library scale."
        )
    mixture = fit_mixture(values[covered], library, fixed=True)
    number, sure = np.where(values > library[0], atoms[-1], atoms[0]), np.full(len(values), np.nan)
    number[covered] = atoms[mixture.belongs.argmax(axis=1)]
    sure[covered] = mixture.belongs.max(axis=1)
    return Counts(number, sure, mixture, atoms, np.array([mixture.icl]), ())


def _say(counts: Counts, parameters: CountAtoms, report: Report) -> None:
    """Tell the user what is not sure."""
    if len(counts.mixture.means) == 1 and parameters.components is None:
        report.note(
            "The intensities do not fall into groups of equal thickness: one component explains them best, so counts "
            "from them alone have no basis; compare with a simulated library or measure with more dose."
        )
    if counts.rivals:
        numbers = ", ".join(map(str, counts.rivals))
        report.note(
            f"The number of components, {len(counts.mixture.means)}, is not clear: the criterion allows {numbers} as "
            "well, so the counts may be shifted; compare with a simulated library or measure with more dose."
        )
    steps = np.diff(counts.of_component)
    if (steps > 1).any():
        report.note(f"{int((steps > 1).sum())} thicknesses seem to have no column: gaps there count as several atoms.")
    if parameters.first_atoms is None and len(counts.mixture.means) > 1:
        one = counts.mixture.means[0] / np.median(np.diff(counts.mixture.means) / steps)
        if abs(one - round(float(one))) > 0.25 or one < 0.75:
            report.note(
                f"The weakest columns scatter as {one:.2f} atoms would, no whole number; all counts may be off by "
                "one. Give the number of atoms of the weakest columns if it is known."
            )


def _say_library(counts: Counts, library: Floats, report: Report) -> None:
    """Tell the user where the library does not fit."""
    width = float(counts.mixture.widths[0])
    beyond = int(np.count_nonzero(~np.isfinite(counts.probability)))
    if beyond:
        report.note(
            f"{beyond} columns lie outside the library, from {library[0]:g} to {library[-1]:g}; check the scale."
        )
    if width > 0.5 * float(np.median(np.diff(library))):
        report.note(
            f"Intensities scatter by {width:.3g} round the library, more than half of what one atom adds; counts are "
            "good to about one atom."
        )


def _summary(counts: Counts) -> dict[str, Any]:
    """JSON-able account of a count."""
    mixture = counts.mixture
    return {
        "atoms": counts.of_component.tolist(),
        "means": mixture.means.tolist(),
        "widths": mixture.widths.tolist(),
        "weights": mixture.weights.tolist(),
        "criterion": counts.criterion.tolist(),
        "other_numbers_of_components": list(counts.rivals),
        "clear": not counts.rivals and len(mixture.means) > 1,
    }
