"""What a reconstruction says of a series that is not ready for it, on samples in closed form and on real files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from atomseg_app import operations
from atomseg_app.alignment import Alignment
from atomseg_app.benchmarks.misaligned import random_alignment, random_ellipsoids, series_of
from atomseg_app.data import TiltSeries, Volume
from atomseg_app.io import files
from atomseg_app.operations import Report
from atomseg_app.simulate.ellipsoids import phantom
from atomseg_app.tomography.quality import psnr_db
from atomseg_app.tomography.series_doubts import LEVELS_KEY, background_levels, displaced, ends_of
from atomseg_app.tomography.unexplained import unexplained

TILTS = tuple(np.arange(-72.0, 73.0, 4.0))


@pytest.fixture(scope="module")
def sample() -> tuple[np.ndarray, TiltSeries]:
    truth, views = phantom(64, 40, TILTS, 3)
    return truth, TiltSeries(views, (1.0, 1.0), tilt_deg=TILTS)


def reconstructed(series: TiltSeries, **settings: object) -> tuple[Volume, list[str]]:
    operation, report = operations.get("reconstruct"), Report()
    volume = operations.run(operation, (series,), operation.parse(settings), report)
    assert isinstance(volume, Volume)
    return volume, report.facts.notes


@pytest.mark.parametrize("level", [-3000.0, 7.0])
@pytest.mark.parametrize("axis", ["y", "x"])
def test_a_background_is_taken_off_and_told(sample, level: float, axis: str) -> None:
    """A level that differs from view to view leaves the same volume as none; kept, it spoils it."""
    truth, series = sample
    levels = level * (1 + 0.01 * np.arange(len(TILTS)))
    values = series.values + levels[:, None, None].astype(np.float32)
    given = replace(series, values=values if axis == "y" else values.transpose(0, 2, 1), tilt_axis=axis)
    clean, nothing = reconstructed(series, iterations=12)
    assert nothing == []
    assert LEVELS_KEY not in clean.metadata
    found, notes = reconstructed(given, iterations=12)
    assert len(notes) == 1
    assert "subtracted (background = keep leaves it)" in notes[0]
    np.testing.assert_allclose(found.metadata[LEVELS_KEY], levels, atol=0.1)
    assert psnr_db(truth, found.values) == pytest.approx(psnr_db(truth, clean.values), abs=0.2)
    kept, notes = reconstructed(given, iterations=12, background="keep")
    assert psnr_db(truth, kept.values) < psnr_db(truth, clean.values) - 3
    assert not any("subtracted" in note for note in notes)
    rest, r_factors = unexplained(given, found, Report())
    assert np.mean(r_factors) < 0.1
    assert np.abs(rest.values).mean() < 0.05 * series.values.max()


def test_levels_of_counts_are_their_means(rng) -> None:
    """The median of counts is a whole number; their mean is what was there, a sample at one corner left out."""
    view = rng.poisson(1.3, (200, 200)).astype(np.uint8)
    view[:60, :60] = 90
    ends = ends_of(view, "y")
    assert ends.first == pytest.approx(1.3, abs=0.1)
    assert ends.second == pytest.approx(1.3, abs=0.1)
    holes = np.where(rng.random(view.shape) < 0.2, np.nan, view)
    assert ends_of(holes, "x").second == pytest.approx(1.3, abs=0.1)


def test_a_film_has_no_background_that_could_be_seen(rng) -> None:
    views = np.stack([100 + 10 * rng.standard_normal((48, 48)) + np.linspace(0, 60, 48) for _ in TILTS])
    report = Report()
    assert background_levels(TiltSeries(views, tilt_deg=TILTS), "auto", report) is None
    assert report.facts.notes == []


def test_a_bright_field_asks_for_its_logarithm(sample) -> None:
    _, series = sample
    bright = replace(series, values=1000 * np.exp(-series.values / series.values.max()))
    report = Report()
    assert background_levels(bright, "auto", report) is None
    assert "prepare-tilts --absorption" in report.facts.notes[0]


def test_displaced_views_ask_to_be_aligned() -> None:
    """Shifts along the axis, shifts across it and an axis off the middle are each seen; an aligned series is not."""
    tilts, ellipsoids = np.asarray(TILTS), random_ellipsoids(96, 2)
    nothing = Alignment.none(len(tilts))

    def told(alignment: Alignment) -> str:
        return displaced(series_of(ellipsoids, tilts, (96, 96), alignment, 0.01, 1))

    assert told(nothing) == ""
    random = random_alignment(len(tilts), 5, 3.0, 0.0, 0.0)
    assert "along the tilt axis; align the series first" in told(replace(nothing, shift_y_px=random.shift_y_px))
    assert "does not move across" in told(replace(nothing, shift_x_px=random.shift_x_px))
    assert "does not move across" in told(replace(nothing, axis_offset_px=6.0))
    moved = series_of(ellipsoids, tilts, (96, 96), random, 0.01, 1)
    assert displaced(replace(moved, alignment=random)) == ""


def test_a_wrong_axis_leaves_much_unexplained(sample) -> None:
    _, series = sample
    turned = replace(series, values=series.values[:, :40, :40], tilt_axis="x")
    _, notes = reconstructed(turned, iterations=12, algorithm="sirt")
    assert "unexplained, of which noise is" in notes[-1]


def test_the_needle_as_taken_and_as_aligned(data_folder: Path) -> None:
    """Its grey levels begin at -32,000, and its views are displaced; ETSpy's series of it is neither."""
    folder = data_folder / "tomography"
    taken = files.read(folder / "HAADF.mrc")
    assert isinstance(taken, TiltSeries)
    taken, report = replace(taken, tilt_axis="x"), Report()
    levels = background_levels(taken, "auto", report)
    assert levels is not None
    assert np.all((levels < -31_800) & (levels > -31_950))
    assert "align the series first" in displaced(taken)
    aligned = files.read(folder / "HAADF_Aligned.hspy")
    assert isinstance(aligned, TiltSeries)
    assert displaced(replace(aligned, tilt_axis="x")) == ""
    assert background_levels(replace(aligned, tilt_axis="x"), "auto", report) is None


def test_the_film_of_tantalum_is_left_alone(data_folder: Path) -> None:
    film = files.read(data_folder / "tomography" / "aet_Ta_film" / "Projections_area2.mat")
    assert isinstance(film, TiltSeries)
    report = Report()
    assert background_levels(film, "auto", report) is None
    assert displaced(film) == ""
    assert report.facts.notes == []
