"""What a volume does not explain of the views that it was made from: residual views, and an R-factor for each."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from atomseg_app.data import Source, TiltSeries, Volume
from atomseg_app.errors import UserError
from atomseg_app.operations import Report
from atomseg_app.tomography.geometry import alignment_of_views, geometry_of
from atomseg_app.tomography.quality import view_r_factors
from atomseg_app.tomography.series_doubts import LEVELS_KEY
from atomseg_app.tomography.views import views_along_y

Floats = npt.NDArray[np.float64]


def unexplained(series: TiltSeries, volume: Volume, report: Report) -> tuple[TiltSeries, Floats]:
    """Measured minus projected views of a series that are in use, and the R-factor (views,) of each.

    The R-factor of a view is its sum of |measured - projected| over its sum of |measured|, without what was taken off
    the views as their background. The residual views lie where the measured ones do. Raises UserError where the volume
    is not of this series.
    """
    report.progress(0, "reading the views")
    depth, slices, width = volume.shape
    geometry = geometry_of(series, depth, width)
    if geometry.volume_zyx != volume.shape:
        rows = geometry.volume_zyx[1]
        raise UserError(f"The volume has {slices} slices along the axis, the series {rows}; it is of another series.")
    measured = views_along_y(series, report)
    levels = volume.metadata.get(LEVELS_KEY, ())
    if len(levels) == len(measured):
        measured -= np.asarray(levels, np.float32)[:, None, None]
    report.progress(0.2, "projecting the volume")
    r_factors, rest = view_r_factors(np.asarray(volume.values, np.float32), measured, geometry)
    used = series.used
    name = f"{volume.source.name or series.source.name}, unexplained"
    residual = replace(
        series,
        values=np.ascontiguousarray(rest if series.tilt_axis == "y" else rest.transpose(0, 2, 1)),
        source=Source("", name),
        tilt_deg=tuple(series.tilt_deg[view] for view in used),
        euler_deg=series.euler_deg and tuple(series.euler_deg[view] for view in used),
        alignment=series.alignment and alignment_of_views(series.alignment, used),
        excluded=(),
        history=volume.history,
    )
    return residual, r_factors
