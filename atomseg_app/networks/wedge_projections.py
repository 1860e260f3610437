"""Noise reduction of projections: what the other views of the slice say of a view, corrected by a network.

A reconstruction by total variation, projected again, shows every view as all of them together explain it, with little
noise; where it is wrong, as views do not fit together or the sample is not piecewise constant, the noisy view itself
tells, which the network sees beside it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from atomseg_app.networks.unet import UNet
from atomseg_app.networks.wedge_residual import corrected, relative_noise
from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.rays.reconstruct import fbp, found_weight, sirt, total_variation

_SOFT = 6  # iterations of SIRT before total variation
_FAINTEST = 1e-3  # relative noise that is told apart from none


class WedgeProjections(nn.Module):
    """Maps views (slices, view, t) and their beam to slices (slices, z, x), through views without noise.

    The U-Net has ``stem``, ``widths`` and ``depth``; total variation takes ``start`` iterations.
    """

    def __init__(self, stem: int = 16, widths: Sequence[int] = (32, 48, 64), depth: int = 1, start: int = 30) -> None:
        super().__init__()
        self.start = start
        self.unet = UNet(3, 1, stem, widths, depth)
        nn.init.zeros_(self.unet.head.weight)
        if self.unet.head.bias is not None:
            nn.init.zeros_(self.unet.head.bias)

    def forward(self, views: torch.Tensor, beam: ParallelBeam) -> torch.Tensor:
        """Filtered back projection of :meth:`denoise`'s views, not below 0."""
        return fbp(beam, self.denoise(views, beam)).clamp(min=0)

    def denoise(self, views: torch.Tensor, beam: ParallelBeam) -> torch.Tensor:
        """The views (slices, view, t) without noise, not below 0."""
        with torch.no_grad():
            measured = views.float()
            scale = measured.mean((1, 2), keepdim=True).clamp(min=0) * 4
            scale = torch.where(scale > 0, scale, 1.0)
            shown = measured / scale
            soft = sirt(beam, shown, _SOFT)
            explained = beam.project(total_variation(beam, shown, found_weight(shown), self.start, soft))
            noise = (relative_noise(shown) + _FAINTEST).log()[:, None, None].expand_as(shown) / 3 + 1
        change = corrected(self.unet, torch.stack([explained, shown - explained, noise], 1))[:, 0]
        result: torch.Tensor = (explained + change).clamp(min=0) * scale
        return result
