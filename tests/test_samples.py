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
