"""Blobs of one scale: Laplacian-of-Gaussian responses, their maxima, and the threshold that noise does not pass."""

from __future__ import annotations

from copy import copy

import numpy as np
import numpy.typing as npt
from scipy import fft

from atomseg_app.atoms.background import Grey

Floats = npt.NDArray[np.float64]
Index = npt.NDArray[np.intp]


class Filters:
    """Gaussian filters of an image (y, x) through one Fourier transform; beyond its border the image is mirrored."""

    def __init__(self, grey: Grey, reach_px: float) -> None:
        self.shape = grey.shape
        self._pad = int(np.ceil(reach_px))
        padded = tuple(fft.next_fast_len(n + 2 * self._pad, real=True) for n in grey.shape)
        before = self._pad
        widths = [(before, full - n - before) for full, n in zip(padded, grey.shape, strict=True)]
        self._padded = padded
        self._transform = fft.rfft2(np.pad(grey, widths, mode="symmetric"))
        ky, kx = 2 * np.pi * fft.fftfreq(padded[0]), 2 * np.pi * fft.rfftfreq(padded[1])
        self._ky2, self._kx2 = (ky**2).astype(np.float32)[:, None], (kx**2).astype(np.float32)[None, :]

    def _inverse(self, transform: npt.NDArray[np.complex64]) -> Grey:
        full = fft.irfft2(transform, self._padded, overwrite_x=True)
        ny, nx = self.shape
        return np.ascontiguousarray(full[self._pad : self._pad + ny, self._pad : self._pad + nx])

    def _gauss(self, scale_px: float) -> npt.NDArray[np.complex64]:
        half = np.float32(scale_px**2 / 2)
        gain = np.exp(-half * self._ky2) * np.exp(-half * self._kx2)
        return np.asarray(self._transform * gain, np.complex64)

    def minus(self, other: Filters) -> Filters:
        """Filters of the difference of two images of one shape, prepared for one reach."""
        left = copy(self)
        left._transform = self._transform - other._transform
        return left

    def smooth(self, scale_px: float) -> Grey:
        """Image blurred by a Gaussian of that width."""
        return self._inverse(self._gauss(scale_px))

    def log(self, scale_px: float) -> Grey:
        """``-t^2 Laplacian(Gaussian_t * image)``: a Gaussian of width t and height A answers with A/2 in its middle.

        Scale-normalised as in Lindeberg, Int. J. Comput. Vis. 30, 79 (1998).
        """
        blurred = self._gauss(scale_px)
        blurred *= np.float32(scale_px**2) * (self._ky2 + self._kx2)
        return self._inverse(blurred)


def maxima(response: Grey, least: float) -> tuple[Index, Index]:
    """Rows and columns of the inner pixels above ``least`` and above their eight neighbours (ties: the first)."""
    if min(response.shape) < 3:
        return np.empty(0, np.intp), np.empty(0, np.intp)
    across = np.maximum(np.maximum(response[:, :-2], response[:, 2:]), response[:, 1:-1])
    highest = np.maximum(np.maximum(across[:-2], across[2:]), across[1:-1])
    middle = response[1:-1, 1:-1]
    rows, cols = np.nonzero((middle >= highest) & (middle > least))
    rows, cols = rows + 1, cols + 1
    first = np.ones(len(rows), bool)
    for dy, dx in ((-1, -1), (-1, 0), (-1, 1), (0, -1)):
        first &= response[rows, cols] > response[rows + dy, cols + dx]
    return rows[first], cols[first]


def _neighbours(field: Grey, rows: Index, cols: Index) -> dict[tuple[int, int], Floats]:
    return {(dy, dx): field[rows + dy, cols + dx].astype(float) for dy in (-1, 0, 1) for dx in (-1, 0, 1)}


def subpixel(response: Grey, rows: Index, cols: Index) -> tuple[Floats, Floats]:
    """Positions (x, y) of the parabolic maxima through the 3 x 3 neighbours, at most half a pixel away."""
    r = _neighbours(response, rows, cols)
    gx, gy = (r[0, 1] - r[0, -1]) / 2, (r[1, 0] - r[-1, 0]) / 2
    hxx, hyy = r[0, 1] - 2 * r[0, 0] + r[0, -1], r[1, 0] - 2 * r[0, 0] + r[-1, 0]
    hxy = (r[1, 1] - r[1, -1] - r[-1, 1] + r[-1, -1]) / 4
    det = hxx * hyy - hxy**2
    safe = np.where(det > 0, det, np.inf)
    dx, dy = (hxy * gy - hyy * gx) / safe, (hxy * gx - hxx * gy) / safe
    return np.asarray(cols + np.clip(dx, -0.5, 0.5), float), np.asarray(rows + np.clip(dy, -0.5, 0.5), float)


def curvature(smooth: Grey, rows: Index, cols: Index) -> Floats:
    """Downward curvature of a blurred image at given pixels as tensors (n, 2, 2) of ``-d2/dx2, -d2/dxdy, -d2/dy2``."""
    r = _neighbours(smooth, rows, cols)
    across = -(r[1, 1] - r[1, -1] - r[-1, 1] + r[-1, -1]) / 4
    along_x, along_y = 2 * r[0, 0] - r[0, 1] - r[0, -1], 2 * r[0, 0] - r[1, 0] - r[-1, 0]
    return np.stack([np.stack([along_x, across], -1), np.stack([across, along_y], -1)], -2)


def roundness(tensors: Floats) -> Floats:
    """Smaller over larger principal curvature, (..., 2, 2) -> (...): 1 for a round blob, 0 on a ridge."""
    mean, spread = _principal(tensors)
    return np.asarray((mean - spread) / np.maximum(mean + spread, 1e-12))


def weaker(tensors: Floats, scale_px: float) -> Floats:
    """LoG response (...) of scale t of a round blob with the smaller principal curvature of each, (..., 2, 2)."""
    mean, spread = _principal(tensors)
    return np.asarray(2 * scale_px**2 * (mean - spread))


def _principal(tensors: Floats) -> tuple[Floats, Floats]:
    """Principal curvatures as mean and half difference."""
    mean = (tensors[..., 0, 0] + tensors[..., 1, 1]) / 2
    return mean, np.hypot((tensors[..., 0, 0] - tensors[..., 1, 1]) / 2, tensors[..., 0, 1])
