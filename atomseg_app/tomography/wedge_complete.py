"""Complete series: what no wedge is missing from is changed by no more than its noise, which such views tell exactly.

A network's corrections are made for wedges, and its few steps towards the views leave details unexplained that views
with little noise do show. SIRT goes on from there until no more is left of the views than noise and what voxels cannot
express.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.rays.reconstruct import sirt

if TYPE_CHECKING:
    from atomseg_app.tomography.wedge_methods import Fill

_UNEVEN = 1.1  # widest step between directions over the narrowest
_EDGE = 4  # harmonics beyond the last that a body of the detector's width has
_FEWEST = 100  # numbers that noise is measured by
_MODEL_ERROR = 0.004  # of the views' rms: what voxels and interpolation do not express in any case
_TOLERANCE = 1.04  # of the noise, which so many numbers tell to some percent
_STEPS, _MOST = 2, 100


def agreeing(fill: Fill) -> Fill:
    """A method whose answer for a complete series agrees with the views within their noise; others stay as they are."""

    def filled(views: torch.Tensor, beam: ParallelBeam) -> torch.Tensor:
        answer = fill(views, beam)
        noise = noise_of_complete(views, beam)
        return answer if noise is None else _nearer(answer, views.float(), beam, noise)

    return filled


def noise_of_complete(views: torch.Tensor, beam: ParallelBeam) -> torch.Tensor | None:
    """Rms noise (slices,) of views (slices, view, t) all round in even steps; None of any other series.

    Where the n-th harmonic of the angle exceeds the frequency times the body's radius a sinogram is dark, whatever the
    body (Rattey and Lindgren, IEEE Trans. Acoust. 29 (1981) 994): what is seen there is noise.
    """
    turns = torch.floor(beam.tilt_deg / 180 + 1e-9)
    angles, order = (beam.tilt_deg - 180 * turns).sort()
    kept = torch.cat([torch.ones(1, dtype=torch.bool), angles.diff() > 1e-6])
    angles, order = angles[kept], order[kept]
    gaps = torch.cat([angles.diff(), (angles[:1] + 180 - angles[-1:])])
    if len(angles) < 2 or float(gaps.max()) > _UNEVEN * float(gaps.min()):
        return None
    seen = _centred(views.float(), beam)[:, order.to(views.device)]
    beyond = (torch.remainder(turns[order], 2) == 1).to(views.device)
    half = torch.where(beyond[None, :, None], seen.flip(-1), seen)
    circle = torch.cat([half, half.flip(-1)], 1)
    steps, bins = circle.shape[1:]
    power = torch.fft.rfft2(circle.transpose(1, 2)).abs().square() / (steps * bins)  # (slices, frequency, harmonic)
    frequency = 2 * math.pi * torch.fft.fftfreq(bins, device=views.device).abs()
    harmonic = torch.arange(power.shape[-1], device=views.device)
    dark = harmonic[None] > frequency[:, None] * bins / 2 + _EDGE
    if int(dark.sum()) < _FEWEST:
        return None
    twice = torch.where(harmonic == steps // 2, 1.0, 2.0) * dark
    noise: torch.Tensor = ((power * twice).sum((1, 2)) / twice.sum()).sqrt()
    return noise


def _nearer(answer: torch.Tensor, views: torch.Tensor, beam: ParallelBeam, noise: torch.Tensor) -> torch.Tensor:
    """Slices (slices, z, x) after as much SIRT as each needs."""
    goal = _TOLERANCE * torch.hypot(noise, _MODEL_ERROR * views.square().mean((1, 2)).sqrt())
    answer = answer.clone()
    waiting = _left(answer, views, beam) > goal
    for _ in range(_MOST // _STEPS):
        if not bool(waiting.any()):
            break
        answer[waiting] = sirt(beam, views[waiting], _STEPS, answer[waiting])
        waiting[waiting.clone()] = _left(answer[waiting], views[waiting], beam) > goal[waiting]
    return answer


def _left(slices: torch.Tensor, views: torch.Tensor, beam: ParallelBeam) -> torch.Tensor:
    """Rms (slices,) of what slices do not explain."""
    left: torch.Tensor = (views - beam.project(slices)).square().mean((1, 2)).sqrt()
    return left


def _centred(views: torch.Tensor, beam: ParallelBeam) -> torch.Tensor:
    """Views with the axis in the middle of each."""
    if not bool(beam.shift_px.any()):
        return views
    bins = views.shape[-1]
    turn = 2 * math.pi * torch.fft.rfftfreq(bins)[None] * beam.shift_px[:, None]
    phase = torch.exp(1j * turn).to(torch.complex64).to(views.device)
    centred: torch.Tensor = torch.fft.irfft(torch.fft.rfft(views) * phase, bins)
    return centred
