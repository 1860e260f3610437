"""A U-Net of residual blocks with a half-resolution trunk.

The first and last layer work at full resolution with few channels, everything between at half resolution and below:
a column's image is two pixels wide and more, so nothing is lost and a pass costs a quarter. Norms are batch norms,
which are plain scalings once trained: a tile gives what the whole image gives. (U-Net: Ronneberger, Fischer, Brox 2015;
residual blocks: He, Zhang, Ren, Sun 2016.)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional


class UNet(nn.Module):
    """Maps (batch, in_channels, y, x) to (batch, out_channels, y, x); sides must be multiples of :attr:`stride`.

    ``stem`` channels at full resolution, ``widths`` at 1/2, 1/4, ...; ``depth`` residual blocks a level on the way
    down, one on the way up.
    """

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 1,
        stem: int = 16,
        widths: Sequence[int] = (32, 48, 80, 112),
        depth: int = 2,
    ) -> None:
        super().__init__()
        widths = tuple(widths)
        self.stride: int = 2 ** len(widths)
        self.stem = _normed(nn.Conv2d(in_channels, stem, 3, padding=1, bias=False))
        befores = (stem, *widths[:-1])
        self.down = nn.ModuleList(
            nn.Sequential(
                _normed(nn.Conv2d(a, b, 3, stride=2, padding=1, bias=False)), *(Residual(b) for _ in range(depth))
            )
            for a, b in zip(befores, widths, strict=True)
        )
        self.up = nn.ModuleList(
            _Up(b, a, Residual(a) if level else _normed(nn.Conv2d(a, a, 3, padding=1, bias=False)))
            for level, (a, b) in enumerate(zip(befores, widths, strict=True))
        )
        self.head = nn.Conv2d(stem, out_channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Raises ValueError where a side is no multiple of the stride."""
        if x.shape[-1] % self.stride or x.shape[-2] % self.stride:
            raise ValueError(f"sides {tuple(x.shape[-2:])} must be multiples of {self.stride}")
        levels = [self.stem(x)]
        for down in self.down:
            levels.append(down(levels[-1]))
        x = levels.pop()
        for up in reversed(self.up):
            x = up(x, levels.pop())
        head: torch.Tensor = self.head(x)
        return head


class Residual(nn.Module):
    """Two normed convolutions beside the identity; starts as the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _normed(nn.Conv2d(channels, channels, 3, padding=1, bias=False))
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same shape."""
        return functional.relu(x + self.norm(self.second(self.first(x))))


class _Up(nn.Module):
    """Twice as fine, joined with the level's own features by a sum."""

    def __init__(self, coarse: int, fine: int, block: nn.Module) -> None:
        super().__init__()
        self.narrow = nn.Conv2d(coarse, fine, 1)
        self.block = block

    def forward(self, x: torch.Tensor, skip: torch.Tensor) -> torch.Tensor:
        x = functional.interpolate(self.narrow(x), scale_factor=2, mode="bilinear", align_corners=False)
        block: torch.Tensor = self.block(x + skip)
        return block


def _normed(convolution: nn.Conv2d) -> nn.Sequential:
    return nn.Sequential(convolution, nn.BatchNorm2d(convolution.out_channels), nn.ReLU(inplace=True))
