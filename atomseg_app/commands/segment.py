"""``atomseg segment VOLUME``: labels of a volume by a model, and its probabilities."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from atomseg_app.commands.options import model_options
from atomseg_app.errors import UserError
from atomseg_app.segmentation.operations import SEGMENT


def segment_command() -> Callable[..., None]:
    """Function whose signature is the command's."""

    def command(**values: Any) -> None:
        parameters = {name: values.pop(name) for name in SEGMENT.parameters.model_fields}
        try:
            SEGMENT.parse(parameters)
        except UserError as problem:
            raise typer.BadParameter(str(problem)) from None
        from atomseg_app.commands.run_segment import run_segment

        raise typer.Exit(run_segment(parameters, **values))

    def option(name: str, kind: Any, default: Any, *flags: str, help: str, **more: Any) -> inspect.Parameter:
        annotation = Annotated[kind, typer.Option(*flags, help=help, **more)]
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)

    argument = typer.Argument(help="File of the volume.", show_default=False)
    command.__signature__ = inspect.Signature([  # type: ignore[attr-defined]
        inspect.Parameter("volume", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Annotated[Path, argument]),
        *model_options(SEGMENT.parameters),
        option("pixel_size_nm", float | None, None, "--pixel-size-nm", min=1e-6, max=1e9,
               help="Size of a voxel in nm, instead of what the file says."),
        option("dataset", str | None, None, "--dataset",
               help="Which dataset, in files that hold several ('atomseg info' lists them)."),
        option("output", Path | None, None, "-o", "--output", file_okay=False,
               help="Folder of the results; they go beside the volume without it."),
        option("overwrite", bool, False, "--overwrite", help="Replace existing results."),
    ])  # fmt: skip
    return command
