"""How well views agree with one volume: the R-factor of a quick reconstruction, the same before and after a step."""

from __future__ import annotations

import numpy as np

from atomseg_app.alignment import Alignment
from atomseg_app.operations import Report
from atomseg_app.tomography.align_views import AlignViews
from atomseg_app.tomography.geometry import alignment_of_views
from atomseg_app.tomography.matching import level_geometry, window
from atomseg_app.tomography.running_volume import RunningVolume

_SIDE_PX = 64
_ITERATIONS = 20


def r_factor(views: AlignViews, alignment: Alignment, report: Report) -> float:
    """Sum of |measured - projected| over the sum of |measured|, views binned to 64 to 127 pixels across.

    After 20 accelerated SIRT iterations from nothing, borders left out. ``alignment`` is in pixels of the series.
    """
    factor = 1
    while views.values.shape[2] // (2 * factor) >= _SIDE_PX:
        factor *= 2
    level = views.binned(factor)
    used = level.indices
    measured = np.ascontiguousarray(level.values[used])
    chosen = alignment_of_views(level.to_binned(alignment), used)
    volume = RunningVolume(measured, level_geometry(level.angles_deg[used], measured.shape, chosen))
    volume.improve(_ITERATIONS, report)
    weight = window(measured.shape, chosen)
    off = float((weight * np.abs(measured - volume.projections())).sum(dtype=float))
    return off / max(float((weight * np.abs(measured)).sum(dtype=float)), 1e-30)
