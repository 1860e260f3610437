"""Intensities: the joint fit against truth and its own error bars, cells against sums by hand, gain and offset."""

from __future__ import annotations

import numpy as np
import pytest

from atomseg_app import operations
from atomseg_app.atoms import intensity
from atomseg_app.atoms.defect_operations import MEASURE_INTENSITIES
from atomseg_app.atoms.intensity import Places
from atomseg_app.data import FLAG_EDGE, Columns, Image, column_table
from atomseg_app.errors import UserError
from atomseg_app.operations import Report
from atomseg_app.simulate.columns import poisson, render, square_lattice

SIGMA, SPACING, SIZE = 4.0, 18.0, 180


def crystal(seed=1, peak=100.0, noisy=True, slope=0.0):
    """Columns with positions known exactly, their table, and the image, with a background that rises along x."""
    rng = np.random.default_rng(seed)
    truth = square_lattice(SIZE, SPACING, rng, displacement_px=0.3, sigma_px=SIGMA, peak=peak, background=0.3)
    background = 0.3 * peak * (1 + slope * (np.arange(SIZE) / SIZE - 0.5))[None] * np.ones((SIZE, 1))
    clean = render(truth, (SIZE, SIZE), background=background)
    table = column_table(len(truth.x_px))
    table["x_px"], table["y_px"], table["sigma_px"], table["ellipticity"] = truth.x_px, truth.y_px, SIGMA, 1.0
    table["angle_deg"], table["amplitude"], table["background"] = 0.0, 0.7 * truth.amplitude, 0.3 * peak
    return truth, table, poisson(clean, rng) if noisy else clean


def test_without_noise_the_fit_gives_every_volume_though_tails_overlap_and_the_background_slopes():
    truth, table, image = crystal(noisy=False, slope=1.0)
    fit = intensity.fit_amplitudes(image, table, SPACING, Report()).intensities
    assert fit.amplitude == pytest.approx(truth.amplitude, rel=0.01)
    assert fit.volume == pytest.approx(2 * np.pi * SIGMA**2 * truth.amplitude, rel=0.01)
    assert fit.level == pytest.approx(30 * (1 + truth.x_px / SIZE - 0.5), rel=0.05)


def test_error_bars_of_the_fit_hold_the_truth():
    standing = []
    for seed in range(4):
        truth, table, image = crystal(seed, peak=40.0, slope=0.5)
        fit = intensity.fit_amplitudes(image, table, SPACING, Report()).intensities
        standing.append((fit.amplitude - truth.amplitude) / fit.amplitude_err)
    spread = np.sqrt(np.mean(np.concatenate(standing) ** 2))
    assert 0.85 < spread < 1.15


@pytest.mark.parametrize(("gain", "offset"), [(50.0, 300.0), (0.01, -2.0)])
def test_volumes_follow_gain_and_forget_the_offset(gain, offset):
    _, table, image = crystal(2)
    before = intensity.fit_amplitudes(image, table, SPACING, Report())
    scaled = table.copy()
    scaled["amplitude"], scaled["background"] = gain * table["amplitude"], gain * table["background"] + offset
    after = intensity.fit_amplitudes(gain * image + offset, scaled, SPACING, Report())
    assert after.intensities.volume == pytest.approx(gain * before.intensities.volume, rel=1e-3)
    assert after.intensities.volume_err == pytest.approx(gain * before.intensities.volume_err, rel=1e-2)
    cells = [intensity.cell_sums(fit, 9.0)[0] for fit in (before, after)]
    assert cells[1] == pytest.approx(gain * cells[0], rel=1e-3)


def test_a_place_without_a_column_is_asked_for_what_is_there():
    truth, table, image = crystal(3)
    gone, kept = 37, np.arange(len(table)) != 40
    without = image - render_one(truth, gone)
    places = Places(np.stack([truth.x_px[[gone, 40]], truth.y_px[[gone, 40]]], axis=1), np.array([-1, -1]))
    kept[gone] = False
    fit = intensity.fit_amplitudes(without, table[kept], SPACING, Report(), sites=places).intensities
    assert abs(fit.amplitude[-2]) < 4 * fit.amplitude_err[-2]
    assert fit.amplitude[-1] == pytest.approx(truth.amplitude[40], abs=4 * fit.amplitude_err[-1])


def render_one(truth, row):
    y, x = np.indices((SIZE, SIZE))
    square = (x - truth.x_px[row]) ** 2 + (y - truth.y_px[row]) ** 2
    return truth.amplitude[row] * np.exp(-square / (2 * SIGMA**2))


def test_cells_share_out_every_pixel_within_the_radius_to_the_nearest_column():
    xy = np.array([[10.0, 10.0], [20.0, 10.0]])
    owner = intensity.cells(xy, (21, 31), 7.0)
    y, x = np.indices((21, 31))
    distance = np.hypot(x[..., None] - xy[:, 0], y[..., None] - xy[:, 1])
    inside = distance.min(axis=2) < 7.0
    assert (owner[~inside] == -1).all()
    decided = inside & (x != 15)
    assert (owner[decided] == distance.argmin(axis=2)[decided]).all()


def test_cells_hold_the_part_of_a_gaussian_within_the_radius():
    truth, table, image = crystal(noisy=False)
    fit = intensity.fit_amplitudes(image, table, SPACING, Report())
    total, _ = intensity.cell_sums(fit, 8.0)
    volume = 2 * np.pi * SIGMA**2 * truth.amplitude
    inner = np.hypot(truth.x_px - SIZE / 2, truth.y_px - SIZE / 2) < 60
    assert total[inner] / volume[inner] == pytest.approx(1 - np.exp(-(8.0**2) / (2 * SIGMA**2)), rel=0.02)
    with_background, _ = intensity.cell_sums(fit, 8.0, subtract_background=False)
    area = np.bincount(intensity.cells(np.stack([truth.x_px, truth.y_px], 1), (SIZE, SIZE), 8.0).ravel() + 1)[1:]
    assert (with_background - total)[inner] == pytest.approx((30 * area)[inner], rel=0.02)


def test_the_operation_adds_both_intensities_with_errors():
    _, table, image = crystal(4)
    columns = Columns(table, (SIZE, SIZE))
    found = operations.run(MEASURE_INTENSITIES, (Image(image), columns), MEASURE_INTENSITIES.parse({}), Report())
    assert isinstance(found, Columns)
    inner = found.table["flag"] != FLAG_EDGE
    ratio = found.table["cell_intensity"][inner] / found.table["fit_intensity"][inner]
    assert np.median(ratio) == pytest.approx(1 - np.exp(-(2.6**2) / 2), abs=0.06)  # cells touch at 2.25 widths
    for name in ("fit_intensity_err", "cell_intensity_err"):
        assert ((found.table[name] > 0) & (found.table[name] < 0.2 * found.table["fit_intensity"])).all()


def test_a_lone_column_is_refused_in_one_sentence():
    _, table, image = crystal()
    with pytest.raises(UserError, match="beside each other, but there are 1"):
        operations.run(
            MEASURE_INTENSITIES,
            (Image(image), Columns(table[:1], (SIZE, SIZE))),
            MEASURE_INTENSITIES.parse({}),
            Report(),
        )
