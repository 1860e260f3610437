"""From expected intensity to the numbers in a file: scan jitter, counting, detector, rounding, filters, labels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

from atomseg_app.simulate.draw import Draw
from atomseg_app.simulate.fourier import Frequencies
from atomseg_app.simulate.preset import Preset


@dataclass(frozen=True)
class Recorded:
    """``counts`` (images, y, x) as recorded, ``expected`` what they fluctuate round, but for jitter, lines, filters."""

    counts: torch.Tensor
    expected: torch.Tensor


def jitter_rows(draw: Draw, preset: Preset, pictures: torch.Tensor, coarse: int) -> torch.Tensor:
    """Every row shifted along x by a random amount: the beam is not where the scan believes (pixels of the file)."""
    count, height, width = pictures.shape
    strength = draw.sometimes(count, preset.jittered, draw.uniform(count, *preset.row_jitter_px)) * coarse
    rows = draw.normal((count, height // coarse)).repeat_interleave(coarse, 1)
    shift = (rows * strength[:, None])[..., None]
    k = 2 * math.pi * torch.fft.rfftfreq(width, device=pictures.device)
    turn = torch.polar(torch.ones_like(shift * k), -shift * k)
    moved: torch.Tensor = torch.fft.irfft(torch.fft.rfft(pictures) * turn, n=width)
    return moved


def record(draw: Draw, preset: Preset, expected: torch.Tensor, moved: torch.Tensor) -> Recorded:
    """Counts of an expectation (images, y, x) in counts; ``moved`` is the same with its rows jittered."""
    count, height, width = expected.shape

    def per_image(values: torch.Tensor) -> torch.Tensor:
        return values[:, None, None]

    counts = draw.poisson(moved.clamp(min=0))
    level = expected.mean((1, 2))
    read = draw.sometimes(count, 0.3, draw.uniform(count, 0, 0.4) * (level + 1).sqrt())
    counts = counts + draw.normal((count, height, width)) * per_image(read)
    lines = draw.normal((count, height, 1)) * per_image(
        draw.sometimes(count, 0.15, draw.uniform(count, 0, 0.6)) * level.sqrt()
    )
    counts = _afterglow(draw, counts + lines)
    counts = _rounded(draw, counts)
    return Recorded(_filtered(draw, preset, counts), expected)


def _afterglow(draw: Draw, counts: torch.Tensor) -> torch.Tensor:
    """A slow detector carries part of each pixel into the next ones of its row."""
    count = len(counts)
    decay = draw.sometimes(count, 0.15, draw.uniform(count, 0.05, 0.4))
    taps = torch.arange(5, 0, -1, device=counts.device) - 1
    kernel = decay[:, None] ** taps * (1 - decay)[:, None]
    kernel = kernel / kernel.sum(1, keepdim=True)
    padded = functional.pad(counts, (4, 0), mode="replicate")
    return sum(
        (kernel[:, tap, None, None] * padded[..., tap : tap + counts.shape[-1]] for tap in range(5)),
        torch.zeros_like(counts),
    )


def _rounded(draw: Draw, counts: torch.Tensor) -> torch.Tensor:
    """Some pictures were kept in 8 bits (or fewer grey levels), their ends clipped."""
    count = len(counts)
    low, high = counts.amin((1, 2), keepdim=True), counts.amax((1, 2), keepdim=True)
    levels = torch.where(draw.chance(count, 0.5), 255.0, draw.uniform(count, 40, 255))[:, None, None]
    step = ((high - low) / levels).clamp(min=1e-6)
    rounded = ((counts - low) / step).round() * step + low
    return torch.where(draw.chance(count, 0.3)[:, None, None], rounded, counts)


def _filtered(draw: Draw, preset: Preset, counts: torch.Tensor) -> torch.Tensor:
    """Some pictures come smoothed (Gaussian, Butterworth) or sharpened (as after a deconvolution)."""
    count, size = len(counts), counts.shape[-1]
    chosen = draw.chance(count, preset.filtered)
    if not bool(chosen.any()):
        return counts
    frequencies = Frequencies(size, counts.device)
    kind = draw.uniform(count)[:, None, None]
    sigma = draw.uniform(count, 0.5, 1.6)[:, None, None]
    gauss = torch.exp(-0.5 * frequencies.k2 * sigma**2)
    butterworth = 1 / (1 + (frequencies.k * sigma / 1.6) ** 6)
    sharp = gauss * (1 + 2.0 * (1 - torch.exp(-0.5 * frequencies.k2 * (2 * sigma) ** 2)))
    transfer = torch.where(kind < 0.5, gauss, torch.where(kind < 0.75, butterworth, sharp))
    filtered = frequencies.picture(torch.fft.rfft2(counts) * transfer)
    return torch.where(chosen[:, None, None], filtered, counts)


def burn_in_labels(draw: Draw, preset: Preset, pictures: torch.Tensor) -> torch.Tensor:
    """Some pictures carry a bright or dark bar near a corner, as exported figures do."""
    count, height, width = pictures.shape
    x0, y0 = draw.uniform(count, 0.05, 0.6) * width, draw.uniform(count, 0.82, 0.95) * height
    long, thick = draw.uniform(count, 0.1, 0.35) * width, draw.uniform(count, 3, 9)
    x, y = torch.arange(width, device=draw.device), torch.arange(height, device=draw.device)
    across = (x[None, :] >= x0[:, None]) & (x[None, :] < (x0 + long)[:, None])
    down = (y[None, :] >= y0[:, None]) & (y[None, :] < (y0 + thick)[:, None])
    bar = across[:, None, :] & down[:, :, None] & draw.chance(count, preset.labels)[:, None, None]
    ends = torch.where(draw.chance(count, 0.7), pictures.amax((1, 2)), pictures.amin((1, 2)))
    return torch.where(bar, ends[:, None, None], pictures)
