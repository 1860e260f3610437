"""Information summed on blocks is that of the pixels; variances asked for together are those asked for one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from atomseg_app.atoms import model, quadrature
from atomseg_app.atoms.noise import Noise
from atomseg_app.atoms.normal import colours, neighbours
from atomseg_app.atoms.problem import Prior, Problem, Scene

CPU = torch.device("cpu")


def crowded(sigma: float) -> tuple[model.ColumnState, torch.Tensor]:
    """Columns 4 widths apart, displaced, of several heights and slightly oval; weights of their Poisson noise."""
    rng = np.random.default_rng(3)
    side = int(24 * sigma)
    gx, gy = np.meshgrid(np.arange(3 * sigma, side - 2 * sigma, 4 * sigma), np.arange(3 * sigma, side, 4 * sigma))
    x, y = (g.ravel() + rng.normal(0, 0.2 * sigma, g.size) for g in (gx, gy))
    root = model.round_root(np.full(len(x), sigma))
    root[:, 0, 1] = 0.1 / sigma
    state = model.ColumnState(x, y, rng.uniform(0.5, 1.5, len(x)), root)
    reach = int(np.ceil(4 * sigma))
    level = model.Renderer((side, side - 1), reach, sigma, CPU).render(state) + 0.3
    return state, 1 / level


@pytest.mark.parametrize("sigma", [3.9, 6.0, 11.0])
def test_blocks_know_as_much_as_pixels(sigma, monkeypatch):
    state, weight = crowded(sigma)
    one, two = neighbours(state, 6 * sigma)
    coarse = quadrature.WeightGrid(tuple(weight.shape), sigma, CPU)
    monkeypatch.setattr(quadrature, "_FINENESS", 1e6)
    fine = quadrature.WeightGrid(tuple(weight.shape), sigma, CPU)
    assert coarse.size > fine.size == 1
    c = model.coefficients(state, sigma)

    def blocks(grid: quadrature.WeightGrid) -> tuple[np.ndarray, np.ndarray]:
        sums = grid.sums(weight)
        return c @ model.moment_matrix(grid.own(sums, state)[1]) @ np.swapaxes(c, 1, 2), grid.pairs(
            sums, state, one, two
        )

    (own, pairs), (exact, exact_pairs) = blocks(coarse), blocks(fine)
    scale = np.sqrt(exact[:, range(6), range(6)])
    off = np.abs(own - exact).max(axis=(1, 2)) / np.abs(exact).max(axis=(1, 2))
    relative = np.abs((own - exact) / (scale[:, :, None] * scale[:, None, :])).max(axis=(1, 2))
    inside = np.minimum(state.x, weight.shape[1] - 1 - state.x) > 3 * sigma
    inside &= np.minimum(state.y, weight.shape[0] - 1 - state.y) > 3 * sigma
    assert inside.sum() > 10
    assert relative[inside].max() < 2e-3
    assert off.max() < 0.03  # where the border cuts a block
    between = (exact_pairs - pairs) / (scale[one][:, :, None] * scale[two][:, None, :])
    assert np.abs(between).max() < 5e-3


def test_columns_of_one_colour_are_far_apart():
    rng = np.random.default_rng(0)
    x, y = (g.ravel() + rng.normal(0, 1, g.size) for g in np.meshgrid(np.arange(0, 400, 20.0), np.arange(0, 400, 20.0)))
    colour = colours(x, y)
    assert set(colour) == set(range(colour.max() + 1))
    assert colour.max() < 20
    for one in range(colour.max() + 1):
        px, py = x[colour == one], y[colour == one]
        apart = np.hypot(px[:, None] - px, py[:, None] - py) + 1e9 * np.eye(len(px))
        assert apart.min() > 3 * 18


def test_variances_of_many_columns_are_those_of_the_inverse(monkeypatch):
    state, weight = crowded(3.0)
    scene = Scene(1 / weight, torch.ones_like(weight, dtype=torch.bool), 0.0, 1.0)
    problem = Problem(scene, 3.0, 12.0, Prior(0.01))
    at = problem.start(state, np.full(problem.background.shape, 0.3))
    equations = problem.normal_equations(at, problem.weight(at, Noise(0.02, 1e-3, 1e-5)))
    exact = np.diag(np.linalg.inv(equations.matrix.toarray()))
    exact = equations.layout.columns_of(exact)[:, :2]
    monkeypatch.setattr("atomseg_app.atoms.normal._DENSE", 0)
    ratio = equations.position_variance(state.x, state.y) / exact
    assert ratio.mean() == pytest.approx(1, abs=0.02)
    assert np.abs(ratio - 1).max() < 0.1  # columns of one colour still whisper to each other
