"""Simulated slices with their views over a limited tilt range, by the batch: what wedge networks learn from.

Slices are drawn on a grid twice as fine as they are handed out, and projected from there to bins twice as fine, at the
true angles and shifts; so what is measured is not made by the projector that reconstructs. Everything is drawn on one
device from one seed; the same seed on the same device gives the same slices and views.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.simulate.draw import Draw
from atomseg_app.simulate.slice_families import FUNCTIONS
from atomseg_app.simulate.slice_shapes import Grid
from atomseg_app.simulate.wedge_preset import WedgePreset

FINER = 2
"""Fine pixels in one that is handed out, each way."""
_LIT = 0.1  # of the largest projection: bins that see the object
_FEWEST = 10  # views
_SEEN = 0.98  # of the half width: objects end where a view might not see them


@dataclass(frozen=True)
class WedgeBatch:
    """Slices ``truth`` (slices, z, x) with a greatest value of 1, and what was measured of them.

    ``views`` (slices, view, t) at the nominal ``tilt_deg`` (view,), in grey levels times voxels, ``clean`` the same
    without counting noise. ``noise`` (slices,) is its rms in the same unit, ``shift_px`` (slices, view) how far each
    view lies from ideal, ``names`` the families.
    """

    truth: torch.Tensor
    views: torch.Tensor
    clean: torch.Tensor
    tilt_deg: torch.Tensor
    noise: torch.Tensor
    shift_px: torch.Tensor
    names: tuple[str, ...]


class WedgeSimulator:
    """Batches of a preset, one after the other, from a seed."""

    def __init__(self, preset: WedgePreset, seed: int, device: torch.device) -> None:
        self.preset = preset
        self._draw = Draw(seed, device)

    @property
    def generator(self) -> torch.Generator:
        """The generator that everything is drawn from, for checkpoints."""
        return self._draw.generator

    @torch.no_grad()
    def batch(self, count: int, tilt_deg: torch.Tensor | None = None) -> WedgeBatch:
        """That many slices, all seen at the same angles: ``tilt_deg``, or a list drawn for the batch."""
        draw, preset = self._draw, self.preset
        tilts = draw_tilts(draw, preset) if tilt_deg is None else tilt_deg
        fine, names = draw_slices(draw, preset, count)
        error = float(draw.sometimes(1, 0.5, draw.uniform(1, *preset.tilt_error_deg)))
        true_tilts = tilts.cpu().double() + error * draw.normal(len(tilts)).cpu().double()
        beam = ParallelBeam(true_tilts, FINER * preset.size_px, draw.device)
        shift = draw.normal((count, len(tilts))) * _wide(
            draw.sometimes(count, 0.5, draw.uniform(count, *preset.shift_px))
        )
        exact = record(beam, fine, shift)
        gain = (
            1
            + draw.normal((count, len(tilts), 1))
            * _wide(draw.sometimes(count, 0.5, draw.uniform(count, *preset.gain)))[..., None]
        )
        views, noise = self._counted(exact)
        truth = functional.avg_pool2d(fine[:, None], FINER)[:, 0]
        return WedgeBatch(truth, views * gain, exact * gain, tilts, noise, shift, names)

    def _counted(self, exact: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Views with counting noise, where a slice has it, and the noise's rms."""
        draw, preset, count = self._draw, self.preset, len(exact)
        lit = exact > _LIT * exact.amax((1, 2), keepdim=True)
        mean = (exact * lit).sum((1, 2)) / lit.sum((1, 2)).clamp(min=1)
        counts_per_unit = draw.log_uniform(count, *preset.dose) / mean.clamp(min=1e-6)
        counted = draw.chance(count, preset.counted)
        scale = counts_per_unit[:, None, None]
        noisy = draw.poisson((exact * scale).clamp(min=0)) / scale
        noise = torch.where(counted, (exact.mean((1, 2)) / counts_per_unit).sqrt(), 0.0)
        return torch.where(counted[:, None, None], noisy, exact), noise


def record(beam: ParallelBeam, fine: torch.Tensor, shift_px: torch.Tensor) -> torch.Tensor:
    """Views (slices, view, t) of fine slices in bins and voxels ``FINER`` times as large, shifted (slices, view)."""
    sinograms = beam.project(fine) / FINER
    bins = sinograms.shape[-1]
    place = torch.arange(bins, device=fine.device) - FINER * shift_px[..., None]
    near = place.floor()
    share, first = place - near, near.long()
    moved = torch.zeros_like(sinograms)
    for index, weight in ((first, 1 - share), (first + 1, share)):
        inside = (index >= 0) & (index < bins)
        moved += torch.where(inside, weight * sinograms.gather(-1, index.clamp(0, bins - 1)), 0.0)
    return functional.avg_pool1d(moved, FINER)


def draw_slices(draw: Draw, preset: WedgePreset, count: int) -> tuple[torch.Tensor, tuple[str, ...]]:
    """Fine slices (count, z, x) of the preset's families, scaled to a greatest value of 1 when coarse; their names."""
    grid = Grid(FINER * preset.size_px, draw.device)
    chosen = draw.integers(count, 0, len(preset.families))
    fine = torch.zeros(count, grid.side, grid.side, device=draw.device)
    for index, name in enumerate(preset.families):
        wanted = (chosen == index).nonzero()[:, 0]
        if len(wanted):
            fine[wanted] = FUNCTIONS[name](draw, grid, len(wanted)).clamp(min=0)
    fine *= grid.coverage(torch.hypot(grid.line[None, :], grid.line[:, None]) - _SEEN)
    top = functional.avg_pool2d(fine[:, None], FINER)[:, 0].amax((1, 2), keepdim=True)
    return fine / top.clamp(min=1e-6), tuple(preset.families[index] for index in chosen.tolist())


def draw_tilts(draw: Draw, preset: WedgePreset) -> torch.Tensor:
    """Angles (views,) in degrees, ascending, double precision, on the CPU."""
    missing = 0.0 if bool(draw.chance(1, preset.full)) else float(draw.uniform(1, *preset.wedge_deg))
    step, centre = float(draw.uniform(1, *preset.step_deg)), preset.centre_deg * float(draw.uniform(1, -1.0, 1.0))
    half = 90 - missing / 2
    views = max(_FEWEST, int(2 * half / step) + (missing > 0))
    tilts = (torch.arange(views, dtype=torch.float64) - (views - 1) / 2) * min(step, 2 * half / views)
    uneven = bool(draw.chance(1, preset.uneven))
    kind = int(draw.integers(1, 0, 3))
    if uneven and kind == 0:  # Saxton, Baumeister and Hahn 1984: steps go with the cosine of the tilt
        tilts = saxton(half, step)
    elif uneven and kind == 1:
        tilts = tilts + min(step, 2 * half / views) * draw.uniform(views, -0.35, 0.35).cpu().double()
    elif uneven:
        kept = draw.chance(views, float(draw.uniform(1, 0.5, 0.95))).cpu()
        kept[torch.linspace(0, views - 1, _FEWEST).round().long()] = True
        tilts = tilts[kept]
    return tilts + centre


def saxton(half_deg: float, step_deg: float) -> torch.Tensor:
    """Angles from -``half_deg`` to it whose steps are ``step_deg`` times the cosine of the tilt, and 0.2 of it at
    least."""
    angles = [0.0]
    while angles[-1] < half_deg and len(angles) < 200:
        angles.append(angles[-1] + step_deg * max(0.2, math.cos(math.radians(angles[-1]))))
    side = torch.tensor(angles[:-1] if angles[-1] > half_deg else angles, dtype=torch.float64)
    return torch.cat([-side.flip(0)[:-1], side])


def _wide(values: torch.Tensor) -> torch.Tensor:
    return values[:, None]
