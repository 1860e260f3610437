"""``atomseg train segmentation``: on a volume and its painted slices, or on simulated volumes."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from atomseg_app.commands.long_work import interruptible
from atomseg_app.commands.options import model_options
from atomseg_app.errors import Cancelled
from atomseg_app.segmentation.settings import TrainSegmentation

DONE, CANCELLED = 0, 130


def segmentation_command() -> Callable[..., None]:
    """Function whose signature is the command's: the volume, its labels, the settings, where the run goes."""

    def command(ctx: typer.Context, **values: Any) -> None:
        own = {name: values.pop(name) for name in TrainSegmentation.model_fields}
        given = {
            name: value for name, value in own.items()
            if (source := ctx.get_parameter_source(name)) and source.name != "DEFAULT"
        }  # fmt: skip
        raise typer.Exit(run(given, **values))

    def option(name: str, kind: Any, default: Any, *flags: str, help: str, **more: Any) -> inspect.Parameter:
        annotation = Annotated[kind, typer.Option(*flags, help=help, **more)]
        return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)

    volume = typer.Argument(help="File of the volume.", show_default=False)
    command.__signature__ = inspect.Signature([  # type: ignore[attr-defined]
        inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context),
        inspect.Parameter("volume", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=None,
                          annotation=Annotated[Path | None, volume]),
        option("labels", Path | None, None, "--labels", exists=True,
               help="File of its labels: 8-bit, the volume's shape; what is not painted has the value to ignore."),
        option("ignore_value", int, 255, "--ignore-value", min=0, max=255,
               help="Value of voxels that nobody painted."),
        option("simulated", Literal["catalyst"] | None, None, "--simulated",
               help="Train on simulated tomograms instead of a volume: metal particles on a porous support."),
        option("volumes", int, 24, "--volumes", min=2, max=1000, help="How many tomograms are simulated."),
        *model_options(TrainSegmentation),
        option("output", Path, Path("training"), "-o", "--output", file_okay=False,
               help="Folder of the run and of the model that comes out."),
        option("resume", bool, False, "--resume", help="Go on from the checkpoint in the folder."),
    ])  # fmt: skip
    return command


def run(
    given: Mapping[str, Any],
    *,
    volume: Path | None,
    labels: Path | None,
    ignore_value: int,
    simulated: str | None,
    volumes: int,
    output: Path,
    resume: bool,
) -> int:
    """Train; returns the exit code. Raises UserError, BadParameter."""
    if (volume is None) == (simulated is None):
        raise typer.BadParameter("give a volume, or what to simulate (--simulated).")
    if volume is not None and labels is None:
        raise typer.BadParameter("give the labels of the volume (--labels FILE).")
    settings = _settings(given, output, resume=resume)
    from atomseg_app.segmentation.training import lessons_of, train_on

    with interruptible() as report:
        try:
            if simulated is not None:
                from atomseg_app.segmentation.simulated import simulated_lessons

                lessons = simulated_lessons(simulated, volumes, settings, output, report)
            else:
                from atomseg_app.commands.label_input import read_painted
                from atomseg_app.commands.run_segment import read_volume

                assert volume is not None
                assert labels is not None
                item = read_volume(volume, None, None, report)
                lessons = lessons_of(item, read_painted(labels, item, report, ignore_value), settings)
            model = train_on(lessons, settings, output, report, resume=resume)
        except Cancelled:
            _told(f"stopped; the same command with --resume -o {output} goes on.")
            return CANCELLED
    training = model.card.training
    _told(f"{training.steps:,} steps, {training.samples:,} pieces, {60 * training.hours:.3g} min on {training.device}.")
    for name, value in model.card.figures.items():
        if str(name).startswith("dice"):
            _told(f"{name}: {value}")
    sys.stdout.write(f"{model.card_path}\n")
    return DONE


def _settings(given: Mapping[str, Any], folder: Path, *, resume: bool) -> TrainSegmentation:
    """Settings from what is given, and what the run had where it is resumed. Raises BadParameter."""
    from pydantic import ValidationError

    from atomseg_app.networks.run_folder import RUN, settings_of

    values = dict(given)
    if resume and (folder / RUN).is_file():
        before = settings_of(folder, TrainSegmentation).model_dump()
        if {"steps", "minutes"} & set(given):
            before |= {"steps": None, "minutes": None}
        values = {**before, **given}
    try:
        return TrainSegmentation.model_validate(values)
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        where = f"--{str(first['loc'][0]).replace('_', '-')}: " if first["loc"] else ""
        raise typer.BadParameter(f"{where}{first['msg']}.") from None


def _told(text: str) -> None:
    typer.echo(f"atomseg: {text}", err=True)
