"""Operations of tomography, declared without torch or numba: what forms, commands and histories are made from."""

from __future__ import annotations

from typing import Literal

from atomseg_app.operations import Operation, Parameters, parameter, register

Algorithm = Literal["mlem", "sirt", "fbp"]
Filter = Literal["ramp", "shepp-logan", "cosine", "hann", "hamming", "sirt-like"]
Device = Literal["auto", "cpu", "cuda"]


class Reconstruct(Parameters):
    """Parameters of *Reconstruct*."""

    algorithm: Algorithm = parameter(
        "mlem",
        "MLEM (the default, best for HAADF), SIRT (also for views with negative values), filtered back projection.",
    )
    iterations: int = parameter(30, "How often iterative algorithms go through all views.", ge=1, le=10000)
    thickness_px: int | None = parameter(
        None, "Voxels of the volume along the beam; as many as the detector is wide where empty.", unit="px", ge=1
    )
    width_px: int | None = parameter(
        None,
        "Voxels across the tilt axis; more than the detector is wide for films that reach beyond it.",
        unit="px",
        ge=1,
        advanced=True,
    )
    filter: Filter = parameter("hann", "Filter of filtered back projection; ramp is the sharpest, hann the calmest.")
    positivity: bool = parameter(True, "Keep every voxel at or above 0.", advanced=True)
    relaxation: float = parameter(
        1.0, "Step of SIRT as a share of the full one; smaller is slower and calmer.", gt=0, lt=2, advanced=True
    )
    preview_slice: int | None = parameter(
        None, "Slice along the tilt axis that is shown while it forms; the middle one where empty.", ge=0, advanced=True
    )
    device: Device = parameter("auto", "Where the computation runs.", advanced=True)


RECONSTRUCT = register(
    Operation(
        name="reconstruct",
        title="Reconstruct",
        description="Make a volume from a tilt series.",
        parameters=Reconstruct,
        function="atomseg_app.tomography.reconstruct:reconstruct",
        inputs=("tilt-series",),
        output="volume",
        suffix="volume",
    )
)
