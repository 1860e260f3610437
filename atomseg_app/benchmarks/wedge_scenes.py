"""Slices that a missing wedge is measured on: families that no network was trained or chosen on, by condition."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch.nn import functional

from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.simulate.draw import Draw
from atomseg_app.simulate.wedge import FINER, draw_slices, record
from atomseg_app.simulate.wedge_preset import HELD_OUT, WEDGE_UNSEEN

FAMILIES = HELD_OUT
"""Two of the four are piecewise constant or nearly so."""
STEP_DEG = 2.0
_SEED = 51_015
_LIT = 0.1  # of the largest projection: bins that see the object


@dataclass(frozen=True)
class Condition:
    """Mean ``counts`` of a bin that sees the object, None for no noise; ``shift_px`` is the rms of misalignment."""

    name: str
    counts: float | None = None
    shift_px: float = 0.0


@dataclass(frozen=True)
class Scene:
    """True slices (slices, z, x) with a greatest value of 1, views (slices, view, t) at ``beam``'s angles, and the
    views without counting noise."""

    truth: torch.Tensor
    views: torch.Tensor
    clean: torch.Tensor
    beam: ParallelBeam


EXACT = Condition("noise-free")
COUNTED = Condition("1e3 counts", 1e3)
CONDITIONS = (EXACT, COUNTED, Condition("1e3, 1 px", 1e3, 1.0), Condition("1e2, 1 px", 1e2, 1.0))


def wedge_tilts(wedge_deg: float, step_deg: float = STEP_DEG) -> torch.Tensor:
    """Angles (view,) in degrees, symmetric, within what a wedge leaves."""
    half = 90 - wedge_deg / 2
    views = int(2 * half / step_deg + 1e-6) + 1
    return (torch.arange(views, dtype=torch.float64) - (views - 1) / 2) * step_deg


def protocol_tilts() -> torch.Tensor:
    """TomoFillNet's: 128 views over 180 degrees, 32 in a row missing."""
    return (torch.arange(96, dtype=torch.float64) - 47.5) * (180 / 128)


def scene(family: str, condition: Condition, tilts: torch.Tensor, count: int, size_px: int, first: int = 0) -> Scene:
    """Slices of a family with their views: the same slices in all conditions and at all angles, others for ``first``.

    They are recorded as those that networks learn from are: drawn and projected twice as fine.
    """
    draw = Draw(_SEED + 1000 * FAMILIES.index(family) + 17 * first, torch.device("cpu"))
    fine, _ = draw_slices(draw, replace(WEDGE_UNSEEN, families=(family,), size_px=size_px), count)
    shift = condition.shift_px * draw.normal((count, len(tilts)))
    clean = record(ParallelBeam(tilts, FINER * size_px), fine, shift)
    truth = functional.avg_pool2d(fine[:, None], FINER)[:, 0]
    return Scene(truth, counted(clean, condition.counts, draw), clean, ParallelBeam(tilts, size_px))


def counted(clean: torch.Tensor, counts: float | None, draw: Draw) -> torch.Tensor:
    """Views (slices, view, t) with as many counts in the mean of bins that see the object; the same for None."""
    if counts is None:
        return clean
    lit = clean > _LIT * clean.amax((1, 2), keepdim=True)
    scale = counts / ((clean * lit).sum((1, 2)) / lit.sum((1, 2)).clamp(min=1)).clamp(min=1e-6)[:, None, None]
    return draw.poisson((clean * scale).clamp(min=0)) / scale
