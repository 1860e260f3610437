"""``atomseg simulate``: pictures with known truth, as networks are trained and judged on."""

from __future__ import annotations

import sys
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from atomseg_app.commands.long_work import interruptible
from atomseg_app.errors import Cancelled

DONE, CANCELLED = 0, 130
_LARGEST_PX = 2048


class PresetName(StrEnum):
    """Presets by name; a test holds them against those of the simulator."""

    DEFAULT = "default"
    HARD = "hard"


class Device(StrEnum):
    """Where to compute."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"
    MPS = "mps"


def simulate(
    count: Annotated[int, typer.Option("--count", "-n", min=1, max=1_000_000, help="Number of pictures.")] = 16,
    preset: Annotated[
        PresetName,
        typer.Option("--preset", help="default: what networks are trained on; hard: what they are judged on."),
    ] = PresetName.DEFAULT,
    size: Annotated[
        int | None, typer.Option("--size", min=32, max=_LARGEST_PX, help="Side of the pictures (px).")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Random numbers; the same seed, the same pictures.")] = 1,
    labels: Annotated[
        bool,
        typer.Option(
            "--labels",
            help="Also write the label images: both masks, noise-free, background-free, super-resolved.",
        ),
    ] = False,
    device: Annotated[Device, typer.Option("--device", help="Where to compute.")] = Device.AUTO,
    output: Annotated[Path, typer.Option("-o", "--output", file_okay=False, help="Folder for the pictures.")] = Path(
        "simulated"
    ),
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace pictures that are there.")] = False,
) -> None:
    """Simulate STEM pictures with known truth: 32-bit TIFF with pixel size, CSV of the true columns, a manifest."""
    from atomseg_app import devices
    from atomseg_app.simulate.pictures import write_pictures
    from atomseg_app.simulate.preset import PRESETS

    with interruptible() as report:
        chosen = PRESETS[preset.value]
        chosen = chosen if size is None else replace(chosen, size_px=size)
        try:
            where = devices.choose(device.value, report)
            manifest = write_pictures(chosen, count, seed, output, where, report, labels=labels, overwrite=overwrite)
        except Cancelled:
            typer.echo(f"atomseg: cancelled; the pictures in {output} have no manifest.", err=True)
            raise typer.Exit(CANCELLED) from None
    sys.stdout.write(f"{manifest}\n")
