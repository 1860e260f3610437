"""Filling a missing wedge: views are obeyed, whatever order, axis and alignment they come in; faults are told."""

from __future__ import annotations

import itertools
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from atomseg_app import operations, places
from atomseg_app.alignment import Alignment
from atomseg_app.data import TiltSeries, Volume
from atomseg_app.errors import Cancelled, UserError
from atomseg_app.networks.card import find_model
from atomseg_app.operations import Report
from atomseg_app.simulate.ellipsoids import phantom
from atomseg_app.tomography import fill_wedge as filling
from atomseg_app.tomography.filled_series import filled_series
from atomseg_app.tomography.geometry import geometry_of
from atomseg_app.tomography.inferred import fourier_view
from atomseg_app.tomography.projector import projector
from tests.tomography.wedge_models import shelve

TILTS = tuple(np.arange(-60.0, 61.0, 5.0))
SIZE, SLICES = 32, 8


@pytest.fixture(autouse=True)
def _models() -> None:
    torch.set_num_threads(1)
    shelve()


@pytest.fixture(scope="module")
def sample() -> tuple[np.ndarray, TiltSeries]:
    truth, views = phantom(SIZE, SLICES, TILTS, noise=0)
    return truth, TiltSeries(views.astype(np.float32), (2.0, 2.0), tilt_deg=TILTS)


def fill(series: TiltSeries, report: Report | None = None, **settings: object) -> Volume:
    operation = operations.get("fill-wedge")
    parameters = operation.parse({"device": "cpu", **settings})
    volume = operations.run(operation, (series,), parameters, report or Report())
    assert isinstance(volume, Volume)
    return volume


def same(one: Volume, other: Volume, share: float = 0.02) -> None:
    """Equal but for bfloat16's rounding."""
    scale = float(np.abs(other.values).max())
    np.testing.assert_allclose(one.values, other.values, rtol=0, atol=share * scale)


def test_projections_of_the_answer_are_what_was_measured(sample) -> None:
    _, series = sample
    volume = fill(series)
    assert volume.shape == (SIZE, SLICES, SIZE)
    assert volume.pixel_size_nm == (2.0, 2.0, 2.0)
    projected = projector(geometry_of(series))(volume.values)
    independent = np.abs(projected - series.values).sum() / np.abs(series.values).sum()
    assert independent < 0.1
    assert volume.metadata["r_factor"] == pytest.approx(independent, rel=0.02)
    assert volume.metadata["r_factor_tilt_deg"] == list(TILTS)
    (step,) = volume.history
    assert step.operation == "fill-wedge"
    (told,) = [note for note in step.notes if "Inferred" in note]
    assert "62.5 to 117.5 degrees, 31 % of all directions, filled by wedge-residual (method best)" in told
    assert (volume.metadata["inferred_from_deg"], volume.metadata["inferred_to_deg"]) == ([62.5], [117.5])
    falling = [note for note in step.notes if "loss of wedge-residual was still falling" in note]
    assert len(falling) == (not find_model("wedge-residual").card.training.converged)


@pytest.mark.parametrize("method", ["best", "joint", "residual"])
def test_slices_do_not_know_of_each_other(method: str, sample, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their order, the size of blocks and slabs change nothing."""
    _, series = sample
    volume = fill(series, method=method)
    monkeypatch.setattr("atomseg_app.tomography.wedge_views.BLOCK", 4)
    monkeypatch.setattr("atomseg_app.tomography.wedge_views._SLAB_BYTES", 4 * len(TILTS) * SIZE * 8)
    monkeypatch.setattr(filling, "BLOCK", 3)
    turned = fill(replace(series, values=series.values[:, ::-1]), method=method)
    same(replace(turned, values=turned.values[:, ::-1]), volume)
    assert volume.metadata["wedge_method"] == method


def test_unsorted_and_repeated_angles_are_the_same_series(sample, rng: np.random.Generator) -> None:
    _, series = sample
    volume = fill(series)
    order = rng.permutation(len(TILTS))
    mixed = replace(series, values=series.values[order], tilt_deg=tuple(TILTS[view] for view in order))
    np.testing.assert_array_equal(fill(mixed).values, volume.values)
    noise = rng.normal(size=series.shape[1:]).astype(np.float32)
    twice = np.concatenate([series.values, series.values[3:4] + noise])
    twice[3] -= noise
    report = Report()
    doubled = fill(replace(series, values=twice, tilt_deg=(*TILTS, TILTS[3])), report)
    same(doubled, volume, 5e-3)
    assert "1 views share their angle with another; the mean is used." in report.facts.notes


def test_repeated_angles_with_other_shifts_are_moved_onto_each_other(sample) -> None:
    _, series = sample
    views = np.concatenate([series.values, np.roll(series.values, 2, axis=2)])
    count = len(TILTS)
    moved = Alignment((0.0,) * count + (2.0,) * count, (0.0,) * 2 * count, (0.0,) * 2 * count)
    doubled = replace(series, values=views, tilt_deg=(*TILTS, *TILTS), alignment=moved)
    for method in ("best", "joint"):
        same(fill(doubled, method=method), fill(series, method=method), 1e-3)


def test_axis_along_x_is_the_transposed_series(sample) -> None:
    _, series = sample
    turned = replace(series, values=series.values.transpose(0, 2, 1), tilt_axis="x", pixel_size_nm=(3.0, 2.0))
    volume = fill(turned)
    np.testing.assert_array_equal(volume.values, fill(series).values)
    assert volume.pixel_size_nm == (3.0, 2.0, 3.0)


def test_excluded_views_and_pixels_that_are_no_number(sample) -> None:
    _, series = sample
    spoiled = series.values.copy()
    spoiled[5] = 1e4
    spoiled[8, 4:6, 7:9] = np.nan
    report = Report()
    volume = fill(replace(series, values=spoiled, excluded=(5,)), report)
    assert np.isfinite(volume.values).all()
    kept = tuple(tilt for view, tilt in enumerate(TILTS) if view != 5)
    clean = fill(replace(series, values=np.delete(series.values, 5, 0), tilt_deg=kept))
    same(volume, clean, 0.1)
    assert any("4 pixels of the series are no number" in note for note in report.facts.notes)
    spoiled[9] = np.nan
    with pytest.raises(UserError, match=r"View 9 of .* holds no number; exclude it"):
        fill(replace(series, values=spoiled, excluded=(5,)))


def test_shifts_and_rotations_are_taken_up() -> None:
    """A series that is moved and turned, with the alignment that says so, gives the volume of the one that is not."""
    truth, views = phantom(SIZE, SLICES, TILTS, noise=0)
    series = TiltSeries(views.astype(np.float32), tilt_deg=TILTS)
    count = len(TILTS)
    alignment = Alignment(
        tuple(np.linspace(-2, 2, count)), tuple(np.linspace(1, -1, count)), tuple(np.linspace(-2, 2, count)), 0.75, 1.0
    )
    moved = replace(series, alignment=alignment)
    seen = projector(geometry_of(moved))(truth.astype(np.float32))
    plain = projector(geometry_of(series))(truth.astype(np.float32))
    expected = fill(replace(series, values=plain)).values
    found = fill(replace(moved, values=seen)).values
    ignored = fill(replace(series, values=seen)).values
    inner = np.s_[:, 3:-3]  # turned views do not know what lies beyond their ends
    error, without = (np.linalg.norm((one - expected)[inner]) for one in (found, ignored))
    assert error < 0.35 * without
    assert error < 0.2 * np.linalg.norm(expected[inner])


@pytest.mark.parametrize("method", ["best", "joint", "residual"])
def test_uncertainty_comes_beside_the_volume_and_tells_of_its_error(method: str, sample) -> None:
    truth, series = sample
    report = Report()
    volume = fill(series, report, method=method, uncertainty=True)
    np.testing.assert_array_equal(volume.values, fill(series, method=method).values)
    spread = report.facts.beside["uncertainty"]
    assert isinstance(spread, Volume)
    assert spread.history == volume.history
    assert spread.shape == volume.shape
    assert float(spread.values.min()) >= 0
    error = np.abs(volume.values - truth)
    assert np.corrcoef(error.ravel(), spread.values.ravel())[0, 1] > 0.3


def test_a_background_is_taken_off(sample) -> None:
    _, series = sample
    plain = fill(series, background="keep")
    level = 0.2 * series.values.max()
    raised = replace(series, values=series.values + level)
    volume = fill(raised)
    same(volume, plain, 0.05)
    assert any("was subtracted" in note for note in volume.history[-1].notes)
    filled = filled_series(raised, volume, Report())
    assert np.median(filled.values[0][:, :2]) == pytest.approx(level, rel=0.1)
    shown = [fourier_view(one, volume, Report()).view_power for one in (raised,)]
    expected = fourier_view(series, plain, Report()).view_power
    np.testing.assert_allclose(shown[0], expected, rtol=0.1)
    unlike = fill(raised, background="keep")
    assert any("unlike those that the networks were trained on" in note for note in unlike.history[-1].notes)
    assert volume.metadata["training_distance"] < unlike.metadata["training_distance"]


def test_euler_angles_of_one_axis_are_tilts_round_it(sample) -> None:
    _, series = sample
    report = Report()
    triples = tuple((0.0, -tilt, 0.0) for tilt in TILTS)
    told = replace(series, euler_deg=triples, tilt_deg=tuple(-tilt for tilt in TILTS))
    same(fill(told, report), fill(series), 0)
    assert not [note for note in report.facts.notes if "Euler" in note]
    assert fourier_view(told, fill(told), report).gaps == fourier_view(series, fill(series), report).gaps
    nearly = replace(told, euler_deg=tuple((0.3, theta, -0.2) for _, theta, _ in triples))
    same(fill(nearly, report), fill(series))
    assert [note for note in report.facts.notes if "by at most 0.1" in note]


@pytest.mark.parametrize(
    ("change", "settings", "words"),
    [
        ({"excluded": tuple(range(16))}, {}, "needs 10 views at different angles, and 9 are in use"),
        ({"tilt_deg": (*TILTS[:9], *TILTS[:9], *TILTS[:7])}, {}, "needs 10 views at different angles, and 9 are"),
        ({"tilt_deg": (float("nan"), *TILTS[1:])}, {}, "View 0 of 25 has no tilt angle"),
        ({"euler_deg": tuple((90.0 * (tilt > 0), tilt, 0.0) for tilt in TILTS)}, {}, "tilted in several directions"),
        ({"values": np.ones((25, SLICES, SIZE))}, {}, "All views of .* are constant"),
        ({}, {"model": "none-such"}, "There is no model 'none-such'"),
        ({}, {"model": "columns"}, "The model 'columns' is one for columns"),
        ({}, {"method": "joint", "sinogram_model": "wedge-cleanup"}, "needs a network that fills sinograms"),
        ({}, {"method": "self", "uncertainty": True}, "gives no uncertainty"),
    ],
)  # fmt: skip
def test_faults_are_one_sentence(change: dict[str, object], settings: dict[str, object], words: str, sample) -> None:
    _, series = sample
    with pytest.raises(UserError, match=words):
        fill(replace(series, **change), **settings)


def test_a_missing_model_says_what_to_do(sample, atomseg_home, monkeypatch: pytest.MonkeyPatch) -> None:
    _, series = sample
    for method, name, preset in (("best", "wedge-residual", "residual"), ("residual", "wedge-artefacts", "artefacts"),
                                 ("joint", "wedge-sinogram", "sinogram")):  # fmt: skip
        monkeypatch.setenv("ATOMSEG_HOME", str(atomseg_home / "empty"))
        monkeypatch.setattr("atomseg_app.networks.card.bundled_folder", lambda: atomseg_home / "none")
        with pytest.raises(UserError, match=rf"model '{name}' is not installed; .*train wedge --preset {preset}"):
            fill(series, method=method)


def test_cancelling_takes_effect_within_two_seconds() -> None:
    tilts = tuple(np.arange(-60.0, 61.0, 2.0))
    views = np.random.default_rng(1).random((len(tilts), 64, 160), np.float32)
    asked, state = threading.Event(), {"at": 0.0}

    def on_progress(_fraction: float, message: str) -> None:
        if message.startswith("slices") and not asked.is_set():
            threading.Timer(0.4, lambda: (state.update(at=time.monotonic()), asked.set())).start()

    with pytest.raises(Cancelled):
        fill(TiltSeries(views, tilt_deg=tilts), Report(on_progress, cancelled=asked.is_set))
    assert time.monotonic() - state["at"] < 2


@pytest.mark.slow
def test_what_was_learned_from_the_series_is_gone_on_with_and_removed_at_the_end(sample) -> None:
    _, series = sample
    work = places.cache_folder() / "wedge-self"
    seen, state = itertools.count(), {"cancelled": False}

    def on_progress(_fraction: float, message: str) -> None:
        state["cancelled"] = next(seen) > 25

    with pytest.raises(Cancelled):
        fill(series, Report(on_progress, cancelled=lambda: state["cancelled"]), method="self", minutes=5)
    (kept,) = work.iterdir()
    assert any(kept.iterdir())
    report = Report()
    volume = fill(series, report, method="self", minutes=0.02)
    assert list(work.iterdir()) == []
    assert volume.metadata["wedge_models"] == ""
    assert volume.metadata["r_factor"] < 0.1
    assert any("by a network that learned from this series alone (method self)" in note for note in report.facts.notes)


def test_memory_that_runs_out_halves_the_blocks(sample, monkeypatch: pytest.MonkeyPatch) -> None:
    _, series = sample
    expected = fill(series)
    whole = filling.method_of

    def meagre(*arguments):
        method = whole(*arguments)

        def fill_few(views: torch.Tensor, beam) -> torch.Tensor:
            if len(views) > 3:
                raise RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory")
            return method.fill(views, beam)

        return replace(method, fill=fill_few)

    monkeypatch.setattr(filling, "method_of", meagre)
    report = Report()
    same(fill(series, report), expected)
    assert any("were filled in halves" in note for note in report.facts.notes)
