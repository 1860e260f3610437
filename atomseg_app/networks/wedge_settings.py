"""What can be chosen when a wedge network is trained; torch-free, for the command line and the window."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal, Self

from pydantic import model_validator

from atomseg_app.networks.card import NAME_PATTERN
from atomseg_app.operations import Parameters, parameter


@dataclass(frozen=True)
class WedgeMethod:
    """A preset of training: which network (architecture and its keyword arguments), on what, and for how long."""

    title: str
    architecture: str
    options: dict[str, Any] = field(default_factory=dict)
    steps: int = 60_000
    gives: Literal["slice", "views"] = "slice"


METHODS = {
    "residual": WedgeMethod("Missing wedge, corrections that obey the views", "atomseg-wedge-residual"),
    "sinogram": WedgeMethod("Missing wedge, joint model: views filled in", "atomseg-wedge-sinogram"),
    "cleanup": WedgeMethod("Missing wedge, joint model: tomogram cleaned", "atomseg-wedge-cleanup"),
    "artefacts": WedgeMethod("Missing wedge, artefacts found and subtracted", "atomseg-wedge-artefacts"),
    "projections": WedgeMethod("Noise of projections taken out", "atomseg-wedge-projections", gives="views"),
}
"""Presets by the name that the command line gives them."""


class TrainWedge(Parameters):
    """Parameters of training a wedge network. Neither steps nor minutes: those of the preset."""

    preset: Literal["residual", "sinogram", "cleanup", "artefacts", "projections"] = parameter(
        "residual",
        "Which method: corrections that obey the views, one of the joint model's two networks, artefacts that are "
        "subtracted, or noise reduction of projections.",
    )
    name: str = parameter("my-wedge", "Name of the model that comes out.", pattern=NAME_PATTERN)
    minutes: float | None = parameter(
        None, "Time to train for; the learning rate falls towards its end.", unit="min", gt=0, le=100_000
    )
    steps: int | None = parameter(
        None, "Steps to train for, instead of a time; gives the same network again.", ge=1, le=100_000_000
    )
    start_from: str | None = parameter(
        None, "Model whose weights it starts with, by name or card file, instead of random ones."
    )
    batch: int = parameter(8, "Slices a step, of each process; all are seen at the same angles.", ge=1, le=1024)
    slice_px: int = parameter(
        128, "Side of the simulated slices; a multiple of 16.", unit="px", advanced=True, ge=32, le=512, multiple_of=16
    )
    learning_rate: float = parameter(
        2e-3, "Size of the steps; smaller where training diverges.", advanced=True, gt=0, le=1
    )
    adversarial: float = parameter(
        0.0,
        "Weight of a critic that is taught to tell what the network makes from what is true; 0: none.",
        advanced=True,
        ge=0,
        le=1,
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


LASTING = ("preset", "start_from", "batch", "slice_px", "learning_rate", "adversarial", "seed")
"""Settings that a run keeps when it is continued; the others may change."""
