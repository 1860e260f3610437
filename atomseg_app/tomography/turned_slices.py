"""What a network learns from one series: its slices, turned about the tilt axis, seen again through the same rays."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import nn
from torch.nn import functional

from atomseg_app.networks.wedge_residual import brightness
from atomseg_app.operations import Report
from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.rays.reconstruct import noise_of, sirt
from atomseg_app.tomography.unseen_views import UnseenViews, beam_of, lit_slices, splits_of

_SHARE = 0.1  # of the error of views, which are sums over many voxels
_SOFT = 10  # iterations of SIRT, which tells how bright slices are


class Stopped(Exception):  # noqa: N818 - not an error: the user has seen enough
    """The user asked to end early and keep what there is."""


class TurnedSlices:
    """Lessons from ``views`` (slices, view, t): some views predicted by the others, and answers that, turned, are
    measured again with the noise that the views show.

    ``judged`` are the views that validation is by, which lessons do not use; it calls ``shown`` with the module.
    """

    def __init__(
        self,
        views: torch.Tensor,
        beam: ParallelBeam,
        seed: int,
        report: Report,
        shown: Callable[[nn.Module], None],
        judged: UnseenViews,
    ) -> None:
        self._report, self._shown, self._judged = report, shown, judged
        lit = lit_slices(views)
        self._splits = splits_of(views[lit][:, ~judged.out], beam_of(beam, ~judged.out))
        self._scale = brightness(sirt(judged.shown_beam, self._splits[0].whole, _SOFT))
        noise = noise_of(self._splits[0].whole)
        self._noise = noise / self._splits[0].whole.clamp(min=0).mean((1, 2)).clamp(min=1e-12).sqrt()
        self._generator = torch.Generator().manual_seed(seed)

    def generators(self) -> dict[str, torch.Generator]:
        """The one that slices, angles and noise are drawn from."""
        return {"turned": self._generator}

    def loss(self, module: nn.Module, batch: int) -> tuple[torch.Tensor, dict[str, float]]:
        """Mean error of views that were left out, and of turned slices that were measured again. Raises Stopped."""
        if self._report.stopping:
            raise Stopped
        split = self._splits[int(torch.randint(len(self._splits), (1,), generator=self._generator))]
        chosen = torch.randint(len(self._scale), (batch,), generator=self._generator)
        scale = self._scale[chosen]
        answer = module(split.shown[chosen], split.shown_beam)
        left = (split.unseen_beam.project(answer) - split.unseen[chosen]) / scale
        again, target = self._again(module, answer, split.shown_beam, self._noise[chosen])
        parts = {"unseen": _SHARE * left.abs().mean(), "turned": ((again - target) / scale).abs().mean()}
        return torch.stack(list(parts.values())).sum(), {name: float(part.detach()) for name, part in parts.items()}

    def validate(self, module: nn.Module) -> dict[str, float]:
        """How far views are off that the module is not shown, relative."""
        self._report.check()
        answer = module(self._judged.shown, self._judged.shown_beam)
        self._shown(module)
        return {"loss": float(self._judged.misfit(answer).mean())}

    def _again(
        self, module: nn.Module, answer: torch.Tensor, beam: ParallelBeam, noise: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """What the module makes of a turned answer's views, and the turned answer, both (slices, z, x)."""
        angle = 2 * math.pi * torch.rand(len(answer), generator=self._generator)
        target = turned(answer, angle, torch.rand(len(answer), generator=self._generator) < 0.5)
        with torch.no_grad():
            exact = beam.project(target)
            drawn = torch.randn(exact.shape, generator=self._generator) * noise[:, None, None]
            views = exact + drawn * exact.clamp(min=0).sqrt()
        return module(views, beam), target


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
