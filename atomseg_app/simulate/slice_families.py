"""Families of objects as slices perpendicular to the tilt axis see them, drawn a batch at a time on a fine grid.

A family is a function (draw, grid, count) -> grey levels (count, side, side), 0 outside the object, which lies within
the circle that every view sees; scale is arbitrary. Which are held out is written in ``wedge_preset.py``.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch

from atomseg_app.simulate.draw import Draw
from atomseg_app.simulate.slice_atoms import amorphous, lattice
from atomseg_app.simulate.slice_shapes import (
    Grid,
    facets,
    random_body,
    random_ellipse,
    random_place,
    random_polygon,
    rough_field,
    spots,
)

Family = Callable[[Draw, Grid, int], torch.Tensor]
REACH = 0.92  # of the half width: where objects end


def polygons(draw: Draw, grid: Grid, count: int) -> torch.Tensor:
    """Overlapping convex polygons, some of them holes."""
    return _overlapping(draw, grid, count, random_polygon)


def ellipses(draw: Draw, grid: Grid, count: int) -> torch.Tensor:
    """Overlapping ellipses, some of them holes."""
    return _overlapping(draw, grid, count, random_ellipse)


def core_shell(draw: Draw, grid: Grid, count: int) -> torch.Tensor:
    """One to four particles with a core and shells; in half of the images grey levels change gradually with depth."""
    image = torch.zeros(count, grid.side, grid.side, device=grid.device)
    graded = _wide(draw.chance(count, 0.5).float() * draw.uniform(count, 0.0, 1.0))
    for _ in range(int(draw.integers(1, 1, 5))):
        body = random_body(draw, grid, count, (0.15, 0.6), REACH)
        grey, depth = _wide(draw.uniform(count, 0.3, 1.0)), (-body).clamp(min=0)
        value = grey * (1 - graded * (-depth * _wide(draw.log_uniform(count, 3, 15))).exp())
        edge = 0.0 * grey
        for _ in range(int(draw.integers(1, 1, 4))):
            edge = edge + _wide(draw.log_uniform(count, 0.03, 0.15))
            inner = grid.coverage(body + edge)
            value = value * (1 - inner) + inner * _wide(draw.uniform(count, 0.0, 1.0))
        outer = grid.coverage(body)
        image = image * (1 - outer) + outer * value
    return image


def porous(draw: Draw, grid: Grid, count: int) -> torch.Tensor:
    """A body with many pores; in half of the images it varies slowly inside."""
    body = grid.coverage(random_body(draw, grid, count, (0.4, 0.85), REACH))
    for _ in range(int(draw.integers(1, 4, 22))):
        pore = grid.coverage(random_ellipse(draw, grid, count, (0.02, 0.16), REACH))
        body = body * (1 - pore * _wide(draw.uniform(count, 0.7, 1.0)))
    return body * _texture(draw, grid, count, 0.5, 0.25)


def supported(draw: Draw, grid: Grid, count: int) -> torch.Tensor:
    """A catalyst: a light, uneven support with small dense particles on its surface and inside."""
    field = rough_field(draw, grid, count, (1.8, 2.4))
    body = random_ellipse(draw, grid, count, (0.35, 0.8), REACH)
    carrier = grid.coverage(body + 0.12 * field.clamp(-1.5, 1.5) * body.abs().clamp(max=0.2) / 0.2)
    image = carrier * _wide(draw.uniform(count, 0.08, 0.5)) * _texture(draw, grid, count, 0.7, 0.3)
    image = image * grid.coverage(_circle(grid, REACH))
    for _ in range(int(draw.integers(1, 3, 16))):
        grain = grid.coverage(random_body(draw, grid, count, (0.02, 0.1), REACH))
        image = torch.maximum(image, grain * _wide(draw.uniform(count, 0.5, 1.0)))
    return image


def needle(draw: Draw, grid: Grid, count: int) -> torch.Tensor:
    """A rod cut along or across: layers with gradual or sharp interfaces, and a rim."""
    x, z = random_place(draw, count, torch.full((count,), 0.1, device=grid.device))
    along, across = grid.turned(x, z, draw.uniform(count, 0, math.pi))
    half_length, half_width = _wide(draw.uniform(count, 0.3, 0.8)), _wide(draw.uniform(count, 0.06, 0.35))
    taper = 1 - _wide(draw.uniform(count, 0, 0.7)) * (along / half_length + 1) / 2
    body = torch.maximum(across.abs() - half_width * taper, along.abs() - half_length)
    body = torch.maximum(body, _circle(grid, REACH))
    value = _wide(draw.uniform(count, 0.2, 1.0)) + 0 * along
    for _ in range(int(draw.integers(1, 1, 7))):
        place, width = draw.uniform(count, -0.7, 0.7), draw.log_uniform(count, 0.004, 0.15)
        rise = torch.sigmoid((along - _wide(place)) / _wide(width))
        value = value * (1 - rise) + rise * _wide(draw.uniform(count, 0.1, 1.0))
    rim = grid.coverage(body + _wide(draw.uniform(count, 0.0, 0.06)))
    value = value * rim + (1 - rim) * _wide(draw.uniform(count, 0.2, 0.9))
    return grid.coverage(body) * value


def textured(draw: Draw, grid: Grid, count: int) -> torch.Tensor:
    """Bodies whose inside is a random field."""
    image = torch.zeros(count, grid.side, grid.side, device=grid.device)
    for _ in range(int(draw.integers(1, 1, 4))):
        body = grid.coverage(random_body(draw, grid, count, (0.25, 0.8), REACH))
        value = _wide(draw.uniform(count, 0.3, 1.0)) * _texture(draw, grid, count, 1.0, 0.6)
        image = image * (1 - body) + body * value
    return image


def cloud(draw: Draw, grid: Grid, count: int) -> torch.Tensor:
    """Random fields that fade towards the edge, as pictures of everything do."""
    field = rough_field(draw, grid, count, (1.0, 2.0)) + _wide(draw.uniform(count, -0.5, 1.5))
    width = draw.log_uniform(count, 0.02, 0.3)
    fade = torch.sigmoid((REACH - 3 * _wide(width) * 0.6 - _radius(grid)) / (_wide(width) * 0.3))
    return field.clamp(min=0) * fade * grid.coverage(_circle(grid, 0.97))


def blobs(draw: Draw, grid: Grid, count: int) -> torch.Tensor:
    """Sums of Gaussian spots of all widths."""
    number = int(draw.log_uniform(1, 3, 60))
    sigma = draw.log_uniform((count, number), 0.015, 0.2)
    radius, angle = (
        draw.uniform((count, number)).sqrt() * (REACH - 2.5 * sigma).clamp(min=0),
        draw.uniform((count, number), 0, 2 * math.pi),
    )
    image = spots(grid, radius * angle.cos(), radius * angle.sin(), draw.uniform((count, number), 0.1, 1.0), sigma)
    return image * torch.sigmoid((0.95 - _radius(grid)) / 0.01)


def twins(draw: Draw, grid: Grid, count: int) -> torch.Tensor:
    """Faceted particles of several twins, each a sector with a grey level of its own, and re-entrant edges."""
    image = torch.zeros(count, grid.side, grid.side, device=grid.device)
    for _ in range(int(draw.integers(1, 1, 4))):
        number = int(draw.integers(1, 2, 6))
        size = draw.uniform(count, 0.2, 0.55)
        x, z = random_place(draw, count, REACH - size * 1.3)
        turn, level = draw.uniform(count, 0, 2 * math.pi), draw.uniform(count, 0.4, 0.9)
        half = math.pi / number
        for sector in range(number):
            middle = turn + sector * 2 * half
            if number == 2:
                normals = torch.stack([middle, middle + math.pi, middle + 1.1, middle - 1.1], 1)
                distances = torch.stack([size, torch.zeros_like(size), size, size], 1)
            else:
                normals = torch.stack([middle - half - math.pi / 2, middle + half + math.pi / 2, middle, middle], 1)
                far = size * draw.uniform(count, 0.7, 1.1)
                distances = torch.stack([torch.zeros_like(size), torch.zeros_like(size), far, far], 1)
            part = grid.coverage(facets(grid, x, z, normals, distances))
            grey = _wide((level + draw.uniform(count, -0.25, 0.25)).clamp(0.1, 1.0))
            image = image * (1 - part) + part * grey
    return image * grid.coverage(_circle(grid, 0.97))


def film(draw: Draw, grid: Grid, count: int) -> torch.Tensor:
    """Layers of a film with pores, thicker and thinner along its length, some with columns through it."""
    x, z = random_place(draw, count, torch.full((count,), 0.15, device=grid.device))
    along, across = grid.turned(x, z, 0.35 * draw.normal(count))
    image = torch.zeros(count, grid.side, grid.side, device=grid.device)
    top = -_wide(draw.uniform(count, 0.1, 0.35))
    for _ in range(int(draw.integers(1, 1, 5))):
        wave = _wide(draw.uniform(count, 0, 0.05)) * torch.sin(
            along * _wide(draw.uniform(count, 2, 12)) + _wide(draw.uniform(count, 0, 6))
        )
        bottom = top + _wide(draw.log_uniform(count, 0.05, 0.3))
        layer = grid.coverage(torch.maximum(top - across, across - bottom - wave))
        grey = _wide(draw.uniform(count, 0.15, 1.0)) * (1 + _wide(draw.uniform(count, -0.3, 0.3)) * along)
        image = image * (1 - layer) + layer * grey
        top = bottom
    for _ in range(int(draw.integers(1, 0, 10))):
        pore = grid.coverage(random_ellipse(draw, grid, count, (0.02, 0.1), REACH))
        image = image * (1 - pore)
    return image * grid.coverage(
        torch.maximum(_circle(grid, REACH), along.abs() - _wide(draw.uniform(count, 0.5, 0.9)))
    )


def gyroid(draw: Draw, grid: Grid, count: int) -> torch.Tensor:
    """Smooth-walled networks: a cut through a sum of waves, its grey levels rising softly, as in nanoporous metals."""
    total = torch.zeros(count, grid.side, grid.side, device=grid.device)
    pitch = draw.uniform(count, 12, 40)
    for _ in range(9):
        along, _ = grid.turned(torch.zeros_like(pitch), torch.zeros_like(pitch), draw.uniform(count, 0, 2 * math.pi))
        total = total + torch.cos(
            along * _wide(pitch * draw.uniform(count, 0.8, 1.2)) + _wide(draw.uniform(count, 0, 7))
        )
    wall = torch.sigmoid((total / 2.1 + _wide(draw.uniform(count, -0.5, 0.5))) * _wide(draw.uniform(count, 1, 6)))
    body = grid.coverage(random_ellipse(draw, grid, count, (0.5, 0.85), REACH))
    return wall * body


FUNCTIONS: dict[str, Family] = {
    "polygons": polygons, "ellipses": ellipses, "core-shell": core_shell, "porous": porous, "supported": supported,
    "needle": needle, "textured": textured, "cloud": cloud, "blobs": blobs, "lattice": lattice,
    "twins": twins, "film": film, "gyroid": gyroid, "amorphous": amorphous,
}  # fmt: skip
"""Every family by its name."""


def _overlapping(
    draw: Draw, grid: Grid, count: int, kind: Callable[[Draw, Grid, int, tuple[float, float], float], torch.Tensor]
) -> torch.Tensor:
    """Shapes over one another, each opaque, added to what is below, or a hole."""
    image = torch.zeros(count, grid.side, grid.side, device=grid.device)
    for number in range(int(draw.integers(1, 2, 11))):
        part = grid.coverage(kind(draw, grid, count, (0.08, 0.75), REACH))
        grey, how = _wide(draw.uniform(count, 0.15, 1.0)), _wide(draw.uniform(count))
        grey = torch.where((how < 0.2) & (number > 0), 0.0, grey)
        image = image * torch.where(how > 0.75, 1.0, 1 - part) + part * grey
    return image


def _texture(draw: Draw, grid: Grid, count: int, share: float, most: float) -> torch.Tensor:
    """Factors (count, side, side) round 1, never negative, that vary in a ``share`` of the images by up to ``most``."""
    depth = _wide(draw.chance(count, share).float() * draw.uniform(count, 0.3 * most, most))
    return (1 + depth * rough_field(draw, grid, count)).clamp(min=0)


def _radius(grid: Grid) -> torch.Tensor:
    return torch.hypot(grid.line[None, None, :], grid.line[None, :, None])


def _circle(grid: Grid, radius: float) -> torch.Tensor:
    """Signed distance to the circle round the middle (1, side, side)."""
    return _radius(grid) - radius


def _wide(values: torch.Tensor) -> torch.Tensor:
    return values[:, None, None]
