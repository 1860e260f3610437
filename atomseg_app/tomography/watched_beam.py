"""Rays and networks that look whether they should stop: cancelling takes effect within an iteration, not a block."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from atomseg_app.operations import Report
from atomseg_app.rays.parallel_beam import ParallelBeam


class WatchedBeam(ParallelBeam):
    """A beam whose projections and iterations raise Cancelled once the user asked for it."""

    def __init__(
        self,
        tilt_deg: Sequence[float] | torch.Tensor,
        size: int,
        device: torch.device | str,
        shift_px: Sequence[float] | torch.Tensor,
        report: Report,
    ) -> None:
        super().__init__(tilt_deg, size, device, shift_px)
        self._report = report

    def check(self) -> None:
        """Raise Cancelled if the user asked for it."""
        self._report.check()


@contextmanager
def watched(modules: Sequence[nn.Module], report: Report) -> Iterator[None]:
    """Every layer of the modules looks before it computes."""

    def look(_module: nn.Module, _given: Any) -> None:
        report.check()

    handles = [layer.register_forward_pre_hook(look) for module in modules for layer in module.modules()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
