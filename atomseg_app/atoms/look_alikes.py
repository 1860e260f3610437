"""Simulated look-alikes of one image: the simulator narrowed round its appearance, and its own columns again."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch

from atomseg_app.atoms.appearance import Appearance, Floats
from atomseg_app.atoms.network_pass import resampling
from atomseg_app.simulate.draw import Draw
from atomseg_app.simulate.layout import Layout, Shape, draw_shape
from atomseg_app.simulate.optics import FWHM
from atomseg_app.simulate.preset import TRAINING, Preset

_WIDTH = (0.88, 1.12)  # ranges round what was measured
_DOSE = (0.6, 1.6)
_GROUND = (0.3, 1.3)  # the simulator adds specimen, carbon and steps to it
_JITTER = (0.5, 1.4)
_STILL_PX = 0.1  # line displacements below are not simulated
_SMOOTHED = 0.25  # correlation of neighbouring pixels' noise from which the image was filtered
_SHAKEN = 0.08  # of a spacing: most that columns are moved, rms
_LOST = 0.06  # most columns that are taken out
_WEAKER = 0.15  # most columns that are made weaker


def look_alike_preset(look: Appearance, picture_px: int) -> Preset:
    """The training preset with ranges narrowed round an appearance, as the network sees the image: resampled."""
    factor = resampling(look.sigma_px)
    coarse = min(3, max(1, round(factor)))
    width = look.sigma_px * factor
    dose = look.dose * (coarse / factor) ** 2
    jitter = look.jitter_px * factor / coarse * min(1.0, math.sqrt(factor))  # rows that are averaged move less
    still = jitter < _STILL_PX
    weights = tuple(float(coarse == size) for size in (1, 2, 3))
    return replace(
        TRAINING,
        name="look-alikes",
        size_px=picture_px,
        sigma_px=(width * _WIDTH[0], width * _WIDTH[1]),
        coarse=(weights[0], weights[1], weights[2]),
        dose=(dose * _DOSE[0], dose * _DOSE[1]),
        background=(look.background * _GROUND[0], look.background * _GROUND[1]),
        dark=float(look.dark),
        row_jitter_px=(0.0, 0.2) if still else (jitter * _JITTER[0], jitter * _JITTER[1]),
        jittered=0.2 if still else 1.0,
        filtered=0.8 if look.correlation > _SMOOTHED else 0.1,
        empty=0.0,
        labels=0.02,
    )


@dataclass(frozen=True)
class OwnColumns:
    """Layout of pictures from the columns of one image: turned, mirrored, shaken, some weaker and some lost.

    ``x``, ``y`` (n,) in pixels of the file with the image continued by its mirror images, ``amplitude`` (n,) in
    typical peaks. An instance is what a simulator takes as ``arrange``.
    """

    x: torch.Tensor
    y: torch.Tensor
    amplitude: torch.Tensor
    sigma_px: float
    spacing_px: float
    shape: tuple[int, int]

    @classmethod
    def of(cls, look: Appearance, device: torch.device) -> OwnColumns:
        """From an appearance."""
        height, width = look.shape
        x = np.concatenate([_mirrored(look.x_px, width, side) for _ in range(3) for side in (-1, 0, 1)])
        y = np.concatenate([_mirrored(look.y_px, height, side) for side in (-1, 0, 1) for _ in range(3)])
        amplitude = np.tile(look.amplitude, 9)
        # A column and its mirror image at the border are one column where they nearly meet.
        inside = np.tile(np.arange(9)[:, None] == 4, (1, len(look.x_px))).ravel()
        edge = np.minimum(
            np.minimum(np.abs(x + 0.5), np.abs(x + 0.5 - width)), np.minimum(np.abs(y + 0.5), np.abs(y + 0.5 - height))
        )
        keep = inside | (edge > 0.4 * look.spacing_px)
        mirrored = np.stack([x, y, amplitude])[:, keep]
        x_px, y_px, peaks = torch.tensor(mirrored, dtype=torch.float32, device=device)
        return cls(x_px, y_px, peaks, look.sigma_px, look.spacing_px, look.shape)

    def __call__(
        self, draw: Draw, preset: Preset, pm_per_px: torch.Tensor, fwhm_pm: torch.Tensor, size: int
    ) -> tuple[Layout, Shape, torch.Tensor]:
        """Columns of as many pictures as ``pm_per_px`` (images,) has, in padded pictures of side ``size``."""
        count, n = len(pm_per_px), len(self.x)
        scale = fwhm_pm / FWHM / pm_per_px / self.sigma_px  # pixels of the picture for one of the file
        height, width = self.shape
        turn, flip = draw.uniform(count, 0, 2 * math.pi), torch.where(draw.chance(count, 0.5), 1.0, -1.0)
        shake = draw.uniform(count, 0, _SHAKEN) * self.spacing_px
        shaken = draw.normal((2, count, n)) * shake[:, None]
        across = (self.x + shaken[0] - (draw.uniform(count) * width)[:, None]) * (scale * flip)[:, None]
        down = (self.y + shaken[1] - (draw.uniform(count) * height)[:, None]) * scale[:, None]
        cos, sin = turn.cos()[:, None], turn.sin()[:, None]
        middle = (size - 1) / 2
        x, y = across * cos - down * sin + middle, across * sin + down * cos + middle
        amplitude = self.amplitude * torch.exp(0.1 * draw.normal((count, n)))
        weaker = draw.chance((count, n), (draw.uniform(count, 0, _WEAKER))[:, None])
        amplitude = torch.where(weaker, amplitude * draw.uniform((count, n), 0.35, 1.0), amplitude)
        there = ~draw.chance((count, n), draw.uniform(count, 0, _LOST)[:, None])
        reach = 0.5 * (size - 1) + 8
        image, column = torch.nonzero(
            there & ((x - middle).abs() < reach) & ((y - middle).abs() < reach), as_tuple=True
        )
        zeros, whole = torch.zeros(len(image), device=draw.device), torch.arange(len(image), device=draw.device)
        layout = Layout(image, x[image, column], y[image, column], amplitude[image, column], zeros, zeros, zeros, whole)
        field = replace(preset, particles=0.0, edges=0.0)
        spacing = self.spacing_px * scale
        return layout, draw_shape(draw, field, count, size, spacing), torch.empty(0, dtype=torch.long)


def _mirrored(position: Floats, size: int, side: int) -> Floats:
    """Positions in the image left of (-1), at (0) or right of (+1) one of that size, mirrored at the border."""
    return {-1: -1.0 - position, 0: position, 1: 2.0 * size - 1.0 - position}[side]
