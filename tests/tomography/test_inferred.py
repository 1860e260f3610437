"""What was measured and what was inferred: gaps of angles, power by angle, series that are filled, reports."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from atomseg_app.alignment import Alignment
from atomseg_app.cli import main
from atomseg_app.data import TiltSeries, Volume
from atomseg_app.errors import UserError
from atomseg_app.io.files import read
from atomseg_app.io.series_writer import write_series
from atomseg_app.operations import Report
from atomseg_app.simulate.ellipsoids import phantom
from atomseg_app.tomography.filled_series import INFERRED, filled_series
from atomseg_app.tomography.geometry import geometry_of
from atomseg_app.tomography.inferred import fourier_view
from atomseg_app.tomography.missing_wedge import different_angles, gaps_of, missing_angles, usual_step
from atomseg_app.tomography.projector import projector
from tests.tomography.wedge_models import shelve

TILTS = tuple(np.arange(-60.0, 61.0, 5.0))
SIZE, SLICES = 32, 12


@pytest.fixture(scope="module")
def sample() -> tuple[Volume, TiltSeries]:
    truth, views = phantom(SIZE, SLICES, TILTS, noise=0)
    return Volume(truth.astype(np.float32)), TiltSeries(views.astype(np.float32), (2.0, 2.0), tilt_deg=TILTS)


def test_gaps_of_lists_of_angles() -> None:
    (gap,) = gaps_of(TILTS)
    assert (gap.first, gap.last, gap.start, gap.stop, gap.width_deg) == (60, 120, 62.5, 117.5, 55)
    assert gap.inside([90, -90, 62, 63, -63, 0, 270]).tolist() == [True, True, False, True, True, False, True]
    assert gaps_of(np.arange(0, 180, 3)) == ()
    assert gaps_of(np.arange(-90, 91, 2)) == ()
    first, second = gaps_of([*range(-80, -39, 2), *range(0, 81, 2)])
    assert (first.first, first.last, second.first, second.last) == (-40, 0, 80, 100)
    assert usual_step(np.arange(0, 60, 1.5)) == pytest.approx(1.5)
    assert different_angles([10, 190, 10.0001, 370, -170]).tolist() == pytest.approx([10], abs=1e-3)
    added = missing_angles(TILTS)
    assert added.tolist() == [-90, -85, -80, -75, -70, -65, 65, 70, 75, 80, 85]
    together = np.sort(np.concatenate([TILTS, added]))
    assert np.diff(together).tolist() == [5.0] * 35


def test_a_round_sample_has_the_same_power_in_all_directions_and_its_views_have_it_too() -> None:
    z, y, x = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in (64, 8, 64)), indexing="ij")
    ball = np.exp(-0.5 * (x**2 + z**2) / 3.0**2) * (1 + 0 * y)
    views = np.repeat(ball.sum(axis=0)[None], len(TILTS), axis=0)  # alike from everywhere
    series = TiltSeries(views.astype(np.float32), tilt_deg=TILTS)
    found = fourier_view(series, Volume(ball.astype(np.float32)), Report())
    assert found.power.max() < 1.05 * found.power.min()
    np.testing.assert_allclose(found.view_power, found.power.mean(), rtol=0.05)
    assert found.relative_density == pytest.approx(1, abs=0.03)
    assert found.inferred_share == pytest.approx(55 / 180, abs=0.02)
    middle = found.log_power.shape[0] // 2
    assert np.unravel_index(found.log_power.argmax(), found.log_power.shape) == (middle, middle)


def test_directions_are_those_of_the_tilts() -> None:
    """Waves along the direction that a view at 30 degrees measures have their power at 30 degrees."""
    z, y, x = np.meshgrid(*(np.arange(n) - (n - 1) / 2 for n in (64, 4, 64)), indexing="ij")
    t = x * np.cos(np.radians(30)) + z * np.sin(np.radians(30))
    wave = np.cos(2 * np.pi * 0.2 * t) * np.exp(-0.5 * (x**2 + z**2) / 12**2) * (1 + 0 * y)
    for depth in (64, 48):  # thinner than wide
        volume = Volume(wave[(64 - depth) // 2 : (64 + depth) // 2].astype(np.float32))
        series = TiltSeries(np.random.default_rng(1).random((25, 4, 64), np.float32), tilt_deg=TILTS)
        found = fourier_view(series, volume, Report())
        assert found.angle_deg[found.power.argmax()] == pytest.approx(30, abs=2)
        assert found.inferred_share < 0.05
    peak = np.argwhere(found.log_power > found.log_power.max() - 0.1) - found.log_power.shape[0] // 2
    assert {tuple(np.sign(place)) for place in peak} == {(1, 1), (-1, -1)}


def test_a_wedge_that_is_empty_and_one_that_is_full(sample) -> None:
    from atomseg_app import operations

    truth, series = sample
    operation = operations.get("reconstruct")
    plain = operations.run(operation, (series,), operation.parse({"algorithm": "fbp"}), Report())
    assert isinstance(plain, Volume)
    empty, full = (fourier_view(series, volume, Report()).relative_density for volume in (plain, truth))
    assert empty is not None
    assert full is not None
    assert empty < 0.35 * full


def test_a_filled_series_has_every_measured_view_as_it_was(sample) -> None:
    truth, series = sample
    order = np.random.default_rng(2).permutation(len(TILTS))
    alignment = Alignment(
        tuple(np.linspace(-1, 1, 25)[order]), tuple(np.linspace(0, 1, 25)), tuple(np.linspace(-1, 1, 25)), 0.5, 0.25
    )
    counts = (series.values * 100).astype(np.int16)[order]
    given = replace(
        series, values=counts, tilt_deg=tuple(TILTS[view] for view in order), alignment=alignment, excluded=(3,)
    )
    report = Report()
    filled = filled_series(given, truth, report)
    assert list(filled.tilt_deg) == sorted([*TILTS, *missing_angles(TILTS)])
    inferred = filled.metadata[INFERRED]
    assert inferred == [*range(6), *range(31, 36)]
    place = {tilt: view for view, tilt in enumerate(filled.tilt_deg)}
    assert filled.alignment is not None
    for view, tilt in enumerate(given.tilt_deg):
        where = place[tilt]
        assert np.array_equal(filled.values[where], counts[view])
        assert filled.alignment.shift_x_px[where] == alignment.shift_x_px[view]
        assert filled.alignment.rotation_deg[where] == alignment.rotation_deg[view]
    assert filled.excluded == (place[given.tilt_deg[3]],)
    expected = projector(replace(geometry_of(filled), volume_zyx=truth.shape))(truth.values)
    kept = [view for view in inferred if view not in filled.excluded]
    used = list(filled.used)
    for view in kept:
        np.testing.assert_allclose(filled.values[view], expected[used.index(view)], rtol=1e-4, atol=1e-3)
    assert (
        "11 views at 62.5 to 117.5 degrees are inferred (projections of the filled volume): 0-5, 31-35"
        in (report.facts.notes[-1])
    )
    turned = replace(series, values=series.values.transpose(0, 2, 1), tilt_axis="x")
    np.testing.assert_array_equal(
        filled_series(turned, truth, Report()).values.transpose(0, 2, 1), filled_series(series, truth, Report()).values
    )
    with pytest.raises(UserError, match="leave no wedge out"):
        filled_series(replace(series, tilt_deg=tuple(np.arange(25) * 7.2)), truth, Report())
    with pytest.raises(UserError, match="is not of this series"):
        filled_series(series, Volume(truth.values[:, :5]), Report())


@pytest.fixture
def folder(sample, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Working folder with s.mrc and the small models."""
    monkeypatch.chdir(tmp_path)
    shelve()
    write_series("s.mrc", sample[1])
    return tmp_path


def table(name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(name).read_text("utf-8").splitlines()))


def run(*words: object) -> int:
    return main([str(word) for word in words])


def test_the_command_writes_all_that_is_asked_for(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    more = ("--filled-series", "f.mrc", "--uncertainty", "u.mrc", "--report", "r")
    assert run("fill-wedge", "s.mrc", "-o", "v.mrc", "--device", "cpu", *more) == 0
    assert capsys.readouterr().out == "v.mrc\nu.mrc\nf.mrc\nr\n"
    volume, spread, filled = read("v.mrc"), read("u.mrc"), read("f.mrc")
    assert isinstance(volume, Volume)
    assert isinstance(spread, Volume)
    assert isinstance(filled, TiltSeries)
    assert volume.shape == spread.shape == (SIZE, SLICES, SIZE)
    assert volume.pixel_size_nm == pytest.approx((2.0, 2.0, 2.0))
    assert any(note.startswith("Inferred, not measured") for note in volume.history[-1].notes)
    assert len(filled.values) == 36
    facts = json.loads(Path("f.json").read_text("utf-8"))
    assert facts["metadata"][INFERRED] == [*range(6), *range(31, 36)]
    assert any("0-5, 31-35" in note for note in facts["history"][-1]["notes"])
    rows = {row["quantity"]: row["value"] for row in table("r/summary.csv")}
    assert rows["inferred_directions_deg"] == "62.5 to 117.5"
    assert 0 < float(rows["r_factor"]) < 0.1
    powers = table("r/power_by_angle.csv")
    assert [row["directions"] for row in powers].count("inferred") == 28
    assert len(table("r/views.csv")) == len(TILTS)
    with Picture.open("r/fourier.png") as picture:
        assert len(set(picture.resize((64, 64)).convert("L").tobytes())) > 20
    assert run("fill-wedge", "s.mrc", "-o", "w.mrc", "--report", "r") == 1
    assert "power_by_angle.csv is already there" in capsys.readouterr().err
    assert not Path("w.mrc").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--uncertainty", "o.mrc"), "would be written twice"),
        (("--filled-series", "f.csv"), "would hold no views"),
        (("--filled-series", "f.tif"), "a tilt series is saved as one of"),
        (("--uncertainty", "u.png"), "a volume is saved as one of"),
        (("--exclude", "0-15"), "needs 10 views at different angles, and 9 are in use"),
    ],
)
def test_faults_are_told_before_anything_is_computed(
    options: tuple[str, ...], words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = set(os.listdir())
    assert run("fill-wedge", "s.mrc", "-o", "o.mrc", *options) == 1
    assert words in capsys.readouterr().err
    assert set(os.listdir()) == before


def test_killed_in_the_middle_nothing_half_written_stays(folder: Path) -> None:
    rng = np.random.default_rng(3)
    tilts = tuple(np.arange(-60.0, 61.0, 2.0))
    write_series("big.mrc", TiltSeries(rng.random((61, 256, 96), np.float32), tilt_deg=tilts))
    before = set(os.listdir())
    # Uncertainty takes six times as long, so that a fast machine is in the middle of it as well.
    command = [sys.executable, "-m", "atomseg_app", "fill-wedge", "big.mrc", "-o", "o.mrc", "--device", "cpu"]
    command += ["--uncertainty", "u.mrc"]
    place = str(Path(__file__).parents[2])
    with subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, "PYTHONPATH": place}) as process:
        time.sleep(8)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert set(os.listdir()) == before
