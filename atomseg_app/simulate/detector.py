"""From expected intensity to the numbers in a file: scan jitter, counting, detector, rounding, filters, labels."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch.nn import functional

from atomseg_app.simulate.draw import Draw
from atomseg_app.simulate.fourier import Frequencies
from atomseg_app.simulate.preset import Preset

_AFTERGLOW_PX = 5


@dataclass(frozen=True)
class Detector:
    """One entry a picture (images,): standard deviations of the noise beyond counting, in counts, and the afterglow.

    ``read`` is the noise of every pixel, ``lines`` that of an offset shared by a whole row; ``decay`` is what part of a
    pixel's light the next one along the row still receives.
    """

    read: torch.Tensor
    lines: torch.Tensor
    decay: torch.Tensor

    def afterglow(self) -> torch.Tensor:
        """Parts (images, 5) that a pixel keeps and hands to the four after it; each row sums to 1."""
        later = torch.arange(_AFTERGLOW_PX, device=self.decay.device)
        parts = self.decay[:, None] ** later
        return parts / parts.sum(1, keepdim=True)

    def lag_px(self, sigma_px: torch.Tensor) -> torch.Tensor:
        """How far (images,) the afterglow moves the centre of a Gaussian fitted to a column of that width (images,).

        Where the column, convolved with the afterglow, correlates best with a Gaussian as wide as the two together.
        The mean of the afterglow is the limit for wide columns; a narrow one is moved less than its centre of mass.
        """
        parts = self.afterglow()
        later = torch.arange(_AFTERGLOW_PX, device=parts.device)
        lag = (parts * later).sum(1)
        spread2 = 2 * sigma_px**2 + ((parts * later**2).sum(1) - lag**2) / 2  # a round fit takes up half
        for _ in range(8):
            weight = parts * torch.exp(-((later - lag[:, None]) ** 2) / (2 * spread2[:, None]))
            lag = (weight * later).sum(1) / weight.sum(1)
        return lag

    def excess(self, sigma_px: torch.Tensor) -> torch.Tensor:
        """Variance (images,) a pixel beyond counting that a matched filter of that width (images,) sees.

        Noise of variance r^2 in every pixel adds r^2. An offset of a row is the same in all its pixels: a filter g
        takes up L^2 times the sum over rows of (sum of g along the row)^2, 2 sqrt(pi) s L^2 times the sum of g^2.
        """
        return self.read**2 + 2 * math.sqrt(math.pi) * sigma_px * self.lines**2


def draw_detector(draw: Draw, level: torch.Tensor) -> Detector:
    """Detectors of pictures of mean counts ``level`` (images,): most without noise of their own, most fast."""
    count = len(level)
    read = draw.sometimes(count, 0.3, draw.uniform(count, 0, 0.4) * (level + 1).sqrt())
    lines = draw.sometimes(count, 0.15, draw.uniform(count, 0, 0.6)) * level.sqrt()
    return Detector(read, lines, draw.sometimes(count, 0.15, draw.uniform(count, 0.05, 0.4)))


def scan_rows(
    draw: Draw, preset: Preset, pictures: torch.Tensor, coarse: int, lag_px: torch.Tensor | None = None
) -> torch.Tensor:
    """Every row shifted along x by a random amount: the beam is not where the scan believes (pixels of the file).

    ``lag_px`` (images,) is by how much the scan runs ahead of the detector. An afterglow moves all columns of a picture
    alike, as another origin of the scan would, so no analyst can tell; the frame of the truth is therefore the one in
    which fitted columns stand where the specimen's do.
    """
    count, height, width = pictures.shape
    strength = draw.sometimes(count, preset.jittered, draw.uniform(count, *preset.row_jitter_px)) * coarse
    rows = draw.normal((count, height // coarse)).repeat_interleave(coarse, 1)
    shift = rows * strength[:, None]
    if lag_px is not None:
        shift = shift - lag_px[:, None] * coarse
    off = shift.abs().amax(1) > 0
    if not bool(off.any()):
        return pictures
    shift = shift[off][..., None]
    k = 2 * math.pi * torch.fft.rfftfreq(width, device=pictures.device)
    turn = torch.polar(torch.ones_like(shift * k), -shift * k)
    moved = pictures.clone()
    moved[off] = torch.fft.irfft(torch.fft.rfft(pictures[off]) * turn, n=width)
    return moved


def record(draw: Draw, preset: Preset, detector: Detector, scanned: torch.Tensor) -> torch.Tensor:
    """Numbers (images, y, x) as recorded from the counts expected at every pixel of the scan."""
    count, height, width = scanned.shape
    counts = draw.poisson(scanned.clamp(min=0))
    counts = counts + draw.normal((count, height, width)) * detector.read[:, None, None]
    counts = counts + draw.normal((count, height, 1)) * detector.lines[:, None, None]
    counts = _rounded(draw, afterglow(detector, counts))
    return _filtered(draw, preset, counts)


def afterglow(detector: Detector, counts: torch.Tensor) -> torch.Tensor:
    """A slow detector carries part of each pixel (images, y, x) into the next ones of its row."""
    slow = detector.decay > 0
    if not bool(slow.any()):
        return counts
    parts = detector.afterglow()[slow]
    padded = functional.pad(counts[slow], (_AFTERGLOW_PX - 1, 0), mode="replicate")
    width = counts.shape[-1]
    glowing = torch.zeros_like(counts[slow])
    for later in range(_AFTERGLOW_PX):
        first = _AFTERGLOW_PX - 1 - later
        glowing += parts[:, later, None, None] * padded[..., first : first + width]
    counts = counts.clone()
    counts[slow] = glowing
    return counts


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
    kind, sigma = draw.uniform(count)[chosen, None, None], draw.uniform(count, 0.5, 1.6)[chosen, None, None]
    gauss = torch.exp(-0.5 * frequencies.k2 * sigma**2)
    butterworth = 1 / (1 + (frequencies.k * sigma / 1.6) ** 6)
    sharp = gauss * (1 + 2.0 * (1 - torch.exp(-0.5 * frequencies.k2 * (2 * sigma) ** 2)))
    transfer = torch.where(kind < 0.5, gauss, torch.where(kind < 0.75, butterworth, sharp))
    counts = counts.clone()
    counts[chosen] = frequencies.picture(torch.fft.rfft2(counts[chosen]) * transfer)
    return counts


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
