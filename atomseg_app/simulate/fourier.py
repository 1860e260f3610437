"""Points to band-limited pictures: sub-pixel positions are spread on the grid, the probe is applied in Fourier space.

A point is spread with a quintic B-spline and the spline is divided out again where the probe still passes anything,
so a column stands at its true position to better than 0.001 px for probes of 1.3 px rms width or more.
"""

from __future__ import annotations

import math

import torch

_DEGREE = 5
_TAPS = _DEGREE + 1
_FACTORIAL = math.factorial(_DEGREE)


def spread(
    index: torch.Tensor, x_px: torch.Tensor, y_px: torch.Tensor, weights: torch.Tensor, shape: tuple[int, int, int]
) -> torch.Tensor:
    """Pictures (images, y, x), periodic, of points spread with a quintic B-spline.

    ``index`` (n,) says which picture, ``x_px`` and ``y_px`` (n,) where, ``weights`` (n,) with what volume.
    """
    images, height, width = shape
    first_x, taps_x = _taps(x_px)
    first_y, taps_y = _taps(y_px)
    steps = torch.arange(_TAPS, device=x_px.device)
    columns = (first_x[:, None] + steps) % width
    rows = (first_y[:, None] + steps) % height
    place = (index[:, None, None] * height + rows[:, :, None]) * width + columns[:, None, :]
    value = (weights[:, None] * taps_y)[:, :, None] * taps_x[:, None, :]
    grid = torch.zeros(images * height * width, dtype=weights.dtype, device=weights.device)
    return grid.index_add_(0, place.reshape(-1), value.reshape(-1)).reshape(shape)


def _taps(position: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """First grid point that a point at ``position`` (n,) reaches, and its six spline weights (n, 6)."""
    first = torch.floor(position).long() - (_DEGREE // 2)
    offset = position[:, None] - (first[:, None] + torch.arange(_TAPS, device=position.device))
    return first, _b_spline(offset)


def _b_spline(x: torch.Tensor) -> torch.Tensor:
    """Centred quintic B-spline by truncated powers (Unser 1999)."""
    half = (_DEGREE + 1) / 2
    total = torch.zeros_like(x)
    for k in range(_DEGREE + 2):
        total = total + (-1) ** k * math.comb(_DEGREE + 1, k) * torch.clamp(x + half - k, min=0) ** _DEGREE
    return total / _FACTORIAL


class Frequencies:
    """Frequencies of a real transform of ``size`` x ``size`` pixels, and the spline's own transfer."""

    def __init__(self, size: int, device: torch.device) -> None:
        self.size = size
        self.ky = 2 * math.pi * torch.fft.fftfreq(size, device=device)[:, None]
        self.kx = 2 * math.pi * torch.fft.rfftfreq(size, device=device)[None, :]
        self.k2 = self.kx**2 + self.ky**2
        self.k = self.k2.sqrt()
        spline = torch.sinc(self.kx / (2 * math.pi)) * torch.sinc(self.ky / (2 * math.pi))
        self.unspread = spline.clamp(min=0.4) ** -_TAPS  # beyond, the probe passes nothing worth keeping
        weight = torch.full((size // 2 + 1,), 2.0, device=device)
        weight[0] = 1.0
        if size % 2 == 0:
            weight[-1] = 1.0
        self._weight = weight

    def transform(self, pictures: torch.Tensor) -> torch.Tensor:
        """Spectra (images, y, x // 2 + 1) of spread points, the spline divided out."""
        spectra: torch.Tensor = torch.fft.rfft2(pictures) * self.unspread
        return spectra

    def picture(self, spectra: torch.Tensor) -> torch.Tensor:
        """Pictures (images, y, x) of spectra."""
        pictures: torch.Tensor = torch.fft.irfft2(spectra, s=(self.size, self.size))
        return pictures

    def gaussian(self, sigma_px: torch.Tensor, volume: torch.Tensor | float = 1.0) -> torch.Tensor:
        """Transfer functions (images, y, x // 2 + 1) of Gaussians of that rms width and volume (images,)."""
        half = -0.5 * sigma_px[:, None, None] ** 2
        down = torch.exp(half * self.ky**2) * torch.as_tensor(volume, device=half.device).reshape(-1, 1, 1)
        return down * torch.exp(half * self.kx**2)

    def peak(self, transfer: torch.Tensor) -> torch.Tensor:
        """Value (images,) at its centre of the point spread function of a transfer (images, y, x // 2 + 1)."""
        real = transfer.real if transfer.is_complex() else transfer
        return (real * self._weight).sum((1, 2)) / self.size**2
