"""Strain of crystals that were strained on purpose: exact where it is uniform, honest where there is noise."""

import numpy as np
import pytest

from atomseg_app import operations
from atomseg_app.atoms.physics_operations import MEASURE_LATTICE, MEASURE_STRAIN
from atomseg_app.data import Columns
from atomseg_app.errors import UserError
from tests.atoms.crystals import columns_at, crystal

SQUARE = ((20, 0), (0, 20))
PARTS = ("strain_xx", "strain_yy", "strain_xy", "rotation_deg")


def measured(columns, operation=MEASURE_STRAIN, **parameters) -> Columns:
    return operations.run(operation, (columns,), operation.parse(parameters), operations.Report())


def strained(columns, stretch, turn_deg, where):
    """Columns whose right part is mapped by V R about the origin and moved so that it joins the left."""
    turn = np.deg2rad(turn_deg)
    map_ = np.array(stretch) @ [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    xy = columns.xy_px.copy()
    xy[where] = (xy[where] - 250) @ map_.T + 250
    return columns_at(xy, columns.table["amplitude"], 0.01, pixel_size_nm=(0.02, 0.02))


@pytest.mark.parametrize("order", ["affine", "cubic"])
@pytest.mark.parametrize("window", [3, 5, 9])
def test_uniform_strain_and_rotation_are_exact_against_given_spacings(order, window):
    columns, _ = crystal(*SQUARE, turn_deg=4)
    stretch = [[1.02, 0.005], [0.005, 0.99]]
    image = strained(columns, stretch, 2.0, slice(None))
    given = {"spacing_a_nm": 0.4, "spacing_b_nm": 0.4, "angle_deg": 90}
    table = measured(image, window=window, order=order, **given).table
    for name, value in zip(PARTS, (0.02, -0.01, 0.005, 0.0), strict=True):
        np.testing.assert_allclose(table[name], value, atol=2e-5)


def test_reference_region_gives_strain_and_rotation_of_the_rest():
    columns, _ = crystal(*SQUARE, turn_deg=4)
    right = columns.xy_px[:, 0] > 250
    table = measured(
        strained(columns, [[1.02, 0.0], [0.0, 0.99]], 1.5, right), region_px=(0, 0, 245, 500), window=5
    ).table  # fmt: skip
    deep_left, deep_right = table["x_px"] < 190, table["x_px"] > 310
    for name, value in zip(PARTS, (0.02, -0.01, 0.0, 1.5), strict=True):
        np.testing.assert_allclose(table[name][deep_left], 0, atol=1e-5)
        np.testing.assert_allclose(table[name][deep_right], value, atol=1e-5)
    assert np.hypot(table["displacement_x_px"], table["displacement_y_px"])[deep_left].max() < 1e-3


def test_an_angle_is_no_strain_and_a_scale_no_shear():
    columns, _ = crystal(*SQUARE)
    for turn in (0, 3, 10, 40):
        table = measured(
            strained(columns, np.eye(2) * 1.0, turn, slice(None)), spacing_a_nm=0.4, spacing_b_nm=0.4
        ).table
        assert max(np.abs(table[name]).max() for name in PARTS) < 1e-6


def test_axes_turn_with_the_crystal_or_by_an_angle():
    columns, _ = crystal(*SQUARE, turn_deg=30)
    turn = np.deg2rad(30)
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    along = turned @ np.diag([1.02, 1.0]) @ turned.T
    given = {"spacing_a_nm": 0.4, "spacing_b_nm": 0.4, "angle_deg": 90}
    image = strained(columns, along, 0, slice(None))
    for asked in ({"axes": "lattice"}, {"axis_deg": 30}):
        table = measured(image, **asked, **given).table
        np.testing.assert_allclose(table["strain_xx"], 0.02, atol=1e-5)
        np.testing.assert_allclose(table["strain_xy"], 0, atol=1e-5)
    np.testing.assert_allclose(measured(image, **given).table["strain_xx"], along[0, 0] - 1, atol=1e-5)


@pytest.mark.parametrize(("window", "order"), [(3, "affine"), (5, "affine"), (9, "cubic")])
def test_error_bars_hold_their_share_and_follow_the_closed_form(window, order):
    inside, bars = [], []
    for seed in range(3):
        columns, _ = crystal(*SQUARE, noise_px=0.15, seed=seed)
        table = measured(columns, window=window, order=order).table
        errors = np.stack([np.abs(table[name]) for name in PARTS])
        widths = np.stack([table[f"{name}_err"] for name in PARTS[:3]] + [table["rotation_err_deg"]])
        inside.append(np.mean(errors < widths, axis=1))
        deep = (np.abs(columns.xy_px - 250) < 130).all(axis=1)
        bars.append(np.median(table["strain_xx_err"][deep]))
    assert (np.abs(np.mean(inside, axis=0) - 0.683) < 0.06).all()
    if order == "affine":
        steps = np.arange(window) - window // 2
        assert np.mean(bars) == pytest.approx(0.15 / (20 * np.sqrt(window * (steps**2).sum())), rel=0.04)


def test_error_bars_widen_where_columns_scatter_more_than_they_say():
    columns, _ = crystal(*SQUARE, noise_px=0.3)
    honest = np.nanmedian(measured(columns).table["strain_xx_err"])
    columns.table["x_err_px"] = columns.table["y_err_px"] = 0.1
    assert np.nanmedian(measured(columns).table["strain_xx_err"]) == pytest.approx(honest, rel=0.03)
    columns.table["x_err_px"] = columns.table["y_err_px"] = np.nan
    assert np.nanmedian(measured(columns).table["strain_xx_err"]) == pytest.approx(honest, rel=0.03)


def test_missing_columns_widen_the_bars_round_them():
    columns, _ = crystal(*SQUARE, noise_px=0.1)
    middle = int(np.argmin(np.hypot(*(columns.xy_px - 250).T)))
    xy = np.delete(columns.xy_px, middle, axis=0)
    table = measured(columns_at(xy, 1.0, 0.1)).table
    beside = int(np.argmin(np.hypot(*(xy - columns.xy_px[middle] - (20, 0)).T)))
    assert np.isfinite(table["strain_xx"]).all()
    assert table["strain_xx_err"][beside] > 1.005 * np.median(table["strain_xx_err"])


def test_a_wave_is_blurred_by_the_affine_map_and_not_by_the_cubic_one():
    columns, _ = crystal(*SQUARE, size_px=900)
    xy = columns.xy_px
    turn = 2 * np.pi / 300
    truth = 0.01 * np.cos(turn * xy[:, 0])
    moved = xy + np.stack([0.01 / turn * np.sin(turn * xy[:, 0]), 0 * truth], axis=1)
    deep = (np.abs(xy - 450) < 340).all(axis=1)
    given = {"region_px": (0, 0, 900, 900)}
    for window, order, passed in ((5, "affine", 0.904), (9, "cubic", 0.981)):
        table = measured(columns_at(moved, 1.0, 0.01, 900), window=window, order=order, **given).table
        slope = np.polyfit(truth[deep], table["strain_xx"][deep], 1)[0]
        assert slope == pytest.approx(passed, abs=0.006)


def test_displacement_and_spacings_of_the_lattice():
    columns, _ = crystal((20, 0), (0, 25), noise_px=0.1)
    table = measured(columns, MEASURE_LATTICE).table
    assert np.nanmean(table["spacing_a_px"]) == pytest.approx(20, abs=0.02)
    assert np.nanmean(table["spacing_b_px"]) == pytest.approx(25, abs=0.02)
    assert np.nanstd(table["displacement_x_px"]) == pytest.approx(0.1, rel=0.1)
    pulls = (table["spacing_a_px"] - 20) / table["spacing_a_err_px"]
    assert np.nanstd(pulls) == pytest.approx(1, rel=0.12)


def test_strain_keeps_the_lattice_that_is_there_and_other_columns_have_none():
    columns, _ = crystal(*SQUARE)
    first = measured(columns, MEASURE_LATTICE)
    outside = columns_at(np.concatenate([columns.xy_px, [(255.0, 255.0)]]))
    table = measured(outside).table
    assert np.isnan(table["strain_xx"][-1])
    assert np.isfinite(table["strain_xx"][:-1]).all()
    assert measured(first).metadata["lattice"] == first.metadata["lattice"]


def test_what_cannot_be_measured_is_one_sentence():
    with pytest.raises(UserError, match="show no lattice"):
        measured(columns_at([(1.0, 2.0), (30, 4), (80, 50)]))
    columns, _ = crystal(*SQUARE)
    with pytest.raises(UserError, match="need a pixel size"):
        measured(columns, spacing_a_nm=0.4)
    with pytest.raises(UserError, match="holds 0 columns"):
        measured(columns, region_px=(0, 0, 3, 3))
    with pytest.raises(UserError, match="odd number"):
        MEASURE_STRAIN.parse({"window": 4})
