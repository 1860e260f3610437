"""Random numbers of a picture's parameters, one a picture, from one generator on one device."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch


class Draw:
    """Shapes are (count,) or what ``count`` says; the same seed on the same device gives the same numbers."""

    def __init__(self, seed: int, device: torch.device) -> None:
        self.device = device
        self.generator = torch.Generator(device).manual_seed(seed)

    def uniform(self, count: int | Sequence[int], low: float = 0.0, high: float = 1.0) -> torch.Tensor:
        """Uniform in [low, high)."""
        return torch.rand(_shape(count), generator=self.generator, device=self.device) * (high - low) + low

    def log_uniform(self, count: int | Sequence[int], low: float, high: float) -> torch.Tensor:
        """Uniform in the logarithm."""
        return torch.exp(self.uniform(count, math.log(low), math.log(high)))

    def normal(self, count: int | Sequence[int]) -> torch.Tensor:
        """Standard normal."""
        return torch.randn(_shape(count), generator=self.generator, device=self.device)

    def integers(self, count: int | Sequence[int], low: int, high: int) -> torch.Tensor:
        """Integers in [low, high)."""
        return torch.randint(low, high, _shape(count), generator=self.generator, device=self.device)

    def chance(self, count: int | Sequence[int], probability: float | torch.Tensor) -> torch.Tensor:
        """True with that probability."""
        return torch.rand(_shape(count), generator=self.generator, device=self.device) < probability

    def sometimes(self, count: int | Sequence[int], probability: float, values: torch.Tensor) -> torch.Tensor:
        """``values`` with that probability, else 0."""
        return torch.where(self.chance(count, probability), values, torch.zeros_like(values))

    def choose(self, weights: torch.Tensor, count: int) -> torch.Tensor:
        """Indices (count,) drawn by weight (choices,)."""
        return torch.multinomial(weights, count, replacement=True, generator=self.generator)

    def poisson(self, expected: torch.Tensor) -> torch.Tensor:
        """Poisson counts of an expectation."""
        return torch.poisson(expected, generator=self.generator)


def _shape(count: int | Sequence[int]) -> tuple[int, ...]:
    return (count,) if isinstance(count, int) else tuple(count)
