"""Mixtures of normal laws on a line, with the number of components by the integrated classification likelihood.

Expectation and maximisation with one common width, or widths that grow with the square root of the mean, as counting
noise does (Van Aert et al., Phys. Rev. B 87, 064107, 2013; De Backer et al., Ultramicroscopy 134, 23, 2013).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_STEPS = 400
_TOLERANCE = 1e-7
_LEAST_WIDTH = 1e-4  # of the range of the values: a component on one value would be infinitely likely


@dataclass(frozen=True, eq=False)
class Mixture:
    """Components (g,) by ascending mean, and for n values the probability (n, g) of each.

    ``log_likelihood`` is natural; ``icl`` is -2 log L + 2 entropy + d log n (Biernacki, Celeux & Govaert 2000).
    """

    means: Floats
    widths: Floats
    weights: Floats
    belongs: Floats
    log_likelihood: float
    parameters: int

    @property
    def entropy(self) -> float:
        """How undecided the values are between components."""
        p = np.maximum(self.belongs, 1e-300)
        return float(-np.sum(p * np.log(p)))

    @property
    def icl(self) -> float:
        """Criterion whose minimum over the number of components chooses it."""
        return -2 * self.log_likelihood + 2 * self.entropy + self.parameters * float(np.log(len(self.belongs)))


def fit_mixture(values: Floats, start: Floats, *, growing: bool = False, fixed: bool = False) -> Mixture:
    """Most likely mixture of values (n,) from starting means (g,), which stay where they are if ``fixed``.

    ``growing`` widths need positive means.
    """
    means = np.sort(np.asarray(start, float))
    count = len(means)
    least = _LEAST_WIDTH * (float(np.ptp(values)) or 1.0)
    width = float(np.std(values)) / count if not fixed else float(np.min(np.diff(means), initial=np.inf)) / 3
    scale = max(width, least) ** 2
    weights = np.full(count, 1 / count)
    before = -np.inf
    for _ in range(_STEPS):
        form = _form(means, growing)
        belongs, likelihood = _expected(values, means, scale * form, weights)
        if likelihood - before < _TOLERANCE * abs(likelihood):
            break
        before = likelihood
        weights = np.maximum(belongs.mean(axis=0), 1e-12)
        if not fixed:
            means = (belongs * values[:, None]).sum(axis=0) / (len(values) * weights)
            form = _form(means, growing)
        scale = max(float(np.sum(belongs * (values[:, None] - means) ** 2 / form)) / len(values), least**2)
    belongs, likelihood = _expected(values, means, scale * _form(means, growing), weights)
    order = np.argsort(means)
    free = (0 if fixed else count) + count - 1 + 1
    widths = np.sqrt(scale * _form(means, growing))
    return Mixture(means[order], widths[order], weights[order], belongs[:, order], likelihood, free)


def _form(means: Floats, growing: bool) -> Floats:
    """Variances (g,) up to their common factor."""
    if not growing:
        return np.ones(len(means))
    typical = float(np.max(np.abs(means)))
    return np.maximum(means / typical, 1e-3)


def _expected(values: Floats, means: Floats, variance: Floats, weights: Floats) -> tuple[Floats, float]:
    """Probability (n, g) of each component for each value, and the log likelihood."""
    log = np.log(weights) - 0.5 * np.log(2 * np.pi * variance) - 0.5 * (values[:, None] - means) ** 2 / variance
    top = log.max(axis=1, keepdims=True)
    belongs = np.exp(log - top)
    total = belongs.sum(axis=1, keepdims=True)
    return belongs / total, float(np.sum(top + np.log(total)))


def mixtures(values: Floats, most: int, *, growing: bool = False) -> list[Mixture]:
    """The best mixture found for each number of components 1 ... most, each from several starts."""
    found: list[Mixture] = []
    low, high = float(values.min()), float(values.max())
    for count in range(1, most + 1):
        middle = (np.arange(count) + 0.5) / count
        starts = [low + (high - low) * middle, np.quantile(values, middle)]
        if found:
            starts.append(_split(found[-1], values))
        tried = [fit_mixture(values, start, growing=growing) for start in starts]
        found.append(max(tried, key=lambda mixture: mixture.log_likelihood))
    return found


def _split(mixture: Mixture, values: Floats) -> Floats:
    """Means with the component that spreads farthest beyond the common width in two."""
    share = mixture.belongs.sum(axis=0)
    square = (mixture.belongs * (values[:, None] - mixture.means) ** 2).sum(axis=0)
    worst = int(np.argmax(np.where(share >= 2, square, 0)))
    half = np.sqrt(square[worst] / max(share[worst], 1.0))
    return np.concatenate([np.delete(mixture.means, worst), mixture.means[worst] + half * np.array([-1.0, 1.0])])
