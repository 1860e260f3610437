"""Geometric phase analysis of images whose strain is known exactly, and polar shifts of the bundled sample."""

import numpy as np
import pytest

from atomseg_app import operations
from atomseg_app.atoms.physics_operations import GEOMETRIC_PHASE, MEASURE_POLARISATION
from atomseg_app.data import Image
from atomseg_app.errors import UserError
from atomseg_app.io import tables
from atomseg_app.places import resources_folder
from tests.atoms.crystals import columns_at, crystal


def waves(map_=((1, 0), (0, 1)), size=192, period=12.0):
    """A square lattice of waves mapped by F about the middle."""
    y, x = np.mgrid[:size, :size] - size / 2
    at = np.linalg.inv(np.array(map_)) @ np.stack([x.ravel(), y.ravel()])
    return (np.cos(2 * np.pi * at[0] / period) + 0.8 * np.cos(2 * np.pi * at[1] / period)).reshape(size, size) + 3


def phase(values, size_nm=(None, None), **parameters):
    image = Image(np.asarray(values), size_nm)
    return operations.run(GEOMETRIC_PHASE, (image,), GEOMETRIC_PHASE.parse(parameters), operations.Report())


@pytest.mark.parametrize("mask", ["gaussian", "lorentz-hanning"])
@pytest.mark.parametrize("turn_deg", [0.0, 2.5])
def test_uniform_strain_and_rotation_are_exact(mask, turn_deg):
    turn = np.deg2rad(turn_deg)
    stretch = np.array([[1.03, 0.01], [0.01, 0.98]])
    map_ = stretch @ [[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]
    both = np.concatenate([waves(), waves(map_)], axis=1)
    maps = phase(both, mask=mask, region_px=(30, 30, 150, 160))
    assert maps.metadata["layers"] == ["strain_xx", "strain_yy", "strain_xy", "rotation_deg"]
    deep = maps.values[:, 50:-50, 250:-50]
    for layer, value in zip(deep, (0.03, -0.02, 0.01, turn_deg), strict=True):
        np.testing.assert_allclose(np.median(layer), value, atol=1e-3 if abs(value) < 1 else 5e-3)
        assert layer.std() < 2e-3 * (30 if value == turn_deg and turn_deg else 1)
    np.testing.assert_allclose(np.median(maps.values[:, 50:-50, 50:140], axis=(1, 2)), 0, atol=1e-3)


def test_reflections_are_the_strongest_on_two_lines_or_those_given():
    found = phase(waves()).metadata["reflections_per_px"]
    np.testing.assert_allclose(np.abs(found), [[1 / 12, 0], [0, 1 / 12]], atol=1e-3)
    given = phase(waves(), reflection_1=(1 / 12, 0), reflection_2=(0, -1 / 12))
    np.testing.assert_allclose(given.metadata["reflections_per_px"], [[1 / 12, 0], [0, -1 / 12]])
    np.testing.assert_allclose(np.nanmedian(np.abs(given.values)), 0, atol=1e-4)


def test_pixels_that_are_not_square_give_the_true_angle():
    turn = np.deg2rad(2.0)
    turned = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    squeeze = np.diag([1, 0.5])
    plain, mapped = waves(squeeze, period=24), waves(squeeze @ turned, period=24)
    maps = phase(np.concatenate([plain, mapped], axis=1), (0.02, 0.01), region_px=(30, 30, 150, 160))
    deep = np.median(maps.values[:, 60:-60, 260:-60], axis=(1, 2))
    np.testing.assert_allclose(deep[:3], 0, atol=1e-3)
    assert deep[3] == pytest.approx(2.0, abs=0.02)


def test_vacuum_has_no_strain_and_what_has_no_lattice_is_one_sentence():
    image = waves()
    image[:, 120:] = 3
    maps = phase(image)
    assert np.isnan(maps.values[:, :, 150:]).all()
    assert np.isfinite(maps.values[:, 30:-30, 30:90]).all()
    with pytest.raises(UserError, match="one value"):
        phase(np.ones((64, 64)))
    with pytest.raises(UserError, match="one line"):
        phase(waves(), reflection_1=(0.1, 0), reflection_2=(0.2, 0))
    with pytest.raises(UserError, match="reference region"):
        phase(image, region_px=(160, 0, 190, 190))


def polar(columns, **parameters):
    return operations.run(
        MEASURE_POLARISATION, (columns,), MEASURE_POLARISATION.parse(parameters), operations.Report()
    ).table


def test_the_shift_of_the_bundled_perovskite_is_recovered():
    """Ti-O columns are 15 pm up on the left and 15 pm down on the right; y points down."""
    table = polar(tables.read_csv(resources_folder() / "samples" / "perovskite_domains_truth.csv"))
    inner = table["sublattice"] == 1
    for part, value in ((table["x_px"] < 250, -15), (table["x_px"] > 520, 15)):
        rows = inner & part & np.isfinite(table["polar_px"])
        assert rows.sum() > 100
        assert np.mean(table["polar_y_px"][rows]) * 10 == pytest.approx(value, abs=1)
        assert np.mean(table["polar_x_px"][rows]) * 10 == pytest.approx(0, abs=1)
    assert np.isnan(table["polar_px"][~inner]).all()


def test_polar_shift_is_free_of_strain_rotation_and_missing_corners_and_its_bars_are_honest():
    columns, site = crystal((40, 0), (0, 40), sites=((0, 0), (0.5, 0.5)), weights=(1, 0.5), size_px=900, turn_deg=9)
    rng = np.random.default_rng(2)
    xy = columns.xy_px + np.where(site == 1, 1, 0)[:, None] * (1.5, -0.8)
    xy = (xy - 450) @ np.array([[1.01, 0.004], [-0.002, 0.99]]).T + 450 + rng.normal(0, 0.2, xy.shape)
    kept = rng.random(len(xy)) > 0.05
    table = polar(columns_at(xy[kept], columns.table["amplitude"][kept], 0.2, 900))
    known = np.isfinite(table["polar_px"])
    assert known.sum() > 0.8 * (site[kept] == 1).sum()
    for axis, value in (("x", 1.5 * 1.01 - 0.8 * 0.004), ("y", -0.8 * 0.99 - 1.5 * 0.002)):
        pulls = (table[f"polar_{axis}_px"][known] - value) / table[f"polar_{axis}_err_px"][known]
        assert abs(pulls.mean()) < 0.15
        assert pulls.std() == pytest.approx(1, rel=0.12)


def test_one_sublattice_has_no_polar_shift():
    columns, _ = crystal((20, 0), (0, 20))
    with pytest.raises(UserError, match="both sublattices"):
        polar(columns)
