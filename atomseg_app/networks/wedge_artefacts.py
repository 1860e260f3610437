"""The residual network: artefacts of a back projection are found and subtracted.

Ge and Xin, Microsc. Microanal. 24 (S1) (2018) 504, who train a network on the difference between reconstructions with
and without a missing wedge. Their abstract gives no layers; these are those of residual noise reduction (Zhang et al.,
IEEE Trans. Image Process. 26 (2017) 3142: one resolution throughout, batch norms, a linear end), joined to residual
blocks that look farther and farther, as streaks are long, on pixels folded into channels, which a CPU can train.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from atomseg_app.networks.wedge_residual import brightness
from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.rays.reconstruct import fbp


class WedgeArtefacts(nn.Module):
    """Maps views (slices, view, t) and their beam to slices (slices, z, x): back projection less its artefacts.

    Residual blocks of ``features`` channels, one for each of ``dilations``, work on pixels folded ``fold`` by ``fold``.
    """

    def __init__(self, features: int = 48, dilations: Sequence[int] = (1, 2, 4, 8, 8, 4, 2, 1), fold: int = 2) -> None:
        super().__init__()
        self.fold = fold
        self.first = nn.Conv2d(fold**2, features, 3, padding=1)
        self.blocks = nn.Sequential(*(_Block(features, dilation) for dilation in dilations))
        self.last = nn.Conv2d(features, fold**2, 3, padding=1)

    def forward(self, views: torch.Tensor, beam: ParallelBeam) -> torch.Tensor:
        """Filtered back projection without the artefacts, not below 0."""
        slices = fbp(beam, views.float())
        return (slices - self.artefacts(slices)).clamp(min=0)

    def artefacts(self, slices: torch.Tensor) -> torch.Tensor:
        """What is wrong (slices, z, x) with the back projections (slices, z, x) of a limited range of angles."""
        scale = brightness(slices)
        height, width = slices.shape[-2:]
        padded = functional.pad((slices / scale)[:, None], (0, -width % self.fold, 0, -height % self.fold))
        with torch.autocast(slices.device.type, torch.bfloat16):
            shown = functional.pixel_unshuffle(padded, self.fold).contiguous(memory_format=torch.channels_last)
            found = self.last(self.blocks(functional.relu(self.first(shown))))
        whole = functional.pixel_shuffle(found.float(), self.fold)
        result: torch.Tensor = whole[:, 0, :height, :width] * scale
        return result


class _Block(nn.Module):
    """Two normed convolutions beside the identity; starts as the identity."""

    def __init__(self, features: int, dilation: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(features, features, 3, padding=dilation, dilation=dilation, bias=False)
        self.norm = nn.BatchNorm2d(features)
        self.second = nn.Conv2d(features, features, 3, padding=dilation, dilation=dilation, bias=False)
        self.end = nn.BatchNorm2d(features)
        nn.init.zeros_(self.end.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same shape."""
        return functional.relu(x + self.end(self.second(functional.relu(self.norm(self.first(x))))))
