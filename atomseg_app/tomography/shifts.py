"""Shift between two images to a fraction of a pixel: windowed, band-passed phase correlation.

The peak is refined by a matrix Fourier transform of its surroundings (M. Guizar-Sicairos, S. T. Thurman, J. R. Fienup,
Opt. Lett. 33, 156 (2008)).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_FINENESS = (8, 128)  # points a pixel of the two refinements


@dataclass(frozen=True)
class Band:
    """Frequencies that count, in cycles a pixel: Gaussian edges at ``low`` and ``high``."""

    low: float = 0.01
    high: float = 0.2

    def gain(self, fy: npt.NDArray[np.floating], fx: npt.NDArray[np.floating]) -> Floats:
        """Gain at frequencies that broadcast together."""
        square = fy**2 + fx**2
        return np.asarray((1 - np.exp(-square / (2 * self.low**2))) * np.exp(-square / (2 * self.high**2)))


def hann(shape_yx: tuple[int, ...]) -> Floats:
    """Hann window (y, x), zero one pixel outside the image."""
    rows, columns = (np.hanning(size + 2)[1:-1] for size in shape_yx)
    return np.asarray(rows[:, None] * columns[None, :])


def phase_shift(
    moved: npt.NDArray[np.floating], fixed: npt.NDArray[np.floating], band: Band, reach_xy: tuple[float, float]
) -> tuple[float, float]:
    """Shift (x, y) in pixels by which ``moved`` (y, x) lies from ``fixed``, no longer than ``reach_xy``.

    0, 0 where one of the images shows nothing in the band.
    """
    window = hann(fixed.shape)
    first, second = (np.fft.fft2((image - image.mean()) * window) for image in (moved, fixed))
    fy, fx = np.fft.fftfreq(fixed.shape[0])[:, None], np.fft.fftfreq(fixed.shape[1])[None, :]
    cross = first * np.conj(second)
    size = np.abs(cross)
    if not size.max() > 0:
        return 0.0, 0.0
    # Frequencies far weaker than the rest are noise: their phases get no say.
    cross = cross / (size + 1e-3 * float(np.sqrt(np.mean(size**2)))) * band.gain(fy, fx)
    correlation = np.fft.ifft2(cross).real
    height, width = correlation.shape
    y = np.fft.fftfreq(height, 1 / height)[:, None]
    x = np.fft.fftfreq(width, 1 / width)[None, :]
    correlation[(np.abs(y) > reach_xy[1]) | (np.abs(x) > reach_xy[0])] = -np.inf
    peak = np.unravel_index(int(np.argmax(correlation)), correlation.shape)
    at_y, at_x = float(y[peak[0], 0]), float(x[0, peak[1]])
    reach = 1.0
    for fineness in _FINENESS:
        around = np.arange(-round(reach * fineness), round(reach * fineness) + 1) / fineness
        kernel_y = np.exp(2j * np.pi * (at_y + around)[:, None] * fy[:, 0][None, :])
        kernel_x = np.exp(2j * np.pi * fx[0][:, None] * (at_x + around)[None, :])
        fine = (kernel_y @ cross @ kernel_x).real
        best = np.unravel_index(int(np.argmax(fine)), fine.shape)
        at_y, at_x = at_y + float(around[best[0]]), at_x + float(around[best[1]])
        reach = 1.5 / fineness
    return at_x, at_y
