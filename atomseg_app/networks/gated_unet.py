"""One composable U-Net for labels: 2D, slices with their neighbours (2.5D) and 3D; attention gates; residual blocks.

U-Net: Ronneberger, Fischer, Brox 2015. Additive gates: Oktay et al. 2018, in their first form: the gating feature is
that of the decoder before it is enlarged, and what passes is the skip times alpha, with no convolution behind, so that
an open gate is a plain U-Net exactly. Residual blocks: He, Zhang, Ren, Sun 2016.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

Norm = Literal["batch", "instance", "group"]

_SLOPE = 0.01
_GROUPS = 8
_CONVOLUTION = {2: nn.Conv2d, 3: nn.Conv3d}
_BATCH_NORM = {2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
_POOL = {2: functional.avg_pool2d, 3: functional.avg_pool3d}
_LINEAR = {2: "bilinear", 3: "trilinear"}


class GatedUNet(nn.Module):
    """Maps (batch, in_channels, [z,] y, x) of any size to logits (batch, classes, [z,] y, x).

    ``widths`` are the channels of the levels, each half as fine as the one before. ``gates`` puts an attention gate on
    every skip, ``residual`` makes all blocks residual ones. With the norm "batch" a trained network is a fixed
    convolution: a tile answers as the whole does; "instance" and "group" look at the whole of what they are given.
    Sides that are no multiples of :attr:`stride` are mirrored at their ends and cropped again. Raises ValueError for
    dimensions other than 2 and 3, no levels, or a norm that is not known.
    """

    def __init__(
        self,
        in_channels: int = 1,
        classes: int = 3,
        dimensions: int = 2,
        widths: Sequence[int] = (16, 32, 64, 128),
        gates: bool = False,
        residual: bool = False,
        norm: Norm = "batch",
    ) -> None:
        super().__init__()
        if dimensions not in _CONVOLUTION:
            raise ValueError(f"dimensions are 2 or 3, not {dimensions}")
        if not widths or min(widths) < 1:
            raise ValueError(f"widths {tuple(widths)} are no channels of levels")
        self.dimensions = int(dimensions)
        self.stride: int = 2 ** (len(widths) - 1)
        block = _Residual if residual else _Plain
        ins, fine, coarse = (in_channels, *widths[:-1]), widths[:-1], widths[1:]
        self.down = nn.ModuleList(block(a, b, dimensions, norm) for a, b in zip(ins, widths, strict=True))
        self.narrow = nn.ModuleList(_convolution(b, a, 1, dimensions) for a, b in zip(fine, coarse, strict=True))
        self.gates = nn.ModuleList(
            Gate(a, b, dimensions) for a, b in zip(fine, coarse, strict=True) if gates
        )  # fmt: skip
        self.up = nn.ModuleList(block(2 * a, a, dimensions, norm) for a in fine)
        self.head = _CONVOLUTION[dimensions](widths[0], classes, 1)

    @property
    def reach_px(self) -> int:
        """How far from a pixel its answer may depend on the input, with the norm "batch": the field of view's half."""
        levels = len(self.down)
        # Two convolutions on the way down, on the way up too but at the bottom; pooling, enlarging and gates: a cell.
        return sum(2**level * (2 if level == levels - 1 else 6) for level in range(levels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits of the size of ``x``."""
        return self._run(x)[0]

    def with_gates(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Logits, and what each gate lets through, finest first: (batch, 1, [z,] y, x) in 0..1, of the size of x."""
        return self._run(x)

    def _run(self, x: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
        size = x.shape[2:]
        x = mirrored(x, self.stride)
        padded = x.shape[2:]
        skips: list[torch.Tensor] = []
        for level, down in enumerate(self.down):
            x = down(_POOL[self.dimensions](x, 2) if level else x)
            skips.append(x)
        skips.pop()
        alphas: list[torch.Tensor] = []
        for level in reversed(range(len(self.up))):
            skip = skips[level]
            if len(self.gates):
                skip, alpha = self.gates[level](skip, x)
                alphas.insert(0, alpha)
            x = self._enlarged(self.narrow[level](x))
            x = self.up[level](torch.cat([skip, x], 1))
        window = (slice(None), slice(None), *(slice(0, length) for length in size))
        maps = [self._to(alpha, padded)[window] for alpha in alphas] if alphas else []
        logits: torch.Tensor = self.head(x)
        return logits[window], maps

    def _enlarged(self, x: torch.Tensor) -> torch.Tensor:
        return functional.interpolate(x, scale_factor=2, mode=_LINEAR[self.dimensions], align_corners=False)

    def _to(self, x: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
        return functional.interpolate(x, size=tuple(size), mode=_LINEAR[self.dimensions], align_corners=False)


class Gate(nn.Module):
    """Additive attention: skip (fine channels) times alpha in 0..1, told by the coarser feature of the decoder."""

    def __init__(self, fine: int, coarse: int, dimensions: int) -> None:
        super().__init__()
        inner = max(1, fine // 2)
        self.mode = _LINEAR[dimensions]
        self.theta = _CONVOLUTION[dimensions](fine, inner, 2, stride=2, bias=False)
        self.phi = _CONVOLUTION[dimensions](coarse, inner, 1)
        self.psi = _CONVOLUTION[dimensions](inner, 1, 1)

    def forward(self, skip: torch.Tensor, gating: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The skip let through, and alpha (batch, 1, ...) of its size."""
        alpha = torch.sigmoid(self.psi(functional.relu(self.theta(skip) + self.phi(gating))))
        alpha = functional.interpolate(alpha, scale_factor=2, mode=self.mode, align_corners=False)
        return skip * alpha, alpha


class _Plain(nn.Module):
    """Twice: convolution, norm, activation."""

    def __init__(self, before: int, after: int, dimensions: int, norm: Norm) -> None:
        super().__init__()
        self.first: nn.Module = _convolution(before, after, 3, dimensions)
        self.first_norm: nn.Module = _norm(norm, after, dimensions)
        self.second: nn.Module = _convolution(after, after, 3, dimensions)
        self.second_norm: nn.Module = _norm(norm, after, dimensions)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same size, other channels."""
        x = functional.leaky_relu(self.first_norm(self.first(x)), _SLOPE, inplace=True)
        return functional.leaky_relu(self.second_norm(self.second(x)), _SLOPE, inplace=True)


class _Residual(_Plain):
    """Convolution, norm, activation, convolution, norm beside a shortcut; the activation of their sum."""

    def __init__(self, before: int, after: int, dimensions: int, norm: Norm) -> None:
        super().__init__(before, after, dimensions, norm)
        self.shortcut: nn.Module = nn.Identity()
        if before != after:
            self.shortcut = nn.Sequential(_convolution(before, after, 1, dimensions), _norm(norm, after, dimensions))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Same size, other channels."""
        main = functional.leaky_relu(self.first_norm(self.first(x)), _SLOPE, inplace=True)
        return functional.leaky_relu(self.second_norm(self.second(main)) + self.shortcut(x), _SLOPE, inplace=True)


def fused(module: GatedUNet) -> GatedUNet:
    """The network itself, its batch norms folded into the convolutions before them: the same answers, sooner.

    Only for use: what is trained needs its norms. Other norms stay.
    """
    for part in module.modules():
        if isinstance(part, _Plain):
            part.first, part.first_norm = _folded(part.first, part.first_norm)
            part.second, part.second_norm = _folded(part.second, part.second_norm)
        if isinstance(part, _Residual) and isinstance(part.shortcut, nn.Sequential):
            part.shortcut = nn.Sequential(*_folded(*part.shortcut))
    return module


def _folded(convolution: nn.Module, norm: nn.Module) -> tuple[nn.Module, nn.Module]:
    if not isinstance(norm, nn.BatchNorm2d | nn.BatchNorm3d):
        return convolution, norm
    assert isinstance(convolution, nn.Conv2d | nn.Conv3d)
    return fuse_conv_bn_eval(convolution, norm), nn.Identity()


def mirrored(x: torch.Tensor, stride: int) -> torch.Tensor:
    """``x`` (batch, channels, ...) with sides that are multiples of a stride, two at least, mirrored at their ends."""
    for axis in range(2, x.ndim):
        size = x.shape[axis]
        wanted = max(2 * stride, -(-size // stride) * stride)
        if wanted != size:
            place = torch.arange(wanted, device=x.device) % max(1, 2 * (size - 1))
            x = x.index_select(axis, torch.minimum(place, max(1, 2 * (size - 1)) - place) if size > 1 else place)
    return x


def _convolution(before: int, after: int, kernel: int, dimensions: int) -> nn.Module:
    return _CONVOLUTION[dimensions](before, after, kernel, padding=kernel // 2, bias=False)


def _norm(norm: Norm, channels: int, dimensions: int) -> nn.Module:
    if norm == "batch":
        return _BATCH_NORM[dimensions](channels)
    if norm == "instance":
        return nn.GroupNorm(channels, channels)
    if norm == "group":
        return nn.GroupNorm(next(g for g in range(_GROUPS, 0, -1) if channels % g == 0), channels)
    raise ValueError(f"there is no norm {norm!r}; known: batch, instance, group")
