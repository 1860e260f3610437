"""Declarations of what the column network shows of an image beside its columns."""

from __future__ import annotations

from typing import Literal

from atomseg_app.operations import Operation, Parameters, parameter, register

EnhancedOutput = Literal["denoised", "background-free", "super-resolved", "mask", "gaussian-mask"]


class Enhance(Parameters):
    """Parameters of *Enhance*."""

    output: EnhancedOutput = parameter(
        "denoised",
        "Without noise; also without background; as through a probe of half the width; or a mask of the columns.",
    )
    polarity: Literal["auto", "bright", "dark"] = parameter(
        "auto", "Whether columns are brighter (HAADF) or darker (ABF) than their surroundings."
    )
    model: str = parameter("columns", "Which network: the name of a model, or its file.")
    device: Literal["auto", "cpu", "cuda", "mps"] = parameter("auto", "Where the computation runs.", advanced=True)


ENHANCE = register(
    Operation(
        name="enhance",
        title="Enhance",
        description="An image as the column network sees it: denoised, background-free, super-resolved, or a mask.",
        parameters=Enhance,
        function="atomseg_app.atoms.enhance:enhance",
        inputs=("image",),
        output="image",
        suffix="enhanced",
    )
)
