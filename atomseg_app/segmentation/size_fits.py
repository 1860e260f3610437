"""Distributions fitted to sizes by greatest likelihood: normal and log-normal, and which explains them better."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class SizeFit:
    """One fit. ``centre`` is the mean of a normal, the median of a log-normal distribution; ``width`` the standard
    deviation, of the natural logarithm for the log-normal. ``ks`` is the largest distance between the cumulative
    distributions (Kolmogorov and Smirnov), ``log_likelihood`` that of all sizes.
    """

    name: str
    centre: float
    width: float
    log_likelihood: float
    ks: float

    def density(self, sizes: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Probability a unit of size, for a curve over a histogram."""
        x = np.asarray(sizes, np.float64)
        if self.name == "normal":
            return np.exp(-0.5 * ((x - self.centre) / self.width) ** 2) / (self.width * math.sqrt(2 * math.pi))
        inside = np.maximum(x, 1e-300)
        bell = np.exp(-0.5 * (np.log(inside / self.centre) / self.width) ** 2)
        return np.where(x > 0, bell / (inside * self.width * math.sqrt(2 * math.pi)), 0.0)


def fit_sizes(sizes: npt.ArrayLike) -> tuple[SizeFit, ...]:
    """Both fits to positive sizes (n,), the likelier first; none for fewer than 3 or where all are equal."""
    values = np.sort(np.asarray(sizes, np.float64))
    values = values[np.isfinite(values) & (values > 0)]
    if len(values) < 3 or values[0] == values[-1]:
        return ()
    logs = np.log(values)
    fits = [
        _fit("normal", values, float(values.mean()), float(values.std()), 0.0),
        _fit("log-normal", logs, float(logs.mean()), float(logs.std()), float(logs.sum())),
    ]
    return tuple(sorted(fits, key=lambda each: -each.log_likelihood))


def _fit(name: str, values: npt.NDArray[np.float64], mean: float, width: float, jacobian: float) -> SizeFit:
    from scipy.special import ndtr

    count = len(values)
    likelihood = -count * (math.log(width) + 0.5 * math.log(2 * math.pi) + 0.5) - jacobian
    expected = ndtr((values - mean) / width)
    steps = np.arange(count + 1) / count
    ks = float(max(np.abs(expected - steps[1:]).max(), np.abs(expected - steps[:-1]).max()))
    return SizeFit(name, mean if name == "normal" else math.exp(mean), width, likelihood, ks)
