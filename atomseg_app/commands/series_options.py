"""Commands of operations on a tilt series or a volume: their options, made from the operation's declaration."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from atomseg_app.commands.options import model_options
from atomseg_app.errors import UserError
from atomseg_app.operations import Operation

SERIES, VOLUME = "tilt-series", "volume"


class TiltAxis(StrEnum):
    """Direction of the tilt axis in the images."""

    Y = "y"
    X = "x"


def takes_series(operation: Operation) -> bool:
    """Whether the command of an operation works on one series or volume, not on many images."""
    return operation.inputs[:1] in ((SERIES,), (VOLUME,))


def series_command(operation: Operation) -> Callable[..., None]:
    """Function whose signature is the command's: the input, the operation's parameters, where the result goes."""

    def command(**values: Any) -> None:
        parameters = {name: values.pop(name) for name in operation.parameters.model_fields}
        try:
            operation.parse(parameters)
        except UserError as problem:
            raise typer.BadParameter(str(problem)) from None
        from atomseg_app.commands.series import SeriesOptions, run_on_series

        files = values.pop("files")
        raise typer.Exit(run_on_series(operation, files, parameters, SeriesOptions(**values)))

    shared = series_options(operation)
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [shared[0], *model_options(operation.parameters), *shared[1:]]
    )
    return command


def series_options(operation: Operation) -> list[inspect.Parameter]:
    """Options that commands on a series or volume share, the input first, but those that the operation has itself."""
    own = operation.parameters.model_fields
    return [option for option in _options(operation) if option.name not in own]


def _options(operation: Operation) -> list[inspect.Parameter]:
    """The input, what is told of it beside its file, and where the result goes."""

    def option(name: str, kind: Any, default: Any, *flags: str, help: str, **more: Any) -> inspect.Parameter:
        annotation = Annotated[kind, typer.Option(*flags, help=help, **more)]
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)

    of_series = operation.inputs[0] == SERIES
    several = len(operation.inputs) > 1
    named = (
        "The tilt series: a file, a folder of single tilts, or a pattern such as 'tilt_*.tif'."
        if of_series
        else f"{'Files' if several else 'File'} of {' and '.join(operation.inputs)}, in this order."
    )
    argument = typer.Argument(help=named, show_default=False)
    result = "volume" if operation.output == VOLUME else "result"
    return [
        inspect.Parameter("files", inspect.Parameter.KEYWORD_ONLY, annotation=Annotated[list[str], argument]),
        *(_series_options(option) if of_series else []),
        option("pixel_size_nm", float | None, None, "--pixel-size-nm", min=1e-6, max=1e9,
               help="Size of a pixel in nm, instead of what the file says."),
        option("dataset", str | None, None, "--dataset",
               help="Which dataset, in files that hold several ('atomseg info' lists them)."),
        option("output", Path | None, None, "-o", "--output",
               help=f"File for the {result}, its format told by the extension; beside the input without it."),
        option("overwrite", bool, False, "--overwrite", help="Replace an existing result."),
    ]  # fmt: skip


def _series_options(option: Callable[..., inspect.Parameter]) -> list[inspect.Parameter]:
    """What a tilt series needs that its files may not tell."""
    return [
        option("angles", Path | None, None, "--angles", exists=True, dir_okay=False,
               help="File of the tilt angles (.rawtlt, .tlt, .mdoc, text, CSV), instead of what the series says."),
        option("alignment", Path | None, None, "--alignment", exists=True, dir_okay=False,
               help="Alignment of the series (.csv, IMOD .xf)."),
        option("tilt_axis", TiltAxis | None, None, "--tilt-axis",
               help="Direction of the tilt axis in the images; y if not said."),
        option("exclude", str, "", "--exclude", help="Views to leave out, counted from 0: 3,10-12."),
    ]  # fmt: skip
