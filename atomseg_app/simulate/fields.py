"""Slowly varying random fields over a batch of pictures, and values of a field at points."""

from __future__ import annotations

from functools import cache

import torch
from torch.nn import functional

from atomseg_app.simulate.draw import Draw


def smooth_field(draw: Draw, count: int, size: int, knots: int) -> torch.Tensor:
    """Fields (count, y, x) of unit standard deviation at about ``knots`` random values a side, interpolated."""
    coarse = draw.normal((count, knots + 3, knots + 3))
    weights = _bicubic(knots + 3, size, coarse.device)
    return weights @ coarse @ weights.T


@cache
def _bicubic(knots: int, size: int, device: torch.device) -> torch.Tensor:
    """Weights (size, knots) of bicubic interpolation along one axis, as torch's: it is the same along both."""
    each = torch.eye(knots, device=device)[None, None]
    return functional.interpolate(each, size=(size, knots), mode="bicubic", align_corners=False)[0, 0]


def at_points(fields: torch.Tensor, image: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Values (n,) of fields (images, y, x) at the pixels nearest to points (n,), clamped to the picture."""
    height, width = fields.shape[-2:]
    return fields[image, y.round().long().clamp(0, height - 1), x.round().long().clamp(0, width - 1)]
