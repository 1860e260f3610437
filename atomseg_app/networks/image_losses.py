"""Losses of pictures that should be equal: structural similarity, decibels."""

from __future__ import annotations

from functools import lru_cache

import torch

_WINDOW = 7
_SMALL, _SMALLER = 0.01**2, 0.03**2


def similarity(image: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Structural similarity (pictures,) of pictures (pictures, y, x) whose grey levels span 1.

    Wang, Bovik, Sheikh, Simoncelli, IEEE Trans. Image Process. 13 (2004) 600, over 7 x 7 windows with sample
    covariances, of which only whole ones count: as scikit-image has it.
    """
    x, y = image[:, None].float(), truth[:, None].float()
    mean_x, mean_y, square_x, square_y, product = (_means(each) for each in (x, y, x * x, y * y, x * y))
    sample = _WINDOW**2 / (_WINDOW**2 - 1)
    variance_x, variance_y = sample * (square_x - mean_x**2), sample * (square_y - mean_y**2)
    covariance = sample * (product - mean_x * mean_y)
    levels = (2 * mean_x * mean_y + _SMALL) / (mean_x**2 + mean_y**2 + _SMALL)
    structure = (2 * covariance + _SMALLER) / (variance_x + variance_y + _SMALLER)
    return (levels * structure).mean((1, 2, 3))


def _means(pictures: torch.Tensor) -> torch.Tensor:
    """Means over whole windows, as products with one band matrix for each axis: sooner than pooling on any device."""
    down, across = (_band(side, pictures.device) for side in pictures.shape[-2:])
    with torch.autocast(pictures.device.type, enabled=False):
        means: torch.Tensor = down @ pictures @ across.T
    return means


@lru_cache(maxsize=8)
def _band(side: int, device: torch.device) -> torch.Tensor:
    """Matrix (windows, side) whose rows take the mean of a window each."""
    first = torch.arange(side - _WINDOW + 1, device=device)[:, None]
    place = torch.arange(side, device=device)
    return ((place >= first) & (place < first + _WINDOW)).float() / _WINDOW


def decibels(image: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    """Peak signal-to-noise ratio (pictures,) of pictures (pictures, y, x) whose grey levels span 1."""
    return -10 * torch.log10(((image.float() - truth) ** 2).mean((1, 2)) + 1e-10)
