"""Matching of found and true columns: hand-made cases, every pairing tried, invariances."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from atomseg_app.benchmarks.matching import Score, match, match_radius, nearest_spacing, score


def places(*pairs: tuple[float, float]) -> np.ndarray:
    return np.array(pairs, float).reshape(-1, 2)


def test_each_true_column_is_found_once() -> None:
    """Two found at one true column: the nearer is right, the other false; one true column is missed."""
    result = score(places((0, 1), (0.5, 0), (40, 40)), places((0, 0), (20, 20), (40, 43)), 3)
    assert (result.tp, result.fp, result.fn) == (2, 1, 1)
    assert result.square_px2 == pytest.approx(0.25 + 9)
    assert result.rms_px == pytest.approx(np.sqrt(9.25 / 4))
    assert result.precision == result.recall == result.f1 == pytest.approx(2 / 3)


def test_just_outside_the_radius_is_missed_and_false() -> None:
    assert score(places((3, 0)), places((0, 0)), 3).tp == 1
    outside = score(places((3.001, 0)), places((0, 0)), 3)
    assert (outside.tp, outside.fp, outside.fn) == (0, 1, 1)
    assert np.isnan(outside.rms_px)
    assert outside.f1 == 0


def test_each_true_column_has_its_own_radius() -> None:
    found, true = places((2, 0), (22, 0)), places((0, 0), (20, 0))
    assert score(found, true, np.array([1.0, 3.0])) == Score(1, 1, 1, 4.0)


def test_ignored_columns_count_neither_way() -> None:
    true, ignored = places((0, 0), (20, 0), (40, 0)), np.array([False, True, False])
    assert score(places((0, 0), (20, 0), (40, 0)), true, 3, ignored) == Score(2, 0, 0, 0.0)
    assert score(places((0, 0), (40, 0)), true, 3, ignored) == Score(2, 0, 0, 0.0)
    twice = score(places((0, 0), (20, 0), (20, 1), (40, 0)), true, 3, ignored)
    assert (twice.tp, twice.fp, twice.fn) == (2, 1, 0)  # an ignored column excuses one


def test_a_found_column_belongs_to_the_nearer_of_an_ignored_and_a_counted_one() -> None:
    true, ignored = places((0, 0), (2, 0)), np.array([False, True])
    assert score(places((0.3, 0)), true, 3, ignored) == Score(1, 0, 0, pytest.approx(0.09))
    missed = score(places((1.8, 0)), true, 3, ignored)
    assert (missed.tp, missed.fp, missed.fn) == (0, 0, 1)


def test_pairs_are_chosen_together() -> None:
    """The nearest pair first would leave a true column and a found one alone that fit each other."""
    found, true = places((1.9, 0), (-2.0, 0)), places((0, 0), (4, 0))
    of_found, of_true = match(found, true, 3)
    assert dict(zip(of_true.tolist(), of_found.tolist(), strict=True)) == {0: 1, 1: 0}


def test_a_perfect_hit_is_not_given_up_for_two_poor_ones() -> None:
    of_found, of_true = match(places((0, 0), (2.9, 0)), places((0, 0), (-2.9, 0)), 3)
    assert (of_found.tolist(), of_true.tolist()) == ([0], [0])


def test_nothing_found_or_nothing_there() -> None:
    none, one = places(), places((1, 1))
    assert score(none, one, 3) == Score(0, 0, 1, 0.0)
    assert score(one, none, 3) == Score(0, 1, 0, 0.0)
    empty = score(none, none, 3)
    assert empty == Score(0, 0, 0, 0.0)
    assert all(np.isnan([empty.f1, empty.precision, empty.recall]))


def test_images_are_added_before_they_are_divided() -> None:
    every = Score.total([Score(1, 0, 0, 0.5), Score(1, 1, 2, 1.5), Score(0, 0, 0, 0.0)])
    assert every == Score(2, 1, 2, 2.0)
    assert every.f1 == pytest.approx(4 / 7)


def test_the_radius_of_a_spacing() -> None:
    assert match_radius([5.0, 10.0, 100.0, np.inf]).tolist() == [1.5, 3.0, 3.0, 3.0]
    assert nearest_spacing(places((0, 0), (3, 4), (30, 0))).tolist() == [5, 5, pytest.approx(np.hypot(27, 4))]
    assert nearest_spacing(places((1, 1))).tolist() == [np.inf]


def test_the_best_of_all_pairings(rng: np.random.Generator) -> None:
    """Against every possible pairing of crowded places."""
    for _ in range(60):
        found, true = rng.uniform(0, 6, (4, 2)), rng.uniform(0, 6, (5, 2))
        radius = rng.uniform(1, 4, 5)
        gain = radius**2 - ((found[:, None] - true[None]) ** 2).sum(-1)
        gain = np.hstack([np.where(gain > 0, gain, -1e9), np.zeros((4, 4))])  # or left alone
        best = max(gain[range(4), choice].sum() for choice in itertools.permutations(range(9), 4))
        of_found, of_true = match(found, true, radius)
        assert len(set(of_found)) == len(of_found)
        assert len(set(of_true)) == len(of_true)
        assert gain[of_found, of_true].sum() == pytest.approx(best)


def test_order_shift_and_rotation_do_not_matter(rng: np.random.Generator) -> None:
    true = rng.uniform(0, 200, (400, 2))
    found = np.vstack([true[:300] + rng.normal(0, 1, (300, 2)), rng.uniform(0, 200, (50, 2))])
    ignored = rng.random(400) < 0.2
    first = score(found, true, 3, ignored)
    turn = np.array([[0.6, 0.8], [-0.8, 0.6]])
    order = rng.permutation(400)
    second = score(rng.permutation(found) @ turn + 7, (true @ turn + 7)[order], 3, ignored[order])
    assert (first.tp, first.fp, first.fn) == (second.tp, second.fp, second.fn)
    assert first.square_px2 == pytest.approx(second.square_px2)


def test_senseless_input_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite x, y pairs"):
        score(places((np.nan, 0)), places((0, 0)), 3)
    with pytest.raises(ValueError, match="not finite x, y pairs"):
        score(np.zeros((2, 3)), places((0, 0)), 3)
    with pytest.raises(ValueError, match="radius"):
        score(places((0, 0)), places((0, 0)), np.array([1.0, 2.0]))
    with pytest.raises(ValueError, match="radius"):
        score(places((0, 0)), places((0, 0)), -1)
    with pytest.raises(ValueError, match="ignored"):
        score(places((0, 0)), places((0, 0)), 3, np.array([True, False]))
