"""Declarations of the 2D atoms operations: parameter models only, so that forms and ``--help`` cost nothing."""

from __future__ import annotations

from typing import Literal

from atomseg_app.operations import Operation, Parameters, parameter, register

Method = Literal["network", "log", "hough"]
Polarity = Literal["auto", "bright", "dark"]
Shape = Literal["shared", "free"]
Device = Literal["auto", "cpu", "cuda", "mps"]


class FindColumns(Parameters):
    """Parameters of *Find columns*."""

    method: Method = parameter(
        "network", "How columns are detected: a trained network, Laplacian of Gaussian over scales, or circular Hough."
    )
    model: str = parameter("columns", "Which network: the name of a model, or its file (method network only).")
    polarity: Polarity = parameter(
        "auto", "Whether columns are brighter (HAADF) or darker (ABF) than their surroundings."
    )
    false_alarms: float = parameter(
        0.1, "Expected number of columns per image that are only noise; smaller is stricter.", gt=0, le=1000
    )
    region_px: tuple[int, int, int, int] | None = parameter(
        None,
        "Part of the image to search: left, top, right, bottom; right and bottom are not included.",
        unit="px",
    )
    shape: Shape = parameter(
        "shared", "Fit one elliptical column shape for the whole image, or a free ellipse for each column."
    )
    split: bool = parameter(True, "Split and merge peaks where the image speaks for it (dumbbells, doubled peaks).")
    refine: bool = parameter(True, "Fit all columns jointly; without it positions are those of the detection.")
    device: Device = parameter("auto", "Where the computation runs.", advanced=True)


class RefitColumns(Parameters):
    """Parameters of *Fit again*."""

    column_ids: tuple[int, ...] | None = parameter(
        None,
        "Columns to fit again (their neighbours are modelled, not moved); all where empty.",
        advanced=True,
    )
    shape: Shape = parameter(
        "shared", "Fit one elliptical column shape for the whole image, or a free ellipse for each column."
    )
    device: Device = parameter("auto", "Where the computation runs.", advanced=True)


FIND_COLUMNS = register(
    Operation(
        name="find-columns",
        title="Find columns",
        description="Find every atomic column of an image and measure its position with an error bar.",
        parameters=FindColumns,
        function="atomseg_app.atoms.find:find_columns",
        inputs=("image",),
        output="columns",
    )
)

REFIT_COLUMNS = register(
    Operation(
        name="refit-columns",
        title="Fit again",
        description="Fit given columns of an image again, from where they are now.",
        parameters=RefitColumns,
        function="atomseg_app.atoms.find:refit_columns",
        inputs=("image", "columns"),
        output="columns",
    )
)
