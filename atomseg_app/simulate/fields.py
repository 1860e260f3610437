"""Slowly varying random fields over a batch of pictures, and values of a field at points."""

from __future__ import annotations

import torch
from torch.nn import functional

from atomseg_app.simulate.draw import Draw


def smooth_field(draw: Draw, count: int, size: int, knots: int) -> torch.Tensor:
    """Fields (count, y, x) of unit standard deviation at about ``knots`` random values a side, interpolated."""
    coarse = draw.normal((count, 1, knots + 3, knots + 3))
    return functional.interpolate(coarse, size=(size, size), mode="bicubic", align_corners=False)[:, 0]


def at_points(fields: torch.Tensor, image: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Values (n,) of fields (images, y, x) at the pixels nearest to points (n,), clamped to the picture."""
    height, width = fields.shape[-2:]
    return fields[image, y.round().long().clamp(0, height - 1), x.round().long().clamp(0, width - 1)]
