"""The scale of an image: from its power spectrum first, then from the columns themselves."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy import fft

from atomseg_app.atoms.background import Grey
from atomseg_app.atoms.scan_lines import LineNoise, line_noise

Floats = npt.NDArray[np.float64]


_QUANTILE = 0.25
_TILE_PX = 1024


@dataclass(frozen=True)
class RadialSpectrum:
    """Power per pixel against frequency ``k`` (rad/px): of everything (``total``) and of the noise alone (``noise``).

    White noise of variance v has power v. Columns in order put their power into a few sharp spots of each ring of
    frequencies; noise fills the ring. So a low quantile of a ring, scaled as for exponentially distributed power,
    is the noise, whatever its correlation. ``lines`` is what the rows, and the columns, of the scan differ by.
    """

    k: Floats
    total: Floats
    noise: Floats
    lines: tuple[LineNoise, ...]

    def log_power(self, power: Floats, scale_px: float) -> float:
        """Variance of ``-t^2 Laplacian(Gaussian_t)`` applied to a field of an isotropic spectrum."""
        return float(np.trapezoid(power * self._gain(scale_px) * self.k, self.k) / (2 * np.pi))

    def noise_variance(self, scale_px: float) -> tuple[float, float]:
        """Variance of the LoG response to the noise, and its mean square wave number (rad/px)^2."""
        gain = self._gain(scale_px)
        parts = [(self.log_power(self.noise, scale_px), self.log_power(self.noise * self.k**2, scale_px))]
        parts += [lines.response(scale_px, gain) for lines in self.lines]
        variance, moment = (sum(values) for values in zip(*parts, strict=True))
        return variance, moment / variance if variance > 0 else 3 / scale_px**2

    def _gain(self, scale_px: float) -> Floats:
        return np.asarray((scale_px * self.k) ** 4 * np.exp(-((scale_px * self.k) ** 2)))


@dataclass(frozen=True)
class _Rings:
    """The frequencies of a transform (y, x) sorted into rings: members of ring i are ``order[start[i]:start[i+1]]``."""

    k: Floats
    order: npt.NDArray[np.int32]
    start: npt.NDArray[np.intp]
    window: Grey


@lru_cache(maxsize=4)
def _rings(shape: tuple[int, int]) -> _Rings:
    """Rings at least one frequency step and 4 % wide, from 1.5 steps out; those of fewer than four members left out."""
    ny, nx = shape
    k = 2 * np.pi * np.hypot(fft.fftfreq(ny)[:, None], fft.rfftfreq(nx)[None, :]).astype(np.float32).ravel()
    step = 2 * np.pi / min(ny, nx)
    edges = [1.5 * step]
    while edges[-1] < np.pi:
        edges.append(edges[-1] + max(step, 0.04 * edges[-1]))
    ring = np.searchsorted(np.asarray(edges, np.float32), k).astype(np.int16)
    order = np.argsort(ring, kind="stable").astype(np.int32)
    start = np.searchsorted(ring[order], np.arange(1, len(edges) + 1, dtype=np.int16))
    enough = int(np.argmax(np.diff(start) >= 4)) if len(edges) > 1 else 0
    window = np.hanning(ny + 2)[1:-1, None] * np.hanning(nx + 2)[None, 1:-1]
    middle = (np.array(edges[:-1]) + np.array(edges[1:])) / 2
    return _Rings(middle[enough:], order, start[enough:], window.astype(np.float32))


def radial_spectrum(grey: Grey) -> RadialSpectrum:
    """Radial power spectrum of an image (y, x) and its noise floor, the mean over tiles where the image is large."""
    counts = [max(1, round(n / _TILE_PX)) for n in grey.shape]
    shape = (_part(grey.shape[0], counts[0]), _part(grey.shape[1], counts[1]))
    rings = _rings(shape)
    corners = [
        np.linspace(0, n - part, count).astype(int) for n, part, count in zip(grey.shape, shape, counts, strict=True)
    ]
    tiles = [grey[y : y + shape[0], x : x + shape[1]] for y in corners[0] for x in corners[1]]
    total, noise = np.zeros(len(rings.k)), np.zeros(len(rings.k))
    axes = np.zeros(shape[0] // 2, np.float32), np.zeros(shape[1] // 2 + 1, np.float32)
    for tile in tiles:
        power = _power(tile, rings.window)
        axes[0][:] += power[: shape[0] // 2, 0] / len(tiles)
        axes[1][:] += power[0] / len(tiles)
        means, floors = _ring_levels(power, rings)
        total += means / len(tiles)
        noise += floors / len(tiles)
    if len(rings.k) < 4:
        return RadialSpectrum(rings.k, total, noise, ())
    lines = tuple(
        line_noise(
            power / np.float32(shape[1 - axis]),
            grey.mean(axis=1 - axis, dtype=np.float64),
            rings.k,
            noise / shape[1 - axis],
        )
        for axis, power in enumerate(axes)
    )
    return RadialSpectrum(rings.k, total, noise, lines)


def _part(length: int, count: int) -> int:
    """Side of a tile: all of a small image, or what a fast transform takes of the ``count`` parts of a larger one."""
    return length if length <= _TILE_PX else int(fft.prev_fast_len(length // count, real=True))


def _power(tile: Grey, window: Grey) -> Grey:
    """Periodogram (y, x // 2 + 1) of a tile less its mean, under a window."""
    transform = fft.rfft2((tile - float((tile * window).sum() / window.sum())) * window)
    return np.asarray((transform.real**2 + transform.imag**2) / float((window * window).sum()), np.float32)


def _ring_levels(power: Grey, rings: _Rings) -> tuple[Floats, Floats]:
    """Mean of each ring, and the level of exponentially distributed power with its lower quartile."""
    sorted_power = power.ravel()[rings.order]
    parts = [sorted_power[a:b] for a, b in itertools.pairwise(rings.start)]
    means = np.array([part.mean(dtype=np.float64) for part in parts])
    ranks = [int(_QUANTILE * (len(part) - 1)) for part in parts]
    floors = np.array([np.partition(part, rank)[rank] for part, rank in zip(parts, ranks, strict=True)])
    return means, floors / -np.log(1 - _QUANTILE)


def spectral_scale(spectrum: RadialSpectrum, largest_px: float) -> float:
    """Scale t (px) of the Laplacian of Gaussian that gathers most of the power above noise.

    For a lattice of Gaussians of width s at spacings of 3.5 to 6 s this is s within 20 %. A step or the outline of a
    particle gathers power in proportion to t: where it would decide, the power per scale does instead.
    """
    scales = np.geomspace(0.7, max(largest_px, 1.0), 48)
    excess = np.maximum(spectrum.total - spectrum.noise, 0)
    power = np.array([spectrum.log_power(excess, t) for t in scales])
    clear = power > [spectrum.noise_variance(t)[0] for t in scales]  # interpolated noise has structure below its scale
    most, per_scale = float(scales[np.argmax(power)]), float(scales[np.argmax(np.where(clear, power / scales, 0))])
    return per_scale if clear.any() and most > 1.7 * per_scale else most
