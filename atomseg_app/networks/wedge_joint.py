"""The two networks of the joint model: the sinogram's missing views are filled, the tomogram is cleaned.

Ding, Liu, Zhang, Xin, Sci. Rep. 9, 12803 (2019); Wang, Ding, Liu, Zhang, Xin, npj Comput. Mater. 6, 154 (2020). Other
than theirs, views at any angles are brought to the grid with a channel that says where they are, and come out as they
went in.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import nn
from torch.nn import functional

from atomseg_app.networks.rrdb import RRDBNet
from atomseg_app.networks.unet import UNet
from atomseg_app.networks.wedge_residual import brightness, corrected
from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.rays.reconstruct import fbp

_WIDEST = 3.0  # median steps: a wider gap is missing, not coarsely measured


class WedgeSinogram(nn.Module):
    """Maps views (slices, view, t) and their beam to slices (slices, z, x), through a filled sinogram.

    The sinogram has ``angles`` views from -90 degrees over the half circle; ``features``, ``growth``, ``blocks`` are
    the generator's.
    """

    def __init__(self, angles: int = 128, features: int = 32, growth: int = 16, blocks: int = 3) -> None:
        super().__init__()
        self.angles = angles
        self.generator = RRDBNet(2, features, growth, blocks)

    def forward(self, views: torch.Tensor, beam: ParallelBeam) -> torch.Tensor:
        """Filtered back projection of :meth:`fill`'s sinogram, not below 0."""
        return self.slices(self.fill(views, beam), beam)

    def slices(self, filled: torch.Tensor, beam: ParallelBeam) -> torch.Tensor:
        """Filtered back projection (slices, z, x), not below 0, of sinograms of the grid."""
        return fbp(grid_beam(self.angles, beam.size, beam.device), filled).clamp(min=0)

    def fill(self, views: torch.Tensor, beam: ParallelBeam) -> torch.Tensor:
        """Sinograms (slices, angles, t); where the grid was measured they are the measured ones."""
        known, valid = on_grid(moved_back(views, beam.shift_px), beam.tilt_deg, self.angles)
        scale = known.abs().amax((1, 2), keepdim=True)
        scale = torch.where(scale > 0, scale, 1.0)
        shown = torch.stack([known / scale, valid[None, :, None].expand_as(known)], 1)
        fold = self.generator.fold
        padded = functional.pad(shown, (0, -shown.shape[-1] % fold, 0, -self.angles % fold))
        with torch.autocast(views.device.type, torch.bfloat16):
            made = self.generator(padded.contiguous(memory_format=torch.channels_last))
        made = made.float()[:, 0, : self.angles, : shown.shape[-1]] * scale
        return torch.where(valid[None, :, None] > 0, known, made)


class WedgeCleanup(nn.Module):
    """Maps views (slices, view, t) and their beam to slices (slices, z, x): a U-Net cleans their back projection."""

    def __init__(self, stem: int = 16, widths: Sequence[int] = (32, 48, 64, 96), depth: int = 2) -> None:
        super().__init__()
        self.unet = UNet(1, 1, stem, widths, depth)

    def forward(self, views: torch.Tensor, beam: ParallelBeam) -> torch.Tensor:
        """Cleaned filtered back projection."""
        return self.clean(fbp(beam, views.float()))

    def clean(self, slices: torch.Tensor) -> torch.Tensor:
        """Slices (slices, z, x) without the artefacts of their back projection, not below 0."""
        scale = brightness(slices)
        return (slices + scale * corrected(self.unet, (slices / scale)[:, None])[:, 0]).clamp(min=0)


def moved_back(views: torch.Tensor, shift_px: torch.Tensor) -> torch.Tensor:
    """Views (slices, view, t) with the shifts (view,) taken out, by linear interpolation; 0 enters at the sides."""
    if not bool(shift_px.any()):
        return views
    bins = views.shape[-1]
    place = torch.arange(bins, device=views.device) + shift_px.to(views)[:, None]
    first = place.floor()
    share, index = place - first, first.long()
    result = torch.zeros_like(views)
    for each, weight in ((index, 1 - share), (index + 1, share)):
        inside = (each >= 0) & (each < bins)
        taken = views.gather(-1, each.clamp(0, bins - 1).expand_as(views))
        result += torch.where(inside, weight * taken, 0.0)
    return result


def on_grid(views: torch.Tensor, tilt_deg: torch.Tensor, angles: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Views (slices, angles, t) interpolated to the grid, and where they are known (angles,), 1 or 0.

    A view at tilt + 180 degrees is the mirrored one at tilt. Grid angles in gaps of up to three median steps, or within
    half a step of a view, are known; the others are 0.
    """
    tilts = tilt_deg.double().to(views.device)
    turned = torch.remainder(tilts + 90, 180)  # from the grid's start
    mirrored = torch.remainder(torch.div(tilts + 90, 180, rounding_mode="floor"), 2) == 1
    even = torch.where(mirrored[None, :, None], views.flip(-1), views).float()
    order = turned.argsort()
    even, turned = even[:, order], turned[order]
    # One turn goes on before and after, mirrored.
    around = torch.cat([turned[-1:] - 180, turned, turned[:1] + 180])
    held = torch.cat([even[:, -1:].flip(-1), even, even[:, :1].flip(-1)], 1)
    grid = torch.arange(angles, device=views.device, dtype=torch.float64) * (180 / angles)
    after = torch.searchsorted(around, grid, right=True).clamp(1, len(around) - 1)
    gap = (around[after] - around[after - 1]).clamp(min=1e-9)
    share = (grid - around[after - 1]) / gap
    usual = torch.diff(around).median()
    near = torch.minimum(share, 1 - share) * gap <= usual / 2
    wide = gap > _WIDEST * usual
    share = torch.where(wide, share.round(), share)
    valid = (~wide | near).float()
    mixed = held[:, after - 1] * (1 - share)[None, :, None] + held[:, after] * share[None, :, None]
    return mixed.float() * valid[None, :, None], valid


@lru_cache(maxsize=4)
def grid_beam(angles: int, size: int, device: torch.device) -> ParallelBeam:
    """Beam of the grid: ``angles`` views from -90 degrees over the half circle."""
    return ParallelBeam(torch.arange(angles, dtype=torch.float64) * (180 / angles) - 90, size, device)
