"""The scale of an image: from its power spectrum first, then from the columns themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import fft, ndimage

from atomseg_app.atoms.background import Grey

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class RadialSpectrum:
    """Power per pixel against frequency ``k`` (rad/px): of everything (``total``) and of the noise alone (``noise``).

    White noise of variance v has power v. Columns in order put their power into a few sharp spots of each ring of
    frequencies; noise fills the ring. So a low quantile of a ring, scaled as for exponentially distributed power,
    is the noise, whatever its correlation. ``lines`` is the variance per row and per column, against frequency across
    them, of what scan lines differ by: it lies on the two axes, where no ring would show it.
    """

    k: Floats
    total: Floats
    noise: Floats
    lines: Floats

    def log_power(self, power: Floats, scale_px: float) -> float:
        """Variance of ``-t^2 Laplacian(Gaussian_t)`` applied to a field of an isotropic spectrum."""
        return float(np.trapezoid(power * self._gain(scale_px) * self.k, self.k) / (2 * np.pi))

    def noise_variance(self, scale_px: float) -> tuple[float, float]:
        """Variance of the LoG response to the noise, and its mean square wave number (rad/px)^2."""
        gain = self._gain(scale_px)
        density = (self.noise * self.k / 2 + self.lines) * gain / np.pi
        variance = float(np.trapezoid(density, self.k))
        moment = float(np.trapezoid(density * self.k**2, self.k))
        return variance, moment / variance if variance > 0 else 3 / scale_px**2

    def _gain(self, scale_px: float) -> Floats:
        return np.asarray((scale_px * self.k) ** 4 * np.exp(-((scale_px * self.k) ** 2)))


_QUANTILE = 0.25


def radial_spectrum(grey: Grey) -> RadialSpectrum:
    """Radial power spectrum of an image (y, x) and its noise floor (see :class:`RadialSpectrum`)."""
    ny, nx = grey.shape
    window = (np.hanning(ny + 2)[1:-1, None] * np.hanning(nx + 2)[None, 1:-1]).astype(np.float32)
    weight = float(window.sum())
    transform = fft.rfft2((grey - float((grey * window).sum() / weight)) * window, workers=-1)
    power = (transform.real**2 + transform.imag**2).ravel() / float((window * window).sum())
    k = np.hypot(fft.fftfreq(ny)[:, None], fft.rfftfreq(nx)[None, :]).astype(np.float32).ravel() * np.float32(2 * np.pi)
    step = 2 * np.pi / min(ny, nx)
    edges = [1.5 * step]
    while edges[-1] < np.pi:
        edges.append(edges[-1] + max(step, 0.04 * edges[-1]))
    ring = np.searchsorted(np.asarray(edges, np.float32), k)
    order = np.argsort(ring, kind="stable")
    start = np.searchsorted(ring[order], np.arange(1, len(edges) + 1))
    rows = []
    for i in range(len(edges) - 1):
        inside = power[order[start[i] : start[i + 1]]]
        if len(inside) >= 4:
            floor = np.quantile(inside, _QUANTILE) / -np.log(1 - _QUANTILE)
            rows.append(((edges[i] + edges[i + 1]) / 2, inside.mean(dtype=np.float64), floor))
    k_mean, total, noise = np.array(rows, float).reshape(-1, 3).T
    if len(rows) < 4:
        return RadialSpectrum(k_mean, total, noise, np.zeros_like(noise))
    square = power.reshape(ny, -1)
    lines = _line_power(square[: ny // 2, 0], k_mean, noise) / nx + _line_power(square[0], k_mean, noise) / ny
    return RadialSpectrum(k_mean, total, noise, lines)


def _line_power(axis: npt.NDArray[np.float32], k: Floats, noise: Floats) -> Floats:
    """Power on one axis of the transform above that of its rings, for a unit-length window, at frequencies ``k``.

    The running quantile passes over lattices in line with the scan: their spots are sharp.
    """
    floor = ndimage.percentile_filter(axis, 100 * _QUANTILE, size=21, mode="nearest") / -np.log(1 - _QUANTILE)
    found = np.interp(k, np.linspace(0, np.pi, len(axis), endpoint=False), floor)
    # Below three times the rings' power it is their own scatter. The window adds (sum w)^2 / (n sum w^2) = 2/3.
    return np.asarray(np.where(found > 3 * noise, found - noise, 0) * 1.5)


def spectral_scale(spectrum: RadialSpectrum, largest_px: float) -> float:
    """Scale t (px) of the Laplacian of Gaussian that gathers most of the power above noise.

    For a lattice of Gaussians of width s at spacings of 3.5 to 6 s this is s within 20 %.
    """
    scales = np.geomspace(0.7, max(largest_px, 1.0), 48)
    excess = np.maximum(spectrum.total - spectrum.noise, 0)
    power = [spectrum.log_power(excess, t) for t in scales]
    return float(scales[int(np.argmax(power))])
