"""The bundled samples are what their script makes, are calibrated, and their truth is where the picture says."""

import json

import numpy as np
import pytest
import tifffile

from atomseg_app import places
from atomseg_app.io import files, tables
from atomseg_app.simulate import samples

NAMES = ("silicon_110", "gold_particle", "perovskite_domains")


def bundled(name):
    return places.resources_folder() / "samples" / name


def test_script_makes_the_bundled_files(tmp_path):
    samples.write_samples(tmp_path)
    made = sorted(path.name for path in tmp_path.iterdir())
    assert made == sorted(path.name for path in bundled("").iterdir())
    for path in tmp_path.glob("*.tif"):
        np.testing.assert_array_equal(tifffile.imread(path), tifffile.imread(bundled(path.name)))
    for path in (*tmp_path.glob("*.csv"), *tmp_path.glob("*.json")):
        assert path.read_bytes() == bundled(path.name).read_bytes()
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) < 5_000_000


@pytest.mark.parametrize("name", NAMES)
def test_sample_is_a_calibrated_16_bit_image_with_a_title(name):
    image = files.read(bundled(f"{name}.tif"))
    assert image.kind == "image"
    assert image.values.dtype == np.uint16
    assert image.values.max() < 65535  # nothing saturated
    truth = tables.read_csv(bundled(f"{name}_truth.csv"))
    assert image.pixel_size_nm == pytest.approx(truth.pixel_size_nm, rel=1e-9)
    card = json.loads(bundled(f"{name}.json").read_text("utf-8"))
    assert (card["file"], card["truth"]) == (f"{name}.tif", f"{name}_truth.csv")
    assert card["title"]
    assert card["description"].endswith("Simulated.")


@pytest.mark.parametrize("name", NAMES)
def test_truth_is_where_the_image_is_bright(name):
    """The mean of 3 x 3 pixels at the true places is above that half-way between neighbours, column by column."""
    image = files.read(bundled(f"{name}.tif")).values.astype(float)
    truth = tables.read_csv(bundled(f"{name}_truth.csv"))
    strong = truth.table[truth.table["amplitude"] > 0.3 * truth.table["amplitude"].max()]
    x, y = (np.round(strong[axis]).astype(int) for axis in ("x_px", "y_px"))
    inner = (x > 25) & (y > 25) & (x < image.shape[1] - 25) & (y < image.shape[0] - 25)
    x, y = x[inner], y[inner]
    peak = sum(image[y + dy, x + dx] for dx in (-1, 0, 1) for dy in (-1, 0, 1)) / 9
    ring = np.median([image[y + dy, x + dx] for dx, dy in ((12, 0), (-12, 0), (0, 12), (0, -12))], axis=0)
    assert (peak > ring).mean() > 0.98


def test_silicon_dumbbells_are_136_pm_long():
    truth = tables.read_csv(bundled("silicon_110_truth.csv"))
    from atomseg_app.atoms.spacing import nearest_px

    assert np.median(nearest_px(truth)) * truth.pixel_size_nm[0] == pytest.approx(0.5431 / 4, abs=0.002)


def test_tilt_series_conserves_mass_along_its_axis():
    """Closed forms: the sum over a view is the same at every angle, and its truth puts the particle in the middle."""
    from atomseg_app.simulate import tilt_sample

    grid = np.arange(160) - 79.5
    y, t = np.meshgrid(grid, grid, indexing="ij")
    bodies = tilt_sample.particle(np.random.default_rng(1))
    sums = [tilt_sample.projection(bodies, tilt, t, y).sum() for tilt in (-70.0, 0.0, 33.0)]
    volume = sum(body.density * 4 / 3 * np.pi * np.prod(body.half_axes) for body in bodies)
    np.testing.assert_allclose(sums, volume, rtol=2e-3)


def test_tilt_series_is_bundled_with_its_angles_and_its_truth():
    from atomseg_app.io.alignment_files import read_alignment
    from atomseg_app.operations import Report
    from atomseg_app.simulate import tilt_sample

    series = files.read(bundled(f"{tilt_sample.NAME}.mrc"))
    assert series.kind == "tilt-series"
    assert series.tilt_deg == tilt_sample.TILT_DEG
    assert series.pixel_size_nm == pytest.approx((tilt_sample.PIXEL_NM,) * 2)
    truth = read_alignment(bundled(f"{tilt_sample.NAME}_alignment.csv"), len(series.values), Report())
    assert truth == tilt_sample.tilt_series().alignment
    np.testing.assert_array_equal(series.values, tilt_sample.tilt_series().values)
