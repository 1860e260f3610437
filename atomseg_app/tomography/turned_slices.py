"""What a network learns from one series: its slices, turned about the tilt axis, seen again through the same rays."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from atomseg_app.networks.image_losses import decibels
from atomseg_app.networks.wedge_residual import brightness
from atomseg_app.operations import Report
from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.rays.reconstruct import noise_of

_VALIDATED = 8
_SEED_APART = 1_000_003  # of what is judged from what is learned


class Stopped(Exception):  # noqa: N818 - not an error: the user has seen enough
    """The user asked to end early and keep what there is."""


class TurnedSlices:
    """Lessons: slices of a reconstruction ``slices`` (slices, z, x) at any angle, and their views with fresh noise.

    The noise is that of the measured ``views`` (slices, view, t), as it goes with the signal. ``shown`` is called with
    the module at each validation.
    """

    def __init__(
        self,
        slices: torch.Tensor,
        views: torch.Tensor,
        beam: ParallelBeam,
        seed: int,
        report: Report,
        shown: Callable[[nn.Module], None],
    ) -> None:
        self._slices, self._beam, self._report, self._shown = slices, beam, report, shown
        self._scale = brightness(slices)
        self._noise = noise_of(views) / views.clamp(min=0).mean((1, 2)).clamp(min=1e-12).sqrt()
        self._generator = torch.Generator().manual_seed(seed)
        judge = torch.Generator().manual_seed(seed + _SEED_APART)
        self._judged = self._turned(min(_VALIDATED, 2 * len(slices)), judge)

    def generators(self) -> dict[str, torch.Generator]:
        """The one that slices, angles and noise are drawn from."""
        return {"turned": self._generator}

    def loss(self, module: nn.Module, batch: int) -> tuple[torch.Tensor, dict[str, float]]:
        """Loss on freshly turned slices. Raises Stopped."""
        if self._report.stopping:
            raise Stopped
        views, target = self._turned(batch, self._generator)
        loss = (module(views, self._beam) - target).abs().mean()
        return loss, {}

    def validate(self, module: nn.Module) -> dict[str, float]:
        """Mean error and decibels on a fixed set of turned slices."""
        self._report.check()
        views, target = self._judged
        answer = module(views, self._beam)
        self._shown(module)
        return {"loss": float((answer - target).abs().mean()), "psnr_db": float(decibels(answer, target).mean())}

    @torch.no_grad()
    def _turned(self, count: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Views (count, view, t) with noise, and the turned slices (count, z, x) that they are of, brightest 1."""
        chosen = torch.randint(len(self._slices), (count,), generator=generator)
        angle = 2 * math.pi * torch.rand(count, generator=generator)
        flip = torch.rand(count, generator=generator) < 0.5
        scale = self._scale[chosen]
        target = turned(self._slices[chosen], angle, flip) / scale
        exact = self._beam.project(target)
        noise = (
            torch.randn(exact.shape, generator=generator) * (self._noise[chosen] / scale[:, 0, 0].sqrt())[:, None, None]
        )
        return exact + noise * exact.clamp(min=0).sqrt(), target


def turned(slices: torch.Tensor, angle: torch.Tensor, flip: torch.Tensor) -> torch.Tensor:
    """Slices (slices, z, x) turned by angles in rad (slices,), mirrored before where ``flip`` (slices,), not below 0.

    By bicubic interpolation; what was outside is 0.
    """
    cos, sin = angle.cos(), angle.sin()
    sign = torch.where(flip, -1.0, 1.0)
    zero = torch.zeros_like(cos)
    matrix = torch.stack([torch.stack([sign * cos, -sign * sin, zero], 1), torch.stack([sin, cos, zero], 1)], 1)
    grid = functional.affine_grid(matrix, [len(slices), 1, *slices.shape[-2:]], align_corners=False)
    return functional.grid_sample(slices[:, None], grid, mode="bicubic", align_corners=False)[:, 0].clamp(min=0)
