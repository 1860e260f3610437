"""*Align* as a whole: a mis-aligned series, its table of steps, files, and series that cannot be aligned."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from atomseg_app import cli, operations
from atomseg_app.alignment import Alignment
from atomseg_app.benchmarks.alignment import errors
from atomseg_app.benchmarks.misaligned import random_alignment, random_ellipsoids, series_of
from atomseg_app.data import TiltSeries
from atomseg_app.errors import Cancelled, UserError
from atomseg_app.io import files
from atomseg_app.io.alignment_files import read_alignment
from atomseg_app.io.series_writer import write_series
from atomseg_app.operations import Report
from atomseg_app.tomography.align import STEPS_KEY, align, align_axis, align_common_line, align_match, align_neighbours
from atomseg_app.tomography.align_operations import (
    Align,
    AlignAxis,
    AlignCommonLine,
    AlignMatch,
    AlignNeighbours,
)

TILT = np.arange(-70.0, 71, 5)
SIZE = 64


@pytest.fixture(scope="module")
def truth() -> Alignment:
    return random_alignment(len(TILT), 7, shift_px=4, offset_px=2, rotation_deg=1.5)


@pytest.fixture(scope="module")
def series(truth: Alignment) -> TiltSeries:
    return series_of(random_ellipsoids(SIZE, 7), TILT, (SIZE, SIZE), truth, noise=0.01, seed=8)


@pytest.fixture(scope="module")
def aligned(series: TiltSeries) -> TiltSeries:
    return align(series, Align(), Report())


def test_the_automatic_chain_finds_what_was_done_to_the_views(
    series: TiltSeries, truth: Alignment, aligned: TiltSeries
) -> None:
    assert aligned.alignment is not None
    left = errors(aligned.alignment, truth, TILT)
    assert left.across_px < 0.05
    assert left.along_px < 0.05
    assert abs(left.axis_px) < 0.1
    assert abs(left.rotation_deg) < 0.25  # a degree moves the sample's ends by 0.4 px here
    assert aligned.values is series.values


def test_every_step_tells_what_it_did(aligned: TiltSeries) -> None:
    entries = aligned.metadata[STEPS_KEY]
    assert [entry["step"] for entry in entries] == ["neighbours", "common line", "centre of mass", "matching"]
    assert json.loads(json.dumps(entries)) == entries
    for before, after in pairwise(entries):
        assert after["r_before"] == (before["r_after"] if before["kept"] else before["r_before"])
    assert entries[-1]["r_after"] < 0.3 * entries[0]["r_before"]
    kept = [entry for entry in entries if entry["kept"]][-1]
    assert kept["shift_x_px"] == pytest.approx(aligned.alignment.shift_x_px, abs=1e-4)
    assert np.mean(aligned.alignment.shift_x_px) == pytest.approx(0, abs=1e-9)


def test_a_horizontal_tilt_axis_is_the_same_series_on_its_side(series: TiltSeries, aligned: TiltSeries) -> None:
    lying = replace(series, values=series.values.transpose(0, 2, 1), tilt_axis="x")
    found = align(lying, Align(), Report())
    assert found.alignment == aligned.alignment


def test_other_numbers_of_the_same_images_give_the_same_alignment(series: TiltSeries, aligned: TiltSeries) -> None:
    """Integers with a background far from 0, as detectors store them."""
    counts = np.rint(series.values * 300 - 20000).astype(np.int16)
    found = align(replace(series, values=counts), Align(), Report())
    assert found.alignment.shift_x_px == pytest.approx(aligned.alignment.shift_x_px, abs=0.05)
    assert found.alignment.shift_y_px == pytest.approx(aligned.alignment.shift_y_px, abs=0.05)


def test_steps_one_by_one_add_to_each_other(series: TiltSeries, truth: Alignment) -> None:
    first = align_neighbours(series, AlignNeighbours(), Report())
    second = align_common_line(first, AlignCommonLine(), Report())
    third = align_match(second, AlignMatch(rounds=5), Report())
    assert [entry["step"] for entry in third.metadata[STEPS_KEY]] == ["neighbours", "common line", "matching"]
    assert errors(second.alignment, truth, TILT).along_px < errors(first.alignment, truth, TILT).along_px
    r = [entry["r_after"] for entry in third.metadata[STEPS_KEY]]
    assert r[2] < r[0]
    axis = align_axis(series, AlignAxis(), Report())
    assert axis.alignment.shift_x_px == (0.0,) * len(TILT)
    again = align(third, Align(neighbours=False, common_line=False, centre_of_mass=False, start_over=False), Report())
    assert [entry["step"] for entry in again.metadata[STEPS_KEY]][-1] == "matching"
    assert len(again.metadata[STEPS_KEY]) == 4


def test_bad_views_do_no_harm_to_the_others(series: TiltSeries, truth: Alignment) -> None:
    values = series.values.copy()
    values[4] = 5.0
    values[9] = np.nan
    values[15, :, : SIZE // 2] *= 0.05  # a shadow over half the view
    values[21, 3:6, 40:44] = np.inf
    report = Report()
    found = align(replace(series, values=values, excluded=(1,)), Align(), report)
    assert any("4, 9" in note for note in report.facts.notes)
    good = np.setdiff1d(np.arange(len(TILT)), (1, 4, 9, 15))

    def chosen(alignment: Alignment) -> Alignment:
        return replace(
            alignment,
            **{
                name: tuple(np.asarray(getattr(alignment, name))[good])
                for name in ("shift_x_px", "shift_y_px", "rotation_deg")
            },
        )

    left = errors(chosen(found.alignment), chosen(truth), TILT[good])
    assert left.across_px < 0.1
    assert left.along_px < 0.1


def test_two_views_of_one_angle_and_a_film_are_aligned_all_the_same(series: TiltSeries) -> None:
    twice = replace(series, tilt_deg=(*series.tilt_deg[:5], series.tilt_deg[4], *series.tilt_deg[6:]))
    assert len(align_neighbours(twice, AlignNeighbours(), Report()).alignment.shift_x_px) == len(TILT)
    report = Report()
    film = replace(series, values=series.values[:, :, 16:48])
    found = align(film, Align(), report)
    assert any("Centre of mass left out" in note for note in report.facts.notes)
    assert found.alignment is not None


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: replace(s, values=s.values[:1], tilt_deg=s.tilt_deg[:1]), "1 view;"),
        (lambda s: replace(s, values=np.full_like(s.values, 3)), "Only 0 of the 29 views"),
        (lambda s: replace(s, values=np.full_like(s.values, np.nan)), "Only 0 of the 29 views"),
        (lambda s: replace(s, tilt_deg=(*s.tilt_deg[:3], float("nan"), *s.tilt_deg[4:])), "View 3 has no tilt angle"),
        (lambda s: replace(s, values=s.values[:, :8]), "8 x 64 pixels"),
        (lambda s: replace(s, excluded=tuple(range(27))), "Only 2 of the 29 views"),
    ],
)
def test_what_cannot_be_aligned_is_told_in_one_sentence(series: TiltSeries, change: object, words: str) -> None:
    with pytest.raises(UserError, match=words):
        align(change(series), Align(), Report())


def test_all_views_at_one_angle_are_aligned_with_each_other(series: TiltSeries) -> None:
    """0..0 degrees: no volume can be made of it, but shifts can be found."""
    same = series_of(random_ellipsoids(SIZE, 7), np.zeros(5), (SIZE, SIZE), random_alignment(5, 3, 4, 0, 0), 0.01, 1)
    found = align(same, Align(), Report())
    truth = random_alignment(5, 3, 4, 0, 0)
    off = np.subtract(found.alignment.shift_x_px, truth.shift_x_px)
    assert np.std(off) < 0.2


def test_cancelling_ends_it(series: TiltSeries) -> None:
    calls = []

    def cancelled() -> bool:
        calls.append(0)
        return len(calls) > 40

    with pytest.raises(Cancelled):
        align(series, Align(), Report(cancelled=cancelled))


def test_the_command_writes_an_alignment_that_can_be_used(
    series: TiltSeries, aligned: TiltSeries, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = tmp_path / "series.mrc"
    write_series(given, series, Report())
    angles = tmp_path / "series.rawtlt"
    angles.write_text("".join(f"{tilt}\n" for tilt in TILT))
    out = tmp_path / "found.csv"
    assert cli.main(["align", str(given), "--angles", str(angles), "-o", str(out)]) == 0, capsys.readouterr().err
    history = json.loads((tmp_path / "found.json").read_text())
    assert "align" in json.dumps(history)
    written = read_alignment(out, len(TILT), Report())
    assert written.shift_x_px == pytest.approx(aligned.alignment.shift_x_px, abs=0.02)
    assert written.axis_offset_px == pytest.approx(aligned.alignment.axis_offset_px, abs=0.02)
    volume = tmp_path / "volume.mrc"
    code = cli.main([
        "reconstruct", str(given), "--angles", str(angles), "--alignment", str(out), "--algorithm", "sirt",
        "--iterations", "3", "-o", str(volume),
    ])  # fmt: skip
    assert code == 0, capsys.readouterr().err
    assert files.read(volume, None, Report()).values.shape == (SIZE, SIZE, SIZE)


def test_all_align_operations_take_and_give_a_series() -> None:
    known = operations.all_operations()
    names = [name for name in known if name.startswith("align")]
    assert len(names) == 6
    for name in names:
        assert known[name].inputs == ("tilt-series",)
        assert known[name].output == "tilt-series"
        assert callable(known[name].load())
