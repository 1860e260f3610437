"""How far views are from the training data: features of any views, distances, and who is warned."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from atomseg_app import places
from atomseg_app.benchmarks.wedge_range import ODD
from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.simulate.wedge import WedgeSimulator
from atomseg_app.simulate.wedge_preset import HELD_OUT, WEDGE_TRAINING
from atomseg_app.tomography.training_range import (
    FEATURES,
    RANGE_FILE,
    distance_of,
    features_of,
    judged,
    range_notes,
    training_range,
)

TILTS = torch.arange(-60, 61, 3, dtype=torch.float64)
BEAM = ParallelBeam(TILTS, 64)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def batch():
    preset = replace(WEDGE_TRAINING, size_px=64, families=HELD_OUT)
    return WedgeSimulator(preset, 77, torch.device("cpu")).batch(12, TILTS)


def test_features_know_neither_scale_nor_the_order_of_slices(batch) -> None:
    found = features_of(batch.views, BEAM)
    assert found.shape == (12, len(FEATURES))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(features_of(1000 * batch.views, BEAM), found, atol=2e-3)
    np.testing.assert_allclose(features_of(batch.views.flip(0), BEAM)[::-1], found, atol=1e-5)


def test_large_views_are_judged_as_binned_ones(batch) -> None:
    quiet = replace(WEDGE_TRAINING, size_px=256, families=("twins",), counted=0.0, shift_px=(0, 0), gain=(0, 0))
    large = WedgeSimulator(quiet, 5, torch.device("cpu")).batch(2, TILTS)
    binned = torch.nn.functional.avg_pool1d(large.views, 4)
    one, other = features_of(large.views, ParallelBeam(TILTS, 256)), features_of(binned, BEAM)
    noise = list(FEATURES).index("noise")  # that of the pixels as they are
    np.testing.assert_allclose(np.delete(one, noise, 1), np.delete(other, noise, 1), atol=0.25)


def test_empty_slices_are_no_evidence(batch) -> None:
    views = batch.views[:4].clone()
    views[1:3] = 0
    assert torch.equal(judged(views), views[[0, 3]])
    assert distance_of(torch.zeros(3, len(TILTS), 64), BEAM)[0] == np.inf


def test_unseen_families_do_not_warn_and_odd_views_do(batch) -> None:
    known = training_range()
    told = json.loads((places.resources_folder() / RANGE_FILE).read_text("utf-8"))
    assert told["features"] == list(FEATURES)
    assert known.false_alarms <= 0.03
    assert range_notes(*distance_of(batch.views, BEAM)) == []
    for name, word in (("background of 20 % of the brightest pixel", "at their sides"),
                       ("bright field, not inverted", "at their sides"), ("one count a pixel", "detail")):  # fmt: skip
        (note,) = range_notes(*distance_of(ODD[name](batch, BEAM), BEAM))
        assert "unlike those that the networks were trained on" in note
        assert word in note, name
