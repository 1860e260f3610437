"""Shared simulations: columns with exact truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from scipy.spatial import cKDTree

from atomseg_app.atoms import model, refine
from atomseg_app.atoms.problem import Scene
from atomseg_app.operations import Report
from atomseg_app.simulate.columns import Floats, TrueColumns, poisson, render, square_lattice


@dataclass(frozen=True)
class Simulated:
    """An image with its truth."""

    truth: TrueColumns
    values: Floats

    def scene(self) -> Scene:
        """Ready to be fitted on the CPU."""
        return Scene.of(self.values, torch.device("cpu"))

    def start(self, *, jitter_px: float = 0.5, seed: int = 5) -> model.ColumnState:
        """The truth, shaken: a stand-in for a detection."""
        rng = np.random.default_rng(seed)
        n = len(self.truth.x_px)
        return model.ColumnState(
            self.truth.x_px + rng.normal(0, jitter_px, n),
            self.truth.y_px + rng.normal(0, jitter_px, n),
            0.8 * self.truth.amplitude / self.scene().scale,
            model.round_root(1.1 * self.truth.sigma_px),
        )

    def fit(self, *, free: bool = False) -> refine.Fit:
        """Joint fit from the shaken truth."""
        return refine.fit(self.scene(), self.start(), 20.0, Report(), free=free)

    def errors(self, x: Floats, y: Floats) -> tuple[Floats, Floats]:
        """Errors (m, 2) of positions against the nearest true column, and its index (m,)."""
        points = np.stack([self.truth.x_px, self.truth.y_px], axis=1)
        found = np.stack([x, y], axis=1)
        index = cKDTree(points).query(found)[1]
        return found - points[index], index


@pytest.fixture
def lattice():
    """Factory: columns 20 px apart, 4 px wide, displaced at random, with so many counts at the mean peak."""

    def make(size_px: int, peak: float, *, seed: int = 1, noisy: bool = True, read_noise: float = 0.0) -> Simulated:
        rng = np.random.default_rng(seed)
        truth = square_lattice(size_px, 20, rng, displacement_px=0.35, sigma_px=4, peak=peak)
        clean = render(truth, (size_px, size_px))
        return Simulated(truth, poisson(clean, rng, read_noise=read_noise) if noisy else clean)

    return make
