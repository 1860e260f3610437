"""What was measured of the columns, in lines with units and errors: read from the table, so undo takes it back."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from atomseg_app.atoms.defect_operations import DEFECTS
from atomseg_app.data import Columns
from atomseg_app.gui.atoms.defect_marks import KINDS
from atomseg_app.gui.atoms.quantities import measured
from atomseg_app.gui.value_text import value_text

_MOST_GRAINS = 3


def summary(operation: str, columns: Columns | None) -> list[str]:
    """Lines on what an operation measured of these columns; none where it has not run on them."""
    if columns is None or operation not in _SUMMARIES or not _ran(operation, columns):
        return []
    return _SUMMARIES[operation](columns)


def notes(operation: str, columns: Columns | None) -> list[str]:
    """What was noted when an operation last ran on these columns."""
    steps = () if columns is None else columns.history
    last = next((step for step in reversed(steps) if step.operation == operation), None)
    return [] if last is None or not summary(operation, columns) else list(last.notes)


def _ran(operation: str, columns: Columns) -> bool:
    return any(step.operation == operation for step in columns.history)


def _lattice(columns: Columns) -> list[str]:
    grains = columns.metadata.get("lattice", {}).get("grains", [])
    if not grains:
        return ["No lattice was found."]
    size = columns.pixel_size_nm[1]
    unit, factor, digits = ("px", 1.0, 3) if size is None else ("pm", 1000 * size, 1)
    lines = []
    for number, grain in enumerate(grains[:_MOST_GRAINS]):
        vectors = np.array(grain["vectors_px"])
        lengths = np.hypot(*vectors.T)
        errors = np.sqrt((((vectors / lengths[:, None]) * np.array(grain["vectors_err_px"])) ** 2).sum(axis=1))
        texts = [
            f"{name} = {length * factor:.{digits}f} ± {error * factor:.{digits}f} {unit}"
            for name, length, error in zip("ab", lengths, errors, strict=True)
        ]
        sites = len(grain["sites"])
        kinds = f"{sites} sublattice{'' if sites == 1 else 's'}"
        head = f"Grain {number}: " if len(grains) > 1 else ""
        lines.append(
            f"{head}{', '.join(texts)}, angle {float(grain['angle_deg']):.2f}°; {kinds}, {grain['columns']} columns."
        )
    if len(grains) > _MOST_GRAINS:
        lines.append(f"{len(grains) - _MOST_GRAINS} more grains: colour by Grain.")
    return lines


def _strain(columns: Columns) -> list[str]:
    return _moments(columns, ("strain_xx", "strain_yy", "strain_xy", "rotation_deg"))


def _polarisation(columns: Columns) -> list[str]:
    return _moments(columns, ("polar_x_px", "polar_y_px", "polar_px"))


def _intensities(columns: Columns) -> list[str]:
    return _moments(columns, ("fit_intensity", "cell_intensity"))


def _moments(columns: Columns, names: tuple[str, ...]) -> list[str]:
    """Mean, scatter and typical error of quantities, a line each."""
    lines = []
    for name in (name for name in names if name in columns.quantities):
        quantity = measured(name)
        values, unit = quantity.values(columns), quantity.unit(columns)
        known = values[np.isfinite(values)]
        if not len(known):
            lines.append(f"{quantity.title}: not known of any column.")
            continue
        text = f"{quantity.title}: {value_text(known.mean(), 3)} ± {value_text(known.std(), 3)} {unit}".rstrip()
        error = _typical_error(columns, name)
        lines.append(f"{text} (mean ± s.d. of {len(known):,}{error})")
    return lines


def _typical_error(columns: Columns, name: str) -> str:
    """Median error of a quantity in words; nothing where there is none."""
    for ending in ("_px", "_deg", ""):
        error = f"{name.removesuffix(ending)}_err{ending}"
        if name.endswith(ending) and error in columns.quantities:
            errors = measured(error).values(columns)
            if np.isfinite(errors).any():
                return f"; error of one {value_text(float(np.nanmedian(errors)), 2)}"
    return ""


def _counts(columns: Columns) -> list[str]:
    facts = columns.metadata.get("atom_counts", {})
    atoms = columns.table["atoms"]
    known = atoms[np.isfinite(atoms)]
    if not len(known):
        return ["No column was counted."]
    lines = [
        f"{int(known.sum()):,} atoms in {len(known):,} columns: {int(known.min())} to {int(known.max())} in each, "
        f"from {len(facts.get('means', ()))} components."
    ]
    if not facts.get("clear", True):
        others = ", ".join(str(number) for number in facts.get("other_numbers_of_components", ()))
        lines.append(f"The criterion has no clear minimum{f': {others} would do as well' if others else ''}.")
    return lines


def _defects(columns: Columns) -> list[str]:
    facts = columns.metadata.get("defects", {})
    numbers = facts.get("numbers", {})
    found = [
        f"{numbers[DEFECTS[code]]} {kind.one if numbers[DEFECTS[code]] == 1 else kind.many}"
        for code, kind in KINDS.items()
        if numbers.get(DEFECTS[code])
    ]
    lines = [f"{', '.join(found) or 'No defects'}."]
    if "comparisons" in facts:
        lines.append(
            f"{facts['comparisons']:,} columns and sites compared; {facts['false_alarms']:g} false alarms expected."
        )
    return [lines[0][:1].upper() + lines[0][1:], *lines[1:]]


_SUMMARIES: dict[str, Callable[[Columns], list[str]]] = {
    "measure-lattice": _lattice,
    "measure-strain": _strain,
    "measure-polarisation": _polarisation,
    "measure-intensities": _intensities,
    "count-atoms": _counts,
    "find-defects": _defects,
}
