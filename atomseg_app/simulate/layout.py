"""Where the columns of a batch of pictures stand: crystals laid out, cut, joined, strained, and damaged.

Every picture has two domains. Domain 0 fills it, or one side of a boundary; domain 1 fills the other side with another
crystal, the same one turned or mirrored, or nothing. Both are cut by up to six half planes (particles, edges) and
their thickness follows wedges, domes and slow fields.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from atomseg_app.simulate.draw import Draw
from atomseg_app.simulate.fields import at_points, smooth_field
from atomseg_app.simulate.library import Library
from atomseg_app.simulate.preset import Preset

_PLANES = 6
_FAR_PX = 1e5


@dataclass(frozen=True)
class Shape:
    """Outline and thickness of the specimen of each picture (images, ...), in pixels of the padded picture."""

    normal: torch.Tensor  # (images, planes, 2), outwards
    reach_px: torch.Tensor  # (images, planes) from the centre, _FAR_PX where that plane does not cut
    centre_px: torch.Tensor  # (images, 2)
    ramp_px: torch.Tensor  # (images,) over which thickness grows from the outline
    wedge: torch.Tensor  # (images, 2) relative change of thickness a pixel
    boundary: torch.Tensor  # (images, 2) normal of the boundary between domains
    boundary_px: torch.Tensor  # (images,) its distance from the centre of the picture; _FAR_PX without one
    size: int

    def depth_px(self, image: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Distance inside the outline of points of pictures ``image``; negative outside. The three are broadcast."""
        right, down = x - self.centre_px[:, 0][image], y - self.centre_px[:, 1][image]
        depth = self._beyond(0, image, right, down)
        for plane in range(1, _PLANES):
            depth = torch.minimum(depth, self._beyond(plane, image, right, down))
        return depth

    def _beyond(self, plane: int, image: torch.Tensor, right: torch.Tensor, down: torch.Tensor) -> torch.Tensor:
        """Distance of points from one plane of the outline."""
        normal = self.normal[:, plane]
        return self.reach_px[:, plane][image] - (normal[:, 0][image] * right + normal[:, 1][image] * down)

    def side_px(self, image: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Distance beyond the boundary between the domains; negative in domain 0."""
        middle = (self.size - 1) / 2
        across, along = self.boundary[:, 0][image], self.boundary[:, 1][image]
        return (x - middle) * across + (y - middle) * along - self.boundary_px[image]

    def thickness(self, image: torch.Tensor, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        """Relative thickness 0..1 and more of points."""
        middle = (self.size - 1) / 2
        dome = (self.depth_px(image, x, y) / self.ramp_px[image]).clamp(0, 1).sqrt()
        wedge = self.wedge[image]
        slope = 1 + (x - middle) * wedge[..., 0] + (y - middle) * wedge[..., 1]
        return dome * slope.clamp(0.05, 3.0)


@dataclass(frozen=True)
class Layout:
    """Columns of atoms as they are drawn (n, ...), and the groups of them that an image can tell apart.

    ``image``, ``x_px``, ``y_px`` in the padded picture, ``amplitude`` relative, ``sum_z`` and ``atoms`` of the column,
    ``number`` its strongest element, ``group`` (n,) numbers the resolved columns, in any order.
    """

    image: torch.Tensor
    x_px: torch.Tensor
    y_px: torch.Tensor
    amplitude: torch.Tensor
    sum_z: torch.Tensor
    atoms: torch.Tensor
    number: torch.Tensor
    group: torch.Tensor


def draw_shape(draw: Draw, preset: Preset, count: int, size: int, spacing_px: torch.Tensor) -> Shape:
    """Random outlines: whole field, edge of a crystal, or particle; wedge; boundary between two domains."""
    kind = draw.uniform(count)
    particle = kind < preset.particles
    edge = ~particle & (kind < preset.particles + preset.edges)
    turn = draw.uniform(count, 0, 2 * math.pi)
    angle = turn[:, None] + (torch.arange(_PLANES, device=draw.device) + draw.uniform((count, _PLANES), -0.3, 0.3)) * (
        2 * math.pi / _PLANES
    )
    inner = size - 2 * preset.margin_px
    radius = inner * draw.uniform(count, 0.15, 0.5)
    reach = radius[:, None] * draw.uniform((count, _PLANES), 0.8, 1.2)
    only_first = torch.arange(_PLANES, device=draw.device)[None, :] == 0
    edge_reach = torch.where(only_first, draw.uniform((count, _PLANES), -0.3, 0.4) * inner, _FAR_PX)
    reach = torch.where(
        particle[:, None], reach, torch.where(edge[:, None], edge_reach, torch.full_like(reach, _FAR_PX))
    )
    off = torch.where(particle[:, None], draw.uniform((count, 2), -0.25, 0.25) * inner, 0.0)
    wedge_angle = draw.uniform(count, 0, 2 * math.pi)
    steep = draw.sometimes(count, preset.wedges, draw.uniform(count, 0.3, 1.8)) / inner
    boundary_angle = draw.uniform(count, 0, 2 * math.pi)
    joined = draw.chance(count, preset.boundaries)
    at = torch.where(
        joined, draw.uniform(count, -0.35, 0.35) * inner, torch.full((count,), _FAR_PX, device=draw.device)
    )
    return Shape(
        torch.stack([angle.cos(), angle.sin()], -1),
        reach,
        off + (size - 1) / 2,
        torch.where(draw.chance(count, 0.4), spacing_px * 0.25, draw.log_uniform(count, 0.1, 1.2) * radius),
        torch.stack([wedge_angle.cos(), wedge_angle.sin()], -1) * steep[:, None],
        torch.stack([boundary_angle.cos(), boundary_angle.sin()], -1),
        at,
        size,
    )


def lay_out(
    library: Library, draw: Draw, preset: Preset, pm_per_px: torch.Tensor, fwhm_pm: torch.Tensor, size: int
) -> tuple[Layout, Shape, torch.Tensor]:
    """Columns of as many pictures as ``pm_per_px`` (images,) has, their shape, and which projection fills domain 0.

    ``fwhm_pm`` (images,) is the width of a column's image; ``size`` the side of the padded pictures in pixels.
    """
    count = len(pm_per_px)
    resolution = library.resolution(fwhm_pm)
    domains = _draw_domains(library, draw, preset, pm_per_px, fwhm_pm, resolution)
    groups = library.group[domains.projection[0], resolution].amax(1) + 1
    spacing_px = (torch.linalg.det(domains.matrix[0]).abs() / groups).sqrt()
    shape = draw_shape(draw, preset, count, size, spacing_px)
    sites = _Sites.joined([_sites(library, domains, domain, resolution, size) for domain in range(2)])
    side = shape.side_px(sites.image, sites.x, sites.y)
    gap = (0.5 * fwhm_pm / pm_per_px)[sites.image]
    first = sites.domain == 0
    inside = torch.where(first, side < -gap, (side > gap) & domains.filled[sites.image])
    sites = sites.take(inside & (shape.depth_px(sites.image, sites.x, sites.y) > 0))
    return _columns_of(library, draw, preset, sites, domains, shape, pm_per_px), shape, domains.projection[0]


@dataclass(frozen=True)
class _Domains:
    """Crystals of the two domains: ``projection`` and ``matrix`` (px, rows a and b) of each, a list of two."""

    projection: list[torch.Tensor]
    matrix: list[torch.Tensor]
    filled: torch.Tensor  # whether domain 1 has a crystal
    disorder_px: torch.Tensor  # radius within which columns of a disordered layer are thrown about
    kept: torch.Tensor  # part of the columns that are there at all (sparse layers)


@dataclass(frozen=True)
class _Sites:
    """Sites of the lattices (n,): picture, domain, column of the motif, resolved group, position."""

    image: torch.Tensor
    domain: torch.Tensor
    column: torch.Tensor
    group: torch.Tensor
    x: torch.Tensor
    y: torch.Tensor

    def take(self, keep: torch.Tensor) -> _Sites:
        return _Sites(*(values[keep] for values in vars(self).values()))

    @classmethod
    def joined(cls, parts: list[_Sites]) -> _Sites:
        return cls(*(torch.cat(values) for values in zip(*(vars(p).values() for p in parts), strict=True)))


def _draw_domains(
    library: Library,
    draw: Draw,
    preset: Preset,
    pm_per_px: torch.Tensor,
    fwhm_pm: torch.Tensor,
    resolution: torch.Tensor,
) -> _Domains:
    count, device = len(pm_per_px), draw.device
    usable = library.usable[:, resolution].T.float()
    choices = [torch.multinomial(usable, 1, generator=draw.generator)[:, 0] for _ in range(2)]
    kind = draw.uniform(count)
    disordered, sparse = kind < preset.disordered, kind > 1 - preset.sparse
    layer = torch.full_like(choices[0], library.layer)
    choices[0] = torch.where(disordered | sparse, layer, choices[0])
    same = draw.chance(count, 0.6)
    choices[1] = torch.where(same, choices[0], choices[1])
    stretch = torch.where(
        disordered | sparse, fwhm_pm * draw.uniform(count, 1.9, 4.0) / library.basis_pm[library.layer, 0].norm(), 1.0
    )
    mirror = draw.chance(count, 0.4) & same
    matrices = []
    for domain in range(2):
        turn = draw.uniform(count, 0, 2 * math.pi)
        cos, sin = turn.cos(), turn.sin()
        rotation = torch.stack([torch.stack([cos, sin], -1), torch.stack([-sin, cos], -1)], -2)
        strain = torch.eye(2, device=device) + preset.strain * draw.uniform((count, 2, 2), -0.5, 0.5)
        basis = library.basis_pm[choices[domain]] * torch.where(choices[domain] == layer, stretch, 1.0)[:, None, None]
        if domain:
            flip = torch.where(mirror, -1.0, 1.0)
            basis = basis * torch.stack([torch.ones_like(flip), flip], -1)[:, None, :]
        matrices.append(basis @ rotation @ strain / pm_per_px[:, None, None])
    disorder = draw.uniform(count, 0.02, 0.22) * matrices[0][:, 0].norm(dim=-1)
    kept = torch.where(
        sparse, draw.uniform(count, 0.03, 0.3), torch.where(disordered, draw.uniform(count, 0.6, 1), 1.0)
    )
    kept = torch.where(draw.chance(count, preset.empty), torch.zeros_like(kept), kept)
    return _Domains(
        choices,
        matrices,
        draw.chance(count, 0.75),
        torch.where(disordered | sparse, disorder, torch.zeros_like(disorder)),
        kept,
    )


def _sites(library: Library, domains: _Domains, domain: int, resolution: torch.Tensor, size: int) -> _Sites:
    """Every site of one domain whose cell comes near the picture."""
    matrix, projection = domains.matrix[domain], domains.projection[domain]
    device = matrix.device
    corner = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], device=device) * size
    middle = size / 2
    fraction = (corner - middle)[None] @ torch.linalg.inv(matrix)
    low, high = fraction.amin(1).floor().long() - 2, fraction.amax(1).ceil().long() + 2
    span = high - low + 1
    cells = span[:, 0] * span[:, 1]
    image = torch.repeat_interleave(torch.arange(len(matrix), device=device), cells)
    within = torch.arange(len(image), device=device) - (torch.cumsum(cells, 0) - cells)[image]
    i = low[image, 0] + within // span[image, 1]
    j = low[image, 1] + within % span[image, 1]
    origin = torch.stack([i, j], -1).to(matrix.dtype)
    corner_px = (origin[:, None, :] @ matrix[image])[:, 0] + middle
    reach = (matrix.abs().sum((1, 2)) + 8)[image]
    near = ((corner_px > -reach[:, None]) & (corner_px < size + reach[:, None])).all(1)
    image, within, corner_px = image[near], within[near], corner_px[near]
    per_cell = library.columns[projection][image]
    cell = torch.repeat_interleave(torch.arange(len(image), device=device), per_cell)
    column = torch.arange(len(cell), device=device) - (torch.cumsum(per_cell, 0) - per_cell)[cell]
    image = image[cell]
    # Positions in the motif, carried by the same linear map as the lattice (turn, mirror and strain included).
    inverse = torch.linalg.inv(library.basis_pm)[projection][image]
    motif = library.xy_pm[projection[image], column]
    position = corner_px[cell] + ((motif[:, None, :] @ inverse) @ matrix[image])[:, 0]
    label = library.group[projection[image], resolution[image], column]
    group = (cell * library.xy_pm.shape[1] + label) * 2 + domain
    x, y = position[:, 0], position[:, 1]
    keep = (x > -8) & (y > -8) & (x < size + 7) & (y < size + 7)
    return _Sites(image, torch.full_like(image, domain), column, group, x, y).take(keep)


def _columns_of(
    library: Library,
    draw: Draw,
    preset: Preset,
    sites: _Sites,
    domains: _Domains,
    shape: Shape,
    pm_per_px: torch.Tensor,
) -> Layout:
    """Columns of atoms at sites: thickness, defects, displacements."""
    count = len(pm_per_px)
    _, group = torch.unique(sites.group, return_inverse=True)
    groups = int(group.max()) + 1 if len(group) else 0
    image_of = torch.zeros(groups, dtype=torch.long, device=draw.device).scatter_(0, group, sites.image)
    # What happens to a resolved column happens to all of it.
    kept = draw.chance(groups, domains.kept[image_of])
    vacancy_rate = draw.sometimes(count, preset.vacancies, draw.log_uniform(count, 0.003, 0.1))
    kept &= ~draw.chance(groups, vacancy_rate[image_of])
    dopant_rate = draw.sometimes(count, preset.dopants, draw.log_uniform(count, 0.003, 0.1))
    factor = torch.where(draw.chance(groups, dopant_rate[image_of]), draw.uniform(groups, 0.3, 2.0), 1.0)
    factor = factor * (1 + draw.uniform(count, 0, 0.12)[image_of] * draw.normal(groups)).clamp(0.3, 1.7)
    thrown = _displacements(draw, preset, domains, image_of, groups, pm_per_px)
    x, y = sites.x + thrown[group, 0], sites.y + thrown[group, 1]
    waves = [smooth_field(draw, count, shape.size, 3) for _ in range(2)]
    slow = draw.sometimes(count, 0.5, draw.uniform(count, 0, 15.0)) / pm_per_px
    x = x + at_points(waves[0], sites.image, x, y) * slow[sites.image]
    y = y + at_points(waves[1], sites.image, x, y) * slow[sites.image]
    atoms, sum_z, amplitude, number = _strength(library, draw, preset, sites, domains, shape, count)
    keep = kept[group]
    return Layout(
        sites.image[keep], x[keep], y[keep], (amplitude * factor[group])[keep], sum_z[keep], atoms[keep],
        number[keep], group[keep],
    )  # fmt: skip


def _displacements(
    draw: Draw, preset: Preset, domains: _Domains, image_of: torch.Tensor, groups: int, pm_per_px: torch.Tensor
) -> torch.Tensor:
    """Displacement (groups, 2) in pixels: independent normal, a disc for disordered layers, a few interstitials."""
    count = len(pm_per_px)
    thermal = draw.uniform(count, *preset.displacement_pm) / pm_per_px
    moved = draw.normal((groups, 2)) * thermal[image_of, None]
    angle, radius = draw.uniform(groups, 0, 2 * math.pi), draw.uniform(groups).sqrt() * domains.disorder_px[image_of]
    moved = moved + torch.stack([angle.cos(), angle.sin()], -1) * radius[:, None]
    rate = draw.sometimes(count, preset.interstitials, draw.log_uniform(count, 0.002, 0.02))
    jump = torch.where(draw.chance(groups, rate[image_of]), draw.uniform(groups, 30, 70) / pm_per_px[image_of], 0.0)
    return moved + torch.stack([angle.sin(), angle.cos()], -1) * jump[:, None]


def _strength(
    library: Library, draw: Draw, preset: Preset, sites: _Sites, domains: _Domains, shape: Shape, count: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Number of atoms, sum of Z, sum of Z^p, and strongest element of each column (n,)."""
    thickness = draw.log_uniform(count, *preset.thickness_pm)
    exponent = draw.uniform(count, *preset.z_exponent)[sites.image]
    projection = torch.stack(domains.projection)[sites.domain, sites.image]
    field = shape.thickness(sites.image, sites.x, sites.y)
    layers = 1 + draw.integers(count, 0, 3)
    repeats = torch.where(
        library.sheet[projection],
        layers[sites.image].float(),
        field * thickness[sites.image] / library.repeat_pm[projection],
    )
    per_repeat = library.counts[projection, sites.column]
    atoms = (per_repeat * repeats[:, None]).round()
    first = torch.arange(atoms.shape[1], device=atoms.device)[None, :] == 0
    atoms = torch.where(first, atoms.clamp(min=1.0), atoms)
    numbers = library.numbers[projection, sites.column]
    strength = atoms * numbers.clamp(min=1) ** exponent[:, None] * (numbers > 0)
    strongest = numbers.gather(1, strength.argmax(1, keepdim=True))[:, 0]
    return (atoms * (numbers > 0)).sum(1), (atoms * numbers).sum(1), strength.sum(1), strongest
