"""Project, resolution from halves, and comparison: operations on volumes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from atomseg_app import operations
from atomseg_app.data import TiltSeries, Volume
from atomseg_app.errors import UserError
from atomseg_app.operations import Report
from atomseg_app.simulate.ellipsoids import phantom

TILTS = tuple(np.arange(-66.0, 67.0, 6.0))


def run(name: str, *inputs: Volume | TiltSeries, report: Report | None = None, **settings: object):
    operation = operations.get(name)
    return operations.run(operation, inputs, operation.parse(settings), report or Report())


@pytest.fixture(scope="module")
def sample() -> tuple[Volume, TiltSeries]:
    volume, views = phantom(48, 32, TILTS, noise=0.02)
    return Volume(volume, (2.0, 2.0, 2.0)), TiltSeries(views, (2.0, 2.0), tilt_deg=TILTS)


def test_what_is_projected_is_reconstructed(sample, tmp_path: Path) -> None:
    volume, _ = sample
    series = run("project", volume, angles="-66:66:6")
    assert series.tilt_deg == TILTS
    assert series.pixel_size_nm == (2.0, 2.0)
    clean = phantom(48, 32, TILTS, noise=0)[1]
    assert np.abs(series.values - clean).mean() < 0.02 * clean.max()
    listed = tmp_path / "tilts.txt"
    listed.write_text("\n".join(str(tilt) for tilt in TILTS))
    np.testing.assert_array_equal(run("project", volume, angles=str(listed)).values, series.values)
    noisy = run("project", volume, angles="-66:66:6", noise=0.02, seed=5).values - series.values
    assert noisy.std() == pytest.approx(0.02 * series.values.max(), rel=0.02)


@pytest.mark.parametrize("angles", ["1:2:0", "5:1:1", "a:b:c", "0:1e9:1e-3"])
def test_ranges_that_are_none_are_told(sample, angles: str) -> None:
    with pytest.raises(UserError, match=r"no range of angles; give START:STOP:STEP"):
        run("project", sample[0], angles=angles)


def test_halves_agree_better_where_there_is_less_noise(sample) -> None:
    found = []
    for noise in (0.01, 0.2):
        views = phantom(48, 32, TILTS, noise=noise)[1]
        volume = run("fsc", TiltSeries(views, (2.0, 2.0), tilt_deg=TILTS), iterations=10)
        found.append(np.mean(volume.metadata["fsc"]))
    assert found[0] > found[1] + 0.1
    assert volume.metadata["resolution_0.5_nm"] == pytest.approx(2 * volume.metadata["resolution_0.5_voxels"], rel=1e-3)
    with pytest.raises(UserError, match="4 views or more in use, not 3"):
        run("fsc", TiltSeries(views[:3], (2.0, 2.0), tilt_deg=TILTS[:3]))


def test_comparison_tells_how_far_a_volume_is_off(sample, rng) -> None:
    truth, _ = sample
    off = Volume(truth.values + rng.normal(0, 0.1, truth.shape).astype(np.float32), truth.pixel_size_nm)
    result = run("compare-volumes", off, truth)
    np.testing.assert_allclose(result.values, off.values - truth.values, atol=1e-6)
    peak = float(np.ptp(truth.values))
    assert result.metadata["psnr_db"] == pytest.approx(20 * np.log10(peak / 0.1), abs=0.1)
    scaled = Volume(3 * off.values - 1, truth.pixel_size_nm)
    assert run("compare-volumes", scaled, truth).metadata["psnr_db"] < result.metadata["psnr_db"] - 15
    assert run("compare-volumes", scaled, truth, scale=True).metadata["psnr_db"] > result.metadata["psnr_db"]
    with pytest.raises(UserError, match=r"crop or bin one first"):
        run("compare-volumes", Volume(off.values[1:], (None,) * 3), truth)
