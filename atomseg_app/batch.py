"""Many files, one operation: where results go, what one file's run writes, and the line it adds to the summary.

The window, the command line and its worker processes share these functions. A *runner* takes the tasks and yields a
summary row for each as it finishes; :func:`run_here` and :func:`run_in_processes` are the runners there are.
"""

from __future__ import annotations

import csv
import io
import logging
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from atomseg_app import operations, places
from atomseg_app.atoms.spacing import nearest_px
from atomseg_app.data import Columns, Data, Image, ImageSeries, joined
from atomseg_app.errors import FileError, UserError
from atomseg_app.io.atomic_write import remove_unfinished
from atomseg_app.operations import Report

SUMMARY_NAME = "columns_summary.csv"
LOG_NAME = "commands.log"


@dataclass(frozen=True)
class Outputs:
    """Files that a run on one input writes: a table or an image, its history, a figure (or several named after it)."""

    result: Path
    json: Path
    figure: Path


@dataclass(frozen=True)
class FileTask:
    """One input file and all that its run needs; crosses to worker processes."""

    path: Path
    outputs: Outputs
    operation: str
    parameters: Mapping[str, Any]
    dataset: str | None = None
    columns_csv: Path | None = None
    pixel_size_nm: float | None = None
    figure: bool = False
    overwrite: bool = False


@dataclass(frozen=True)
class SummaryRow:
    """What the summary says of one file; None where not known. ``error`` is empty where all went well."""

    file: str
    columns: int | None = None
    mean_spacing_nm: float | None = None
    mean_spacing_px: float | None = None
    median_error_pm: float | None = None
    seconds: float | None = None
    error: str = ""
    notes: tuple[str, ...] = ()


Runner = Callable[[Sequence[FileTask]], Iterator[SummaryRow]]


def output_paths(
    inputs: Sequence[Path],
    out_dir: Path | None = None,
    roots: Sequence[Path] | None = None,
    operation: operations.Operation | None = None,
) -> list[Outputs]:
    """Where the results of each input go: beside it, or under ``out_dir`` at its path relative to its root.

    Names end as the operation says (*Find columns* without one); ``a_columns.csv`` counts as ``a``.

    Roots default to the folder that all inputs share. Inputs that differ in their extension alone keep it in their
    results' names. Raises UserError for two inputs that would still write the same file.
    """
    absolute = [Path(os.path.abspath(path)) for path in inputs]
    if roots is None:
        shared = Path(os.path.commonpath([path.parent for path in absolute])) if absolute else Path()
        roots = [shared] * len(absolute)
    places = [
        given.parent if out_dir is None else out_dir / path.parent.relative_to(os.path.abspath(root))
        for given, path, root in zip(inputs, absolute, roots, strict=True)
    ]
    ending = "columns" if operation is None else operation.result_name
    table = operation is None or operation.output == Columns.kind
    of_tables = operation is not None and operation.inputs == (Columns.kind,)
    shorts = [path.stem.removesuffix("_columns") if of_tables else path.stem for path in inputs]
    # Compared without case, as some file systems do.
    stems = [os.path.abspath(place / short).casefold() for place, short in zip(places, shorts, strict=True)]
    taken = Counter(stems)
    names = [short if taken[stem] == 1 else path.name for path, short, stem in zip(inputs, shorts, stems, strict=True)]
    results = [
        Outputs(*(place / f"{name}_{ending}{end}" for end in (".csv" if table else ".tif", ".json", ".png")))
        for place, name in zip(places, names, strict=True)
    ]
    seen: dict[str, Path] = {}
    for path, result in zip(absolute, results, strict=True):
        other = seen.setdefault(os.path.abspath(result.result).casefold(), path)
        if other != path:
            raise UserError(f"{other} and {path} would both write {result.result}; run them apart.")
    return results


def process_one(task: FileTask, report: Report) -> tuple[Data, SummaryRow]:
    """Read the file, run the operation on what is in it, write the result, its history and figures.

    Raises UserError (unreadable file, existing result, nothing that the operation takes) and Cancelled.
    """
    start = time.perf_counter()
    operation = operations.get(task.operation)
    drawn = figure_paths(task.outputs, operation) if task.figure else {}
    if not task.overwrite:
        for path in (task.outputs.result, task.outputs.json, *drawn.values()):
            if path.exists():
                raise FileError(f"{path} is already there; move it away, or allow overwriting (--overwrite).")
    images, result = _run(task, operation, report)
    _write(result, task.outputs)
    if drawn:
        from atomseg_app import figure_maps

        figure_maps.write_figures(images[0] if images else None, result, drawn)
    row = replace(summary_row(result), file=str(task.path), seconds=round(time.perf_counter() - start, 3))
    return result, row


def figure_paths(outputs: Outputs, operation: operations.Operation) -> dict[str, Path]:
    """File of each figure of an operation by what it shows; "" shows the columns found."""
    ending = operation.result_name
    if not operation.figures:
        return {"": outputs.figure}
    name = outputs.figure.stem.removesuffix(f"_{ending}")
    ends = [shown if shown.startswith(ending) else f"{ending}_{shown}" for shown in operation.figures]
    return {
        shown: outputs.figure.with_name(f"{name}_{end}.png") for shown, end in zip(operation.figures, ends, strict=True)
    }


def _run(task: FileTask, operation: operations.Operation, report: Report) -> tuple[tuple[Image, ...], Data]:
    """Images that the task's file holds, none where it is a table, and the operation's result."""
    from atomseg_app.io import files, tables

    parameters = operation.parse(task.parameters)
    size = task.pixel_size_nm
    if operation.inputs == (Columns.kind,):
        table = tables.read_csv(os.path.abspath(task.path))
        table = table if size is None else replace(table, pixel_size_nm=(size, size))
        return (), operations.run(operation, (table,), parameters, report)
    data = files.read(Path(os.path.abspath(task.path)), task.dataset, report)
    if size is not None and isinstance(data, Image | ImageSeries):
        data = data.with_pixel_size(size)
    images = images_of(data, task.path)
    given = tables.read_csv(task.columns_csv, images[0]) if task.columns_csv else None
    if operation.output == Columns.kind:
        return images, run_on_images(operation, images, given, parameters, report)
    return images, _run_for_image(operation, images, given, parameters, report)


def _run_for_image(
    operation: operations.Operation,
    images: Sequence[Image],
    given: Columns | None,
    parameters: operations.Parameters,
    report: Report,
) -> Data:
    """Run an operation that gives an image on each of several, or one that gives a series on one.

    Raises UserError where a movie would give a series a frame.
    """
    if len(images) > 1 and operation.output != Image.kind:
        raise UserError(
            f"{images[0].source.name}: {operation.title} gives several maps for one image and cannot be run on a movie "
            f"of {len(images)} frames; save the frame you want as an image."
        )
    parts = []
    for index, image in enumerate(images):
        share = report.part(index / len(images), (index + 1) / len(images))
        inputs: tuple[Data, ...] = (image,) if given is None else (image, _of_frame(given, index, len(images)))
        parts.append(operations.run(operation, inputs, parameters, share))
    if len(parts) == 1:
        return parts[0]
    frames = [part for part in parts if isinstance(part, Image)]
    first = frames[0]
    facts = {key: value for key, value in first.metadata.items() if key != "frame"}
    stack = np.stack([frame.values for frame in frames])
    return ImageSeries(stack, first.pixel_size_nm, first.source, facts, first.history)


def _write(result: Data, outputs: Outputs) -> None:
    """Write a table as CSV or an image as TIFF, and its history."""
    from atomseg_app.io import tables, tiff_writer

    if isinstance(result, Columns):
        tables.write_csv(result, outputs.result)
    elif isinstance(result, Image | ImageSeries):
        tiff_writer.write_tiff(result, outputs.result)
    else:
        raise UserError(f"A {result.kind} cannot be written by a run on files.")
    tables.write_history(result, outputs.json)


def images_of(data: Data, path: Path) -> tuple[Image, ...]:
    """Images of what a file holds: itself, or its frames. Raises UserError for a volume or a table."""
    if isinstance(data, Image):
        return (data,)
    if isinstance(data, ImageSeries):
        return tuple(data.frame(index) for index in range(len(data.values)))
    raise UserError(f"{path} holds a {data.kind}, not an image; choose another dataset with --dataset.")


def run_on_images(
    operation: operations.Operation,
    images: Sequence[Image],
    given: Columns | None,
    parameters: operations.Parameters,
    report: Report,
) -> Columns:
    """Run an operation that gives columns on each image; one table with the frame's number."""
    parts = []
    for index, image in enumerate(images):
        share = report.part(index / len(images), (index + 1) / len(images))
        inputs: tuple[Data, ...] = (image,) if given is None else (image, _of_frame(given, index, len(images)))
        columns = operations.run(operation, inputs, parameters, share)
        if not isinstance(columns, Columns):
            raise UserError(f"{operation.name} gives {columns.kind}, not columns; it cannot be run on files this way.")
        parts.append(columns)
    return parts[0] if len(parts) == 1 else _joined(parts)


def _of_frame(columns: Columns, frame: int, frames: int) -> Columns:
    """The columns of one frame of a series; all of them where there is but one image."""
    return columns if frames == 1 else replace(columns, table=columns.table[columns.table["frame"] == frame])


def _joined(parts: Sequence[Columns]) -> Columns:
    """Tables of the frames of a series as one; ids are given anew where frames share them. One step of history."""
    tables = []
    for frame, part in enumerate(parts):
        table = part.table.copy()
        table["frame"] = frame
        tables.append(table)
    table = joined(tables)
    if len(np.unique(table["column_id"])) < len(table):
        table["column_id"] = np.arange(len(table))
    steps = [part.history[-1] for part in parts]
    notes = tuple(dict.fromkeys(note for step in steps for note in step.notes))
    step = replace(steps[-1], seconds=round(sum(step.seconds for step in steps), 3), notes=notes)
    metadata = {key: value for key, value in parts[0].metadata.items() if key != "frame"}
    return replace(parts[0], table=table, metadata=metadata, history=(*parts[0].history[:-1], step))


def summary_row(columns: Data) -> SummaryRow:
    """Count, mean nearest-neighbour spacing and median error of a table, for the summary; notes alone of an image."""
    if not isinstance(columns, Columns):
        return SummaryRow(columns.source.path, notes=columns.history[-1].notes if columns.history else ())
    scale = np.array([size if size is not None else np.nan for size in columns.pixel_size_nm[::-1]])
    errors = np.stack([columns.table["x_err_px"], columns.table["y_err_px"]], axis=1) * scale * 1000
    return SummaryRow(
        file=columns.source.path,
        columns=len(columns),
        mean_spacing_nm=_mean(nearest_px(columns, scale)) if columns.calibrated else None,
        mean_spacing_px=_mean(nearest_px(columns)),
        median_error_pm=_median(np.sqrt((errors**2).mean(axis=1))),
        notes=columns.history[-1].notes if columns.history else (),
    )


def _mean(values: npt.NDArray[np.float64]) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


def _median(values: npt.NDArray[np.float64]) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else None


def attempt(task: FileTask, report: Report) -> SummaryRow:
    """:func:`process_one`, with what goes wrong as the row's error: one file's failure never ends a batch."""
    start = time.perf_counter()
    try:
        return process_one(task, report)[1]
    except UserError as problem:
        error = str(problem)
    except MemoryError:
        error = f"{task.path} needs more memory than there is; search a part of it (--region-px)."
    except Exception as problem:  # the one place where a defect becomes a failed file
        logging.getLogger(__name__).exception("%s failed", task.path)
        error = f"{task.path}: internal error ({type(problem).__name__}: {problem}); please report it with {LOG_NAME}."
    return SummaryRow(str(task.path), seconds=round(time.perf_counter() - start, 3), error=error)


def log_to_file() -> None:
    """Send what libraries and defects log to a file, not among the results on the terminal; once a process."""
    root = logging.getLogger()
    if any(handler.get_name() == LOG_NAME for handler in root.handlers):
        return
    path = places.log_folder() / LOG_NAME
    handler = RotatingFileHandler(path, maxBytes=2 << 20, backupCount=1, delay=True, encoding="utf-8")
    handler.set_name(LOG_NAME)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    root.addHandler(handler)
    logging.captureWarnings(True)


def attempt_quietly(task: FileTask) -> SummaryRow:
    """:func:`attempt` without a report, as worker processes call it."""
    log_to_file()
    return attempt(task, Report())


def run_here(tasks: Sequence[FileTask], report: Callable[[FileTask], Report]) -> Iterator[SummaryRow]:
    """Runner of this process, one file after another."""
    for task in tasks:
        yield attempt(task, report(task))


def run_in_processes(tasks: Sequence[FileTask], jobs: int) -> Iterator[SummaryRow]:
    """Runner of ``jobs`` worker processes, rows as they come; a worker that dies fails only its file."""
    from atomseg_app.pool import Died, run_in_pool

    def clear_up(task: FileTask, process_id: int) -> None:
        remove_unfinished(task.outputs.result, process_id)

    for task, row in run_in_pool(attempt_quietly, tasks, jobs, clear_up):
        if isinstance(row, Died):
            row = SummaryRow(str(task.path), error=f"{task.path}: its worker process ended ({row.reason}).")
        yield row


def summary_text(rows: Sequence[SummaryRow]) -> str:
    """Summary of a batch as CSV; texts that a spreadsheet would take for a formula are quoted with an apostrophe."""
    names = [field.name for field in fields(SummaryRow) if field.name != "notes"]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        values = [getattr(row, name) for name in names]
        writer.writerow(["" if v is None else harmless(v) if isinstance(v, str) else repr(v) for v in values])
    return out.getvalue()


def harmless(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
