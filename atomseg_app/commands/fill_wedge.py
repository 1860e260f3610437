"""``atomseg fill-wedge``: the filled volume, and on request its uncertainty, the filled series, and a report."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from atomseg_app.commands.options import model_options
from atomseg_app.commands.series_options import series_options
from atomseg_app.errors import UserError
from atomseg_app.operations import Operation

NAME = "fill-wedge"
"""Operation that has this command of its own."""
DONE, CANCELLED = 0, 130


@dataclass(frozen=True)
class More:
    """What is asked for beside the volume."""

    filled_series: Path | None
    uncertainty: Path | None
    report: Path | None


def fill_wedge_command(operation: Operation) -> Callable[..., None]:
    """Function whose signature is the command's: as for any operation on a series, and files for what comes beside."""

    def command(**values: Any) -> None:
        more = More(values.pop("filled_series"), values.pop("uncertainty"), values.pop("report"))
        names = [name for name in operation.parameters.model_fields if name != "uncertainty"]
        parameters = {name: values.pop(name) for name in names} | {"uncertainty": more.uncertainty is not None}
        try:
            operation.parse(parameters)
        except UserError as problem:
            raise typer.BadParameter(str(problem)) from None
        from atomseg_app.commands.series import SeriesOptions

        files = values.pop("files")
        raise typer.Exit(_run(operation, files, parameters, SeriesOptions(**values), more))

    own = [option for option in model_options(operation.parameters) if option.name != "uncertainty"]
    first, *shared = series_options(operation)
    command.__signature__ = inspect.Signature([first, *own, *shared, *_more_options(operation)])  # type: ignore[attr-defined]
    return command


def _more_options(operation: Operation) -> list[inspect.Parameter]:
    def option(name: str, flag: str, help: str, **more: Any) -> inspect.Parameter:
        annotation = Annotated[Path | None, typer.Option(flag, help=help, **more)]
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)

    return [
        option("filled_series", "--filled-series",
               "Also write the series over the whole half circle: views as measured, and inferred ones between."),
        option("uncertainty", "--uncertainty",
               f"{operation.parameters.model_fields['uncertainty'].description} Written to this file."),
        option("report", "--report",
               "Also write to this folder what was measured and what inferred: tables and a figure.", file_okay=False),
    ]  # fmt: skip


def _run(operation: Operation, given: Sequence[str], values: Mapping[str, Any], options: Any, more: More) -> int:
    """Fill and write; returns the exit code. Names of what was written go to stdout. Raises UserError."""
    from atomseg_app import batch, operations
    from atomseg_app.commands.long_work import interruptible
    from atomseg_app.commands.series import check_free, read_inputs, result_path, write_result
    from atomseg_app.data import TiltSeries, Volume
    from atomseg_app.errors import Cancelled

    batch.log_to_file()
    target = result_path(operation, given, options.output)
    check_free(operation, target, overwrite=options.overwrite)
    _check_more(more, target, overwrite=options.overwrite)
    parameters = operation.parse(values)
    written = [target]
    with interruptible() as report:
        try:
            (series,) = read_inputs(operation, given, options, report)
            volume = operations.run(operation, (series,), parameters, report)
            assert isinstance(series, TiltSeries)
            assert isinstance(volume, Volume)
            beside = report.facts.beside
            write_result(volume, target, report)
            if more.uncertainty is not None:
                write_result(beside["uncertainty"], more.uncertainty, report)
                written.append(more.uncertainty)
            if more.filled_series is not None:
                from atomseg_app.tomography.filled_series import told_series

                write_result(told_series(series, volume, report), more.filled_series, report)
                written.append(more.filled_series)
            if more.report is not None:
                from atomseg_app.tomography.wedge_report import write_report

                write_report(more.report, series, volume, report)
                written.append(more.report)
        except Cancelled:
            saved = "" if target.exists() else "; nothing was saved"
            typer.echo(f"atomseg: cancelled{saved}.", err=True)
            return CANCELLED
    sys.stdout.write("".join(f"{path}\n" for path in written))
    return DONE


def _check_more(more: More, target: Path, *, overwrite: bool) -> None:
    """Raise before anything is computed where a further result cannot be written under its name."""
    from atomseg_app.errors import FileError
    from atomseg_app.io import series_writer, volume_writer
    from atomseg_app.io.history_files import history_path
    from atomseg_app.tomography.wedge_report import FILES

    wanted = {target, history_path(target)}
    if more.uncertainty is not None:
        volume_writer.volume_extension(more.uncertainty)
    if more.filled_series is not None and series_writer.series_extension(more.filled_series) in (".csv", ".xf"):
        raise UserError(f"{more.filled_series} would hold no views; end its name with .mrc.")
    for path in (more.uncertainty, more.filled_series):
        if path is None:
            continue
        beside = series_writer.side_files(path) if path is more.filled_series else ()
        for file in (path, history_path(path), *beside):
            if file in wanted:
                raise UserError(f"{file} would be written twice; give results different names.")
            if file.exists() and not overwrite:
                raise FileError(f"{file} is already there; move it away, or allow overwriting (--overwrite).")
            wanted.add(file)
    if more.report is not None:
        for name in FILES:
            if (more.report / name).exists() and not overwrite:
                raise FileError(f"{more.report / name} is already there; choose another folder, or --overwrite.")
