"""What can be chosen when the column network is trained; torch-free, for the command line and the window."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import model_validator

from atomseg_app.networks.card import NAME_PATTERN, Architecture
from atomseg_app.operations import Parameters, parameter

NETWORKS: dict[str, Architecture] = {
    "standard": Architecture(name="atomseg-columns"),
    "small": Architecture(name="atomseg-columns", options={"stem": 8, "widths": [16, 24, 32, 48], "depth": 1}),
    "atomsegnet": Architecture(name="atomsegnet-unet"),
}
"""The network that comes with the program, one of an eighth of its size for tries and slow machines, and AtomSegNet's
U-Net on the same pictures, which gives a mask alone: what the others are compared with."""

DEFAULT_STEPS = 100_000


class TrainColumns(Parameters):
    """Parameters of training a column network. Neither steps nor minutes: :data:`DEFAULT_STEPS` steps."""

    preset: Literal["default"] = parameter("default", "Which simulated pictures it learns from.")
    name: str = parameter("my-columns", "Name of the model that comes out.", pattern=NAME_PATTERN)
    minutes: float | None = parameter(
        None, "Time to train for; the learning rate falls towards its end.", unit="min", gt=0, le=100_000
    )
    steps: int | None = parameter(
        None, "Steps to train for, instead of a time; gives the same network again.", ge=1, le=100_000_000
    )
    network: Literal["standard", "small", "atomsegnet"] = parameter(
        "standard",
        "The network that comes with the program; a small one, faster and less able; or, to compare with, AtomSegNet's "
        "U-Net, which gives a mask alone.",
    )
    start_from: str | None = parameter(
        None, "Model whose weights it starts with, by name or card file, instead of random ones."
    )
    batch: int = parameter(8, "Pictures a step, of each process.", ge=1, le=1024)
    picture_px: int = parameter(
        160,
        "Side of the simulated pictures; a multiple of 16.",
        unit="px",
        advanced=True,
        ge=64,
        le=512,
        multiple_of=16,
    )
    learning_rate: float = parameter(
        2e-3, "Size of the steps; smaller where training diverges.", advanced=True, gt=0, le=1
    )
    patience: int = parameter(
        0, "Validations in a row without a better one that end training early; 0 never does.", advanced=True, ge=0
    )
    seed: int = parameter(
        1, "Random numbers; the same seed gives the same network on the same device.", advanced=True, ge=0, le=900_000
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = parameter("auto", "Where to compute.", advanced=True)

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if self.steps is not None and self.minutes is not None:
            raise ValueError("give minutes or steps, not both")
        return self


LASTING = ("preset", "network", "start_from", "batch", "picture_px", "learning_rate", "seed")
"""Settings that a run keeps when it is continued; the others may change."""
