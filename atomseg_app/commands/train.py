"""``atomseg train KIND``: one command for each kind of network, made from its settings."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from atomseg_app.commands.long_work import interruptible
from atomseg_app.commands.options import model_options
from atomseg_app.commands.train_segmentation import segmentation_command
from atomseg_app.errors import Cancelled
from atomseg_app.networks.courses import KINDS, Kind

DONE, CANCELLED = 0, 130


def train_app() -> typer.Typer:
    """The command ``train`` with its kinds."""
    app = typer.Typer(
        help="Train a network of your own; under 'torchrun' by several processes together.",
        no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False,
    )  # fmt: skip
    app.callback()(_train)
    for kind in KINDS.values():
        app.command(kind.name, help=kind.description)(_command(kind))
    app.command("segmentation", help="Train the network that segments volumes, on painted slices or simulated ones.")(
        segmentation_command()
    )
    return app


def _train() -> None:
    """Nothing is done before the kind is known; being there makes it a group even with one kind."""


def _command(kind: Kind) -> Callable[..., None]:
    """Function whose signature is the command's."""

    def command(ctx: typer.Context, **values: Any) -> None:
        output, resume = values.pop("output"), values.pop("resume")
        sources = {name: ctx.get_parameter_source(name) for name in values}
        given = {name: values[name] for name, source in sources.items() if source and source.name != "DEFAULT"}
        raise typer.Exit(_run(kind, given, output, resume=resume))

    folder = typer.Option("-o", "--output", file_okay=False, help="Folder of the run and of the model that comes out.")
    going_on = typer.Option("--resume", help="Go on from the checkpoint in the folder, with the settings it had.")
    keyword = inspect.Parameter.KEYWORD_ONLY
    command.__signature__ = inspect.Signature([  # type: ignore[attr-defined]
        inspect.Parameter("ctx", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context),
        *model_options(kind.settings),
        inspect.Parameter("output", keyword, default=Path("training"), annotation=Annotated[Path, folder]),
        inspect.Parameter("resume", keyword, default=False, annotation=Annotated[bool, going_on]),
    ])  # fmt: skip
    return command


def _run(kind: Kind, given: dict[str, Any], folder: Path, *, resume: bool) -> int:
    """Train; returns the exit code. What is not given is what the run had, or else the default."""
    from pydantic import ValidationError

    from atomseg_app.networks.run_folder import RUN, settings_of

    values = dict(given)
    if resume and (folder / RUN).is_file():
        before = settings_of(folder, kind.settings).model_dump()
        if {"steps", "minutes"} & set(given):
            before |= {"steps": None, "minutes": None}
        values = {**{name: value for name, value in before.items() if name in kind.settings.model_fields}, **given}
    try:
        settings = kind.settings.model_validate(values)
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        where = f"--{str(first['loc'][0]).replace('_', '-')}: " if first["loc"] else ""
        raise typer.BadParameter(f"{where}{first['msg']}.") from None
    with interruptible() as report:
        try:
            model = kind.load(kind.train)(settings, folder, report, resume=resume)
        except Cancelled:
            _told(f"stopped; 'atomseg train {kind.name} --resume -o {folder}' goes on.")
            return CANCELLED
    card = model.card
    if card.sha256:
        training = card.training
        _told(f"{training.steps:,} steps, {training.samples:,} pictures, {training.hours:.3g} h on {training.device}.")
        _told(training.convergence_note)
        sys.stdout.write(f"{model.card_path}\n")
    return DONE


def _told(text: str) -> None:
    if os.environ.get("RANK", "0") == "0":
        typer.echo(f"atomseg: {text}", err=True)
