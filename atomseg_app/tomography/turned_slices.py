"""What a network learns from one series: its slices, turned about the tilt axis, seen again through the same rays."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from atomseg_app.networks.wedge_residual import WedgeResidual
from atomseg_app.operations import Report
from atomseg_app.rays.parallel_beam import ParallelBeam

_VOXELS = 1 << 23  # of all lessons' slices together
_FEWEST, _MOST = 32, 192  # lessons
_LIT = 0.1  # of the brightest bin: bins that see something
_BLOCK = 16  # slices that are reconstructed at a time


class Stopped(Exception):  # noqa: N818 - not an error: the user has seen enough
    """The user asked to end early and keep what there is."""


class Lessons:
    """Slices (slices, z, x), turned at random from a seed, and what a module begins with where they are measured again.

    Their views through the same rays, with noise as ``views`` (slices, view, t) have it, are reconstructed by total
    variation once; the module is to make the turned slice of that. Raises Cancelled.
    """

    def __init__(
        self,
        slices: torch.Tensor,
        views: torch.Tensor,
        beam: ParallelBeam,
        module: WedgeResidual,
        seed: int,
        report: Report,
        count: int | None = None,
    ) -> None:
        self._beam = beam
        generator = torch.Generator().manual_seed(seed)
        noise = _noise(views, views - beam.project(slices)) / views.clamp(min=0).mean((1, 2)).clamp(min=1e-12).sqrt()
        count = count or int(min(_MOST, max(_FEWEST, _VOXELS // slices[0].numel())))
        drawn, made = torch.arange(count) % len(slices), []
        for first in range(0, count, _BLOCK):
            report.check()
            part = drawn[first : first + _BLOCK]
            made.append(self._measured(slices[part], noise[part], module, generator))
        self._target, *self._begun = (torch.cat(each) for each in zip(*made, strict=True))

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._target)

    @property
    def before(self) -> float:
        """Mean error of total variation."""
        return float((self._begun[0] - self._target).abs().mean())

    def error(self, module: nn.Module, chosen: torch.Tensor) -> torch.Tensor:
        """Mean error of a module's answers to some lessons (n,)."""
        assert isinstance(module, WedgeResidual)
        image, soft, wanted, noise = (each[chosen] for each in self._begun)
        return (module.corrected(image, soft, wanted, self._beam, noise) - self._target[chosen]).abs().mean()

    @torch.no_grad()
    def _measured(
        self, slices: torch.Tensor, noise: torch.Tensor, module: WedgeResidual, generator: torch.Generator
    ) -> tuple[torch.Tensor, ...]:
        """Slices turned, and what the module begins with of their views; grey levels about 1."""
        angle = 2 * math.pi * torch.rand(len(slices), generator=generator)
        target = turned(slices, angle, torch.rand(len(slices), generator=generator) < 0.5)
        exact = self._beam.project(target)
        drawn = torch.randn(exact.shape, generator=generator) * noise[:, None, None]
        *begun, scale = module.begun(exact + drawn * exact.clamp(min=0).sqrt(), self._beam)
        return target / scale, *begun


class TurnedSlices:
    """A round of learning from ``lessons``; ``trial`` holds others, of slices that nothing is learnt from.

    Validation calls ``shown`` with the module.
    """

    def __init__(
        self, lessons: Lessons, trial: Lessons, seed: int, report: Report, shown: Callable[[nn.Module], None]
    ) -> None:
        self._lessons, self._trial, self._report, self._shown = lessons, trial, report, shown
        self._generator = torch.Generator().manual_seed(seed)

    def generators(self) -> dict[str, torch.Generator]:
        """The one that lessons are drawn from."""
        return {"turned": self._generator}

    def loss(self, module: nn.Module, batch: int) -> tuple[torch.Tensor, dict[str, float]]:
        """Mean error of turned slices that were measured again. Raises Stopped."""
        if self._report.stopping:
            raise Stopped
        chosen = torch.randint(self._lessons.count, (batch,), generator=self._generator)
        return self._lessons.error(module, chosen), {}

    def validate(self, module: nn.Module) -> dict[str, float]:
        """Mean error of the trial."""
        self._report.check()
        found = float(self._trial.error(module, torch.arange(self._trial.count)))
        self._shown(module)
        return {"loss": found}


def _noise(views: torch.Tensor, left: torch.Tensor) -> torch.Tensor:
    """Standard deviation (slices,) of views' noise, by second differences of what slices leave of them.

    Of the views themselves they show fine structure, too, and lessons with too much noise teach to smooth.
    """
    second = (left[..., 2:] - 2 * left[..., 1:-1] + left[..., :-2]).abs().flatten(1)
    inner = views[..., 1:-1].flatten(1)
    lit = inner > _LIT * inner.amax(1, keepdim=True)
    median = torch.where(lit, second, torch.nan).nanmedian(1).values.nan_to_num(0.0)
    return median / (0.6745 * math.sqrt(6))


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
