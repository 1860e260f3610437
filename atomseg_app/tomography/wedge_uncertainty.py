"""How far filled slices can be trusted: the spread of answers that should be one and the same.

The same views mirrored, turned by half a turn, or a third of them left out, ask for the same slice; so does total
variation, which has learned nothing. Where the answers part, what is shown is guessed. Inside slices
the former go with true errors as well as all together (``atomseg bench wedge-uncertainty``); between slices the ratio
of error to spread varies half as much with total variation among them, so that one factor serves all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import chain

import torch
from torch.nn import functional

from atomseg_app.operations import Report
from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.rays.reconstruct import found_weight, sirt, total_variation
from atomseg_app.tomography.watched_beam import WatchedBeam
from atomseg_app.tomography.wedge_methods import Fill

CALIBRATION = {"best": 2.1, "residual": 2.5, "joint": 2.9}
"""Rms error over rms spread of each method, the median over slices of unseen families."""
_SMOOTH_PX = 1.5  # rms width over which the spread is averaged: errors have the size of details
_PARTS = 3  # of the views, each left out once
_SOFT, _ITERATIONS = 10, 100


class Ensemble:
    """Asks a method in several ways; beams are made once and serve all blocks of slices."""

    def __init__(self, fill: Fill, beam: ParallelBeam, report: Report, calibration: float = 1.0) -> None:
        """``calibration`` is rms error over rms spread, as :data:`CALIBRATION` tells it."""
        self._fill, self._beam, self._calibration = fill, beam, calibration
        tilts, shifts, size, device = beam.tilt_deg, beam.shift_px, beam.size, beam.device
        self._depth = WatchedBeam(-tilts, size, device, shifts, report)
        self._half = WatchedBeam(tilts, size, device, -shifts, report) if bool(shifts.any()) else beam
        views = torch.arange(beam.views)
        self._kept = [views[views % _PARTS != part] for part in range(_PARTS)]
        self._fewer = [WatchedBeam(tilts[kept], size, device, shifts[kept], report) for kept in self._kept]

    def spread(self, views: torch.Tensor, answer: torch.Tensor) -> torch.Tensor:
        """Standard deviation (slices, z, x) of an answer's error, as the other answers tell it."""
        return self._calibration * deviation(chain([answer], (member for _, member in self.members(views))))

    def members(self, views: torch.Tensor) -> Iterator[tuple[str, torch.Tensor]]:
        """The other answers (slices, z, x), one after the other, with what they were asked with."""
        beam = self._beam
        yield "mirrored", self._fill(views, self._depth).flip(-2)
        yield "turned", self._fill(views.flip(-1), self._half).flip(-1, -2)
        for kept, rays in zip(self._kept, self._fewer, strict=True):
            yield "fewer views", self._fill(views[:, kept.to(views.device)], rays)
        soft = sirt(beam, views, _SOFT)
        yield "total variation", total_variation(beam, views, found_weight(views), _ITERATIONS, soft)


def deviation(answers: Iterable[torch.Tensor]) -> torch.Tensor:
    """Standard deviation (slices, z, x) of answers, taken in one by one, averaged over the size of details."""
    mean, squares, count = torch.zeros(1), torch.zeros(1), 0
    for answer in answers:  # Welford's sums
        count += 1
        off = answer - mean.to(answer)
        mean = mean.to(answer) + off / count
        squares = squares.to(answer) + off * (answer - mean)
    return smoothed(squares / max(1, count - 1), _SMOOTH_PX).clamp(min=0).sqrt()


def smoothed(slices: torch.Tensor, sigma_px: float) -> torch.Tensor:
    """Slices (slices, z, x) averaged over a Gaussian of that rms width; what lies outside counts as the border."""
    reach = math.ceil(3 * sigma_px)
    offsets = torch.arange(-reach, reach + 1, device=slices.device, dtype=slices.dtype)
    weights = (-0.5 * (offsets / sigma_px).square()).exp()
    weights = weights / weights.sum()
    padded = functional.pad(slices[:, None], (reach,) * 4, mode="replicate")
    rows = functional.conv2d(padded, weights[None, None, :, None])
    return functional.conv2d(rows, weights[None, None, None, :])[:, 0]
