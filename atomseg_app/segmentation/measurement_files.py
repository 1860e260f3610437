"""Measurements as CSV: one of particles, one of the whole, one of pores; the unit is part of every heading."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atomseg_app.io.atomic_write import write_text
from atomseg_app.segmentation.metrics import Comparison
from atomseg_app.segmentation.particles import PARTICLE_DTYPE, POWERS, Measured, Quantity


def unit_of(power: int, unit: str) -> str:
    """Unit of a power of a length as it ends names: ``nm``, ``nm2``, ``per_nm3``, empty for power 0."""
    if power == 0:
        return ""
    exponent = str(abs(power)) if abs(power) > 1 else ""
    return f"{'per_' if power < 0 else ''}{unit}{exponent}"


def particle_header(unit: str) -> tuple[str, ...]:
    """Headings of the table of particles: ``volume_nm3``, or ``volume_px3``."""
    names = PARTICLE_DTYPE.names or ()
    return tuple(f"{name}_{unit_of(POWERS[name], unit)}" if name in POWERS else name for name in names)


def write_particles(path: str | Path, measured: Measured) -> None:
    """Write one row a particle; cells are empty where a figure is not defined. Raises FileError."""
    rows = [[_text(value) for value in row.item()] for row in measured.table]
    _write(path, particle_header(measured.unit), rows)


def write_totals(path: str | Path, measured: Measured) -> None:
    """Write one row a figure of the whole: quantity, value, unit. Raises FileError."""
    rows = [
        [each.name, _text(each.value), unit_of(each.power, measured.unit)]
        for each in (*measured.totals, *_fits(measured))
    ]
    _write(path, ("quantity", "value", "unit"), rows)


def write_pores(path: str | Path, measured: Measured) -> None:
    """Write diameters of pores and what share of the pores' volume each has. Raises FileError."""
    rows = [[_text(value) for value in row] for row in measured.pores.tolist()]
    _write(path, (f"pore_diameter_{measured.unit}", "share_of_pore_volume"), rows)


def write_comparison(path: str | Path, comparison: Comparison) -> None:
    """Write one row a class. Raises FileError."""
    header, rows = comparison_rows(comparison)
    _write(path, header, [["" if value is None else str(value) for value in row] for row in rows])


def write_slices(path: str | Path, comparison: Comparison) -> None:
    """Write one row a slice along z: Dice and HD95 of each class, empty where not defined. Raises FileError."""
    names = [each.name for each in comparison.scores]
    header = ["z", *(f"dice of {name}" for name in names), *(f"hd95_{comparison.unit} of {name}" for name in names)]
    both = np.concatenate([comparison.slice_dice, comparison.slice_hd95], axis=1)
    _write(path, header, [[str(z), *(_text(float(value)) for value in row)] for z, row in enumerate(both)])


def comparison_rows(comparison: Comparison) -> tuple[tuple[str, ...], list[list[Any]]]:
    """Headings and rows of the table of a comparison, None where a figure is not defined."""
    header = (
        "class", "dice", "iou", "precision", "recall", "specificity", "dice_mean_of_slices", "volume_fraction",
        "volume_fraction_error", f"hd95_{comparison.unit}", f"mean_distance_{comparison.unit}", "voxels",
        "reference_voxels",
    )  # fmt: skip
    rows = [
        [
            each.name, each.dice, each.iou, each.precision, each.recall, each.specificity, each.of_slices,
            each.volume_fraction, each.volume_fraction_error, each.hd95, each.mean_distance, each.voxels,
            each.reference_voxels,
        ]
        for each in comparison.scores
    ]  # fmt: skip
    return header, rows


def _fits(measured: Measured) -> list[Quantity]:
    """Fits of the distribution of diameters as figures of the whole, the likelier first."""
    found: list[Quantity] = []
    for fit in measured.fits:
        centre = "mean" if fit.name == "normal" else "median"
        found += [
            Quantity(f"{fit.name}_fit {centre}", fit.centre, 1),
            Quantity(f"{fit.name}_fit standard_deviation{'' if fit.name == 'normal' else '_of_logarithm'}", fit.width,
                     1 if fit.name == "normal" else 0),
            Quantity(f"{fit.name}_fit kolmogorov_smirnov_distance", fit.ks),
        ]  # fmt: skip
    return found


def _text(value: Any) -> str:
    """A cell; the shortest digits that read back as the same number."""
    if value is None or (isinstance(value, float) and not np.isfinite(value)):
        return ""
    return str(int(value)) if isinstance(value, bool) else str(value)


def _write(path: str | Path, header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    write_text(path, "".join(",".join(row) + "\n" for row in (header, *rows)))
