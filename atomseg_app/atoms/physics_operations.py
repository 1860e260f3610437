"""Declarations of what is measured from columns and images: lattice, strain, geometric phase, polarisation."""

from __future__ import annotations

from typing import Literal

from pydantic import field_validator

from atomseg_app.operations import Operation, Parameters, parameter, register

Order = Literal["affine", "cubic"]
Axes = Literal["image", "lattice"]
Mask = Literal["gaussian", "lorentz-hanning"]


class MeasureLattice(Parameters):
    """Parameters of *Measure lattice*."""

    least_columns: int = parameter(12, "Smallest grain, in columns; what is smaller belongs to none.", ge=6, le=10_000)
    use_intensity: bool = parameter(
        True, "Tell sublattices apart by intensity where their positions alone would make one lattice."
    )


class MeasureStrain(Parameters):
    """Parameters of *Measure strain*."""

    window: int = parameter(5, "Columns across the square that each strain is fitted over; odd.", ge=3, le=21)

    @field_validator("window")
    @classmethod
    def _odd(cls, window: int) -> int:
        if window % 2 == 0:
            raise ValueError("the window needs a column in its middle; give an odd number")
        return window

    order: Order = parameter(
        "affine",
        "Affine map over the window; or a cubic one, which blurs far less and wants about twice the window (9).",
    )
    region_px: tuple[int, int, int, int] | None = parameter(
        None,
        "Region whose mean lattice is the reference: left, top, right, bottom; the whole grain where empty.",
        unit="px",
    )
    spacing_a_nm: float | None = parameter(None, "Reference length of a, instead of the mean.", unit="nm", gt=0)
    spacing_b_nm: float | None = parameter(None, "Reference length of b, instead of the mean.", unit="nm", gt=0)
    angle_deg: float | None = parameter(
        None, "Reference angle from a to b, where a length is given.", unit="deg", gt=0, lt=180
    )
    axes: Axes = parameter("image", "Axes of the strain: the image's (turned by the angle below), or x along a.")
    axis_deg: float = parameter(
        0.0, "Direction of the strain's x axis, from the image's x towards y.", unit="deg", ge=-180, le=180
    )


class GeometricPhase(Parameters):
    """Parameters of *Geometric phase analysis*."""

    reflection_1: tuple[float, float] | None = parameter(
        None, "First reflection (x, y) in periods per pixel; the strongest where empty.", unit="1/px"
    )
    reflection_2: tuple[float, float] | None = parameter(
        None, "Second reflection (x, y); the strongest that is not on a line with the first where empty.", unit="1/px"
    )
    mask: Mask = parameter("gaussian", "Shape of the mask round each reflection.")
    mask_size: float = parameter(
        0.25,
        "Size of the mask, one standard deviation or the radius of half height, in units of the shorter reflection.",
        gt=0.01,
        le=1,
    )
    region_px: tuple[int, int, int, int] | None = parameter(
        None,
        "Region whose mean is without strain: left, top, right, bottom; the image where empty.",
        unit="px",
    )


class MeasurePolarisation(Parameters):
    """Parameters of *Measure polarisation*."""

    sublattice: int | None = parameter(
        None, "Sublattice whose shift is measured; the second brightest where empty.", ge=0, le=63
    )
    cage: int | None = parameter(
        None, "Sublattice whose columns make the cage round each; the brightest where empty.", ge=0, le=63
    )


class AssignSublattices(Parameters):
    """Parameters of *Assign sublattices*."""

    crystal: str = parameter("SrTiO3", "The crystal: a CIF file, or the name of a bundled crystal.")
    zone: tuple[int, int, int] = parameter((0, 0, 1), "Zone axis [uvw] of its conventional cell, along the beam.")


MEASURE_LATTICE = register(
    Operation(
        name="measure-lattice",
        title="Measure lattice",
        description="Grains, lattice vectors, sublattices, spacings, and each column's displacement from its place.",
        figures=("grain", "sublattice", "displacement"),
        parameters=MeasureLattice,
        function="atomseg_app.atoms.strain:measure_lattice",
        inputs=("columns",),
        output="columns",
    )
)

MEASURE_STRAIN = register(
    Operation(
        name="measure-strain",
        title="Measure strain",
        description="Strain, rotation and displacement of each column against a reference lattice, with error bars.",
        figures=("strain_xx", "strain_yy", "strain_xy", "rotation_deg", "displacement"),
        parameters=MeasureStrain,
        function="atomseg_app.atoms.strain:measure_strain",
        inputs=("columns",),
        output="columns",
    )
)

GEOMETRIC_PHASE = register(
    Operation(
        name="gpa",
        title="Geometric phase analysis",
        description="Maps of strain and rotation from the phases of two reflections of an image.",
        figures=("strain_xx", "strain_yy", "strain_xy", "rotation_deg"),
        parameters=GeometricPhase,
        function="atomseg_app.atoms.gpa:geometric_phase",
        inputs=("image",),
        output="image-series",
    )
)

MEASURE_POLARISATION = register(
    Operation(
        name="measure-polarisation",
        title="Measure polarisation",
        description="Shift of the columns of one sublattice from the centre of their neighbours of another.",
        figures=("polar",),
        parameters=MeasurePolarisation,
        function="atomseg_app.atoms.polarisation:measure_polarisation",
        inputs=("columns",),
        output="columns",
    )
)

ASSIGN_SUBLATTICES = register(
    Operation(
        name="assign-sublattices",
        title="Assign sublattices",
        description="Number the sublattices as the columns of a known crystal seen along a zone axis.",
        parameters=AssignSublattices,
        function="atomseg_app.atoms.known_crystal:assign_sublattices",
        inputs=("columns",),
        output="columns",
        figures=("sublattice",),
    )
)
