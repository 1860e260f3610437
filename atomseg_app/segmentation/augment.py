"""Variation of what a network is taught: geometry of values and labels alike, grey levels of values alone.

Labels are warped by the nearest neighbour, so that no class is invented and none grows or shrinks: bilinear masks,
truncated to integers, lose 15 % of a small particle's area (the published data's direction of error).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional


@dataclass(frozen=True)
class Variation:
    """How far a piece may be varied: turned (degrees either way), zoomed (factor either way), sheared."""

    turn_deg: float = 0.0
    zoom: float = 1.0
    shear: float = 0.0
    flips: bool = False
    gain: float = 0.0
    offset: float = 0.0
    noise: float = 0.0
    often: float = 0.5

    @property
    def margin(self) -> float:
        """Side of what must be read for a piece, as a multiple of its own."""
        turn = math.radians(min(45.0, self.turn_deg))
        return self.zoom * (math.cos(turn) + math.sin(turn)) * (1 + self.shear)


VARIATIONS = {
    "none": Variation(),
    "light": Variation(10.0, 1.2, 0.05, True, 0.1, 0.05, 0.08),
    "strong": Variation(180.0, 1.35, 0.1, True, 0.25, 0.1, 0.15, 0.8),
}


def affine(count: int, variation: Variation, dimensions: int, generator: torch.Generator) -> torch.Tensor:
    """Matrices (count, dimensions, dimensions) of columns, rows[, slices]: from a piece's place to what is read there.

    Turns and shears are in the plane of rows and columns. Part of the pieces is only flipped, so that the grain of the
    noise stays what it is.
    """

    def spread(limit: float) -> torch.Tensor:
        return (torch.rand(count, generator=generator) * 2 - 1) * limit

    moved = torch.rand(count, generator=generator) < variation.often
    turn = torch.deg2rad(spread(variation.turn_deg)) * moved
    zoom = torch.exp(spread(math.log(variation.zoom)) * moved)
    shear = spread(variation.shear) * moved
    cos, sin = torch.cos(turn), torch.sin(turn)
    plane = torch.stack([torch.stack([cos, -sin + shear * cos], 1), torch.stack([sin, cos + shear * sin], 1)], 1)
    matrix = torch.zeros(count, dimensions, dimensions)
    matrix[:, :2, :2] = plane
    if dimensions == 3:
        matrix[:, 2, 2] = 1.0
    matrix = matrix * zoom[:, None, None]
    flips = (torch.rand(count, dimensions, generator=generator) < 0.5).float() * 2 - 1
    return matrix * flips[:, None, :] if variation.flips else matrix


def warp(
    values: torch.Tensor, labels: torch.Tensor, matrix: torch.Tensor, size_px: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Pieces of side ``size_px`` out of larger ones round the same centre.

    ``values`` (batch, channels, [z,] y, x) are interpolated linearly, ``labels`` (batch, [z,] y, x) taken from the
    nearest voxel. Sides must be larger by an even number: without turn and zoom nothing is then interpolated.
    """
    dimensions = matrix.shape[-1]
    scale = size_px / torch.tensor(values.shape[:1:-1], dtype=torch.float32)  # columns, rows[, slices]
    theta = torch.cat([matrix * scale[None, :, None], torch.zeros(len(matrix), dimensions, 1)], 2).to(values.device)
    grid = functional.affine_grid(theta, [len(values), 1, *(size_px,) * dimensions], align_corners=False)
    warped = functional.grid_sample(values, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    nearest = functional.grid_sample(
        labels[:, None].float(), grid, mode="nearest", padding_mode="reflection", align_corners=False
    )
    return warped, nearest[:, 0].round().to(torch.uint8)


def greys(values: torch.Tensor, variation: Variation, generator: torch.Generator) -> torch.Tensor:
    """Values with another gain, offset and more noise, each piece its own; ``values`` (batch, ...)."""
    shape = (len(values), *(1,) * (values.ndim - 1))

    def each(limit: float) -> torch.Tensor:
        return (torch.randn(shape, generator=generator) * limit).to(values.device)

    out = values * torch.exp(each(variation.gain)) + each(variation.offset)
    if variation.noise:
        sd = torch.rand(shape, generator=generator) * variation.noise
        sd = sd * (torch.rand(shape, generator=generator) < variation.often)
        out = out + (torch.randn(values.shape, generator=generator) * sd).to(values.device)
    return out
