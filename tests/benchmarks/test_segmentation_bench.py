"""The figures of ``atomseg bench segmentation``: matching, thresholds, scenes and painted slices by hand."""

from __future__ import annotations

import numpy as np
import pytest

from atomseg_app.benchmarks.painting import _with_metal, painted
from atomseg_app.benchmarks.segmentation import best_threshold, dice, grey_levels
from atomseg_app.benchmarks.segmentation_truth import match
from atomseg_app.label_classes import IGNORE
from atomseg_app.simulate.catalyst import make_catalyst
from atomseg_app.simulate.catalyst_preset import METAL


def test_matching_counts_merged_and_split_particles() -> None:
    truth, found = np.zeros((2, 4, 6, 40), np.int32)
    truth[:, :, 0:8], truth[:, :, 10:18], truth[:, :, 20:30], truth[:, :, 34:36] = 1, 2, 3, 4
    found[:, :, 0:18], found[:, :, 20:29] = 1, 2
    result = match(found, truth)
    assert (result.true, result.found, result.matched, result.merged) == (4, 2, 1, 1)
    assert result.errors == pytest.approx([0.9 ** (1 / 3) - 1])
    same = match(truth, truth)
    assert (same.matched, same.merged, max(same.errors)) == (4, 0, 0.0)
    split = match(np.where(truth == 3, np.where(np.arange(40) < 25, 3, 5), truth), truth)
    assert (split.found, split.matched) == (5, 3)


def test_the_best_threshold_is_the_best_of_all() -> None:
    random = np.random.default_rng(1)
    histogram = random.integers(0, 50, (3, 256))
    level, value = best_threshold(histogram)
    every = [
        2 * histogram[2, t:].sum() / (histogram[:, t:].sum() + histogram[2].sum()) for t in range(256)
    ]  # fmt: skip
    assert value == pytest.approx(max(every))
    assert level == int(np.argmax(every))


def test_dice_of_a_matrix_and_the_set_that_it_is_of() -> None:
    matrix = np.array([[5, 1, 0, 0], [2, 6, 0, 1], [0, 0, 0, 0]])
    assert dice(matrix, 1) == pytest.approx(12 / (9 + 7))
    assert np.isnan(dice(matrix, 2))
    made = make_catalyst(3, (32, 10, 32))
    levels = grey_levels([made, made])
    assert levels.sum() == 2 * made.labels.values.size
    few = painted(made, 8, 2).values
    taught = (few != IGNORE).any(axis=(0, 2))
    assert taught.sum() == 2
    assert not taught[8:].any()
    np.testing.assert_array_equal(few[:, taught], made.labels.values[:, taught])
    assert (painted(made, 8, 8).values != IGNORE).any(axis=(0, 2)).sum() == 8


def test_painting_is_judged_where_there_is_metal() -> None:
    made = list(_with_metal(make_catalyst, 700, 2, 48, 32))
    assert len(made) == 2
    for seed, one in made:
        again = make_catalyst(700 + seed, (48,) * 3).labels.values
        np.testing.assert_array_equal(one.labels.values, again)
        assert (again[:, :32] == METAL).mean() >= 0.001
        assert (again[:, 36:] == METAL).mean() >= 0.001
