"""What a batch of pictures shows before it is counted: columns through the probe, over a background.

All intensities are in units of the picture's typical column peak.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

from atomseg_app.simulate.draw import Draw
from atomseg_app.simulate.fields import smooth_field
from atomseg_app.simulate.fourier import Frequencies, spread
from atomseg_app.simulate.layout import Layout, Shape
from atomseg_app.simulate.optics import Optics, gaussian_transfer
from atomseg_app.simulate.preset import Preset

NARROW = 0.5
"""Width of the probe of the super-resolved picture, in parts of the picture's own."""
NARROWEST_PX = 0.8
MASK = 0.8
"""Width of the Gaussian mask of a column, in parts of its image's."""


@dataclass(frozen=True)
class Scene:
    """Pictures (images, y, x), padded: what the columns give, what lies under them, and the same columns otherwise.

    ``columns`` as the probe shows them, ``narrow`` through a probe of half the width, ``mask`` 0..1 with a Gaussian
    on every resolved column whatever its strength.
    """

    columns: torch.Tensor
    background: torch.Tensor
    narrow: torch.Tensor
    mask: torch.Tensor


@dataclass(frozen=True)
class Truth:
    """Resolved columns of a batch (n,): ``image``, position, ``amplitude`` in typical peaks, what they are made of."""

    image: torch.Tensor
    x_px: torch.Tensor
    y_px: torch.Tensor
    amplitude: torch.Tensor
    sum_z: torch.Tensor
    atoms: torch.Tensor
    number: torch.Tensor

    def take(self, keep: torch.Tensor) -> Truth:
        """Those columns only."""
        return Truth(*(values[keep] for values in vars(self).values()))


def resolved(layout: Layout, images: int) -> tuple[Truth, torch.Tensor]:
    """Columns that the image tells apart, at their centres of intensity, and the strength of each drawn column.

    Strengths are scaled so that the amplitude-weighted mean of each picture is 1.
    """
    device = layout.x_px.device
    _, group = torch.unique(layout.group, return_inverse=True)
    count = int(group.max()) + 1 if len(group) else 0

    def total(values: torch.Tensor) -> torch.Tensor:
        return torch.zeros(count, device=device).index_add_(0, group, values)

    amplitude = total(layout.amplitude)
    image = torch.zeros(count, dtype=torch.long, device=device).scatter_(0, group, layout.image)
    squares = torch.zeros(images, device=device).index_add_(0, image, amplitude**2)
    sums = torch.zeros(images, device=device).index_add_(0, image, amplitude)
    typical = torch.where(sums > 0, squares / sums.clamp(min=1e-9), torch.ones_like(sums))
    strongest = torch.zeros(count, device=device).scatter_reduce_(0, group, layout.number, "amax")
    truth = Truth(
        image,
        total(layout.amplitude * layout.x_px) / amplitude,
        total(layout.amplitude * layout.y_px) / amplitude,
        amplitude / typical[image],
        total(layout.sum_z),
        total(layout.atoms),
        strongest,
    )
    return truth, layout.amplitude / typical[layout.image]


def draw_scene(
    draw: Draw, preset: Preset, layout: Layout, truth: Truth, strength: torch.Tensor, optics: Optics, shape: Shape
) -> Scene:
    """Pictures of a layout of columns of given strength (n,) through the optics of each picture."""
    size, images = shape.size, len(optics.probe_px)
    frequencies = Frequencies(size, draw.device)
    grid = (images, size, size)
    drawn = frequencies.transform(spread(layout.image, layout.x_px, layout.y_px, strength, grid))
    ones = torch.ones_like(truth.x_px)
    marked = frequencies.transform(spread(truth.image, truth.x_px, truth.y_px, ones, grid))
    sigma = optics.sigma_px
    narrow = gaussian_transfer(frequencies, (NARROW * sigma).clamp(min=NARROWEST_PX))
    return Scene(
        frequencies.picture(drawn * optics.transfer(frequencies)),
        draw_background(draw, preset, shape, optics, frequencies),
        frequencies.picture(drawn * narrow),
        frequencies.picture(marked * gaussian_transfer(frequencies, MASK * sigma)).clamp(0, 1),
    )


def draw_background(draw: Draw, preset: Preset, shape: Shape, optics: Optics, frequencies: Frequencies) -> torch.Tensor:
    """Backgrounds (images, y, x): level, slope, slow field, bands, step at the boundary, specimen, amorphous carbon."""
    count, size = len(optics.probe_px), shape.size
    middle = (size - 1) / 2

    def per_image(values: torch.Tensor) -> torch.Tensor:
        return values[:, None, None]

    line = (torch.arange(size, device=draw.device) - middle) / size
    angle = draw.uniform(count, 0, 2 * math.pi)
    along = line[None, None, :] * per_image(angle.cos()) + line[None, :, None] * per_image(angle.sin())
    level = draw.log_uniform(count, *preset.background)
    uneven = per_image(draw.sometimes(count, 0.5, draw.uniform(count, 0, 1.5))) * along
    knots = 4
    uneven = uneven + per_image(draw.sometimes(count, 0.4, draw.uniform(count, 0, 0.4))) * smooth_field(
        draw, count, size, knots
    )
    often, phase = draw.uniform(count, 1, 5), draw.uniform(count)
    depth = draw.sometimes(count, 0.1, draw.uniform(count, 0.1, 0.5))
    banded = depth > 0
    bands = torch.sin(2 * math.pi * (along[banded] * per_image(often[banded]) + per_image(phase[banded])))
    uneven[banded] += per_image(depth[banded]) * bands
    inside, beyond = _regions(shape, count, draw.device)
    step = per_image(draw.sometimes(count, 0.7, draw.uniform(count, -0.9, 2.5)))
    specimen = per_image(draw.sometimes(count, 0.7, draw.log_uniform(count, 0.03, 1.5))) * inside
    ground = per_image(level) * (1 + uneven + step * beyond).clamp(min=0.03) + specimen
    return ground + _carbon(draw, count, size, optics, frequencies) * (1 - inside.clamp(0, 1))


def _regions(shape: Shape, count: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Relative thickness of the specimen, and how far a pixel is in the second domain (0..1), both (images, y, x)."""
    half = -(-shape.size // 2)
    line = torch.arange(half, device=device) * 2 + 0.5
    image = torch.arange(count, device=device)[:, None, None]
    x, y = line[None, None, :], line[None, :, None]
    fields = torch.stack(
        [shape.thickness(image, x, y), torch.sigmoid(shape.side_px(image, x, y).clamp(-50, 50))], dim=1
    )
    full = functional.interpolate(fields, size=(shape.size, shape.size), mode="bilinear", align_corners=False)
    return full[:, 0], full[:, 1]


def _carbon(draw: Draw, count: int, size: int, optics: Optics, frequencies: Frequencies) -> torch.Tensor:
    """Speckle of an amorphous support (images, y, x), as fine as the probe, never negative."""
    strength = draw.sometimes(count, 0.4, draw.log_uniform(count, 0.02, 0.5))
    grain = optics.sigma_px * draw.uniform(count, 1.0, 1.8)
    white, some = draw.normal((count, size, size)), strength > 0
    if not bool(some.any()):
        return torch.zeros_like(white)
    carbon, grain = torch.zeros_like(white), grain[some]
    speckle = frequencies.picture(torch.fft.rfft2(white[some]) * gaussian_transfer(frequencies, grain))
    speckle = speckle / (math.sqrt(math.pi) * grain)[:, None, None]  # unit variance
    carbon[some] = (strength[some, None, None] * (1 + 0.45 * speckle)).clamp(min=0)
    return carbon
