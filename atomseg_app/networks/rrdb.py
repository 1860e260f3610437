"""Residual-in-residual dense blocks, the generator of sinograms in TomoFillNet, narrower.

Wang, Yu, Wu, et al., ESRGAN (ECCV workshops 2018); Ding, Liu, Zhang, Xin, Sci. Rep. 9, 12803 (2019): dilations 1, 2, 4
in the three dense blocks of each, residuals times 0.2, no norms.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

_SHARE = 0.2
_SLOPE = 0.2
_CONVOLUTIONS = 5
_CHANNELS = 16
"""Channels come in these numbers: for others, torch 2.13 on CPUs with bfloat16 gives NaN as the gradient of a dilated
convolution's weights (input in channels_last), which stops the training."""


class RRDBNet(nn.Module):
    """Maps (batch, in_channels, y, x) to (batch, 1, y, x); sides must be multiples of ``fold``.

    The trunk works at 1 / ``fold`` of the resolution, pixels folded into channels, as ESRGAN does for a quarter of the
    cost. ``features`` and ``growth`` must be multiples of 16, ValueError otherwise.
    """

    def __init__(
        self, in_channels: int = 2, features: int = 32, growth: int = 16, blocks: int = 3, fold: int = 2
    ) -> None:
        super().__init__()
        if features % _CHANNELS or growth % _CHANNELS:
            raise ValueError(f"features {features} and growth {growth} must be multiples of {_CHANNELS}")
        self.fold = fold
        self.first = nn.Conv2d(in_channels * fold**2, features, 3, padding=1)
        self.trunk = nn.Sequential(*(RRDB(features, growth) for _ in range(blocks)))
        self.after = nn.Conv2d(features, features, 3, padding=1)
        self.up = nn.Conv2d(features, features, 3, padding=1)
        self.last = nn.Conv2d(features, fold**2, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """The last layer is linear, as projections have no greatest value."""
        features = self.first(functional.pixel_unshuffle(x, self.fold))
        features = features + self.after(self.trunk(features))
        return functional.pixel_shuffle(self.last(functional.leaky_relu(self.up(features), _SLOPE)), self.fold)


class RRDB(nn.Module):
    """Three dense blocks that look farther and farther, beside the identity."""

    def __init__(self, features: int, growth: int) -> None:
        super().__init__()
        self.dense = nn.Sequential(*(_Dense(features, growth, dilation) for dilation in (1, 2, 4)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same shape."""
        result: torch.Tensor = x + _SHARE * self.dense(x)
        return result


class _Dense(nn.Module):
    """Five convolutions, each of which sees what all before it gave."""

    def __init__(self, features: int, growth: int, dilation: int) -> None:
        super().__init__()
        outs = [growth] * (_CONVOLUTIONS - 1) + [features]
        self.convolutions = nn.ModuleList(
            nn.Conv2d(features + growth * index, out, 3, padding=dilation, dilation=dilation)
            for index, out in enumerate(outs)
        )
        with torch.no_grad():
            for parameter in self.parameters():  # ESRGAN: a tenth of the usual
                parameter.mul_(0.1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        seen = [x]
        for convolution in self.convolutions[:-1]:
            seen.append(functional.leaky_relu(convolution(torch.cat(seen, 1)), _SLOPE))
        result: torch.Tensor = x + _SHARE * self.convolutions[-1](torch.cat(seen, 1))
        return result
