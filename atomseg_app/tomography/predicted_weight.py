"""Weight of total variation that predicts views best which the reconstruction has not seen."""

from __future__ import annotations

import torch

from atomseg_app.operations import Report
from atomseg_app.rays.reconstruct import found_weight, sirt, total_variation
from atomseg_app.tomography.unseen_views import UnseenViews

FACTORS = (1 / 64, 1 / 16, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0)
"""Weights that are tried, times the one that the views' noise suggests."""
_SOFT, _ITERATIONS = 10, 100


def predicted_weight(parts: UnseenViews, report: Report) -> tuple[float, float]:
    """Factor on :func:`found_weight` for a series, one of :data:`FACTORS`, and its mean misfit. Raises Cancelled."""
    weight, soft = found_weight(parts.shown), sirt(parts.shown_beam, parts.shown, _SOFT)
    misfits = []
    for factor in FACTORS:
        report.check()
        made = total_variation(parts.shown_beam, parts.shown, factor * weight, _ITERATIONS, soft)
        misfits.append(parts.misfit(made))
    misfit = torch.stack(misfits)
    relative = (misfit / misfit.amin(0).clamp(min=1e-30)).square().mean(1)
    best = int(relative.argmin())
    return FACTORS[best], float(misfit[best].mean())
