"""Steps of an alignment on views of ellipsoids that were mis-aligned by known amounts."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from atomseg_app.alignment import Alignment
from atomseg_app.benchmarks.alignment import errors
from atomseg_app.benchmarks.misaligned import random_alignment, random_ellipsoids, series_of
from atomseg_app.data import TiltSeries
from atomseg_app.operations import Report
from atomseg_app.tomography import align_steps as steps
from atomseg_app.tomography.align_views import AlignViews, align_views, bin_offset
from atomseg_app.tomography.matching import Course, factors, match
from atomseg_app.tomography.residual import r_factor

TILT = np.arange(-70.0, 71, 5)


def views_of(series: TiltSeries, report: Report | None = None) -> AlignViews:
    return align_views(series.values, np.asarray(series.tilt_deg), series.excluded, report or Report())


@pytest.fixture(scope="module")
def truth() -> Alignment:
    return random_alignment(len(TILT), 1, shift_px=5, offset_px=3, rotation_deg=1.5)


@pytest.fixture(scope="module")
def series(truth: Alignment) -> TiltSeries:
    return series_of(random_ellipsoids(96, 1), TILT, (96, 96), truth, noise=0.01, seed=2)


def test_binning_and_back_is_the_same_alignment(series: TiltSeries, truth: Alignment) -> None:
    views = views_of(series)
    for factor in (1, 2, 5):
        binned = views.binned(factor)
        back = binned.from_binned(binned.to_binned(truth))
        assert back.shift_x_px == pytest.approx(truth.shift_x_px)
        assert back.shift_y_px == pytest.approx(truth.shift_y_px)
    assert [bin_offset(10, 3), bin_offset(11, 3), bin_offset(12, 3)] == [-0.5, 0.0, 0.0]


def test_binned_views_show_the_sample_where_the_binned_alignment_says() -> None:
    """97 pixels binned by 2: the middle moves by half a pixel, which the alignment knows."""
    truth = Alignment((3.0,) * 3, (-2.0,) * 3, (0.0,) * 3)
    series = series_of(random_ellipsoids(97, 2)[:1], np.zeros(3), (97, 97), truth)
    level = views_of(series).binned(2)
    image = level.values[0].astype(float)
    y, x = np.indices(image.shape) - (np.array(image.shape)[:, None, None] - 1) / 2
    seen = np.array([(image * x).sum(), (image * y).sum()]) / image.sum()
    binned = level.to_binned(truth)
    assert seen == pytest.approx((binned.shift_x_px[0], binned.shift_y_px[0]), abs=2e-3)


def test_neighbours_bring_views_near(series: TiltSeries, truth: Alignment) -> None:
    found = steps.neighbours(views_of(series), Alignment.none(len(TILT)), 96, None, Report())
    left = errors(found, truth, TILT)
    assert left.along_px < 0.6
    assert left.across_px < 2.5


def test_common_line_is_exact_with_the_rotation_known(series: TiltSeries, truth: Alignment) -> None:
    start = replace(Alignment.none(len(TILT)), axis_rotation_deg=1.5, shift_x_px=truth.shift_x_px, axis_offset_px=3.0)
    found = steps.along_axis(views_of(series), start, 0.05, 16)
    assert errors(found, truth, TILT).along_px < 0.03


def test_centre_of_mass_finds_shifts_and_axis(series: TiltSeries, truth: Alignment) -> None:
    start = steps.along_axis(views_of(series), Alignment.none(len(TILT)), 0.05, 16)
    found = steps.across_axis(views_of(series), start, 0.05, axis=True, along=True, report=Report())
    left = errors(found, truth, TILT)
    assert left.across_px < 0.06
    assert left.along_px < 0.03
    assert abs(left.axis_px) < 0.1
    assert abs(left.rotation_deg) < 0.15


def test_the_axis_of_aligned_views_from_mass_and_from_trial_slices() -> None:
    count = len(TILT)
    truth = replace(Alignment.none(count), axis_offset_px=4.3, axis_rotation_deg=-2.0)
    views = views_of(series_of(random_ellipsoids(96, 5), TILT, (96, 96), truth, noise=0.01, seed=3))
    none = Alignment.none(count)
    mass = steps.axis_from_mass(views, none, rotation=True, report=Report())
    assert (mass.axis_offset_px, mass.axis_rotation_deg) == (pytest.approx(4.3, abs=0.1), pytest.approx(-2, abs=0.15))
    trial = steps.axis_from_slices(views, none, rotation=True, slices=(30, 48, 66), reach_px=None, report=Report())
    assert (trial.axis_offset_px, trial.axis_rotation_deg) == (pytest.approx(4.3, abs=0.3), pytest.approx(-2, abs=0.6))
    assert trial.shift_x_px == none.shift_x_px


def test_matching_improves_on_what_it_is_given(series: TiltSeries, truth: Alignment) -> None:
    random = np.random.default_rng(0)
    x, y = random.normal(0, 1.0, (2, len(TILT)))
    start = replace(
        truth,
        shift_x_px=tuple(np.array(truth.shift_x_px) + x),
        shift_y_px=tuple(np.array(truth.shift_y_px) + y),
        axis_rotation_deg=1.0,
    )
    views = views_of(series)
    assert factors(views, 96) == [4, 2, 1]
    found = match(views, start, Course(finest_px=48), Report())
    left = errors(found.alignment, truth, TILT)
    assert left.across_px < 0.03
    assert left.along_px < 0.03
    assert abs(left.axis_px) < 0.1
    assert abs(left.rotation_deg) < 0.1
    assert r_factor(views, found.alignment, Report()) < 0.6 * r_factor(views, start, Report())


def test_matching_refines_angles(truth: Alignment) -> None:
    random = np.random.default_rng(4)
    off = random.normal(0, 0.5, len(TILT))
    off -= off.mean()
    exact = series_of(random_ellipsoids(96, 6), TILT, (96, 96), truth, noise=0.01, seed=5)
    views = views_of(replace(exact, tilt_deg=tuple(TILT + off)))
    found = match(views, truth, Course(finest_px=48, blur_px=1.0, angles=True), Report())
    left = found.angles_deg[:, 0] - TILT
    # What changes slowly with the tilt a slightly different volume explains nearly as well; scatter it cannot.
    assert np.std(np.diff(left)) < 0.3 * np.std(np.diff(off))
    assert np.std(left) < 0.7 * np.std(off)


def test_views_that_cannot_be_used_keep_their_place_between_neighbours(series: TiltSeries, truth: Alignment) -> None:
    values = series.values.copy()
    values[7] = 3.0
    values[12, :, :] = np.nan
    values[20, 5:9, 5:9] = np.nan
    notes = Report()
    views = views_of(replace(series, values=values), notes)
    assert list(np.flatnonzero(~views.usable)) == [7, 12]
    assert any("7, 12" in note for note in notes.facts.notes)
    found = steps.neighbours(views, Alignment.none(len(TILT)), 96, None, Report())
    around = sorted((found.shift_x_px[6], found.shift_x_px[8]))
    assert around[0] <= found.shift_x_px[7] <= around[1]


def test_a_sample_beyond_the_view_has_no_centre_of_mass(series: TiltSeries) -> None:
    report = Report()
    film = replace(series, values=series.values[:, :, 30:66])
    start = Alignment.none(len(TILT))
    assert steps.across_axis(views_of(film), start, 0.05, axis=True, along=False, report=report) == start
    assert "reaches beyond" in report.facts.notes[-1]


def test_euler_triples_of_one_axis_are_matched_like_tilts(series: TiltSeries, truth: Alignment) -> None:
    """Triples (0, tilt, 0) are tilts round y; GENFIRE's order turns the other way, so signs are tried."""
    tilts = views_of(series)
    start = replace(
        truth, axis_rotation_deg=0.0, rotation_deg=(1.5,) * len(TILT), shift_x_px=tuple(np.add(truth.shift_x_px, 0.5))
    )
    r = []
    for sign in (1, -1):
        triples = np.stack([np.zeros(len(TILT)), sign * TILT, np.zeros(len(TILT))], axis=1)
        r.append(r_factor(align_views(series.values, triples, (), Report()), truth, Report()))
    sign = 1 if r[0] < r[1] else -1
    assert min(r) == pytest.approx(r_factor(tilts, truth, Report()), rel=0.1)
    triples = np.stack([np.zeros(len(TILT)), sign * TILT, np.zeros(len(TILT))], axis=1)
    views = align_views(series.values, triples, (), Report())
    found = match(views, start, Course(finest_px=48, rounds=8), Report())
    left = errors(replace(found.alignment, axis_rotation_deg=1.5), truth, TILT)
    assert left.across_px < 0.1
    assert left.along_px < 0.1


def test_stopping_keeps_what_is_found_by_then(series: TiltSeries, truth: Alignment) -> None:
    start = replace(truth, shift_x_px=tuple(np.add(truth.shift_x_px, np.tile([1.0, -1.0], 15)[: len(TILT)])))
    report = Report(stopping=lambda: True)
    found = match(views_of(series), start, Course(), report)
    assert found.rounds == (1,)
    assert "stopped after round 1" in report.facts.notes[-1]
    assert errors(found.alignment, truth, TILT).across_px < errors(start, truth, TILT).across_px


def test_large_views_are_worked_on_binned_and_shifts_are_of_the_series() -> None:
    truth = Alignment((0.0, 3.0, -8.0), (0.0, -11.0, 6.5), (0.0,) * 3)
    views = views_of(series_of(random_ellipsoids(541, 3)[:6], np.zeros(3), (541, 541), truth))
    assert views.factor == 2
    assert views.values.shape == (3, 270, 270)
    found = steps.along_axis(views, Alignment.none(3), 0.01, 40)
    assert np.diff(found.shift_y_px) == pytest.approx(np.diff(truth.shift_y_px), abs=0.03)


def test_a_tilt_axis_along_the_other_direction_is_asked_about() -> None:
    truth = replace(Alignment.none(len(TILT)), axis_rotation_deg=90.0)
    report = Report()
    across = views_of(series_of(random_ellipsoids(64, 1), TILT, (64, 64), truth))
    start = Alignment.none(len(TILT))
    assert steps.across_axis(across, start, 0.05, axis=True, along=False, report=report) == start
    assert "Does the tilt axis run along the other direction" in report.facts.notes[-1]


def test_the_middle_of_a_wider_sample_is_matched_by_its_detail() -> None:
    tilt = np.arange(-60.0, 61, 6)
    truth = random_alignment(len(tilt), 3, 4, 0, 0)
    whole = series_of(random_ellipsoids(96, 3), tilt, (96, 96), truth, noise=0.01, seed=4)
    views = views_of(replace(whole, values=whole.values[:, :, 20:76]))
    random = np.random.default_rng(1)
    start = replace(truth, shift_x_px=tuple(np.add(truth.shift_x_px, random.normal(0, 1, len(tilt)))))
    report = Report()
    found = match(views, start, Course(), report).alignment
    assert "beyond the views" in report.facts.notes[0]
    assert found.axis_rotation_deg == start.axis_rotation_deg
    assert errors(found, truth, tilt).across_px < 0.6 * errors(start, truth, tilt).across_px
