"""``atomseg measure`` and ``atomseg compare-labels``: numbers of segmented volumes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from atomseg_app.errors import FileError
from atomseg_app.segmentation.measure_settings import SPLITTING, MeasureLabels

_LABELS = typer.Argument(help="File of labels: whole numbers 0 to 255, z y x.", show_default=False)
_OVERWRITE = typer.Option("--overwrite", help="Replace existing results.")
_VOXEL = typer.Option("--pixel-size-nm", min=1e-6, max=1e9, help="Size of a voxel in nm, instead of the file's.")
_CANCELLED = 130


def measure(
    labels: Annotated[Path, _LABELS],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", dir_okay=False, help="CSV of the particles; beside the labels without it."),
    ] = None,
    particles: Annotated[str, typer.Option(help="Class of the particles, by name or number: the last one.")] = "",
    support: Annotated[str, typer.Option(help="Class of their support: the one below the particles'.")] = "",
    splitting: Annotated[
        float, typer.Option(min=0, max=1, help="A neck narrower than this share of the smaller particle cuts.")
    ] = SPLITTING,
    least_voxels: Annotated[int, typer.Option(min=1, help="Particles of fewer voxels are left out.")] = 20,
    widest_pore_px: Annotated[
        float, typer.Option(min=0.5, max=500, help="What is narrower counts as a pore, not as surroundings [px].")
    ] = 30.0,
    pixel_size_nm: Annotated[float | None, _VOXEL] = None,
    overwrite: Annotated[bool, _OVERWRITE] = False,
) -> None:
    """Count and measure the particles of a segmented volume, its support and pores; units in the headings.

    Writes NAME.csv (one row a particle), NAME_totals.csv (the whole) and NAME_pores.csv (sizes of pores).
    """
    from atomseg_app.commands.long_work import interruptible
    from atomseg_app.errors import Cancelled
    from atomseg_app.io.labels import read_labels
    from atomseg_app.segmentation.measurement_files import write_particles, write_pores, write_totals
    from atomseg_app.segmentation.particles import measure as measured_of

    target = output or labels.with_name(f"{_stem(labels)}_particles.csv")
    if target.suffix.lower() != ".csv":
        raise typer.BadParameter(f"{target} is no name of a CSV file; end it in .csv.")
    others = [target.with_name(f"{target.stem}_{what}.csv") for what in ("totals", "pores")]
    _free([target, *others], overwrite=overwrite)
    settings = MeasureLabels(
        particles=particles, support=support, splitting=splitting, least_voxels=least_voxels,
        widest_pore_px=widest_pore_px,
    )  # fmt: skip
    with interruptible() as report:
        try:
            item = read_labels(labels, None, report)
            item = item if pixel_size_nm is None else item.with_pixel_size(pixel_size_nm)
            found = measured_of(item, settings, report)
        except Cancelled:
            typer.echo("atomseg: cancelled; nothing was saved.", err=True)
            raise typer.Exit(_CANCELLED) from None
    write_particles(target, found)
    write_totals(others[0], found)
    write_pores(others[1], found)
    _say([str(target), *map(str, others)])


def compare_labels(
    labels: Annotated[Path, _LABELS],
    reference: Annotated[Path, typer.Argument(help="File of the labels that are taken as true.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", dir_okay=False, help="Also write the table as CSV, and one by slice beside it."),
    ] = None,
    ignore_value: Annotated[
        int, typer.Option(min=0, max=255, help="Value in the reference of what nobody labelled.")
    ] = 255,
    errors: Annotated[
        Path | None,
        typer.Option(
            "--errors", file_okay=False,
            help="Folder for a map of errors (1 right, 2 too much, 3 missed) and a list of them, each for every class.",
        ),
    ] = None,
    overwrite: Annotated[bool, _OVERWRITE] = False,
) -> None:  # fmt: skip
    """How well labels agree with others of the same volume: Dice, IoU, precision, recall, distances, fractions."""
    from atomseg_app.commands.long_work import interruptible
    from atomseg_app.errors import Cancelled
    from atomseg_app.io.labels import read_labels, with_ignored
    from atomseg_app.segmentation.measurement_files import comparison_rows, write_comparison, write_slices
    from atomseg_app.segmentation.metrics import compare

    by_slice = None if output is None else output.with_name(f"{output.stem}_slices.csv")
    _free([path for path in (output, by_slice) if path is not None], overwrite=overwrite)
    with interruptible() as report:
        try:
            found = read_labels(labels, None, report)
            truth = with_ignored(read_labels(reference, None, report), ignore_value)
            result = compare(found, truth, report.part(0, 0.8))
            maps = (
                [] if errors is None else _error_maps(found, truth, errors, _stem(labels), report, overwrite=overwrite)
            )
        except Cancelled:
            typer.echo("atomseg: cancelled; nothing was saved.", err=True)
            raise typer.Exit(_CANCELLED) from None
    header, rows = comparison_rows(result)
    _say(_table(header, rows))
    if output is not None and by_slice is not None:
        write_comparison(output, result)
        write_slices(by_slice, result)
        _say([str(output), str(by_slice)])
    _say(maps)


def _error_maps(found: Any, truth: Any, folder: Path, stem: str, report: Any, *, overwrite: bool) -> list[str]:
    """Write a map of errors and a list of their places for each class; their names."""
    import numpy as np

    from atomseg_app.data import Labels
    from atomseg_app.io.labels import write_labels
    from atomseg_app.label_classes import LabelClass
    from atomseg_app.segmentation.error_codes import MISSED, RIGHT, TOO_MUCH, error_codes
    from atomseg_app.segmentation.error_list import list_errors
    from atomseg_app.segmentation.metrics import joined_classes

    classes = joined_classes(found, truth)
    targets = {each.value: folder / f"{stem}_errors_{_safe(each.name)}.tif" for each in classes}
    lists = {value: path.with_suffix(".csv") for value, path in targets.items()}
    _free([*targets.values(), *lists.values()], overwrite=overwrite)
    codes = (
        LabelClass(0, "right elsewhere"), LabelClass(RIGHT, "right", "#9e9e9e"),
        LabelClass(TOO_MUCH, "too much", "#e69f00"), LabelClass(MISSED, "missed", "#0072b2"),
    )  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    for value, path in targets.items():
        planes = [error_codes(one, true, value) for one, true in zip(found.values, truth.values, strict=True)]
        write_labels(path, Labels(np.stack(planes), found.pixel_size_nm, found.source, classes=codes), report)
        places = list_errors(found.values, truth.values, value, report).places
        kinds = {TOO_MUCH: "too much", MISSED: "missed"}
        _write_rows(lists[value], ["z_px,y_px,x_px,voxels,kind"] + [
            f"{z},{y},{x},{size},{kinds[code]}" for z, y, x, size, code in places.tolist()
        ])  # fmt: skip
    return [str(path) for pair in zip(targets.values(), lists.values(), strict=True) for path in pair]


def _write_rows(path: Path, lines: Sequence[str]) -> None:
    from atomseg_app.io.atomic_write import write_text

    write_text(path, "".join(f"{line}\n" for line in lines))


def _table(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Lines of the transposed table: one quantity a line, one class a column."""
    columns = [header, *([_short(value) for value in row] for row in rows)]
    widths = [max(len(cell) for cell in column) for column in columns]
    return ["  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
            for line in zip(*columns, strict=True)]  # fmt: skip


def _short(value: Any) -> str:
    return "n/a" if value is None else f"{value:.4f}" if isinstance(value, float) else str(value)


def _stem(path: Path) -> str:
    return path.name.partition(".")[0] or path.stem


def _safe(name: str) -> str:
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)


def _free(paths: Sequence[Path], *, overwrite: bool) -> None:
    """Raise FileError where a result is there already."""
    there = next((path for path in paths if path.exists()), None)
    if there is not None and not overwrite:
        raise FileError(f"{there} is already there; move it away, or allow overwriting (--overwrite).")


def _say(lines: Sequence[str]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
