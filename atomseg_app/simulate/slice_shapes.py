"""Shapes that slices are drawn from: signed distances and fields over a fine grid, a batch at a time."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import torch

from atomseg_app.simulate.draw import Draw


@dataclass(frozen=True)
class Grid:
    """``side`` fine pixels a side over x and z from -1 to 1, the width of the slice being 2."""

    side: int
    device: torch.device

    @property
    def pixel(self) -> float:
        """Width of a fine pixel."""
        return 2 / self.side

    @cached_property
    def line(self) -> torch.Tensor:
        """Centres of pixels (side,)."""
        return (torch.arange(self.side, device=self.device) + 0.5) * self.pixel - 1

    def coverage(self, distance: torch.Tensor) -> torch.Tensor:
        """Which part of each pixel is inside, from signed distances, negative inside."""
        return (0.5 - distance / self.pixel).clamp(0, 1)

    def turned(self, x: torch.Tensor, z: torch.Tensor, turn: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Coordinates (n, side, side) in frames at (x, z) (n,), turned by ``turn`` rad (n,)."""
        dx, dz = self.line[None, None, :] - _wide(x), self.line[None, :, None] - _wide(z)
        cos, sin = _wide(turn.cos()), _wide(turn.sin())
        return dx * cos + dz * sin, dz * cos - dx * sin


def ellipse(
    grid: Grid, x: torch.Tensor, z: torch.Tensor, half: torch.Tensor, other: torch.Tensor, turn: torch.Tensor
) -> torch.Tensor:
    """Signed distances (n, side, side), exact at the outline to first order, to ellipses of these half axes (n,)."""
    along, across = grid.turned(x, z, turn)
    u, v = along / _wide(half), across / _wide(other)
    radius = torch.hypot(u, v).clamp(min=1e-6)
    slope = torch.hypot(u / _wide(half), v / _wide(other)).clamp(min=1e-6)
    return (radius - 1) * radius / slope


def facets(
    grid: Grid, x: torch.Tensor, z: torch.Tensor, normals: torch.Tensor, distances: torch.Tensor
) -> torch.Tensor:
    """Signed distances (n, side, side) to convex polygons: faces (n, k) with normals in rad, so far from (x, z)."""
    dx, dz = grid.line[None, None, :] - _wide(x), grid.line[None, :, None] - _wide(z)
    result = torch.full((len(x), grid.side, grid.side), -torch.inf, device=grid.device)
    for normal, distance in zip(normals.unbind(1), distances.unbind(1), strict=True):
        result = torch.maximum(result, dx * _wide(normal.cos()) + dz * _wide(normal.sin()) - _wide(distance))
    return result


def random_ellipse(draw: Draw, grid: Grid, count: int, sizes: tuple[float, float], reach: float) -> torch.Tensor:
    """Signed distances to ellipses anywhere that keeps them within ``reach`` of the middle."""
    half = draw.log_uniform(count, *sizes)
    other = half * draw.uniform(count, 0.35, 1.0)
    x, z = random_place(draw, count, (reach - half).clamp(min=0.0))
    return ellipse(grid, x, z, half, other, draw.uniform(count, 0, math.pi))


def random_polygon(draw: Draw, grid: Grid, count: int, sizes: tuple[float, float], reach: float) -> torch.Tensor:
    """Signed distances to convex polygons of 3 to 8 faces, within about ``reach`` of the middle."""
    faces = int(draw.integers(1, 3, 9))
    size = draw.log_uniform(count, *sizes)
    normals = _spread(draw, count, faces)
    distances = size[:, None] * draw.uniform((count, faces), 0.6, 1.0)
    if faces == 3:  # a triangle's corners are twice as far as its faces
        distances = distances * 0.6
    x, z = random_place(draw, count, (reach - size).clamp(min=0.0))
    return facets(grid, x, z, normals, distances)


def random_body(draw: Draw, grid: Grid, count: int, sizes: tuple[float, float], reach: float) -> torch.Tensor:
    """Signed distances to ellipses or polygons, either for all."""
    kind = random_ellipse if bool(draw.chance(1, 0.5)) else random_polygon
    return kind(draw, grid, count, sizes, reach)


def random_place(draw: Draw, count: int, reach: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Places (x, z), each (count,), uniform in discs of radius ``reach`` (count,)."""
    radius, angle = reach * draw.uniform(count).sqrt(), draw.uniform(count, 0, 2 * math.pi)
    return radius * angle.cos(), radius * angle.sin()


def rough_field(draw: Draw, grid: Grid, count: int, power: tuple[float, float] = (1.2, 2.2)) -> torch.Tensor:
    """Gaussian random fields (count, side, side) of unit standard deviation; amplitudes fall as frequency^-power."""
    noise = torch.fft.rfft2(draw.normal((count, grid.side, grid.side)))
    down = torch.fft.fftfreq(grid.side, device=grid.device)[:, None]
    right = torch.fft.rfftfreq(grid.side, device=grid.device)[None, :]
    frequency = torch.hypot(down, right).clamp(min=1.5 / grid.side)
    fall = frequency[None] ** -_wide(draw.uniform(count, *power))
    fall[:, 0, 0] = 0
    field: torch.Tensor = torch.fft.irfft2(noise * fall, s=(grid.side, grid.side))
    return field / field.std((1, 2), keepdim=True).clamp(min=1e-9)


def spots(grid: Grid, x: torch.Tensor, z: torch.Tensor, amplitude: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
    """Sums (n, side, side) of Gaussians at x, z with amplitude and sigma, each (n, k): a product of two matrices."""
    right = torch.exp(-((grid.line[None, None, :] - x[..., None]) ** 2) / (2 * sigma[..., None] ** 2))
    down = torch.exp(-((grid.line[None, None, :] - z[..., None]) ** 2) / (2 * sigma[..., None] ** 2))
    return (down * amplitude[..., None]).transpose(1, 2) @ right


def _spread(draw: Draw, count: int, faces: int) -> torch.Tensor:
    """Directions (count, faces) all round, never so far apart that the polygon would be open."""
    step = 2 * math.pi / faces
    even = torch.arange(faces, device=draw.device) * step
    return even + draw.uniform((count, faces), -0.22, 0.22) * step + draw.uniform(count, 0, 2 * math.pi)[:, None]


def _wide(values: torch.Tensor) -> torch.Tensor:
    return values[:, None, None]
