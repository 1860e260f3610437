"""The joint fit: unbiased, at the bound, honest about its errors, and indifferent to how an image is presented."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.sparse
import torch

from atomseg_app.atoms import model, normal, precision, refine
from atomseg_app.atoms.bound import position_bound
from atomseg_app.atoms.noise import Noise
from atomseg_app.atoms.problem import Prior, Problem, Scene
from atomseg_app.errors import Cancelled
from atomseg_app.operations import Report
from atomseg_app.simulate.columns import TrueColumns, poisson, render


def test_without_noise_the_truth_is_found(lattice):
    image = lattice(160, 50.0, noisy=False)
    fit = image.fit()
    error, index = image.errors(fit.state.x, fit.state.y)
    assert np.abs(error).max() < 0.005
    assert fit.state.amplitude * fit.problem.scene.scale == pytest.approx(image.truth.amplitude[index], rel=0.01)
    assert fit.state.sigma == pytest.approx(4.0, rel=0.005)
    assert fit.converged.all()


@pytest.mark.parametrize("peak", [5.0, 15.0, 50.0, 150.0, 500.0])
def test_error_bars_are_honest_and_reach_the_bound(lattice, peak):
    """68 % of true errors lie inside one error bar, +-5 %, and the errors are those of the Cramér-Rao bound."""
    errors, bars, bounds = [], [], []
    for seed in (11, 12):
        image = lattice(512, peak, seed=seed)
        fit = image.fit()
        error, index = image.errors(fit.state.x, fit.state.y)
        errors.append(error)
        bars.append(precision.position_errors(fit))
        t = image.truth
        at_bound = {i: position_bound(t.x_px[i], t.y_px[i], t.amplitude[i], 4.0, t.background[i]) for i in index}
        bounds.append([at_bound[i] for i in index])
    error, bar, bound = (np.concatenate(part) for part in (errors, bars, bounds))
    assert len(error) > 1000
    assert np.mean(np.abs(error) < bar) == pytest.approx(0.683, abs=0.034)
    assert np.sqrt(np.mean((error / bound) ** 2)) < 1.08


def test_read_noise_and_arbitrary_units_keep_error_bars_honest(lattice):
    """Gain, offset and read noise of a detector are found from the image."""
    image = lattice(512, 40.0, seed=3, read_noise=4.0)
    scaled = type(image)(image.truth, 37.0 * image.values - 900.0)
    fit = scaled.fit()
    error, _ = scaled.errors(fit.state.x, fit.state.y)
    assert np.mean(np.abs(error) < precision.position_errors(fit)) == pytest.approx(0.683, abs=0.05)
    scale = fit.problem.scene.scale
    assert fit.noise.gain * scale == pytest.approx(37.0, rel=0.15)


def test_correlated_noise_widens_the_error_bars(lattice):
    """A smoothed image has fewer independent pixels than it shows; error bars must not believe them.

    White noise would give bars 5 times too short; what the fit hides of smooth noise leaves them a fifth short.
    """
    from scipy.ndimage import gaussian_filter

    image = lattice(512, 20.0, seed=4)
    smooth = type(image)(image.truth, gaussian_filter(image.values, 1.0))
    fit = smooth.fit()
    error, _ = smooth.errors(fit.state.x, fit.state.y)
    inside = np.mean(np.abs(error) < precision.position_errors(fit))
    assert 0.5 < inside < 0.75
    assert precision.excess_power(fit)[:2].min() > 5


def test_gain_and_offset_do_not_move_columns(lattice):
    image = lattice(200, 30.0)
    plain = image.fit()
    other = refine.fit(Scene.of(5.0 * image.values + 1000.0, torch.device("cpu")), image.start(), 20.0, Report())
    assert other.state.x == pytest.approx(plain.state.x, abs=2e-3)
    assert other.state.y == pytest.approx(plain.state.y, abs=2e-3)


def test_turning_the_image_turns_the_columns(lattice):
    image = lattice(200, 30.0)
    plain, start = image.fit(), image.start()
    turned = model.ColumnState(start.y, 199 - start.x, start.amplitude, start.root)
    fit = refine.fit(Scene.of(np.rot90(image.values).copy(), torch.device("cpu")), turned, 20.0, Report())
    assert fit.state.x == pytest.approx(plain.state.y, abs=5e-3)
    assert fit.state.y == pytest.approx(199 - plain.state.x, abs=5e-3)


def test_neighbours_tails_do_not_pull():
    """Pairs 2.2 widths apart, one column twice as strong: fitted one by one they are pulled together."""
    rng = np.random.default_rng(1)
    cx, cy = (g.ravel() for g in np.meshgrid(np.arange(30, 400, 45.0), np.arange(30, 400, 45.0)))
    n = len(cx)
    truth = TrueColumns(
        np.concatenate([cx - 4.4, cx + 4.4]),
        np.tile(cy, 2) + rng.normal(0, 0.3, 2 * n),
        np.repeat([100.0, 200.0], n),
        np.full(2 * n, 4.0),
        np.full(2 * n, 20.0),
    )
    values = poisson(render(truth, (420, 420)), rng)
    start = model.ColumnState(
        truth.x_px + np.repeat([-1.0, 1.0], n), truth.y_px, np.full(2 * n, 0.5), model.round_root(np.full(2 * n, 4.5))
    )
    fit = refine.fit(Scene.of(values, torch.device("cpu")), start, 20.0, Report())
    error = fit.state.x - truth.x_px
    bars = precision.position_errors(fit)[:, 0]
    for half in (slice(0, n), slice(n, None)):
        assert abs(error[half].mean()) < 4 * np.sqrt(np.mean(bars[half] ** 2) / n)
    assert np.mean(np.abs(error) < bars) == pytest.approx(0.683, abs=0.1)


def test_an_ellipse_is_measured_as_one():
    """Ellipticity and angle follow the stated convention: major axis from +x towards +y, which points down."""
    rng = np.random.default_rng(8)
    y, x = np.mgrid[:240, :240].astype(float)
    turn = np.deg2rad(30)
    values = np.full((240, 240), 20.0)
    centres = [(cx, cy) for cx in range(30, 240, 36) for cy in range(30, 240, 36)]
    for cx, cy in centres:
        along = (x - cx) * np.cos(turn) + (y - cy) * np.sin(turn)
        across = -(x - cx) * np.sin(turn) + (y - cy) * np.cos(turn)
        values += 200 * np.exp(-(along**2) / (2 * 6.0**2) - across**2 / (2 * 4.0**2))
    cx, cy = np.array(centres, float).T
    start = model.ColumnState(cx, cy, np.full(len(cx), 0.9), model.round_root(np.full(len(cx), 4.5)))
    for free in (False, True):
        fit = refine.fit(Scene.of(poisson(values, rng), torch.device("cpu")), start, 36.0, Report(), free=free)
        major, minor, angle = fit.state.axes()
        assert np.median(major / minor) == pytest.approx(1.5, rel=0.02)
        assert np.median(angle) == pytest.approx(30.0, abs=1.0)
        assert np.median(fit.state.sigma) == pytest.approx(np.sqrt(24), rel=0.01)


def test_pixels_without_a_value_are_left_out(lattice):
    image = lattice(160, 100.0)
    holes = image.values.copy()
    holes[::7, ::5] = np.nan
    holes[50:53] = np.inf
    fit = type(image)(image.truth, holes).fit()
    error, _ = image.errors(fit.state.x, fit.state.y)
    assert np.isfinite(error).all()
    assert np.abs(error).max() < 0.5


def test_cancelling_stops_the_fit(lattice):
    image = lattice(160, 20.0)
    with pytest.raises(Cancelled):
        refine.fit(image.scene(), image.start(), 20.0, Report(cancelled=lambda: True))


def test_the_normal_equations_are_those_of_the_rendered_image():
    """Assembled Fisher information and gradient against finite differences of the model itself."""
    rng = np.random.default_rng(0)
    gx, gy = np.meshgrid(np.arange(15, 70, 18.0), np.arange(15, 60, 18.0))
    x, y = gx.ravel() + rng.normal(0, 0.5, gx.size), gy.ravel() + rng.normal(0, 0.5, gx.size)
    n = len(x)
    root = model.round_root(np.full(n, 4.0))
    root[:, 0, 1] = 0.03
    state = model.ColumnState(x, y, rng.uniform(0.7, 1.3, n), root)
    data = torch.from_numpy(rng.random((64, 76)).astype(np.float32))
    problem = Problem(Scene(data, torch.ones(64, 76, dtype=torch.bool), 0.0, 1.0), 4.0, 18.0, Prior(1e6), free=True)
    noise = Noise(0.02, 0.004, 1e-5)
    at = problem.start(state, rng.normal(0.3, 0.02, problem.background.shape))
    equations = problem.normal_equations(at, problem.weight(at, noise))

    def tangent(k: int) -> np.ndarray:
        step = np.zeros((n, 6))
        step.flat[k] = 2e-3
        ahead, behind = (problem.image(state.moved(s), at.coefficients).double() for s in (step, -step))
        return ((ahead - behind) / 4e-3).numpy().ravel()

    jacobian = np.stack([tangent(k) for k in range(6 * n)])
    weight = 1 / noise.variance(at.image).double().numpy().ravel()
    exact = (jacobian * weight) @ jacobian.T
    gradient = jacobian @ (weight * (data - at.image).double().numpy().ravel())
    scale = np.sqrt(np.diag(exact))
    assembled = equations.matrix.toarray()[: 6 * n, : 6 * n]
    assert np.abs((assembled - exact) / np.outer(scale, scale)).max() < 0.02
    assert np.abs((equations.gradient[: 6 * n] - gradient) / scale).max() < 0.01


def test_the_bound_agrees_with_the_closed_form():
    """Without background the information on x is that of N electrons drawn from a Gaussian: sigma / sqrt(N)."""
    electrons = 50 * 2 * np.pi * 4.0**2
    x, y = position_bound(30.2, 30.7, 50.0, 4.0, 1e-9, nuisances=False)
    assert x == pytest.approx(4.0 / np.sqrt(electrons), rel=1e-3)
    assert y == pytest.approx(x, rel=1e-3)


def test_the_bound_with_background_is_the_reference_figure():
    """Peak 50 counts, width 4 px, background 0.3 of the peak: 0.092 px; at 5 counts 0.292 px."""
    assert position_bound(30, 30, 50.0, 4.0, 15.0)[0] == pytest.approx(0.0925, abs=0.001)
    assert position_bound(30, 30, 5.0, 4.0, 1.5)[0] == pytest.approx(0.2925, abs=0.002)


def test_two_kinds_of_columns_keep_their_widths():
    """A shared shape must not force one width on sublattices that differ: 3.4 and 4.6 px here."""
    rng = np.random.default_rng(5)
    cx, cy = (g.ravel() for g in np.meshgrid(np.arange(20, 300, 24.0), np.arange(20, 300, 24.0)))
    kind = (np.rint((cx + cy) / 24) % 2).astype(int)
    width = np.array([3.4, 4.6])[kind]
    truth = TrueColumns(cx, cy, np.full(len(cx), 150.0), width, np.full(len(cx), 40.0))
    values = poisson(render(truth, (310, 310)), rng)
    start = model.ColumnState(cx, cy, np.full(len(cx), 0.8), model.round_root(np.full(len(cx), 4.0)))
    fit = refine.fit(Scene.of(values, torch.device("cpu")), start, 24.0, Report())
    for k, expected in enumerate((3.4, 4.6)):
        assert np.median(fit.state.sigma[kind == k]) == pytest.approx(expected, rel=0.02)


def test_a_column_that_no_pixel_speaks_of_stays_where_it_is():
    layout = normal.Layout(columns=2, nodes=1, free=True)
    own = np.diag(np.arange(1.0, 7.0)) + 0.1
    matrix = scipy.sparse.block_diag([own, np.zeros((6, 6)), [[2.0]]]).tocsr()
    gradient = np.concatenate([np.ones(6), np.zeros(6), [1.0]])
    equations = normal.Normal(layout, matrix, gradient)
    step = equations.solve(0.0)
    np.testing.assert_allclose(step, np.concatenate([np.linalg.solve(own, np.ones(6)), np.zeros(6), [0.5]]), rtol=1e-3)
    np.testing.assert_allclose(equations.own_shape_information(), [1 / np.linalg.inv(own)[3, 3], 0])
