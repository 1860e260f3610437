"""Noise of projections: less of it, whatever order, axis and alignment the views have; faults are told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import ndimage

from atomseg_app import operations
from atomseg_app.alignment import Alignment
from atomseg_app.data import TiltSeries
from atomseg_app.errors import Cancelled, UserError
from atomseg_app.operations import Report
from atomseg_app.simulate.ellipsoids import phantom
from atomseg_app.tomography.geometry import geometry_of
from atomseg_app.tomography.projector import projector

TILTS = tuple(np.arange(-60.0, 61.0, 4.0))
SIZE, SLICES = 48, 8


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def sample() -> tuple[np.ndarray, TiltSeries]:
    """Views without noise, and the series with it."""
    _, views = phantom(SIZE, SLICES, TILTS, noise=0)
    clean = views.astype(np.float32)
    noise = 0.05 * clean.max() * np.random.default_rng(4).normal(size=clean.shape)
    return clean, TiltSeries((clean + noise).astype(np.float32), (2.0, 2.0), tilt_deg=TILTS)


def denoised(series: TiltSeries, report: Report | None = None, **settings: object) -> TiltSeries:
    operation = operations.get("denoise-tilts")
    result = operations.run(operation, (series,), operation.parse({"device": "cpu", **settings}), report or Report())
    assert isinstance(result, TiltSeries)
    return result


def off(values: np.ndarray, clean: np.ndarray) -> float:
    return float(np.linalg.norm(values - clean) / np.linalg.norm(clean))


def test_most_of_the_noise_goes(sample: tuple[np.ndarray, TiltSeries]) -> None:
    clean, series = sample
    result = denoised(series)
    assert off(result.values, clean) < 0.5 * off(series.values, clean)
    blurred = min(off(ndimage.gaussian_filter(series.values, (0, size, size)), clean) for size in (0.5, 0.7, 1.0, 1.4))
    assert off(result.values, clean) < 0.9 * blurred
    assert (result.tilt_deg, result.pixel_size_nm, result.shape) == (series.tilt_deg, (2.0, 2.0), series.shape)
    (step,) = result.history
    assert any("taken out by wedge-projections" in note for note in step.notes)


def test_views_without_noise_stay_what_they_are(sample: tuple[np.ndarray, TiltSeries]) -> None:
    clean, series = sample
    assert off(denoised(replace(series, values=clean)).values, clean) < 0.02


def test_order_axis_and_background_do_not_matter(
    sample: tuple[np.ndarray, TiltSeries], rng: np.random.Generator
) -> None:
    _, series = sample
    plain = denoised(series).values
    order = rng.permutation(len(TILTS))
    mixed = replace(series, values=series.values[order], tilt_deg=tuple(TILTS[view] for view in order))
    np.testing.assert_array_equal(denoised(mixed).values, plain[order])
    turned = replace(series, values=series.values.transpose(0, 2, 1), tilt_axis="x")
    np.testing.assert_array_equal(denoised(turned).values, plain.transpose(0, 2, 1))
    level = 0.3 * float(series.values.max())
    raised = denoised(replace(series, values=series.values + level))
    assert off(raised.values - level, plain) < 0.05
    assert any("was subtracted" in note for note in raised.history[-1].notes)


def test_excluded_views_stay_as_they_were(sample: tuple[np.ndarray, TiltSeries]) -> None:
    clean, series = sample
    spoiled = series.values.copy()
    spoiled[5] = 1e4
    result = denoised(replace(series, values=spoiled, excluded=(5,)))
    np.testing.assert_array_equal(result.values[5], spoiled[5])
    rest = np.delete(np.arange(len(TILTS)), 5)
    assert off(result.values[rest], clean[rest]) < 0.5 * off(series.values[rest], clean[rest])
    assert result.excluded == (5,)


def test_turned_and_moved_views_come_back_to_their_places() -> None:
    truth, _ = phantom(SIZE, 24, TILTS, noise=0)
    count = len(TILTS)
    alignment = Alignment(
        tuple(np.linspace(-2, 2, count)), tuple(np.linspace(1, -1, count)), tuple(np.linspace(-2, 2, count)), 0.75, 1.0
    )
    still = TiltSeries(np.zeros((count, 24, SIZE), np.float32), tilt_deg=TILTS, alignment=alignment)
    clean = projector(geometry_of(still))(truth.astype(np.float32))
    noisy = (clean + 0.05 * clean.max() * np.random.default_rng(4).normal(size=clean.shape)).astype(np.float32)
    result = denoised(replace(still, values=noisy))
    inner = np.s_[:, 3:-3]
    assert off(result.values[inner], clean[inner]) < 0.5 * off(noisy[inner], clean[inner])
    assert result.alignment == alignment
    assert any("turned to the axis and back" in note for note in result.history[-1].notes)


@pytest.mark.parametrize(
    ("change", "settings", "words"),
    [
        ({"excluded": tuple(range(22))}, {}, "needs 10 views at different angles, and 9 are in use"),
        ({"euler_deg": tuple((90.0 * (tilt > 0), tilt, 0.0) for tilt in TILTS)}, {}, "tilted in several directions"),
        ({}, {"model": "wedge-residual"}, "gives no projections"),
        ({}, {"model": "none-such"}, "There is no model 'none-such'"),
    ],
)  # fmt: skip
def test_faults_are_one_sentence(
    change: dict[str, object], settings: dict[str, object], words: str, sample: tuple[np.ndarray, TiltSeries]
) -> None:
    with pytest.raises(UserError, match=words):
        denoised(replace(sample[1], **change), **settings)


def test_it_can_be_cancelled(sample: tuple[np.ndarray, TiltSeries]) -> None:
    told: list[str] = []
    report = Report(lambda _fraction, message: told.append(message), cancelled=lambda: "slice 0 of 8" in told)
    with pytest.raises(Cancelled):
        denoised(sample[1], report)
