"""An image through the column network: resampled to the network's scale, normalised, and mapped back.

Columns of any width are brought to the one the network works at, so no image has to be rescaled by hand. Grey levels
are normalised by the mean and spread of their surroundings, over fields as large as those the network learnt from.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn import functional

from atomseg_app.networks.columns import CLIP, SIGMA_PX
from atomseg_app.networks.tiling import tiles
from atomseg_app.operations import Report

FIELD_PX = 160
"""Side of the pictures that the network learnt from, over which it knows grey levels to be normalised."""

_AS_IT_IS = (0.75, 1.35)  # column widths, in units of the network's, that need no resampling
_FINEST = 3.0  # times an image is magnified at most


@dataclass(frozen=True)
class Part:
    """Channels (c, h, w) of a part of the resampled image whose first pixel is (``left``, ``top``) in it."""

    left: int
    top: int
    channels: torch.Tensor


@dataclass(frozen=True)
class NetworkPass:
    """An image ready for the network: ``pixels`` (y, x) resampled by ``factor``, and its local grey-level scale.

    ``mean`` and ``scale`` (y, x) have the shape of ``pixels``; ``sign`` is -1 for dark columns, whose image is negated.
    """

    pixels: torch.Tensor
    mean: torch.Tensor
    scale: torch.Tensor
    factor: float
    sign: int
    shape: tuple[int, int]

    @classmethod
    def of(cls, grey: npt.NDArray[np.float32], sigma_px: float, sign: int, device: torch.device) -> NetworkPass:
        """Of an image (y, x) whose columns are ``sigma_px`` wide (rms); ``sign`` +1 for bright columns, -1 for dark."""
        pixels = torch.from_numpy(np.ascontiguousarray(grey, np.float32)).to(device) * sign
        factor = resampling(sigma_px)
        pixels = resampled(pixels, (max(1, round(grey.shape[0] * factor)), max(1, round(grey.shape[1] * factor))))
        mean, scale = _surroundings(pixels)
        return cls(pixels, mean, scale, factor, sign, (grey.shape[0], grey.shape[1]))

    def parts(self, module: nn.Module, report: Report) -> Iterator[Part]:
        """Channels of the network, tile by tile; together they cover the resampled image once."""
        normalised = ((self.pixels - self.mean) / self.scale).clamp(*CLIP)
        for tile in tiles(module, normalised, report):
            yield Part(tile.columns.start, tile.rows.start, tile.values)

    def in_file(self, position: npt.ArrayLike, axis: int) -> npt.NDArray[np.float64]:
        """Positions in the resampled image as pixels of the file; axis 0 is y, 1 is x."""
        ratio = self.shape[axis] / self.pixels.shape[axis]
        return (np.asarray(position, float) + 0.5) * ratio - 0.5


def resampling(sigma_px: float) -> float:
    """Factor by which an image is enlarged so that columns of that width suit the network; 1 where they do already."""
    relative = sigma_px / SIGMA_PX
    return 1.0 if _AS_IT_IS[0] <= relative <= _AS_IT_IS[1] else min(1 / relative, _FINEST)


def resampled(pixels: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """Picture (y, x) in another number of pixels over the same field, cubic; averaged where it gets smaller."""
    if tuple(pixels.shape) == shape:
        return pixels
    smaller = shape[0] < pixels.shape[0]
    return functional.interpolate(
        pixels[None, None], size=shape, mode="bicubic", align_corners=False, antialias=smaller
    )[0, 0]


def _surroundings(pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation round each pixel (y, x), over fields of :data:`FIELD_PX`; of all in small images."""
    height, width = pixels.shape
    overall = pixels.std().clamp(min=1e-12)
    if max(height, width) <= 1.5 * FIELD_PX:
        return pixels.mean().expand_as(pixels), overall.expand_as(pixels)
    window = (min(FIELD_PX, height), min(FIELD_PX, width))
    step = (max(1, window[0] // 4), max(1, window[1] // 4))
    mean = _windows(pixels, window, step)
    square = _windows((pixels - pixels.mean()) ** 2, window, step)
    spread = (square - (mean - pixels.mean()) ** 2).clamp(min=0).sqrt()
    # An empty field is not blown up until its last rounding error fills the range.
    spread = spread.clamp(min=float(overall) * 0.05)
    return _at_pixels(mean, window, step, (height, width)), _at_pixels(spread, window, step, (height, width))


def _windows(pixels: torch.Tensor, window: tuple[int, int], step: tuple[int, int]) -> torch.Tensor:
    """Means of windows that begin every ``step`` pixels, the last one at the end of the image (rows, columns)."""
    sums = functional.pad(pixels.double().cumsum(0).cumsum(1), (1, 0, 1, 0))
    top, left = _starts(pixels.shape[0], window[0], step[0]), _starts(pixels.shape[1], window[1], step[1])
    bottom, right = [at + window[0] for at in top], [at + window[1] for at in left]
    total = sums[bottom][:, right] - sums[top][:, right] - sums[bottom][:, left] + sums[top][:, left]
    return (total / (window[0] * window[1])).float()


def _starts(size: int, window: int, step: int) -> list[int]:
    starts = list(range(0, size - window + 1, step))
    return starts if starts[-1] == size - window else [*starts, size - window]


def _at_pixels(
    values: torch.Tensor, window: tuple[int, int], step: tuple[int, int], shape: tuple[int, int]
) -> torch.Tensor:
    """Values at window centres, linearly between them and constant beyond the outermost."""
    for axis in (0, 1):
        centres = (
            torch.tensor(_starts(shape[axis], window[axis], step[axis]), dtype=torch.float32) + (window[axis] - 1) / 2
        )
        place = torch.arange(shape[axis], dtype=torch.float32).clamp(float(centres[0]), float(centres[-1]))
        after = torch.searchsorted(centres, place).clamp(1, max(1, len(centres) - 1))
        if len(centres) == 1:
            values = values.expand(shape[0], -1) if axis == 0 else values.expand(-1, shape[1])
            continue
        weight = (place - centres[after - 1]) / (centres[after] - centres[after - 1])
        weight, after = weight.to(values.device), after.to(values.device)
        low, high = values.index_select(axis, after - 1), values.index_select(axis, after)
        values = low + (high - low) * (weight[:, None] if axis == 0 else weight[None, :])
    return values
