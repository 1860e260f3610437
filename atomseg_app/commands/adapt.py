"""``atomseg adapt IMAGE``: a network adapted to one image, with what that changed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from atomseg_app.commands.long_work import interruptible
from atomseg_app.commands.simulate import Device
from atomseg_app.errors import Cancelled, UserError

DONE, NOT_BETTER, CANCELLED = 0, 1, 130


def adapt(
    image: Annotated[Path, typer.Argument(help="Image of atomic columns.", show_default=False)],
    name: Annotated[str, typer.Option("--name", help="Name of the model that comes out.")],
    columns: Annotated[
        Path | None,
        typer.Option("--columns", dir_okay=False, help="Table of its columns; found with the network where not given."),
    ] = None,
    model: Annotated[str, typer.Option("--model", help="Network to adapt: name of a model, or file.")] = "columns",
    minutes: Annotated[float, typer.Option("--minutes", min=0.01, max=600, help="Time to train for (min).")] = 2.0,
    seed: Annotated[int, typer.Option("--seed", min=0, max=900_000, help="Random numbers of the pictures.")] = 1,
    device: Annotated[Device, typer.Option("--device", help="Where to compute.")] = Device.AUTO,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", file_okay=False, help="Folder of the model; where not given, that of yours."),
    ] = None,
) -> None:
    """Adapt a network to one image: simulate look-alikes, train on them, keep what comes out only if it is better."""
    from pydantic import ValidationError

    from atomseg_app.atoms.adapt import adapt as adapt_to
    from atomseg_app.atoms.adapt_settings import AdaptColumns
    from atomseg_app.data import Image
    from atomseg_app.io import files, tables
    from atomseg_app.networks.card import user_folder

    try:
        settings = AdaptColumns(model=model, name=name, minutes=minutes, seed=seed, device=device.value)
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        raise typer.BadParameter(f"--{first['loc'][0]}: {first['msg']}.") from None
    with interruptible() as report:
        picture = files.read(image, report=report)
        if not isinstance(picture, Image):
            raise UserError(f"{image} holds no single image but {picture.kind}; give an image to adapt to.")
        table = tables.read_csv(columns, picture) if columns else None
        try:
            adapted = adapt_to(picture, table, settings, output or user_folder(), report)
        except Cancelled:
            typer.echo("atomseg: stopped; nothing was saved.", err=True)
            raise typer.Exit(CANCELLED) from None
    before, after = adapted.validation_before, adapted.validation_after
    lines = [
        f"{'':24}{'before':>10}{'after':>10}",
        f"{'columns in the image':24}{len(adapted.before):>10}{len(adapted.after):>10}",
        f"{'look-alikes: loss':24}{before.look_alike_loss:>10.4f}{after.look_alike_loss:>10.4f}",
        f"{'look-alikes: F1':24}{before.look_alike_f1:>10.4f}{after.look_alike_f1:>10.4f}",
        f"{'other pictures: loss':24}{before.default_loss:>10.4f}{after.default_loss:>10.4f}",
        f"{'other pictures: F1':24}{before.default_f1:>10.4f}{after.default_f1:>10.4f}",
        adapted.verdict,
    ]
    if adapted.model is not None:
        lines.append(str(adapted.model.card_path))
    sys.stdout.write("\n".join(lines) + "\n")
    raise typer.Exit(DONE if adapted.model is not None else NOT_BETTER)
