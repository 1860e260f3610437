"""The parts of detection against closed forms and independent computations."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage, special

from atomseg_app.atoms import outline
from atomseg_app.atoms.background import binned, burnt_in, prepare
from atomseg_app.atoms.hough import centres
from atomseg_app.atoms.log_peaks import Filters, curvature, maxima, roundness, subpixel
from atomseg_app.atoms.scale import radial_spectrum, spectral_scale
from atomseg_app.atoms.significance import Noise, Running, noise_probability
from atomseg_app.atoms.tails import Overlaps, amplitudes, log_profile, render, shared_width
from atomseg_app.operations import Report
from atomseg_app.simulate import columns


def one_column(x: float, y: float, sigma: float, size: int = 65) -> np.ndarray:
    truth = columns.TrueColumns(*(np.array([value]) for value in (x, y, 10.0, sigma, 0.0)))
    return columns.render(truth, (size, size)).astype(np.float32)


def test_log_filter_is_scipys() -> None:
    grey = np.random.default_rng(0).normal(0, 1, (61, 84)).astype(np.float32)
    expected = -9 * ndimage.gaussian_laplace(grey.astype(float), 3.0, mode="reflect", truncate=8)
    np.testing.assert_allclose(Filters(grey, 40).log(3.0), expected, atol=2e-3)


@pytest.mark.parametrize(("sigma", "scale"), [(2.0, 2.0), (4.0, 2.4), (3.0, 4.5)])
def test_profile_of_a_column_is_its_filtered_image(sigma: float, scale: float) -> None:
    response = Filters(one_column(32, 32, sigma), 40).log(scale)[32, 32:60]
    np.testing.assert_allclose(response, 10 * log_profile(np.arange(28.0), sigma, scale), atol=0.01)


def test_maxima_are_placed_between_pixels() -> None:
    response = Filters(one_column(30.3, 33.8, 3.0), 40).log(3.0)
    rows, cols = maxima(response, 1.0)
    assert (rows.tolist(), cols.tolist()) == ([34], [30])
    x, y = subpixel(response, rows, cols)
    assert (x[0], y[0]) == pytest.approx((30.3, 33.8), abs=0.02)


def test_maxima_are_those_of_a_search_pixel_by_pixel() -> None:
    """Values of few levels, so that neighbours tie: the first of equal ones, row by row, is the maximum."""
    response = np.random.default_rng(10).integers(0, 4, (40, 50)).astype(np.float32)
    expected = []
    for row in range(1, 39):
        for col in range(1, 49):
            around = response[row - 1 : row + 2, col - 1 : col + 2].ravel()
            if around[4] > 1.0 and (around[4] > around[:4]).all() and (around[4] >= around[5:]).all():
                expected.append((row, col))
    assert expected
    assert list(zip(*maxima(response, 1.0), strict=True)) == expected


def test_filters_of_a_difference_are_the_difference() -> None:
    one, two = np.random.default_rng(11).normal(0, 1, (2, 70, 90)).astype(np.float32)
    apart = Filters(one, 20).minus(Filters(two, 20))
    np.testing.assert_allclose(apart.log(2.5), Filters(one - two, 20).log(2.5), atol=1e-5)


@pytest.mark.parametrize("shape", [(128, 160), (131, 93)])
def test_running_mean_follows_that_of_single_pixels(shape: tuple[int, int]) -> None:
    rows, cols = np.indices(shape)
    values = (2 + np.sin(rows / 40) + cols / 60).astype(np.float32)
    exact = ndimage.uniform_filter(values, 32, mode="mirror")
    near = Running(values, 32).at(rows.ravel(), cols.ravel())
    np.testing.assert_allclose(near.reshape(shape), exact, rtol=0.05)


def test_a_flat_top_is_one_maximum() -> None:
    flat = np.zeros((9, 9), np.float32)
    flat[3:5, 3:5] = 1
    rows, _ = maxima(flat, 0.5)
    assert len(rows) == 1


def test_roundness_tells_blobs_from_ridges() -> None:
    y, x = np.mgrid[-10:11, -10:11].astype(np.float32)
    at = np.array([10]), np.array([10])
    assert roundness(curvature(np.exp(-(x**2 + y**2) / 18), *at))[0] == pytest.approx(1, abs=1e-3)
    assert roundness(curvature(np.exp(-(x**2 + y**2 / 4) / 18), *at))[0] == pytest.approx(0.25, abs=0.03)
    assert roundness(curvature(np.exp(-((x + y) ** 2) / 18), *at))[0] == pytest.approx(0, abs=0.05)


def test_rendered_model_is_the_simulated_image() -> None:
    truth = columns.square_lattice(90, 11, np.random.default_rng(1), displacement_px=0.4, background=0.0)
    model = render(truth.x_px, truth.y_px, truth.amplitude, float(truth.sigma_px[0]), (90, 90))
    np.testing.assert_allclose(model, columns.render(truth, (90, 90)), atol=truth.amplitude.max() * 1e-3)


def test_amplitudes_and_width_come_back_through_overlaps() -> None:
    rng = np.random.default_rng(2)
    truth = columns.square_lattice(160, 10, rng, displacement_px=0.4, amplitudes=(0.2, 1.8), sigma_px=2.6)
    filters = Filters(columns.render(truth, (160, 160)).astype(np.float32), 40)
    rows, cols = np.rint(truth.y_px).astype(int), np.rint(truth.x_px).astype(int)
    near, far = (
        ndimage.map_coordinates(filters.log(scale).astype(float), [truth.y_px, truth.x_px], order=5)
        for scale in (2.6, 3.9)
    )
    overlaps = Overlaps(truth.x_px, truth.y_px, 24.0)
    width = shared_width(overlaps, (2.6, 3.9), (near, far), np.ones(len(rows)), 3.5)
    assert width == pytest.approx(2.6, rel=0.02)
    solved = amplitudes(overlaps.matrix(2.6, 2.6), near)
    np.testing.assert_allclose(solved, truth.amplitude, rtol=0.03)
    assert len(cols) == len(rows)


@pytest.mark.parametrize("noise", ["white", "blurred", "lines"])
def test_deviation_of_the_response_to_noise(noise: str) -> None:
    rng = np.random.default_rng(3)
    grey = rng.normal(0, 1, (512, 512))
    if noise == "blurred":
        grey = ndimage.gaussian_filter(grey, 1.5, mode="wrap")
    elif noise == "lines":
        grey = grey + rng.normal(0, 1, (512, 1))
    grey = grey.astype(np.float32)
    for scale in (1.5, 3.0):
        measured = float(Filters(grey, 30).log(scale).std())
        assert Noise(grey, 40, None).deviation(scale) == pytest.approx(measured, rel=0.2 if noise == "lines" else 0.06)


def test_white_noise_has_the_closed_form_deviation() -> None:
    grey = np.random.default_rng(4).normal(0, 2, (400, 400)).astype(np.float32)
    assert Noise(grey, 40, None).deviation(3.0) == pytest.approx(2 / (3 * np.sqrt(2 * np.pi)), rel=0.04)


def test_columns_do_not_count_as_noise() -> None:
    rng = np.random.default_rng(5)
    truth = columns.square_lattice(512, 16, rng, peak=3, amplitudes=(1.0, 1.0))
    clean = rng.normal(0, 1, (512, 512))
    alone = radial_spectrum(clean.astype(np.float32)).noise_variance(3.0)[0]
    below = radial_spectrum((clean + columns.render(truth, (512, 512))).astype(np.float32)).noise_variance(3.0)[0]
    assert below == pytest.approx(alone, rel=0.3)


def test_number_of_maxima_of_noise_is_the_expected_one() -> None:
    counted, expected = 0, 0.0
    for seed in range(4):
        grey = np.random.default_rng(seed).normal(0, 1, (600, 600)).astype(np.float32)
        response = Filters(grey, 20).log(4.0)
        noise = Noise(grey, 40, None)
        counted += len(maxima(response, 3.0 * noise.deviation(4.0))[0])
        expected += noise.expected_maxima(4.0, 3.0)
    assert counted == pytest.approx(expected, rel=0.25)


def test_tail_of_few_counts_is_the_simulated_one() -> None:
    """A quantile of the response to sparse counts stands, in the corrected law, where its probability says."""
    grey = np.random.default_rng(6).poisson(0.05, (1500, 1500)).astype(np.float32)
    response = Filters(grey, 20).log(2.0)
    noise = Noise(grey, 60, Running(np.full(grey.shape, 0.05, np.float32), 60))
    height = np.quantile(response, 1 - 1e-4)
    at = np.array([700]), np.array([700])
    plain = np.array([height / float(response.std())])
    corrected = noise.heavy_tailed(plain, *at, 2.0)[0]
    assert plain[0] > 5
    assert corrected == pytest.approx(-special.ndtri(1e-4), abs=0.4)


def test_probability_of_noise_is_half_at_the_threshold_and_falls() -> None:
    values = noise_probability(np.array([4.0, 5.0, 6.0, 12.0]), 5.0)
    assert values[1] == pytest.approx(0.5)
    assert (np.diff(values) < 0).all()
    assert values[3] < 1e-20


@pytest.mark.parametrize("spacing", [6, 15, 45])
def test_scale_from_the_spectrum(spacing: int) -> None:
    rng = np.random.default_rng(7)
    truth = columns.square_lattice(360, spacing, rng, displacement_px=0.3)
    grey = columns.poisson(columns.render(truth, (360, 360)), rng).astype(np.float32)
    assert spectral_scale(radial_spectrum(grey), 60) == pytest.approx(0.2 * spacing, rel=0.35)


def test_binning_averages_and_keeps_the_rest() -> None:
    grey = np.arange(35, dtype=np.float32).reshape(5, 7)
    small = binned(grey, 2)
    assert small.shape == (3, 4)
    assert small[0, 0] == pytest.approx(grey[:2, :2].mean())
    assert small[2, 3] == pytest.approx(grey[4, 6])
    assert binned(grey, 1) is grey


def test_plane_and_unit_come_off_and_are_known() -> None:
    rng = np.random.default_rng(8)
    y, x = np.mgrid[:50, :70]
    values = 1000 + 3 * x - 2 * y + rng.normal(0, 5, (50, 70))
    image = prepare(values, Report())
    assert image is not None
    assert image.values.std() == pytest.approx(1, rel=1e-3)
    again = image.values * image.unit + image.level(x, y)
    np.testing.assert_allclose(again, values, atol=1e-3)


def test_bars_are_labels_and_neither_columns_nor_bright_grains_are() -> None:
    values = np.random.default_rng(0).normal(0, 5, (80, 100)).astype(np.float32)
    values[10:13, 10:13] = 255
    assert burnt_in(values, 12.0) is None
    values[40:44, 20:60] = 250
    mask = burnt_in(values, 12.0)
    assert mask is not None
    assert mask[38:46, 18:62].all()
    assert mask.sum() < 12 * 50
    assert burnt_in(ndimage.gaussian_filter(values, 6.0), 12.0) is None


def test_hough_centres_are_the_columns() -> None:
    rng = np.random.default_rng(9)
    truth = columns.square_lattice(120, 20, rng, displacement_px=0.5)
    smooth = Filters(columns.render(truth, (120, 120)).astype(np.float32), 20).smooth(2.0)
    x, y = centres(smooth, float(np.hypot(4, 2)))
    distance = np.hypot(x[:, None] - truth.x_px, y[:, None] - truth.y_px).min(axis=0)
    assert distance.max() < 1.0


def test_outline_keeps_thin_edges_and_drops_ripples_in_the_vacuum() -> None:
    x = np.arange(0.0, 200, 10)
    amplitude = np.where(x < 100, 1.0, 0.05)
    amplitude[10] = 0.1
    kept = outline.among_columns(x, np.zeros_like(x), amplitude, 10.0)
    assert kept[:12].all()
    assert not kept[13:].any()
    mask = outline.mask(np.array([50.0]), np.array([20.0]), (40, 100), 8.0)
    assert mask[20, 50]
    assert mask.sum() == pytest.approx(np.pi * 64, rel=0.1)
    assert not outline.mask(np.empty(0), np.empty(0), (5, 5), 3.0).any()
