"""Noise of an image as a function of its level: variance = gain · level + constant.

That is Poisson noise of any detector gain and offset plus Gaussian read noise, in whatever units the file has.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

Floats = npt.NDArray[np.float64]

_SAMPLES = 150_000
_LEVELS = 24
_SAME = 0.03
_LEAST = 1e-7  # variance, for a contrast of 1, below which the rendering of columns is no more exact
_FLOOR = 0.01  # of the mean variance: no pixel counts more than a hundred ordinary ones


@dataclass(frozen=True)
class Noise:
    """Variance ``gain * level + constant``, never below ``floor``; all in image units squared."""

    gain: float
    constant: float
    floor: float

    def variance(self, level: torch.Tensor) -> torch.Tensor:
        """Variance at each level, same shape."""
        return (level * self.gain + self.constant).clamp_min(self.floor)

    def agrees(self, other: Noise, level: torch.Tensor) -> bool:
        """Whether another estimate is the same within a few per cent over the range of levels."""
        ends = torch.stack([level.min(), level.mean(), level.max()])
        return bool(torch.all(torch.abs(torch.log(self.variance(ends) / other.variance(ends))) < _SAME))

    def deviance(self, data: torch.Tensor, level: torch.Tensor) -> torch.Tensor:
        """Quasi-deviance of data against a level, same shape: 2 ∫ (data - t)/variance(t) dt from level to data.

        For pure Poisson counts that is the Poisson deviance, for constant variance chi-square (Wedderburn 1974).
        """
        variance = self.variance(level)
        residual = data - level
        chi_square = residual * residual / variance
        if self.gain == 0:
            return chi_square
        x = (residual * self.gain).div_(variance).clamp_min_(-1 + 1e-6)
        exact = (1 + x).mul_(torch.log1p(x)).sub_(x).mul_(2).div_(x * x)
        near = 1 + x * (x / 6 - 1 / 3)
        return chi_square.mul_(torch.where(x.abs() < 0.03, near, exact))


def estimate(residual: torch.Tensor, level: torch.Tensor, valid: torch.Tensor) -> Noise:
    """Noise from residuals (y, x) against a fitted level (y, x) where ``valid``.

    Squared residuals are averaged in classes of equal population by level, then fitted by a straight line with the
    weights of a variance estimate (relative error equal in all classes). A line that falls with the level is
    replaced by a constant.
    """
    step = max(1, valid.numel() // _SAMPLES) | 1  # odd: images are often a power of two wide
    counts = valid.reshape(-1)[::step].cpu().numpy()
    levels = level.reshape(-1)[::step].cpu().numpy()[counts].astype(np.float64)
    squares = residual.reshape(-1)[::step].cpu().numpy()[counts].astype(np.float64) ** 2
    mean = float(squares.mean()) if len(squares) else 1.0
    tiny = max(mean, _LEAST)
    if len(levels) < 8 * _LEVELS or np.ptp(levels) < 1e-6:
        return Noise(0.0, tiny, tiny)
    order = np.argsort(levels)
    groups = np.array_split(order, _LEVELS)
    x = np.array([levels[g].mean() for g in groups])
    v = np.array([squares[g].mean() for g in groups])
    fitted = np.full(_LEVELS, mean)
    gain, constant = 0.0, mean
    for _ in range(8):
        w = 1 / np.maximum(fitted, 0.02 * mean)
        design = np.stack([x, np.ones_like(x)], axis=1) * w[:, None]
        (gain, constant), *_ = np.linalg.lstsq(design, v * w, rcond=None)
        if gain <= 0:
            return Noise(0.0, tiny, tiny)
        fitted = gain * x + constant
    floor = max(0.5 * float(v.min()), _FLOOR * mean, _LEAST)
    return Noise(float(gain), float(constant), floor)
