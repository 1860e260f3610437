"""Run an operation on files: tasks, progress, results as they come, summary, exit code."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atomseg_app import batch
from atomseg_app.commands import inputs
from atomseg_app.commands.progress import Display
from atomseg_app.data import Columns
from atomseg_app.errors import UserError
from atomseg_app.io.atomic_write import write_text
from atomseg_app.operations import Operation

DONE, FAILED, CANCELLED = 0, 1, 130


@dataclass(frozen=True)
class RunOptions:
    """What is asked of a run beside the operation's parameters."""

    folder: Path | None
    pixel_size_nm: float | None
    figure: bool
    overwrite: bool
    jobs: int
    dataset: str | None = None
    columns: Path | None = None


def run_files(operation: Operation, arguments: Sequence[str], values: Mapping[str, Any], options: RunOptions) -> int:
    """Run on every file; returns the exit code. Raises UserError for what makes the whole run meaningless."""
    batch.log_to_file()
    found = inputs.collect(arguments, tables=operation.inputs == (Columns.kind,))
    outputs = batch.output_paths(found.paths, options.folder, found.roots, operation)
    tasks = [
        batch.FileTask(
            path, output, operation.name, dict(values), options.dataset, options.columns, options.pixel_size_nm,
            options.figure, options.overwrite,
        )
        for path, output in zip(found.paths, outputs, strict=True)
    ]  # fmt: skip
    rows = [batch.SummaryRow(argument, error=problem) for argument, problem in found.problems]
    summary = _summary_path(operation, tasks, options) if len(tasks) > 1 else None
    with Display(len(tasks) + len(rows)) as display:
        for row in rows:
            display.finished(row)
        try:
            for row in _rows(tasks, options, display):
                rows.append(row)
                display.finished(row)
        except KeyboardInterrupt:
            display.cancelled()
            return CANCELLED
        finally:
            if summary is not None:
                order = {str(task.path): place for place, task in enumerate(tasks)}
                rows.sort(key=lambda row: order.get(row.file, len(order)))
                write_text(summary, batch.summary_text(rows))
    return FAILED if any(row.error for row in rows) else DONE


def _rows(tasks: Sequence[batch.FileTask], options: RunOptions, display: Display) -> Iterator[batch.SummaryRow]:
    """Rows of the runner that the options ask for."""
    if options.jobs > 1 and len(tasks) > 1:
        return batch.run_in_processes(tasks, min(options.jobs, len(tasks)))
    return batch.run_here(tasks, display.report)


def _summary_path(operation: Operation, tasks: Sequence[batch.FileTask], options: RunOptions) -> Path:
    """Where the summary goes: under ``-o``, or in the folder that all results share."""
    folder = options.folder or Path(os.path.commonpath([task.outputs.result.parent for task in tasks]))
    path = folder / f"{operation.result_name}_summary.csv"
    if path.exists() and not options.overwrite:
        raise UserError(f"{path} is already there; --overwrite replaces it, -o chooses another folder.")
    return path
