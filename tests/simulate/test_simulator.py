"""Simulated pictures against closed forms: where columns stand, how high they are, how the counts scatter."""

from __future__ import annotations

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch

from atomseg_app.networks.column_training import column_loss, targets_of
from atomseg_app.networks.columns import CHANNELS
from atomseg_app.simulate.crystals import structures
from atomseg_app.simulate.draw import Draw
from atomseg_app.simulate.optics import FWHM
from atomseg_app.simulate.preset import HARD_SET, PRESETS, TRAINING, Preset
from atomseg_app.simulate.scene import MASK, NARROW, NARROWEST_PX
from atomseg_app.simulate.simulator import Batch, Simulator

CPU = torch.device("cpu")
CALM = replace(
    TRAINING, size_px=128, particles=0.0, edges=0.0, wedges=0.0, boundaries=0.0, disordered=0.0, sparse=1.0, empty=0.0,
    vacancies=0.0, dopants=0.0, interstitials=0.0, dark=0.0, jittered=0.0, filtered=0.0, labels=0.0, aberrations=0.0,
    strain=0.0, displacement_pm=(0.0, 0.0), background=(0.01, 0.05),
)  # fmt: skip
"""Few columns, far apart, and nothing that moves or damages them."""

FRAMES = {
    "fine": replace(CALM, coarse=(1.0, 0.0, 0.0)),
    "twice": replace(CALM, coarse=(0.0, 1.0, 0.0)),
    "three times": replace(CALM, coarse=(0.0, 0.0, 1.0)),
    "native, fine": replace(CALM, sigma_px=None, pm_per_px=(8.0, 12.0)),
    "native, coarse": replace(CALM, sigma_px=None, pm_per_px=(30.0, 40.0)),
}


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(params=FRAMES)
def calm(request: pytest.FixtureRequest) -> Batch:
    return Simulator(FRAMES[request.param], 11, CPU).batch(24)


def isolated(batch: Batch, widths: float = 9.0, edge_widths: float = 6.0) -> list[int]:
    """Truth columns with no other within so many widths, and away from the borders (beyond which others may stand)."""
    truth, size = batch.truth, batch.image.shape[-1]
    chosen = []
    for index in range(len(truth.image)):
        sigma = float(batch.sigma_px[truth.image[index]])
        others = (truth.image == truth.image[index]).nonzero()[:, 0]
        far = torch.hypot(truth.x_px[others] - truth.x_px[index], truth.y_px[others] - truth.y_px[index])
        x, y = float(truth.x_px[index]), float(truth.y_px[index])
        inside = min(x, y, size - 1 - x, size - 1 - y) > edge_widths * sigma + 2
        if inside and (far < widths * sigma).sum() == 1:
            chosen.append(index)
    assert len(chosen) >= 8, "the test needs columns that stand alone"
    return chosen


def window(picture: torch.Tensor, x: float, y: float, reach: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pixels round a place, and how far right and below of it each is."""
    i, j = round(x), round(y)
    rows, columns = np.arange(j - reach, j + reach + 1), np.arange(i - reach, i + reach + 1)
    pixels = picture[j - reach : j + reach + 1, i - reach : i + reach + 1].double().numpy()
    dy, dx = np.meshgrid(rows - y, columns - x, indexing="ij")
    return pixels, dx, dy


def shift(pixels: np.ndarray, dx: np.ndarray, dy: np.ndarray, sigma: float, fine: int) -> tuple[float, float]:
    """How far from its place a Gaussian averaged over pixels stands: one step of least squares."""
    parts = (np.arange(fine) + 0.5) / fine - 0.5
    model, right, down = np.zeros_like(pixels), np.zeros_like(pixels), np.zeros_like(pixels)
    for x in parts:
        for y in parts:
            value = np.exp(-((dx + x) ** 2 + (dy + y) ** 2) / (2 * sigma**2)) / fine**2
            model, right, down = model + value, right + value * (dx + x), down + value * (dy + y)
    difference = pixels / ((pixels * model).sum() / (model**2).sum()) - model
    return tuple(float((difference * each).sum() / (each**2).sum()) * sigma**2 for each in (right, down))


def test_columns_stand_where_the_truth_says(calm: Batch) -> None:
    native = calm.coarse == 1 and float(calm.sigma_px.min()) < 1.4
    fine = math.ceil(1.5 / float(calm.sigma_px.min())) if native else 1  # such pictures are drawn finer, then averaged
    errors = []
    for index in isolated(calm):
        image = int(calm.truth.image[index])
        x, y = float(calm.truth.x_px[index]), float(calm.truth.y_px[index])
        sigma = max(NARROW * float(calm.sigma_px[image]), NARROWEST_PX / fine)
        errors.append(shift(*window(calm.narrow[image], x, y, math.ceil(4 * sigma)), sigma, fine))
    assert np.abs(errors).max() < 0.01


def test_counts_stand_where_the_truth_says() -> None:
    """The recorded picture, magnified from coarse pixels where the network's frame is finer, in the truth's frame."""
    for name, preset in FRAMES.items():
        batch = Simulator(replace(preset, dose=(1e6, 1e6)), 12, CPU).batch(32)
        counts = batch.image - (batch.clean - batch.columns)
        errors = []
        for index in isolated(batch):
            image = int(batch.truth.image[index])
            x, y = float(batch.truth.x_px[index]), float(batch.truth.y_px[index])
            pixels, dx, dy = window(counts[image], x, y, math.ceil(4 * float(batch.sigma_px[image])))
            weight = pixels * np.exp(-(dx**2 + dy**2) / (2 * float(batch.sigma_px[image]) ** 2))
            errors.append([2 * (weight * dx).sum() / weight.sum(), 2 * (weight * dy).sum() / weight.sum()])
        # Half the pictures come in few grey levels.
        assert np.abs(np.median(errors, axis=0)).max() < 0.03, name


def test_amplitude_is_the_height_over_the_background(calm: Batch) -> None:
    """At the vertex of the parabola through the logarithms of the highest pixels, exact for a Gaussian."""
    ratios = []
    for index in isolated(calm):
        image = int(calm.truth.image[index])
        x, y = float(calm.truth.x_px[index]), float(calm.truth.y_px[index])
        logs, _, _ = window(calm.columns[image], x, y, 1)
        logs = np.log(logs)
        rise = 0.0
        for before, here, behind in ((logs[1, 0], logs[1, 1], logs[1, 2]), (logs[0, 1], logs[1, 1], logs[2, 1])):
            rise -= (behind - before) ** 2 / (8 * (before - 2 * here + behind))
        height = math.exp(logs[1, 1] + rise)
        ratios.append(height / float(calm.truth.amplitude[index] * calm.dose[image]))
    native_and_coarse = calm.coarse == 1 and float(calm.sigma_px.max()) < 1.4
    # Pixels as large as a column average over its peak: A (1 - h^2 / (12 s^2)) for each pixel width h, two axes.
    assert np.min(ratios) > (0.8 if native_and_coarse else 0.98)
    assert np.max(ratios) < 1.02


def test_signal_to_noise_is_that_of_a_matched_filter() -> None:
    """A sqrt(pi s^2 / v), with v = b + 2 A / 3: the expected counts weighted with the square of a Gaussian."""
    for name in ("fine", "native, fine"):
        batch = Simulator(FRAMES[name], 13, CPU).batch(40)
        ratios = []
        for index in isolated(batch):
            image = int(batch.truth.image[index])
            x, y = round(float(batch.truth.x_px[index])), round(float(batch.truth.y_px[index]))
            sigma, amplitude = float(batch.sigma_px[image]), float(batch.truth.amplitude[index] * batch.dose[image])
            background = float((batch.clean - batch.columns)[image, y, x])
            variance = background + 2 * amplitude / 3
            closed = amplitude * math.sqrt(math.pi * sigma**2 / variance)
            ratios.append(float(batch.snr[index]) / closed)
        assert np.median(ratios) == pytest.approx(1.0, abs=0.03), name
        assert np.quantile(np.abs(np.log(ratios)), 0.9) < 0.15, name


def test_coarse_pixels_hold_the_signal_to_noise() -> None:
    """Counts are drawn in the file's pixels: nine fine pixels in one leave a ninth of the counts, hence a third."""
    means = {}
    for name in ("fine", "three times"):
        batch = Simulator(replace(FRAMES[name], dose=(100.0, 100.0)), 14, CPU).batch(32)
        sigma = batch.sigma_px[batch.truth.image]
        means[name] = float((batch.snr / sigma / batch.truth.amplitude.sqrt()).median())
    assert means["three times"] / means["fine"] == pytest.approx(1 / 3, rel=0.1)


def test_counts_scatter_as_poisson_says() -> None:
    expected = torch.full((200_000,), 7.5)
    counts = Draw(3, CPU).poisson(expected).double()
    assert float(counts.mean()) == pytest.approx(7.5, abs=5 * math.sqrt(7.5 / 200_000))
    assert float(counts.var()) == pytest.approx(7.5, rel=0.03)
    assert float(((counts - 7.5) ** 3).mean()) == pytest.approx(7.5, rel=0.1)
    batch = Simulator(replace(CALM, dose=(100.0, 500.0), coarse=(1.0, 0.0, 0.0)), 5, CPU).batch(64)
    ratio = ((batch.image - batch.clean) ** 2 / batch.clean.clamp(min=1e-6)).mean((1, 2))
    # 0.7 x 0.85 x 0.85 of the pictures have no noise beyond counting, and some rounding that does not show.
    assert 0.3 < float(((ratio - 1).abs() < 0.04).float().mean()) < 0.75
    bias = (batch.image - batch.clean).mean((1, 2)) / batch.clean.mean((1, 2))
    assert float(bias.abs().median()) < 0.003


@pytest.mark.parametrize("preset", PRESETS.values(), ids=PRESETS)
def test_the_same_seed_gives_the_same_bytes(preset: Preset) -> None:
    small = replace(preset, size_px=96)
    first, again, other = (Simulator(small, seed, CPU).batch(3) for seed in (21, 21, 22))
    for name in ("image", "clean", "columns", "narrow", "mask", "snr", "pm_per_px", "dose"):
        assert getattr(first, name).numpy().tobytes() == getattr(again, name).numpy().tobytes(), name
    for field in fields(first.truth):
        assert torch.equal(getattr(first.truth, field.name), getattr(again.truth, field.name))
    assert first.names == again.names
    assert first.image.shape != other.image.shape or not torch.equal(first.image, other.image)


def test_held_out_structures_stay_out() -> None:
    held_out = {one.name for one in structures() if one.held_out}
    taught = {one.name for one in structures()} - held_out
    assert held_out
    for preset, allowed in ((TRAINING, taught), (HARD_SET, held_out)):
        simulator = Simulator(replace(preset, size_px=64), 31, CPU)
        crystals = {name.rsplit(" [", 1)[0] for name in simulator.library.names[: simulator.library.layer]}
        assert crystals <= allowed, preset.name
        drawn = {name.rsplit(" [", 1)[0] for _ in range(12) for name in simulator.batch(8).names}
        assert drawn - {"disordered layer"} <= allowed, preset.name
        assert len(drawn) > 8, "many crystals are drawn"


def test_true_columns_of_a_crystal_are_told_apart_by_its_image() -> None:
    """Resolutions are known in steps of about 13 %, and slow waves displace by up to 15 pm."""
    crystal = replace(CALM, sparse=0.0, size_px=160)
    batch = Simulator(crystal, 41, CPU).batch(32)
    nearest = []
    for image in range(32):
        mine = batch.truth.image == image
        if int(mine.sum()) > 1:
            xy = torch.stack([batch.truth.x_px[mine], batch.truth.y_px[mine]], 1)
            far = torch.cdist(xy, xy) + 1e9 * torch.eye(len(xy))
            nearest.append(float(far.min()) / (FWHM * float(batch.sigma_px[image])))
    assert len(nearest) > 25
    assert min(nearest) > 0.9


def test_masks_agree_with_the_truth(calm: Batch) -> None:
    size = calm.mask.shape[-1]
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    chosen = isolated(calm)
    assert float(calm.mask.min()) >= 0
    assert float(calm.mask.max()) <= 1
    averaged = 0.5 if float(calm.sigma_px.max()) < 1.4 else 0.02
    for index in chosen:
        image = int(calm.truth.image[index])
        far2 = (x - calm.truth.x_px[index]) ** 2 + (y - calm.truth.y_px[index]) ** 2
        sigma = MASK * float(calm.sigma_px[image])
        near = far2 < (4 * sigma) ** 2
        closed = torch.exp(-far2 / (2 * sigma**2))
        assert float((calm.mask[image][near] - closed[near]).abs().max()) < averaged
    for image in range(len(calm.mask)):
        mine = calm.truth.image == image
        far2 = (x[..., None] - calm.truth.x_px[mine]) ** 2 + (y[..., None] - calm.truth.y_px[mine]) ** 2
        sigma = float(calm.sigma_px[image])
        empty = far2.amin(-1) > (5 * sigma) ** 2 if int(mine.sum()) else torch.ones(size, size, dtype=torch.bool)
        border = round(5 * sigma) + 2
        inside = empty[border:-border, border:-border]
        assert float((calm.mask[image, border:-border, border:-border] * inside).max()) < 1e-3
        assert float((calm.narrow[image, border:-border, border:-border] * inside).abs().max()) < 1e-3 * float(
            calm.dose[image]
        ) * max(1.0, float(calm.truth.amplitude[mine].max()) if int(mine.sum()) else 1.0)


EDGE_CASES = {
    "no columns at all": replace(TRAINING, size_px=64, empty=1.0),
    "particles": replace(TRAINING, size_px=64, particles=1.0, thickness_pm=(200.0, 300.0)),
    "edges that leave nothing": replace(TRAINING, size_px=64, particles=0.0, edges=1.0, empty=0.5),
    "one count": replace(TRAINING, size_px=64, dose=(0.01, 0.02), background=(1e-4, 1e-3)),
    "dark": replace(TRAINING, size_px=64, dark=1.0),
    "everything broken": replace(TRAINING, size_px=64, vacancies=1.0, dopants=1.0, interstitials=1.0, labels=1.0,
                                 filtered=1.0, jittered=1.0, displacement_pm=(50.0, 90.0)),
    "odd": replace(TRAINING, size_px=65, coarse=(0.0, 0.0, 1.0)),
    "hard and empty": replace(HARD_SET, size_px=64, empty=1.0),
    "hard": replace(HARD_SET, size_px=64),
}  # fmt: skip


@pytest.mark.parametrize("preset", EDGE_CASES.values(), ids=EDGE_CASES)
def test_edge_cases_are_finite_and_can_be_learnt_from(preset: Preset) -> None:
    batch = Simulator(preset, 51, CPU).batch(6)
    side = preset.size_px
    for name in ("image", "clean", "columns", "narrow", "mask"):
        assert getattr(batch, name).shape == (6, side, side), name
    for name in ("image", "clean", "columns", "narrow", "mask", "snr", "pm_per_px", "sigma_px", "dose"):
        assert torch.isfinite(getattr(batch, name)).all(), name
    for field in fields(batch.truth):
        values = getattr(batch.truth, field.name)
        assert len(values) == len(batch.snr)
        assert torch.isfinite(values.float()).all(), field.name
    if preset.empty == 1.0:
        assert len(batch.snr) == 0
        assert float(batch.columns.abs().max()) < 1e-3
    if preset.dark == 1.0:
        assert float(batch.clean.max()) <= 0
    if side % 16 == 0:
        loss, parts = column_loss(torch.zeros(6, len(CHANNELS), side, side), targets_of(batch))
        assert math.isfinite(float(loss)), parts
