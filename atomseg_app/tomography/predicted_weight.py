"""Weight of total variation that predicts views best which the reconstruction has not seen."""

from __future__ import annotations

import torch

from atomseg_app.operations import Report
from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.rays.reconstruct import found_weight, sirt, total_variation

FACTORS = (1 / 64, 1 / 16, 1 / 4, 1 / 2, 1.0, 2.0, 4.0, 8.0)
"""Weights that are tried, times the one that the views' noise suggests."""
_LEFT_OUT = 6  # one view of so many, none at the ends
_MARGIN = 3
_SOFT, _ITERATIONS, _MOST_SLICES = 10, 100, 8
_FEWEST = 16  # views: with fewer, those left out are too far from the others


def predicted_weight(views: torch.Tensor, beam: ParallelBeam, report: Report) -> float:
    """Factor on :func:`found_weight` for views (slices, view, t) of a series, one of :data:`FACTORS`.

    Every sixth view is left out; what is made of the others, from some of the slices, is projected to it. Cross
    validation over views (Stone, J. R. Stat. Soc. B 36 (1974) 111). 1 for fewer than 16 views. Raises Cancelled.
    """
    if beam.views < _FEWEST:
        return 1.0
    lit = views.abs().mean((1, 2)) > 0.1 * views.abs().mean((1, 2)).amax()
    held = views[lit]
    if not len(held):
        return 1.0
    held = held[torch.linspace(0, len(held) - 1, min(len(held), _MOST_SLICES)).round().long()]
    out = torch.zeros(beam.views, dtype=torch.bool)
    out[beam.tilt_deg.argsort()[_MARGIN:-_MARGIN:_LEFT_OUT]] = True
    seen, unseen = (
        ParallelBeam(beam.tilt_deg[each], beam.size, beam.device, beam.shift_px[each]) for each in (~out, out)
    )
    weight, soft = found_weight(held[:, ~out]), sirt(seen, held[:, ~out], _SOFT)
    misfits = []
    for factor in FACTORS:
        report.check()
        made = total_variation(seen, held[:, ~out], factor * weight, _ITERATIONS, soft)
        misfits.append((unseen.project(made) - held[:, out]).square().mean((1, 2)))
    misfit = torch.stack(misfits)
    relative = (misfit / misfit.amin(0).clamp(min=1e-30)).mean(1)
    return FACTORS[int(relative.argmin())]
