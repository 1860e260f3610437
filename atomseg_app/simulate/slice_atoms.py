"""Atomic-resolution slices: atoms of a crystal or a glass that a slice cuts, blurred by probe and heat."""

from __future__ import annotations

import math

import torch

from atomseg_app.simulate.draw import Draw
from atomseg_app.simulate.slice_shapes import Grid, spots

_REACH = 0.88
_MOST_STEPS = 14  # lattice steps each way: at most (2 n + 1)^2 atoms


def lattice(draw: Draw, grid: Grid, count: int) -> torch.Tensor:
    """A particle of a crystal: oblique rows of atoms with heat, vacancies, two species and a slice's cut."""
    steps = torch.arange(-_MOST_STEPS, _MOST_STEPS + 1, device=grid.device, dtype=torch.float32)
    i, j = (each.reshape(1, -1) for each in torch.meshgrid(steps, steps, indexing="ij"))
    spacing = draw.uniform(count, 0.09, 0.2)
    turn, angle = draw.uniform(count, 0, math.pi), draw.uniform(count, math.pi / 3, math.pi / 2)
    ratio = draw.uniform(count, 0.85, 1.3)
    a = torch.stack([turn.cos(), turn.sin()], 1) * spacing[:, None]
    b = torch.stack([(turn + angle).cos(), (turn + angle).sin()], 1) * (spacing * ratio)[:, None]
    x = i * a[:, :1] + j * b[:, :1] + draw.uniform(count, -0.1, 0.1)[:, None]
    z = i * a[:, 1:] + j * b[:, 1:] + draw.uniform(count, -0.1, 0.1)[:, None]
    second = ((i + j) % 2 == 0).float() * _wide(draw.sometimes(count, 0.5, draw.uniform(count, -0.6, 0.0)))
    return _atoms(draw, grid, x, z, 1 + second, spacing)


def amorphous(draw: Draw, grid: Grid, count: int) -> torch.Tensor:
    """A particle of a glass: atoms at random that keep about a bond length apart."""
    side = 2 * _MOST_STEPS + 1
    spacing = draw.uniform(count, 0.11, 0.2)
    steps = torch.arange(-_MOST_STEPS, _MOST_STEPS + 1, device=grid.device, dtype=torch.float32)
    i, j = (each.reshape(1, -1) for each in torch.meshgrid(steps, steps, indexing="ij"))
    # A hexagonal net pulled about by a third of a spacing: neighbours keep their distance, order is lost.
    moved = draw.uniform((count, side * side, 2), -0.36, 0.36) + 0.5 * draw.normal((count, 1, 2))
    turn = draw.uniform(count, 0, math.pi)
    u = (i + 0.5 * (j % 2) + moved[..., 0]) * spacing[:, None]
    v = (j * math.sqrt(0.75) + moved[..., 1]) * spacing[:, None]
    x = u * _wide(turn.cos()) - v * _wide(turn.sin())
    z = u * _wide(turn.sin()) + v * _wide(turn.cos())
    return _atoms(draw, grid, x, z, torch.ones_like(x), spacing)


def _atoms(
    draw: Draw, grid: Grid, x: torch.Tensor, z: torch.Tensor, strength: torch.Tensor, spacing: torch.Tensor
) -> torch.Tensor:
    """Atoms at (x, z), each (n, k), inside a particle of random outline, moved by heat and cut by the slice."""
    count, atoms = x.shape
    normals = torch.arange(6, device=grid.device) * math.pi / 3 + draw.uniform(count, 0, math.pi)[:, None]
    faces = draw.uniform(count, 0.45, 0.85)[:, None] * draw.uniform((count, 6), 0.8, 1.0)
    beyond = x[..., None] * normals[:, None].cos() + z[..., None] * normals[:, None].sin() - faces[:, None]
    kept = (beyond.amax(-1) < 0) & (torch.hypot(x, z) < _REACH) & ~draw.chance((count, atoms), 0.03)
    heat = _wide(draw.uniform(count, 0.0, 0.04) * spacing)
    sigma = (spacing * draw.uniform(count, 0.14, 0.3))[:, None].expand(count, atoms)
    # A slice passes an atom at any height, so that it holds a part of it.
    cut = torch.exp(-0.5 * (draw.normal((count, atoms)) * _wide(draw.uniform(count, 0, 1.2))) ** 2)
    x, z = x + heat * draw.normal((count, atoms)), z + heat * draw.normal((count, atoms))
    ground = spots(grid, torch.zeros_like(x[:, :1]), torch.zeros_like(x[:, :1]), torch.ones_like(x[:, :1]),
                   0.3 * torch.ones_like(x[:, :1]))  # fmt: skip
    amorphous_carbon = draw.sometimes(count, 0.4, draw.uniform(count, 0.0, 0.2))[:, None, None] * ground
    return spots(grid, x, z, strength * cut * kept, sigma) + amorphous_carbon


def _wide(values: torch.Tensor) -> torch.Tensor:
    return values[:, None]
