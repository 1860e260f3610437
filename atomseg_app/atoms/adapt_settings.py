"""What can be chosen when a network is adapted to one image; torch-free, for the command line and the window."""

from __future__ import annotations

from typing import Literal

from atomseg_app.networks.card import NAME_PATTERN
from atomseg_app.operations import Parameters, parameter


class AdaptColumns(Parameters):
    """Parameters of *Adapt to this image*."""

    model: str = parameter("columns", "Which network is adapted: the name of a model, or its file.")
    name: str = parameter("adapted-columns", "Name of the model that comes out.", pattern=NAME_PATTERN)
    minutes: float = parameter(2.0, "Time to train for.", unit="min", gt=0, le=600)
    seed: int = parameter(1, "Random numbers of the simulated pictures.", advanced=True, ge=0, le=900_000)
    batch: int = parameter(8, "Pictures a step; half of them are no look-alikes.", advanced=True, ge=4, le=512)
    picture_px: int = parameter(
        128, "Side of the simulated pictures; a multiple of 16.", unit="px", advanced=True, ge=64, le=512,
        multiple_of=16,
    )  # fmt: skip
    learning_rate: float = parameter(2e-4, "Size of the steps.", advanced=True, gt=0, le=1)
    device: Literal["auto", "cpu", "cuda", "mps"] = parameter("auto", "Where to compute.", advanced=True)
