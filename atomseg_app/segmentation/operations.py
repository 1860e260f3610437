"""Operations of 3D segmentation; torch-free, for forms, --help and completion."""

from __future__ import annotations

from typing import Literal

from atomseg_app.operations import Operation, Parameters, parameter, register

DEFAULT_MODEL = "catalyst"
"""Bundled model of support, metal and pores that a first answer comes from."""


class Segment(Parameters):
    """Parameters of *Segment*."""

    model: str = parameter(DEFAULT_MODEL, "Which network: the name of a model, or its file or folder.")
    three_axes: bool = parameter(
        False, "Mean of three passes, across z, y and x, for networks of slices; three times as long."
    )
    flips: bool = parameter(False, "Mean over mirrored copies of each slice; four times as long, a little better.")
    probabilities: bool = parameter(False, "Also give the probability of each class.")
    uncertainty: bool = parameter(
        False, "Also give where it is unsure: entropy, and with three axes how many of them disagree."
    )
    device: Literal["auto", "cpu", "cuda", "mps"] = parameter("auto", "Where to compute.", advanced=True)


SEGMENT = register(
    Operation(
        name="segment",
        title="Segment",
        description="Give every voxel of a volume its class by a trained network.",
        parameters=Segment,
        function="atomseg_app.segmentation.predict:segment",
        inputs=("volume",),
        output="labels",
        suffix="labels",
    )
)
