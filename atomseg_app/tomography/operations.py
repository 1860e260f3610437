"""Operations of tomography, declared without torch or numba: what forms, commands and histories are made from."""

from __future__ import annotations

from typing import Literal

from atomseg_app.operations import Operation, Parameters, parameter, register

Algorithm = Literal[
    "mlem", "osem", "sirt", "os-sart", "sart", "tv", "asd-pocs", "fista-tv", "cgls", "tikhonov", "gradient", "dart",
    "fourier", "fbp",
]  # fmt: skip
Filter = Literal["ramp", "shepp-logan", "cosine", "hann", "hamming", "sirt-like"]
Support = Literal["none", "cylinder"]
Stop = Literal["held-out", "discrepancy"]
Background = Literal["auto", "subtract", "keep"]
Device = Literal["auto", "cpu", "cuda"]


class Reconstruct(Parameters):
    """Parameters of *Reconstruct*."""

    algorithm: Algorithm = parameter(
        "mlem",
        "mlem and osem: for HAADF; sirt, os-sart, sart: also where values are negative; tv, asd-pocs, fista-tv: few "
        "views or a missing wedge; cgls, tikhonov, gradient: least squares; dart: few grey levels; fourier; fbp: fast.",
    )
    iterations: int | None = parameter(
        None, "How often iterative algorithms go through all views; chosen from the data where empty.", ge=1, le=10000
    )
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
    support: Support = parameter(
        "none", "Where anything can be: everywhere, or in the cylinder that every view sees.", advanced=True
    )
    relaxation: float | None = parameter(
        None, "Step of sirt, os-sart, sart and gradient as a share of the full one; what suits them where empty.",
        gt=0, lt=2, advanced=True,
    )  # fmt: skip
    subsets: int | None = parameter(
        None, "In how many parts os-sart, osem and asd-pocs take the views; what suits them where empty.", ge=1,
        advanced=True,
    )  # fmt: skip
    tv_weight: float | None = parameter(
        None, "Weight of total variation in grey levels times voxels; found from the noise where empty.", gt=0,
        advanced=True,
    )  # fmt: skip
    damping: float = parameter(
        0.05, "Damping of tikhonov as a share of the projector's norm; larger is calmer.", gt=0, le=10, advanced=True
    )
    grey_levels: int = parameter(2, "How many grey levels dart looks for, the background one of them.", ge=2, le=8)
    background: Background = parameter(
        "auto",
        "What views show beside the sample: subtract it, keep it, or auto: subtract it where it is seen at both ends.",
        advanced=True,
    )
    stop: Stop = parameter(
        "held-out",
        "What ends iterations that are not given: views left out of a trial, or a rest as small as the noise.",
        advanced=True,
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


class FillWedge(Parameters):
    """Parameters of *Fill the missing wedge*."""

    method: Literal["best", "joint", "residual", "self"] = parameter(
        "best",
        "best: total variation, corrected by a network that obeys the views; joint: views filled in, then slices "
        "cleaned; residual: artefacts of back projection subtracted; self: learned from this series alone (slow).",
    )
    uncertainty: bool = parameter(
        False, "Also compute how far each voxel can be trusted, which takes six times as long."
    )
    minutes: float = parameter(10.0, "How long self learns.", unit="min", gt=0, le=10_000)
    atoms: bool = parameter(
        False,
        "Where single atoms are seen: make the volume of spots as wide as an atom's, which places atoms better. The "
        "width is measured from the views; views of anything else are recognised and filled as usual.",
    )
    spot_px: float | None = parameter(
        None,
        "Standard deviation of an atom's spot instead of the measured one, better too small than too large; spots are "
        "then made whatever the views show.",
        unit="px", ge=0.5, le=10, advanced=True,
    )  # fmt: skip
    background: Background = parameter(
        "auto",
        "Level beside the sample: auto takes it off where the views show one; networks know of none.",
        advanced=True,
    )
    model: str | None = parameter(
        None, "Network to use instead of the usual one, by its name or card file; of joint: the one that cleans.",
        advanced=True,
    )  # fmt: skip
    sinogram_model: str | None = parameter(
        None, "Network of joint that fills the views in, instead of the usual one.", advanced=True
    )
    device: Device = parameter("auto", "Where the computation runs.", advanced=True)


FILL_WEDGE = register(
    Operation(
        name="fill-wedge",
        title="Fill the missing wedge",
        description="Make a volume in which networks infer what the tilt range did not measure.",
        parameters=FillWedge,
        function="atomseg_app.tomography.fill_wedge:fill_wedge",
        inputs=("tilt-series",),
        output="volume",
        suffix="filled",
    )
)


class PrepareTilts(Parameters):
    """Parameters of *Prepare series*."""

    region_px: tuple[int, int, int, int] | None = parameter(
        None,
        "Part of the images to keep: left, top, right, bottom; right and bottom are not included.",
        unit="px",
    )
    binning: int = parameter(1, "Mean of so many pixels each way, for quick trials.", ge=1, le=16)
    stray_pixels: bool = parameter(True, "Replace X-rays, hot and dead pixels by the median around them.")
    stray_sigmas: float = parameter(
        8.0, "How many times the noise a pixel must differ from those around it to count as stray.",
        gt=2, le=1000, advanced=True,
    )  # fmt: skip
    background: Literal["none", "level", "plane"] = parameter(
        "none", "Subtract what each view is without specimen: one level, or a plane."
    )
    normalise: Literal["none", "total", "background"] = parameter(
        "none", "Scale each view: to the same total (a particle that is seen whole), or to the same background."
    )
    absorption: bool = parameter(
        False, "Bright field: take the negative logarithm of each view over its background, so that thickness adds up."
    )
    exclude: str = parameter("", "Views to leave out, counted from 0: 3,10-12.")
    tilt_axis: Literal["keep", "y", "x"] = parameter("keep", "Direction of the tilt axis in the images.")
    gain: str = parameter("", "File of a gain reference that the views are divided by.", advanced=True)
    dark: str = parameter("", "File of a dark reference that is subtracted first.", advanced=True)


PREPARE_TILTS = register(
    Operation(
        name="prepare-tilts",
        title="Prepare series",
        description="Crop, bin and clean the views of a tilt series, take off their background, even their intensity.",
        parameters=PrepareTilts,
        function="atomseg_app.tomography.prepare:prepare",
        inputs=("tilt-series",),
        output="tilt-series",
        suffix="prepared",
    )
)


class DenoiseTilts(Parameters):
    """Parameters of *Take noise out of projections*."""

    background: Background = parameter(
        "auto", "Level beside the sample: auto takes it off meanwhile where the views show one; networks know of none."
    )
    model: str | None = parameter(
        None, "Network to use instead of the usual one, by its name or card file.", advanced=True
    )
    device: Device = parameter("auto", "Where the computation runs.", advanced=True)


DENOISE_TILTS = register(
    Operation(
        name="denoise-tilts",
        title="Take noise out of projections",
        description="Show each view of an aligned tilt series as all views together explain it, by a network.",
        parameters=DenoiseTilts,
        function="atomseg_app.tomography.wedge_denoise:denoise_tilts",
        inputs=("tilt-series",),
        output="tilt-series",
        suffix="denoised",
    )
)


class ProjectVolume(Parameters):
    """Parameters of *Project*."""

    angles: str = parameter(
        "-70:70:2", "Tilt angles: START:STOP:STEP in degrees, both ends included, a list (0,3,6), or a file of angles."
    )
    width_px: int | None = parameter(
        None, "Pixels of the views across the tilt axis; as many as the volume is wide where empty.", unit="px", ge=1
    )
    noise: float = parameter(0.0, "Rms of normal noise as a share of the largest value of the views.", ge=0, le=10)
    seed: int = parameter(0, "Start of the noise's random numbers.", ge=0, advanced=True)


PROJECT = register(
    Operation(
        name="project",
        title="Project",
        description="Make the tilt series that a volume would give.",
        parameters=ProjectVolume,
        function="atomseg_app.tomography.project:project",
        inputs=("volume",),
        output="tilt-series",
        suffix="tilts",
    )
)


class HalvesAgree(Parameters):
    """Parameters of *Resolution from halves*."""

    algorithm: Literal["mlem", "sirt", "fbp", "tv"] = parameter(
        "mlem", "How both halves of the views are reconstructed."
    )
    iterations: int | None = parameter(
        None, "How often iterative algorithms go through all views; chosen from the data where empty.", ge=1, le=10000
    )
    thickness_px: int | None = parameter(
        None, "Voxels of the volume along the beam; as many as the detector is wide where empty.", unit="px", ge=1
    )


FSC = register(
    Operation(
        name="fsc",
        title="Resolution from halves",
        description="Reconstruct even and odd views apart and correlate both volumes in shells of frequency (FSC).",
        parameters=HalvesAgree,
        function="atomseg_app.tomography.halves:halves_agree",
        inputs=("tilt-series",),
        output="volume",
        suffix="fsc",
    )
)


class CompareVolumes(Parameters):
    """Parameters of *Compare with a reference*."""

    scale: bool = parameter(False, "First bring the volume to the reference's grey levels by the best straight line.")


COMPARE_VOLUMES = register(
    Operation(
        name="compare-volumes",
        title="Compare with a reference",
        description="PSNR, SSIM, rms error and Fourier shells of a volume against a reference; gives the difference.",
        parameters=CompareVolumes,
        function="atomseg_app.tomography.halves:compare",
        inputs=("volume", "volume"),
        output="volume",
        suffix="difference",
    )
)
