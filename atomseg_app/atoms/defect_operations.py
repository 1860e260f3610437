"""Declarations of intensities, atom counts and defects: parameter models only, so that forms cost nothing."""

from __future__ import annotations

from typing import Literal

from atomseg_app.operations import Operation, Parameters, parameter, register

DEFECTS = ("", "vacancy", "weak", "strong", "antisite", "interstitial", "dislocation", "boundary")
"""Names of the codes in the quantity ``defect``. ``weak`` and ``strong``: columns that scatter less or more than those
like them round about; ``vacancy``: a place of the lattice with no column."""
NO_DEFECT, VACANCY, WEAK, STRONG, ANTISITE, INTERSTITIAL, DISLOCATION, BOUNDARY = range(len(DEFECTS))

Measure = Literal["fit", "cell"]
Width = Literal["common", "growing"]


class MeasureIntensities(Parameters):
    """Parameters of *Measure intensities*."""

    radius_px: float | None = parameter(
        None, "Largest distance of a pixel from the column it is counted to; 2.6 column widths where empty.",
        unit="px", gt=0,
    )  # fmt: skip
    subtract_background: bool = parameter(True, "Take the fitted background off the cells' sums.")


class CountAtoms(Parameters):
    """Parameters of *Count atoms*."""

    quantity: str = parameter(
        "integrated_intensity", "Which intensity of the table is counted, such as fit_intensity or cell_intensity."
    )
    width: Width = parameter(
        "common", "Whether all components of the mixture are equally wide, or wider in proportion to the square root "
        "of their number of atoms.",
    )  # fmt: skip
    most_components: int = parameter(60, "Largest number of components tried.", ge=1, le=400)
    components: int | None = parameter(None, "Number of components, instead of the minimum of the criterion.", ge=1)
    first_atoms: int | None = parameter(
        None, "Atoms in the columns of the weakest component; found from the intensities where empty.", ge=1
    )
    library: str | None = parameter(
        None, "Text file with simulated intensities of columns of 1, 2, 3 ... atoms; counts are read off it directly."
    )
    library_scale: float = parameter(
        1.0, "Factor from the table's intensities (grey level times px²) to those of the library.", gt=0
    )


class FindDefects(Parameters):
    """Parameters of *Find defects*."""

    false_alarms: float = parameter(
        0.2, "Expected number of sound columns and sites per image that are called defects.", gt=0, le=1000
    )
    intensity: Measure = parameter(
        "fit", "Which intensity is compared: the volume of the fitted column, or the sum over its cell.", advanced=True
    )
    vacancies: bool = parameter(True, "Look for places of the lattice that have no column.")
    topology: bool = parameter(True, "Look for dislocation cores and grain boundaries.")


MEASURE_INTENSITIES = register(
    Operation(
        name="measure-intensities",
        title="Measure intensities",
        description="Integrate every column's intensity by fit and over its cell, with error bars.",
        parameters=MeasureIntensities,
        function="atomseg_app.atoms.measure_intensities:measure_intensities",
        inputs=("image", "columns"),
        output="columns",
    )
)

COUNT_ATOMS = register(
    Operation(
        name="count-atoms",
        title="Count atoms",
        description="Number of atoms in every column, with its confidence, from the distribution of intensities.",
        parameters=CountAtoms,
        function="atomseg_app.atoms.counting:count_atoms",
        inputs=("columns",),
        output="columns",
    )
)

FIND_DEFECTS = register(
    Operation(
        name="find-defects",
        title="Find defects",
        description="Find vacancies, foreign atoms, interstitials, dislocations and boundaries, each with a score.",
        parameters=FindDefects,
        function="atomseg_app.atoms.defects:find_defects",
        inputs=("image", "columns"),
        output="columns",
    )
)
