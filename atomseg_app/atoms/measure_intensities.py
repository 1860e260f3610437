"""The operation that adds integrated intensities, by fit and by cell, to a table."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree

from atomseg_app import devices
from atomseg_app.atoms.defect_operations import MeasureIntensities
from atomseg_app.atoms.intensity import CELL_RADIUS_SIGMA, cell_sums, fit_amplitudes
from atomseg_app.data import Columns, Image, with_quantities
from atomseg_app.errors import UserError
from atomseg_app.operations import Report


def measure_intensities(image: Image, columns: Columns, parameters: MeasureIntensities, report: Report) -> Columns:
    """Columns with ``fit_intensity`` and ``cell_intensity`` and their errors, in grey levels of the file times px².

    Raises UserError for fewer than two columns.
    """
    if len(columns) < 2:
        raise UserError(f"Intensities are measured of columns beside each other, but there are {len(columns)}.")
    spacing = float(np.median(cKDTree(columns.xy_px).query(columns.xy_px, 2)[0][:, 1]))
    device = devices.choose("cpu", report)
    fit = fit_amplitudes(image.values, columns.table, spacing, report.part(0.0, 0.9), device=device)
    measured = fit.intensities
    radius = parameters.radius_px or CELL_RADIUS_SIGMA * float(np.median(measured.sigma_px))
    cell, cell_err = cell_sums(fit, radius, subtract_background=parameters.subtract_background)
    report.progress(1.0, f"{len(columns)} columns measured")
    return with_quantities(
        columns,
        {
            "fit_intensity": measured.volume, "fit_intensity_err": measured.volume_err,
            "cell_intensity": cell, "cell_intensity_err": cell_err,
        },
    )  # fmt: skip
