"""Run an operation on a tilt series or a volume: read it with its angles, compute, write one result and its history."""

from __future__ import annotations

import os
import sys
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import typer

from atomseg_app import batch, operations
from atomseg_app.commands.long_work import interruptible
from atomseg_app.data import Data, Image, ImageSeries, TiltSeries, Volume
from atomseg_app.errors import Cancelled, FileError, UserError
from atomseg_app.io.history_files import history_path, write_history_of
from atomseg_app.operations import Operation, Report

DONE, CANCELLED = 0, 130
KEEPING = frozenset({"reconstruct", "align", "align-match"})
"""Operations that end early with what they have by then when they are asked to stop."""


@dataclass(frozen=True)
class SeriesOptions:
    """What is asked of a run beside the operation's parameters; None or empty where nothing was said."""

    output: Path | None = None
    overwrite: bool = False
    pixel_size_nm: float | None = None
    dataset: str | None = None
    angles: Path | None = None
    alignment: Path | None = None
    tilt_axis: Literal["y", "x"] | None = None
    exclude: str = ""


def run_on_series(operation: Operation, given: Sequence[str], values: Mapping[str, Any], options: SeriesOptions) -> int:
    """Run and write; returns the exit code. The result's name goes to stdout, notes to stderr. Raises UserError."""
    batch.log_to_file()
    target = result_path(operation, given, options.output)
    check_free(operation, target, overwrite=options.overwrite)
    parameters = operation.parse(values)
    with interruptible(keeps=operation.name in KEEPING) as report:
        try:
            inputs = read_inputs(operation, given, options, report)
            result = operations.run(operation, inputs, parameters, report)
            write_result(result, target, report)
        except Cancelled:
            typer.echo("atomseg: cancelled; nothing was saved.", err=True)
            return CANCELLED
    sys.stdout.write(f"{target}\n")
    return DONE


def read_inputs(operation: Operation, given: Sequence[str], options: SeriesOptions, report: Report) -> tuple[Data, ...]:
    """What the operation takes, from the files named. Raises UserError for files of another kind or number."""
    from atomseg_app.io import files

    if len(operation.inputs) == 1:
        items: list[Data] = [files.read_as_one(given, options.dataset, report)]
    elif len(given) != len(operation.inputs):
        raise UserError(f"{operation.name} needs {len(operation.inputs)} files ({', '.join(operation.inputs)}), "
                        f"not {len(given)}.")  # fmt: skip
    else:
        items = [files.read_as_one([name], options.dataset, report) for name in given]
    return tuple(
        _as(operation, kind, item, options, report) for kind, item in zip(operation.inputs, items, strict=True)
    )


def _as(operation: Operation, kind: str, item: Data, options: SeriesOptions, report: Report) -> Data:
    """The item with what the options say of it, checked to be of a kind."""
    size = options.pixel_size_nm
    if size is not None and isinstance(item, ImageSeries | Volume):
        item = item.with_pixel_size(size)
    if kind == TiltSeries.kind:
        return tilt_series(item, options, report, operation.parameters.model_fields)
    if item.kind != kind:
        raise UserError(f"{item.source.path} holds {_a(item.kind)}, not {_a(kind)}.")
    return item


def _a(kind: str) -> str:
    """The word for a kind of data with its article."""
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"


def tilt_series(item: Data, options: SeriesOptions, report: Report, told: Container[str] = ()) -> TiltSeries:
    """A series of images as a tilt series, with the angles, axis, alignment and excluded views of the options.

    Where nobody says how the axis runs, and the operation (which has the parameters ``told``) does not look itself, a
    note tells if the images speak for the other direction. Raises UserError where no angles are known, and for what
    does not fit the series.
    """
    from atomseg_app.io.alignment_files import axis_in
    from atomseg_app.tomography.angle_lists import read_angle_file
    from atomseg_app.tomography.axis_direction import axis_doubt
    from atomseg_app.tomography.tilts import doubts, parse_views, with_angles

    if isinstance(item, Image):
        raise UserError(f"{item.source.path} holds a single image; a tilt series has several views.")
    if not isinstance(item, ImageSeries):
        raise UserError(f"{item.source.path} holds {_a(item.kind)}, not a tilt series.")
    if options.angles is not None:
        item = with_angles(item, read_angle_file(options.angles), report, options.angles.name)
    if not isinstance(item, TiltSeries):
        raise UserError(f"{item.source.path} tells no tilt angles for its {len(item.values)} images; "
                        "give them (--angles FILE).")  # fmt: skip
    axis = options.tilt_axis
    if axis is None and options.alignment is not None and (axis := axis_in(options.alignment)) not in (None, "y"):
        report.note(f"The tilt axis runs along {axis}, as {options.alignment.name} says.")
    if axis is not None:
        item = replace(item, tilt_axis=axis)
    if options.angles is None and item.euler_deg is None:
        for text in doubts(item.tilt_deg, str(item.metadata.get("tilt_source", item.source.name))):
            report.note(text)
    if axis is None and "tilt_axis" not in told and (doubt := axis_doubt(item)):
        report.note(doubt)
    if options.alignment is not None:
        item = _aligned(item, options.alignment, report)
    if options.exclude:
        item = replace(item, excluded=parse_views(options.exclude, len(item.values)))
        if not len(item.used):
            raise UserError("All views are excluded; leave some in (--exclude).")
    return item


def _aligned(item: TiltSeries, path: Path, report: Report) -> TiltSeries:
    """Series with the alignment of a file; a note where that has other tilt angles, as refining gives."""
    from atomseg_app.io.alignment_files import read_alignment, tilts_in

    found = read_alignment(path, len(item.values), report, item.tilt_axis)
    tilts = tilts_in(path)
    most = max((abs(one - other) for one, other in zip(tilts, item.tilt_deg, strict=False)), default=0.0)
    if most > 1e-6:
        report.note(f"{path.name} has tilt angles that differ by up to {most:.3g} degrees from those used; "
                    f"--angles {path.name} takes them.")  # fmt: skip
    return replace(item, alignment=found)


def result_path(operation: Operation, given: Sequence[str], output: Path | None) -> Path:
    """File of the result: the one named, or NAME_operation beside the input or in the folder named.

    Raises UserError for an extension that the result cannot be saved with, before anything is computed.
    """
    from atomseg_app.io import series_writer, volume_writer

    first = Path(given[0])
    folder = output if output is not None and output.is_dir() else first.parent if output is None else None
    if folder is not None:
        name = first.name if first.is_dir() and first.suffix != ".zarr" else first.name.partition(".")[0] or first.stem
        name = name.replace("*", "").replace("?", "").rstrip("_-") or operation.name
        extension = ".mrc" if operation.output == Volume.kind or "align" not in operation.name else ".csv"
        return folder / f"{name}_{operation.result_name}{extension}"
    assert output is not None
    if operation.output == Volume.kind:
        volume_writer.volume_extension(output)
    elif operation.output == TiltSeries.kind:
        series_writer.series_extension(output)
    return output


def check_free(operation: Operation, target: Path, *, overwrite: bool) -> None:
    """Raise FileError where a result, or a file that goes with it, is there already and may not be replaced."""
    from atomseg_app.io import series_writer

    beside = series_writer.side_files(target) if operation.output == TiltSeries.kind else ()
    for path in (target, history_path(target), *beside):
        if path.exists() and not overwrite:
            raise FileError(f"{path} is already there; move it away, or allow overwriting (--overwrite).")
    if target.parent.is_dir() and not os.access(target.parent, os.W_OK):
        raise FileError(f"{target.parent} cannot be written to; name a file elsewhere (-o FILE).")


def write_result(result: Data, target: Path, report: Report) -> None:
    """Write a volume, a tilt series or its alignment, by the name of the file, and the history beside it."""
    from atomseg_app.io import series_writer, volume_writer

    if isinstance(result, Volume):
        volume_writer.write_volume(target, result, report)
    elif isinstance(result, TiltSeries):
        series_writer.write_series(target, result, report)
    else:
        raise UserError(f"A {result.kind} cannot be saved as {target.name}.")
    write_history_of(target, result)
