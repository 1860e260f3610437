"""What can be chosen when a segmentation network is trained; torch-free, for the command line and the window."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import model_validator

from atomseg_app.networks.card import NAME_PATTERN
from atomseg_app.operations import Parameters, parameter

ArchitectureName = Literal["unet", "attention", "attention-res"]
SIZES: dict[int, dict[str, tuple[int, ...]]] = {
    2: {"small": (16, 32, 64, 128), "medium": (24, 48, 96, 160), "large": (32, 64, 128, 256)},
    3: {"small": (12, 24, 48, 64), "medium": (16, 32, 64, 96), "large": (24, 48, 96, 128)},
}
"""Channels of the levels by dimensions and the name of a network's size; those of a name cost alike a voxel."""
TITLES = {
    "unet": "U-Net",
    "attention": "Attention U-Net",
    "attention-res": "Attention Res-U-Net",
}


class TrainSegmentation(Parameters):
    """Parameters of training a segmentation network. Neither steps nor minutes: twenty minutes."""

    architecture: ArchitectureName = parameter(
        "attention-res", "Which network: U-Net, with attention gates, or with gates and residual blocks."
    )
    name: str = parameter("model", "Name of the model that comes out.", pattern=NAME_PATTERN)
    minutes: float | None = parameter(
        None, "Time to train for; the learning rate falls towards its end.", unit="min", gt=0, le=100_000
    )
    steps: int | None = parameter(
        None, "Steps to train for, instead of a time; gives the same network again.", ge=1, le=100_000_000
    )
    seed: int = parameter(
        1, "Random numbers; the same seed gives the same network on the same device.", ge=0, le=900_000
    )
    start_from: str | None = parameter(
        None, "Model whose weights it starts with, by name or card file, instead of random ones."
    )
    dimensions: Literal["2d", "2.5d", "3d"] = parameter(
        "2.5d", "What the network looks at: one slice, a slice with its neighbours, or blocks."
    )
    axis: Literal["auto", "z", "y", "x"] = parameter(
        "auto", "Direction across the slices of 2d and 2.5d; the one that is painted across where auto."
    )
    slices: int = parameter(5, "Slices that a 2.5d network looks at, itself in the middle.", ge=3, le=15, advanced=True)
    size: Literal["small", "medium", "large"] = parameter(
        "small", "How many channels the network has; twice as many take four times as long.", advanced=True
    )
    norm: Literal["batch", "instance", "group"] = parameter(
        "batch", "How it normalises its features; with batch, a part is answered as the whole is.", advanced=True
    )
    patch_px: int = parameter(
        128, "Side of the pieces that it learns from.", unit="px", ge=16, le=1024, multiple_of=8, advanced=True
    )
    batch: int = parameter(8, "Pieces a step.", ge=1, le=256, advanced=True)
    loss: Literal["ce-dice", "focal", "focal-dice", "dice", "tversky", "focal-tversky"] = parameter(
        "ce-dice", "What is made small: cross-entropy and Dice, or focal, Dice, Tversky.", advanced=True
    )
    class_weights: Literal["uniform", "inverse", "inverse-sqrt", "genc"] = parameter(
        "uniform", "How much a voxel of each class counts, from how rare it is; genc: 0.2, 0.3, 0.5.", advanced=True
    )
    gamma: float = parameter(2.0, "How much focal losses look at what is not sure yet.", ge=0, le=5, advanced=True)
    recall: float = parameter(
        0.7, "Tversky: above 0.5 prefers to find everything, below to be right.", ge=0.05, le=0.95, advanced=True
    )
    oversample: float = parameter(
        0.4, "Share of the pieces that are centred on the rarest class.", ge=0, le=1, advanced=True
    )
    augmentation: Literal["none", "light", "strong"] = parameter(
        "light", "How pieces are varied: flips, small turns and other grey levels, or any turn.", advanced=True
    )
    validation: float = parameter(
        0.2, "Share of the painted slices that is kept to judge the network by.", ge=0.05, le=0.5, advanced=True
    )
    gap: int = parameter(
        8, "Slices between what is taught and what is judged by.", unit="slices", ge=0, le=1000, advanced=True
    )
    learning_rate: float = parameter(
        2e-3, "Size of the steps; smaller where training diverges.", gt=0, le=1, advanced=True
    )
    patience: int = parameter(
        0, "Validations in a row without a better one that end training early; 0 never does.", ge=0, advanced=True
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = parameter("auto", "Where to compute.", advanced=True)

    @model_validator(mode="after")
    def _one_end(self) -> Self:
        if self.steps is not None and self.minutes is not None:
            raise ValueError("give minutes or steps, not both")
        return self

    @property
    def neighbours(self) -> int:
        """Slices that the network looks at, as its channels: 1 but for 2.5d."""
        return self.slices | 1 if self.dimensions == "2.5d" else 1

    def options(self, classes: int) -> dict[str, Any]:
        """Keyword arguments of the network for so many classes."""
        dimensions = 3 if self.dimensions == "3d" else 2
        return {
            "in_channels": self.neighbours,
            "classes": classes,
            "dimensions": dimensions,
            "widths": list(SIZES[dimensions][self.size]),
            "gates": self.architecture != "unet",
            "residual": self.architecture == "attention-res",
            "norm": self.norm,
        }


DEFAULT_MINUTES = 20.0
LASTING = (
    "architecture", "start_from", "dimensions", "axis", "slices", "size", "norm", "batch", "loss", "class_weights",
    "gamma", "recall", "oversample", "augmentation", "validation", "gap", "learning_rate", "seed",
)  # fmt: skip
"""Settings that a run keeps when it is continued; the others may change."""
