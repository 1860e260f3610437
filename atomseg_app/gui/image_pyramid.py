"""Reads of an image at the resolution of the screen: block means of a window, never the whole of a mapped file."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atomseg_app.data import Array

AT_ONCE_PIXELS = 1 << 22
"""Images up to this size are read in the window's thread (some 20 ms); larger ones on another thread."""

_OVERVIEW_SIDE = 2048
_BAND_PIXELS = 1 << 22
_SAMPLES = 1 << 19

Floats = npt.NDArray[np.float32]
Window = tuple[int, int, int, int]
"""Left, top, right, bottom in image px; right and bottom are not included."""


@dataclass(frozen=True)
class Tile:
    """Means of ``step`` x ``step`` blocks of a window of an image; blocks at the border may be cut."""

    values: Floats
    window: Window
    step: int

    def serves(self, window: Window, step: int) -> bool:
        """Whether it shows all of a window at least as finely as ``step``."""
        left, top, right, bottom = self.window
        covers = left <= window[0] and top <= window[1] and right >= window[2] and bottom >= window[3]
        return covers and self.step <= step


def read_tile(values: Array, window: Window, step: int) -> Tile:
    """Block means of a window, a band of rows at a time so that memory stays small."""
    left, top, right, bottom = window
    if step == 1:
        return Tile(np.asarray(values[top:bottom, left:right], np.float32), window, 1)
    rows, columns = -(-(bottom - top) // step), -(-(right - left) // step)
    result = np.empty((rows, columns), np.float32)
    band_rows = max(1, _BAND_PIXELS // ((right - left) * step))
    for first in range(0, rows, band_rows):
        last = min(rows, first + band_rows)
        band = np.asarray(values[top + first * step : min(bottom, top + last * step), left:right], np.float32)
        result[first:last] = _block_means(band, step)
    return Tile(result, window, step)


def _block_means(band: Floats, step: int) -> Floats:
    """Means of step x step blocks (rows, columns); what is cut off at the border is averaged over what is there."""
    down = np.arange(0, band.shape[0], step)
    across = np.arange(0, band.shape[1], step)
    counts = np.outer(np.diff([*down, band.shape[0]]), np.diff([*across, band.shape[1]]))
    sums = np.add.reduceat(np.add.reduceat(band, down, axis=0), across, axis=1)
    means: Floats = (sums / counts).astype(np.float32)
    return means


def whole(shape: tuple[int, ...]) -> Window:
    """The window of a whole image (y, x)."""
    return 0, 0, shape[1], shape[0]


def overview_step(shape: tuple[int, ...]) -> int:
    """Step, a power of two, at which the whole image has at most 2048 px a side."""
    return int(2 ** max(0, math.ceil(math.log2(max(shape) / _OVERVIEW_SIDE))))


def step_for(pixels_per_screen_pixel: float) -> int:
    """The coarsest power of two that is still at least as fine as the screen."""
    return int(2 ** max(0, math.floor(math.log2(max(pixels_per_screen_pixel, 1.0)))))


def sample(values: Array) -> Floats:
    """Some 500,000 finite pixels spread evenly over the image, for histogram and limits; fewer if there are not."""
    stride = max(1, math.ceil(math.sqrt(values.size / _SAMPLES)))
    # An odd stride that differs along the axes does not fall in step with rows or columns of atoms.
    taken = np.asarray(values[:: stride | 1, :: max(1, stride - 1) | 1], np.float32).ravel()
    finite: Floats = taken[np.isfinite(taken)]
    return finite
