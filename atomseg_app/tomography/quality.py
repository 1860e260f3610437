"""How good a volume or a reconstruction is: against a reference, against its own views, and against half of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from atomseg_app.errors import UserError
from atomseg_app.tomography.geometry import Geometry
from atomseg_app.tomography.projector import projector

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
_SSIM_WINDOW, _SSIM_K1, _SSIM_K2 = 7, 0.01, 0.03


def psnr_db(reference: npt.ArrayLike, found: npt.ArrayLike, data_range: float | None = None) -> float:
    """Peak signal-to-noise ratio in dB; the range is that of the reference if None. Raises UserError for shapes."""
    one, other = _pair(reference, found)
    span = float(np.ptp(one)) if data_range is None else data_range
    return float(10 * np.log10(span**2 / max(float(np.mean((one - other) ** 2)), 1e-300)))


def nrmse(reference: npt.ArrayLike, found: npt.ArrayLike) -> float:
    """Rms difference over the rms of the reference."""
    one, other = _pair(reference, found)
    return float(np.sqrt(np.mean((one - other) ** 2) / max(float(np.mean(one**2)), 1e-300)))


def ssim(reference: npt.ArrayLike, found: npt.ArrayLike, data_range: float | None = None) -> float:
    """Mean structural similarity (Wang et al., IEEE Trans. Image Process. 13 (2004) 600) in windows of 7 each way.

    Of the voxels whose window lies inside; axes of length 1 are left out.
    """
    one, other = (np.squeeze(array) for array in _pair(reference, found))
    if one.ndim == 0 or min(one.shape) < _SSIM_WINDOW:
        raise UserError(f"Structural similarity needs {_SSIM_WINDOW} voxels along each axis, not {one.shape}.")
    span = float(np.ptp(one)) if data_range is None else data_range
    count = _SSIM_WINDOW**one.ndim

    def mean(array: Doubles) -> Doubles:
        return np.asarray(ndimage.uniform_filter(array, _SSIM_WINDOW))

    mean_one, mean_other = mean(one), mean(other)
    unbiased = count / (count - 1)
    var_one, var_other = unbiased * (mean(one * one) - mean_one**2), unbiased * (mean(other * other) - mean_other**2)
    shared = unbiased * (mean(one * other) - mean_one * mean_other)
    c1, c2 = (_SSIM_K1 * span) ** 2, (_SSIM_K2 * span) ** 2
    similar = (2 * mean_one * mean_other + c1) * (2 * shared + c2)
    similar /= (mean_one**2 + mean_other**2 + c1) * (var_one + var_other + c2)
    border = _SSIM_WINDOW // 2
    return float(similar[(slice(border, -border),) * one.ndim].mean())


@dataclass(frozen=True)
class FourierShells:
    """Correlation of two volumes in shells of frequency: cycles a voxel (n,), correlation (n,), voxels of each (n,)."""

    frequency: Doubles
    correlation: Doubles
    count: Doubles

    def half_bit(self) -> Doubles:
        """The half-bit threshold of each shell (van Heel and Schatz, J. Struct. Biol. 151 (2005) 250)."""
        root = np.sqrt(np.maximum(self.count, 1))
        return np.asarray((0.2071 + 1.9102 / root) / (1.2071 + 0.9102 / root), np.float64)

    def crossing(self, threshold: float | Doubles = 0.143) -> float | None:
        """Frequency in cycles a voxel at which the correlation first falls below a threshold, None if nowhere."""
        below = self.correlation - threshold
        for index in range(1, len(below)):
            if below[index] < 0 <= below[index - 1]:
                share = below[index - 1] / (below[index - 1] - below[index])
                return float(self.frequency[index - 1] + share * (self.frequency[index] - self.frequency[index - 1]))
        return None


def fourier_shells(one: npt.ArrayLike, other: npt.ArrayLike) -> FourierShells:
    """Fourier shell correlation of two volumes of one shape, up to half a cycle a voxel. Raises UserError."""
    first, second = (np.asarray(array, np.float32) for array in _pair(one, other))
    a, b = np.fft.rfftn(first - first.mean()), np.fft.rfftn(second - second.mean())
    axes = [np.fft.fftfreq(size) for size in first.shape[:-1]] + [np.fft.rfftfreq(first.shape[-1])]
    squares: Doubles = np.asarray(sum(axis**2 for axis in np.meshgrid(*axes, indexing="ij", sparse=True)), np.float64)
    shells = max(first.shape) // 2
    number = np.minimum((np.sqrt(squares) * 2 * shells).round().astype(np.int64), shells + 1).reshape(-1)

    def summed(values: npt.NDArray[np.floating]) -> Doubles:
        return np.asarray(np.bincount(number, values.reshape(-1), shells + 2)[: shells + 1], np.float64)

    shared = summed((a * b.conj()).real)
    power = np.sqrt(summed(np.abs(a) ** 2) * summed(np.abs(b) ** 2))
    correlation = np.divide(shared, power, out=np.zeros_like(shared), where=power > 0)
    count = np.bincount(number, minlength=shells + 2)[1 : shells + 1]
    numbers = [
        np.asarray(part, np.float64) for part in (np.arange(1, shells + 1) / (2 * shells), correlation[1:], count)
    ]
    return FourierShells(*numbers)


def view_r_factors(volume: Floats, views: Floats, geometry: Geometry) -> tuple[Doubles, Floats]:
    """R-factor of each view (view,), sum of |measured - projected| over sum of |measured|, and the differences."""
    rest = views - projector(geometry)(volume)
    total = np.abs(views).sum(axis=(1, 2), dtype=np.float64)
    return np.abs(rest).sum(axis=(1, 2), dtype=np.float64) / np.maximum(total, 1e-30), rest


def _pair(reference: npt.ArrayLike, found: npt.ArrayLike) -> tuple[Doubles, Doubles]:
    one, other = np.asarray(reference, np.float64), np.asarray(found, np.float64)
    if one.shape != other.shape:
        raise UserError(f"The volumes differ in shape: {one.shape} and {other.shape}.")
    return one, other
