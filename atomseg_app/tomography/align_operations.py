"""Operations that align a tilt series, declared without torch or numba: the whole chain, and each of its steps."""

from __future__ import annotations

from typing import Literal

from atomseg_app.operations import Operation, Parameters, parameter, register

AxisMethod = Literal["mass", "sharpness"]


class Align(Parameters):
    """Parameters of *Align*."""

    neighbours: bool = parameter(True, "First, correlate each view with its neighbour of lower tilt.")
    common_line: bool = parameter(True, "Then bring the sums over each slice to agree, along the tilt axis.")
    centre_of_mass: bool = parameter(
        True,
        "Then let the centre of mass of each slice move as it must when tilted, which also gives the tilt axis; left "
        "out where the sample reaches beyond the views.",
    )
    matching: bool = parameter(True, "Last, match the views to projections of their reconstruction, coarse to fine.")
    start_over: bool = parameter(True, "Forget the alignment that the series has; without, it is improved.")
    refine_angles: bool = parameter(False, "While matching, refine the tilt angles (or Euler angles) too.")
    finest_px: int = parameter(
        128,
        "Views are matched in steps up to this many pixels across, binned.",
        unit="px",
        ge=32,
        le=1024,
        advanced=True,
    )
    reach_px: float | None = parameter(
        None,
        "Longest shift between neighbours; a quarter of the view where empty.",
        unit="px",
        gt=0,
        advanced=True,
    )
    resolution_px: float = parameter(
        0.05, "Common line: iterated until shifts are known to this.", unit="px", gt=0, le=1, advanced=True
    )


class AlignNeighbours(Parameters):
    """Parameters of *Align: neighbours*."""

    reach_px: float | None = parameter(
        None, "Longest shift between neighbours; a quarter of the view where empty.", unit="px", gt=0
    )
    finest_px: int = parameter(
        128, "Views are binned to about this many pixels across.", unit="px", ge=32, le=1024, advanced=True
    )


class AlignCommonLine(Parameters):
    """Parameters of *Align: common line*."""

    resolution_px: float = parameter(0.05, "Iterated until shifts are known to this.", unit="px", gt=0, le=1)
    reach_px: float | None = parameter(
        None, "Longest correction along the axis; a sixth of the view where empty.", unit="px", gt=0
    )


class AlignCentreOfMass(Parameters):
    """Parameters of *Align: centre of mass*."""

    axis: bool = parameter(True, "Also turn and move the tilt axis to where the slices say that it is.")


class AlignAxis(Parameters):
    """Parameters of *Align: tilt axis*."""

    method: AxisMethod = parameter(
        "mass", "Where the centres of mass of all slices say; or where three trial slices are sharpest."
    )
    rotation: bool = parameter(True, "Find its rotation in the image, not only its place.")
    slices: tuple[int, ...] | None = parameter(
        None, "Slices (rows along the axis) that are tried for sharpness; three of much contrast where empty."
    )
    reach_px: float | None = parameter(
        None, "Furthest that the axis is looked for; a tenth of the view where empty.", unit="px", gt=0, advanced=True
    )


class AlignMatch(Parameters):
    """Parameters of *Align: projection matching*."""

    rotation: bool = parameter(True, "Find the rotation of the tilt axis in the image, too.")
    refine_angles: bool = parameter(False, "Refine the tilt angles (or Euler angles), too.")
    finest_px: int = parameter(
        128, "Goes coarse to fine up to this many pixels across, binned.", unit="px", ge=32, le=1024
    )
    blur_px: float = parameter(
        2.0, "Blur of the binned views: more is safer, less is finer.", unit="px", gt=0.3, le=8, advanced=True
    )
    rounds: int = parameter(30, "Most rounds at each size.", ge=1, le=500, advanced=True)
    tolerance_px: float = parameter(
        0.002, "A size is done when no view moves more than this in a round.", unit="px", gt=0, le=1, advanced=True
    )


def _align(name: str, title: str, description: str, parameters: type[Parameters], function: str) -> Operation:
    return register(
        Operation(
            name=name,
            title=title,
            description=description,
            parameters=parameters,
            function=f"atomseg_app.tomography.align:{function}",
            inputs=("tilt-series",),
            output="tilt-series",
            suffix="aligned",
        )
    )


ALIGN = _align(
    "align",
    "Align",
    "Find the shift of every view and the tilt axis; the images stay as they are, projectors account for it.",
    Align,
    "align",
)
ALIGN_NEIGHBOURS = _align(
    "align-neighbours",
    "Align: neighbours",
    "Shifts from phase correlation of neighbouring views, the steeper one stretched; a start for the other steps.",
    AlignNeighbours,
    "align_neighbours",
)
ALIGN_COMMON_LINE = _align(
    "align-common-line",
    "Align: common line",
    "Shifts along the tilt axis: the sum over each slice is the same in all views.",
    AlignCommonLine,
    "align_common_line",
)
ALIGN_CENTRE_OF_MASS = _align(
    "align-centre-of-mass",
    "Align: centre of mass",
    "Shifts across the tilt axis: the centre of mass of each slice moves as a cosine and a sine of the tilt.",
    AlignCentreOfMass,
    "align_centre_of_mass",
)
ALIGN_AXIS = _align(
    "align-axis",
    "Align: tilt axis",
    "Place and rotation of the tilt axis of a series whose views are aligned with each other.",
    AlignAxis,
    "align_axis",
)
ALIGN_MATCH = _align(
    "align-match",
    "Align: projection matching",
    "Improve shifts and axis by matching the views to projections of their own reconstruction, coarse to fine.",
    AlignMatch,
    "align_match",
)
