"""Preparing a series: stray pixels found and nothing else, planes recovered, intensities evened, geometry followed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from atomseg_app import operations
from atomseg_app.alignment import Alignment
from atomseg_app.data import TiltSeries
from atomseg_app.errors import Cancelled, UserError
from atomseg_app.io.files import read
from atomseg_app.operations import Report
from atomseg_app.tomography.axis_direction import offer_axis
from atomseg_app.tomography.background import background
from atomseg_app.tomography.framing import framed_alignment
from atomseg_app.tomography.operations import PREPARE_TILTS
from atomseg_app.tomography.stray_pixels import stray_pixels

VIEWS, HEIGHT, WIDTH = 9, 48, 64
TILTS = tuple(np.linspace(-60, 60, VIEWS))


def body(width: float = 9.0) -> np.ndarray:
    """Projections (view, y, x) of an ellipsoid, two thirds as long along x and z as along y, in closed form."""
    y, x = np.meshgrid(np.arange(HEIGHT) - (HEIGHT - 1) / 2, np.arange(WIDTH) - (WIDTH - 1) / 2, indexing="ij")
    depth = []
    for tilt in np.radians(TILTS):
        semi = np.hypot(width * np.cos(tilt), 0.5 * width * np.sin(tilt))  # seen half-width of an ellipse
        inside = np.maximum(1 - (x / semi) ** 2 - (y / (1.5 * width)) ** 2, 0)
        depth.append(2 * 0.5 * width * width / semi * np.sqrt(inside))
    return np.stack(depth)


def series(values: np.ndarray, **facts: Any) -> TiltSeries:
    """A tilt series of these views."""
    return TiltSeries(values, (0.5, 0.5), tilt_deg=TILTS[: len(values)], **facts)


def noisy(rng: np.random.Generator, noise: float = 0.2) -> np.ndarray:
    """The body with noise, on a background of 5."""
    return (body() + 5 + noise * rng.normal(size=(VIEWS, HEIGHT, WIDTH))).astype(np.float32)


def prepared(item: TiltSeries, report: Report | None = None, **parameters: Any) -> TiltSeries:
    """Run the operation as windows and commands do."""
    given = {"stray_pixels": False, **parameters}
    result = operations.run(PREPARE_TILTS, (item,), PREPARE_TILTS.parse(given), report or Report())
    assert isinstance(result, TiltSeries)
    return result


def test_x_rays_and_hot_pixels_go_and_nothing_else(rng: np.random.Generator) -> None:
    clean = noisy(rng)
    dirty = clean.copy()
    events = [(0, 10, 10), (3, 24, 32), (3, 24, 33), (5, 0, 0), (8, 47, 63)]
    for place in events:
        dirty[place] += 40
    dirty[:, 30, 7] = 60  # hot
    dirty[:, 31, 50] = 0  # dead
    dirty[2, 5, 5] = np.nan
    report = Report()
    done = prepared(series(dirty), report, stray_pixels=True)
    changed = np.argwhere(done.values != dirty)
    expected = (
        {(*place,) for place in events} | {(v, 30, 7) for v in range(VIEWS)} | {(v, 31, 50) for v in range(VIEWS)}
    )
    assert expected <= set(map(tuple, changed.tolist()))
    assert len(changed) <= len(expected) + 1 + 5  # the NaN, and noise beyond eight times its width in edges
    assert np.isfinite(done.values).all()
    assert np.abs(done.values - clean).max() < 3
    assert report.facts.notes[0] == "2 hot or dead pixels were replaced by the median around them."
    assert "stray pixels (X-rays)" in report.facts.notes[1]
    assert done.history[-1].notes == tuple(report.facts.notes)


def test_counts_are_no_stray_pixels(rng: np.random.Generator) -> None:
    """At 0.05 electrons a pixel most are 0; those that counted one or two stay."""
    counts = rng.poisson(0.05, (200, 200)).astype(np.float32)
    assert not stray_pixels(counts, 8.0)[0].any()
    counts[50, 60] = 90
    assert np.argwhere(stray_pixels(counts, 8.0)[0]).tolist() == [[50, 60]]


def test_a_view_without_noise_is_left_alone() -> None:
    view = np.zeros((40, 40), np.float32)
    view[10:20, 10:20] = 3.5  # corners lie alone against the median
    assert not stray_pixels(view, 8.0)[0].any()


@pytest.mark.parametrize("bright", [False, True])
def test_plane_under_a_body(bright: bool, rng: np.random.Generator) -> None:
    y, x = np.meshgrid(np.arange(HEIGHT), np.arange(WIDTH), indexing="ij")
    plane = 20 + 0.05 * x - 0.08 * y
    view = (plane + (-1 if bright else 1) * body()[2] + 0.3 * rng.normal(size=plane.shape)).astype(np.float32)
    found = background(view, "plane", bright=bright)
    assert np.abs(found - plane).max() < 0.15
    level = background(view - plane.astype(np.float32) + 20, "level", bright=bright)
    assert np.ptp(level) == 0
    assert level[0, 0] == pytest.approx(20, abs=0.1)


def test_backgrounds_go_and_totals_are_evened(rng: np.random.Generator) -> None:
    """Beam that drifts by half is taken out: every view of the body has the same sum, as its mass says."""
    beam = 1 + 0.5 * np.linspace(0, 1, VIEWS)[:, None, None]
    done = prepared(series(noisy(rng, 0.02) * beam), background="plane", normalise="total")
    totals = done.values.sum(axis=(1, 2))
    assert np.ptp(totals) < 1e-3 * totals.mean()
    np.testing.assert_allclose(done.values / totals[0], body() / body()[0].sum(), atol=6e-5)
    flat = prepared(series(noisy(rng, 0.02) * beam), normalise="background")
    corners = flat.values[:, :5, :5].mean(axis=(1, 2))
    assert np.ptp(corners) < 0.01 * corners.mean()
    dark = series(-np.ones((3, 8, 8), np.float32))
    with pytest.raises(UserError, match="View 0 has a total of -64, to which it cannot be normalised"):
        prepared(dark, normalise="total")


def test_absorption_is_the_thickness(rng: np.random.Generator) -> None:
    """Beer's law with a coefficient of 0.05 and a beam that drifts gives back the projected thickness."""
    beam = 1000 * (1 + 0.3 * np.linspace(0, 1, VIEWS)[:, None, None])
    done = prepared(series((beam * np.exp(-0.05 * body())).astype(np.float32)), absorption=True)
    np.testing.assert_allclose(done.values, 0.05 * body(), atol=2e-5)
    report = Report()
    opaque = np.full((3, 20, 20), 100, np.float32)
    opaque[:, 5:8, 5:8] = 0
    assert prepared(series(opaque), report, absorption=True).values.max() == pytest.approx(-np.log(1e-4))
    assert "27 pixels let almost nothing through" in report.facts.notes[-1]
    with pytest.raises(UserError, match="absorption is for bright-field images"):
        prepared(series(-opaque), absorption=True)


def test_binning_is_the_mean_and_follows_the_calibration() -> None:
    values = np.arange(VIEWS * HEIGHT * WIDTH, dtype=np.int16).reshape(VIEWS, HEIGHT, WIDTH)[:, :47]
    report = Report()
    done = prepared(series(values), report, binning=4)
    assert done.shape == (VIEWS, 11, 16)
    assert done.pixel_size_nm == (2.0, 2.0)
    np.testing.assert_allclose(done.values[3, 2, 5], values[3, 8:12, 20:24].mean(), rtol=1e-6)
    assert "4 times as bright" in report.facts.notes[0]


def test_cropping_copies_nothing_and_keeps_the_type(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.arange(VIEWS * HEIGHT * WIDTH, dtype=np.int16).reshape(VIEWS, HEIGHT, WIDTH))
    mapped = np.load(tmp_path / "a.npy", mmap_mode="r")
    done = prepared(series(mapped), region_px=(4, 6, 60, 42), exclude="1,3-4", tilt_axis="x")
    assert np.shares_memory(done.values, mapped)
    np.testing.assert_array_equal(done.values, mapped[:, 6:42, 4:60])
    assert (done.excluded, done.tilt_axis, done.alignment) == ((1, 3, 4), "x", None)
    assert prepared(done, exclude="0").excluded == (0, 1, 3, 4)


@pytest.mark.parametrize("axis", ["y", "x"])
def test_alignment_follows_crop_and_binning(axis: str, rng: np.random.Generator) -> None:
    """A point of the specimen is seen at the same place of the original image, by the words of Alignment."""
    given = Alignment(*(tuple(rng.normal(size=VIEWS) * scale) for scale in (3, 3, 2)), 5.0, 1.5)
    item = series(np.zeros((VIEWS, HEIGHT, WIDTH), np.float32), alignment=given, tilt_axis=axis)
    region, bins = (5, 3, 61, 43), 4
    new = framed_alignment(item, region, bins)
    assert new is not None
    height, width = (HEIGHT, WIDTH) if axis == "y" else (WIDTH, HEIGHT)
    left, top, right, bottom = region if axis == "y" else (region[1], region[0], region[3], region[2])
    for view in range(VIEWS):
        old_at = seen(given, view, np.array([2.0, 7.0])) + np.array([width - 1, height - 1]) / 2
        along = (top + bottom - height) / 2  # the volume is cropped along the axis with the images
        new_px = seen(new, view, np.array([2.0, 7.0 - along]) / bins)
        new_at = new_px * bins + np.array([left + right - 1, top + bottom - 1]) / 2
        np.testing.assert_allclose(new_at, old_at, atol=1e-9)


def seen(alignment: Alignment, view: int, point: np.ndarray) -> np.ndarray:
    """Where an ideal point (t, y) from the centre is seen, from the detector's centre."""
    angle = np.radians(alignment.axis_rotation_deg + alignment.rotation_deg[view])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return turn @ point + [alignment.axis_offset_px + alignment.shift_x_px[view], alignment.shift_y_px[view]]


def test_an_off_centre_crop_keeps_the_axis_where_it_was() -> None:
    done = prepared(series(np.zeros((VIEWS, HEIGHT, WIDTH), np.float32)), region_px=(10, 0, 64, 48))
    assert done.alignment is not None
    assert done.alignment.axis_offset_px == -5.0


def test_references(tmp_path: Path, rng: np.random.Generator) -> None:
    gain = (1 + 0.2 * rng.normal(size=(HEIGHT, WIDTH))).clip(0.3).astype(np.float32)
    dark = np.full((HEIGHT, WIDTH), 100, np.float32)
    true = noisy(rng)
    raw = true * gain / np.median(gain) + dark
    dead = gain.copy()
    dead[20, 20] = 0
    np.save(tmp_path / "gain.npy", dead)
    np.save(tmp_path / "dark.npy", dark)
    report = Report()
    done = prepared(series(raw), report, gain=str(tmp_path / "gain.npy"), dark=str(tmp_path / "dark.npy"),
                    stray_pixels=True, region_px=(2, 2, 62, 46))  # fmt: skip
    np.testing.assert_allclose(done.values, true[:, 2:46, 2:62], atol=2)
    assert np.abs(done.values - true[:, 2:46, 2:62]).mean() < 0.01
    assert "1 pixels of the gain reference are not above 0" in report.facts.notes[0]
    np.save(tmp_path / "small.npy", gain[:10])
    with pytest.raises(UserError, match=r"small\.npy of 64 x 10 pixels is no reference for images of 64 x 48"):
        prepared(series(raw), gain=str(tmp_path / "small.npy"))


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"region_px": (0, 0, 65, 48)}, "0, 0, 65, 48 does not lie in images of 64 x 48"),
        ({"region_px": (0, 0, 3, 3), "binning": 4}, "too small for a binning of 4"),
        ({"exclude": "9"}, "9 is no view of a series of 9; the last is 8"),
        ({"exclude": "4-2"}, "4-2 is no view"),
        ({"exclude": "a"}, "'a' is no view; name views as 3,10-12"),
        ({"exclude": "0-8"}, "All views are excluded"),
        ({"binning": 17}, "binning"),
    ],
)
def test_what_does_not_fit(parameters: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as failure:
        prepared(series(np.zeros((VIEWS, HEIGHT, WIDTH), np.float32)), **parameters)
    assert words in str(failure.value)


def test_it_can_be_cancelled_and_changes_nothing(rng: np.random.Generator) -> None:
    values = noisy(rng)
    before = values.copy()
    with pytest.raises(Cancelled):
        prepared(series(values), Report(cancelled=lambda: True), stray_pixels=True)
    prepared(series(values), stray_pixels=True, background="plane", normalise="total")
    np.testing.assert_array_equal(values, before)


def test_the_axis_is_offered_and_not_applied(rng: np.random.Generator) -> None:
    along_y = series(noisy(rng))
    assert offer_axis(along_y).axis == "y"
    turned = replace(along_y, values=along_y.values.transpose(0, 2, 1))
    assert offer_axis(turned).axis == "x"
    report = Report()
    assert prepared(turned, report).tilt_axis == "y"
    assert report.facts.notes == [
        "The views agree along x, not along y: the tilt axis seems to run along x; choose it if so (--tilt-axis x)."
    ]
    report = Report()
    prepared(turned, report, tilt_axis="x")
    assert report.facts.notes == []
    assert offer_axis(replace(along_y, values=rng.normal(size=along_y.shape))).axis is None
    assert offer_axis(replace(along_y, tilt_deg=tuple(np.linspace(0, 5, VIEWS)))).axis is None


@pytest.mark.parametrize(
    ("name", "axis"),
    [("HAADF.mrc", "x"), ("HAADF_Aligned.hspy", "x"), ("Catalyst3DModel_TiltSeries180.hspy", "x"),
     ("aet_Ta_film/Projections_area2.mat", "y"), ("aet_aSi208/aSi_2nmFosCetr_Dose1p6e5_cov35pm_ForBM3D.mat", "y")],
)  # fmt: skip
def test_axis_of_real_series(name: str, axis: str, data_folder: Path) -> None:
    """The needle and the catalyst were tilted round x (ETSpy's habit), the atomic series round y."""
    item = read(data_folder / "tomography" / name)
    assert isinstance(item, TiltSeries)
    assert offer_axis(item).axis == axis


def test_the_experimental_needle(data_folder: Path) -> None:
    item = read(data_folder / "tomography" / "HAADF.mrc")
    report = Report()
    done = prepared(item, report, stray_pixels=True, background="level", tilt_axis="x")  # type: ignore[arg-type]
    assert done.shape == item.values.shape
    assert done.pixel_size_nm == item.pixel_size_nm  # type: ignore[union-attr]
    changed = np.count_nonzero(np.abs(np.diff(np.asarray(item.values, np.float32) - done.values, axis=2)) > 1e-2)
    assert changed < 0.002 * item.values.size
