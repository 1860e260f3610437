"""Samples that reach beyond the views on all sides: films, whose views at high tilt see more than those at low."""

from __future__ import annotations

import numpy as np
import pytest

from atomseg_app.benchmarks.alignment import errors
from atomseg_app.benchmarks.misaligned import Ellipsoid, random_alignment, random_ellipsoids, series_of
from atomseg_app.operations import Report
from atomseg_app.tomography.align import align
from atomseg_app.tomography.align_operations import Align
from atomseg_app.tomography.align_views import align_views
from atomseg_app.tomography.matching import is_open, leaves_along

SIZE = 64
TILT = np.arange(-60.0, 61.0, 8.0)


def film(size_px: int, seed: int, half_thickness_px: float = 7.0) -> list[Ellipsoid]:
    """A slab without an end, and particles in it as far as the steepest view sees."""
    random = np.random.default_rng(seed)
    found = [Ellipsoid((0, 0, 0), (6 * size_px, 6 * size_px, half_thickness_px), 0.0, 0.3)]
    for _ in range(120):
        x, y = random.uniform(-1.6 * size_px, 1.6 * size_px), random.uniform(-0.8 * size_px, 0.8 * size_px)
        z = random.uniform(-0.6, 0.6) * half_thickness_px
        a, b, c = random.uniform(1.5, 4.5, 3)
        found.append(Ellipsoid((x, y, z), (a, b, c), random.uniform(0, np.pi), random.uniform(0.5, 1.5)))
    return found


def test_a_film_is_aligned_by_what_all_views_see() -> None:
    truth = random_alignment(len(TILT), 0, shift_px=3, offset_px=0, rotation_deg=0)
    series = series_of(film(SIZE, 0), TILT, (SIZE, SIZE), truth, 0.01, 1)
    report = Report()
    found = align(series, Align(), report).alignment
    assert found is not None
    left = errors(found, truth, TILT)
    assert left.across_px < 0.2
    assert left.along_px < 0.2
    assert found.axis_rotation_deg == 0
    assert any("reaches beyond the views" in note for note in report.facts.notes)


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_a_film_is_told_from_a_sample_that_lies_inside(noise: float) -> None:
    """Both have ends of one level; a film shows as much detail there as elsewhere."""
    truth = random_alignment(len(TILT), 2, shift_px=3, offset_px=0, rotation_deg=0)
    for sample, is_film in ((film(SIZE, 2), True), (random_ellipsoids(SIZE, 2), False)):
        series = series_of(sample, TILT, (SIZE, SIZE), truth, noise, 3)
        assert is_open(align_views(series.values, TILT, (), Report())) == is_film


def test_strips_of_noise_alone_are_no_film() -> None:
    """Counts so few that most of what a view shows is their noise."""
    random = np.random.default_rng(4)
    truth = random_alignment(len(TILT), 5, shift_px=2, offset_px=0, rotation_deg=0)
    ideal = np.asarray(series_of(random_ellipsoids(128, 5), TILT, (128, 128), truth).values)
    counts = random.poisson(1 + ideal / ideal.max()).astype(np.float32)
    assert not is_open(align_views(counts, TILT, (), Report()))


def test_a_sample_that_goes_on_along_the_axis_is_told_from_one_that_ends() -> None:
    truth = random_alignment(len(TILT), 6, shift_px=2, offset_px=0, rotation_deg=0)
    for half_length, goes_on in ((2.0 * SIZE, True), (0.35 * SIZE, False)):
        needle = [Ellipsoid((0, 0, 0), (10, half_length, 8), 0.3, 0.5)]
        views = align_views(series_of(needle, TILT, (SIZE, SIZE), truth, 0.01, 7).values, TILT, (), Report())
        assert leaves_along(views.values) == goes_on
