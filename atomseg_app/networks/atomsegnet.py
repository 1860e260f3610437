"""The networks of AtomSegNet, as the honest comparison: its U-Net with a sigmoid at the end, and its U-Net++.

Architectures, loss and training as published (Lin, Zhang, Wang, Yang & Xin, Sci. Rep. 11, 5386, 2021; U-Net++: Zhou et
al., DLMIA 2018), written anew. One thing differs: bilinear upsampling does not tie the corners of the coarse image to
those of the fine one, which would make an answer depend on the size of the image and tiles differ from the whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True)
class Recipe:
    """How a published network was trained."""

    optimiser: str
    learning_rate: float
    momentum: float
    batch: int
    loss: str
    loss_k: float


PUBLISHED_RECIPE = Recipe("sgd", learning_rate=0.01, momentum=0.9, batch=4, loss="chi-square", loss_k=10.0)
"""AtomSegNet's training: stochastic gradient descent on the loss of :class:`AtomSegNetLoss`, k = 10 or 100."""


class _Twice(nn.Sequential):
    """Two 3 x 3 convolutions, each followed by batch normalisation and a rectifier."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__(
            nn.Conv2d(inputs, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(),
            nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(),
        )  # fmt: skip


class SigmoidUNet(nn.Module):
    """AtomSegNet's U-Net: images (n, 1, y, x) scaled to 0..1 -> (n, 1, y, x) in 0..1; sides are multiples of 4.

    Widths 64, 128, 256 (1.74 million parameters). The way up is bilinear, narrowed by a 1 x 1 convolution and
    normalised, joined with the way down and normalised again; the last channel is rectified, normalised and squashed.
    """

    def __init__(self, widths: tuple[int, ...] = (64, 128, 256)) -> None:
        super().__init__()
        self.stride = 2 ** (len(widths) - 1)
        self.reach_px = _reach(len(widths), up_px=1)
        self.down = nn.ModuleList(_Twice(below, width) for below, width in pairwise((1, *widths)))
        steps = list(pairwise(reversed(widths)))
        self.narrow = nn.ModuleList(
            nn.Sequential(nn.Conv2d(wide, width, 1), nn.BatchNorm2d(width)) for wide, width in steps
        )
        self.joined = nn.ModuleList(nn.BatchNorm2d(2 * width) for _, width in steps)
        self.up = nn.ModuleList(_Twice(2 * width, width) for _, width in steps)
        squash = nn.BatchNorm2d(1)
        with torch.no_grad():  # columns are rare: without this the first thousands of steps learn that alone
            squash.weight.fill_(2.0)
            squash.bias.fill_(-3.0)
        self.last = nn.Sequential(nn.Conv2d(widths[0], 1, 1), nn.ReLU(), squash, nn.Sigmoid())

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Mask or image (n, 1, y, x) of images (n, 1, y, x)."""
        level, kept = image, []
        for number, block in enumerate(self.down):
            level = block(functional.max_pool2d(level, 2) if number else level)
            kept.append(level)
        for narrow, joined, block, beside in zip(self.narrow, self.joined, self.up, kept[-2::-1], strict=True):
            finer = functional.interpolate(level, scale_factor=2, mode="bilinear", align_corners=False)
            level = block(joined(torch.cat((beside, narrow(finer)), dim=1)))
        result: torch.Tensor = self.last(level)
        return result


class NestedUNet(nn.Module):
    """AtomSegNet's U-Net++: images (n, 1, y, x) scaled to 0..1 -> (n, 1, y, x) in -1..1; sides are multiples of 16.

    Widths 32 to 512 (9.16 million parameters). Node (i, j) of level i sees every earlier node of its level and the
    enlarged node (i + 1, j - 1) below it.
    """

    def __init__(self, widths: tuple[int, ...] = (32, 64, 128, 256, 512)) -> None:
        super().__init__()
        self.depth = len(widths)
        self.stride = 2 ** (self.depth - 1)
        self.reach_px = _reach(self.depth, up_px=0)
        self.nodes = nn.ModuleDict()
        for j in range(self.depth):
            for i in range(self.depth - j):
                inputs = j * widths[i] + widths[i + 1] if j else (1, *widths)[i]
                self.nodes[f"{i}_{j}"] = _Twice(inputs, widths[i])
        self.last = nn.Sequential(nn.Conv2d(widths[0], 1, 1), nn.Tanh())

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Mask or image (n, 1, y, x) of images (n, 1, y, x)."""
        rows: list[list[torch.Tensor]] = []
        for diagonal in range(self.depth):
            below = functional.max_pool2d(rows[-1][0], 2) if rows else image
            rows.append([self.nodes[f"{diagonal}_0"](below)])
            for j in range(1, diagonal + 1):
                i = diagonal - j
                finer = functional.interpolate(rows[i + 1][j - 1], scale_factor=2)
                rows[i].append(self.nodes[f"{i}_{j}"](torch.cat((*rows[i], finer), dim=1)))
        result: torch.Tensor = self.last(rows[0][-1])
        return result


class AtomSegNetLoss(nn.Module):
    """Mean of ``(out - target)^2 / (target + max(target) / k)``: errors weigh more where the target is dark."""

    def __init__(self, k: float = PUBLISHED_RECIPE.loss_k) -> None:
        super().__init__()
        self.k = k

    def forward(self, out: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """Loss of an answer (n, c, y, x) for a target >= 0 of the same shape; a target of nothing counts as if to 1."""
        peak = target.amax()
        floor = torch.where(peak > 0, peak, 1.0) / self.k
        return torch.mean((out - target) ** 2 / (target + floor))


def _reach(levels: int, up_px: int) -> int:
    """Pixels that a U-Net's answer can depend on to each side: two 3 x 3 convolutions a level on either way.

    ``up_px`` is the reach of an upsampling in coarse pixels. Whole cells of the coarsest grid are added, because a
    pixel may lie anywhere in its cell.
    """
    down: int = sum(2 * 2**level for level in range(levels))
    up: int = sum((2 + 2 * up_px) * 2**level for level in range(levels - 1))
    cell: int = 2 ** (levels - 1)
    return down + up + cell - 1
