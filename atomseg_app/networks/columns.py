"""The column network: what goes in, what its channels mean, and how they are read.

Per-pixel column probability with sub-pixel offset, its uncertainty and amplitude, as in localisation microscopy
(DECODE, Speiser et al. 2021), beside the pictures that microscopists know from AtomSegNet (Lin et al. 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from atomseg_app.networks.unet import UNet

CHANNELS = (
    "heat", "offset_x", "offset_y", "log_sd", "amplitude",
    "circle", "gaussian", "denoised", "background_free", "super_resolved",
)  # fmt: skip
"""Outputs in order. ``heat`` and ``circle`` are logits, offsets and sd in pixels, the rest in units of the input."""

SIGMA_PX = 2.0
"""rms width of a column's image that the network works at; images are resampled to it."""

CLIP = (-8.0, 16.0)
"""Normalised grey levels are clipped to this range."""

HEAT_PX = 1.0
"""rms width of the probability's peak at a column."""


class ColumnNetwork(nn.Module):
    """Maps normalised images (batch, 1, y, x) to the :data:`CHANNELS` (batch, 10, y, x)."""

    def __init__(self, stem: int = 16, widths: Sequence[int] = (32, 48, 80, 112), depth: int = 2) -> None:
        super().__init__()
        self.net = UNet(1, len(CHANNELS), stem, widths, depth)
        with torch.no_grad():
            head = self.net.head
            head.weight.mul_(0.1)
            assert head.bias is not None
            head.bias.zero_()
            head.bias[CHANNELS.index("heat")] = -4.0
            head.bias[CHANNELS.index("circle")] = -2.0

    @property
    def stride(self) -> int:
        """Sides of inputs must be multiples of this."""
        return self.net.stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """All channels; the denoised picture is told as a change of the input."""
        out: torch.Tensor = self.net(x)
        place = CHANNELS.index("denoised")
        return torch.cat([out[:, :place], out[:, place : place + 1] + x, out[:, place + 1 :]], 1)


@dataclass(frozen=True)
class Normalisation:
    """Grey levels of an image, ``(value - mean) / scale`` clipped to what training saw; each (...,) of images."""

    mean: torch.Tensor
    scale: torch.Tensor

    @classmethod
    def of(cls, images: torch.Tensor) -> Normalisation:
        """From images (..., y, x). A constant image has scale 1."""
        scale = images.std((-2, -1))
        return cls(images.mean((-2, -1)), torch.where(scale > 0, scale, torch.ones_like(scale)))

    def apply(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised images (..., y, x)."""
        return ((images - self.mean[..., None, None]) / self.scale[..., None, None]).clamp(*CLIP)

    def scaled(self, images: torch.Tensor) -> torch.Tensor:
        """Differences of grey levels in the network's units."""
        return images / self.scale[..., None, None]
