"""The operations as commands: ``atomseg find-columns``, ``info``, ``doctor``, ``bench``.

Commands and options come from the operations' declarations, so that ``--help`` and completion import neither torch
nor a file reader. Exit codes: 0 all done, 1 some or all failed, 2 usage, 130 cancelled.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from atomseg_app import __version__, operations
from atomseg_app.benchmarks.command import Benchmark, run_benchmark
from atomseg_app.commands import fill_wedge
from atomseg_app.commands.adapt import adapt
from atomseg_app.commands.label_files import export_labels, mesh
from atomseg_app.commands.labels import compare_labels, measure
from atomseg_app.commands.options import model_options
from atomseg_app.commands.segment import segment_command
from atomseg_app.commands.series_options import series_command, takes_series
from atomseg_app.commands.simulate import simulate
from atomseg_app.commands.train import train_app
from atomseg_app.errors import UserError
from atomseg_app.operations import Operation
from atomseg_app.segmentation.operations import SEGMENT

DONE, FAILED, CANCELLED = 0, 1, 130


def main(argv: list[str] | None = None) -> int:
    """Run one command line (default: the program's arguments) and return its exit code."""
    # Threads of torch that wait by spinning make a machine with other work up to ten times slower; read at its import.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    try:
        make_app()(argv, prog_name="atomseg")
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else FAILED
    except UserError as problem:
        typer.echo(f"atomseg: {problem}", err=True)
        return FAILED
    except KeyboardInterrupt:
        typer.echo("atomseg: cancelled", err=True)
        return CANCELLED
    return DONE


def make_app() -> typer.Typer:
    """The command line: fixed commands, and one for each operation on files."""
    app = typer.Typer(
        name="atomseg",
        help="Atomic columns of microscope images as numbers. Without a command the window opens with 'main.py'.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_program)
    for operation in operations.all_operations().values():
        if operation.name == fill_wedge.NAME:
            command = fill_wedge.fill_wedge_command(operation)
        elif operation is SEGMENT:  # writes more than one file
            command = segment_command()
        else:
            command = series_command(operation) if takes_series(operation) else _operation_command(operation)
        app.command(operation.name, help=operation.description)(command)
    app.command("info")(_info)
    app.command("doctor")(_doctor)
    app.command("models")(_models)
    app.command("bench")(_bench)
    app.command("simulate")(simulate)
    app.command("adapt")(adapt)
    app.command("measure")(measure)
    app.command("compare-labels")(compare_labels)
    app.command("export-labels")(export_labels)
    app.command("mesh")(mesh)
    app.add_typer(train_app(), name="train")
    return app


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"AtomSeg {__version__}")
        raise typer.Exit


def _program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options before any command; the eager ones have run when this is called."""


def _operation_command(operation: Operation) -> Callable[..., None]:
    """Function whose signature is the command's: files, the operation's parameters, what is done with results."""

    def command(**values: Any) -> None:
        parameters = {name: values.pop(name) for name in operation.parameters.model_fields}
        try:
            operation.parse(parameters)
        except UserError as problem:
            raise typer.BadParameter(str(problem)) from None
        from atomseg_app.commands.run_files import RunOptions, run_files

        arguments = values.pop("files")
        raise typer.Exit(run_files(operation, arguments, parameters, RunOptions(**values)))

    shared = _file_options(operation)
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [*shared[:1], *model_options(operation.parameters), *shared[1:]]
    )
    return command


def _positive(value: float | None) -> float | None:
    if value is not None and not 0 < value < float("inf"):
        raise typer.BadParameter(f"{value} is no pixel size; give a positive number of nm.")
    return value


def _file_options(operation: Operation) -> list[inspect.Parameter]:
    """Parameters that every operation on files has."""
    inputs = operation.inputs
    # 'enhance --output denoised' says what to make; where it goes is then said by -o alone.
    folder = ("-o",) if "output" in operation.parameters.model_fields else ("-o", "--output")

    def option(name: str, kind: Any, default: Any, *flags: str, help: str, **more: Any) -> inspect.Parameter:
        annotation = Annotated[kind, typer.Option(*flags, help=help, **more)]
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)

    of_tables = inputs == ("columns",)
    named = (
        "Tables of columns (CSV), folders with *_columns.csv, or globs."
        if of_tables
        else "Image files, folders, or globs."
    )
    files = typer.Argument(help=named, show_default=False)
    table = option("columns", Path, ..., "--columns", help="CSV of the columns to start from.", exists=True)
    return [
        inspect.Parameter("files", inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[list[str], files]),
        *([table] if inputs == ("image", "columns") else []),
        option("pixel_size_nm", float | None, None, "--pixel-size-nm", callback=_positive,
               help="Size of a pixel in nm, instead of what the file says."),
        *([] if of_tables else [
            option("dataset", str | None, None, "--dataset",
                   help="Which dataset, in files that hold several ('atomseg info' lists them)."),
        ]),
        option("folder", Path | None, None, *folder, file_okay=False,
               help="Folder for the results; they go beside each input without it."),
        option("figure", bool, False, "--figure",
               help="Also write PNGs: the columns found, or maps of what is measured."),
        option("overwrite", bool, False, "--overwrite", help="Replace existing results."),
        option("jobs", int, 1, "--jobs", "-j", min=1, help="Files worked on at once, each in its own process."),
    ]  # fmt: skip


def _info(
    files: Annotated[list[str], typer.Argument(help="Files, folders, or globs.", show_default=False)],
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """What files hold: datasets, shapes, pixel sizes; or why they cannot be used."""
    from atomseg_app.commands.info import print_info

    raise typer.Exit(print_info(files, as_json=as_json))


def _models(
    name: Annotated[
        str | None, typer.Argument(help="One of them, or its file or folder: its card in full.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """The networks that can be used: what each was trained on, how good it is, its known limits."""
    from atomseg_app.commands.models import print_models

    raise typer.Exit(print_models(name, as_json=as_json))


def _doctor() -> None:
    """Versions, devices, folders: what to send along with a question."""
    from atomseg_app import doctor

    raise typer.Exit(doctor.main())


def _bench(name: Annotated[Benchmark, typer.Argument(help="Which figures.", show_default=False)]) -> None:
    """Measure and print the figures that the README quotes."""
    raise typer.Exit(run_benchmark(name))


if __name__ == "__main__":
    sys.exit(main())
