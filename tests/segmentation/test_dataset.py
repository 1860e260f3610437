"""From painted slices to lessons: axis, classes, the split with its gap, sampling, grey levels."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from atomseg_app.data import Labels, Volume
from atomseg_app.errors import UserError
from atomseg_app.label_classes import IGNORE, LabelClass
from atomseg_app.segmentation.dataset import AXES, Taught, check_fit, classes_of, painted_axis, split, taught
from atomseg_app.segmentation.grey import GreyRange
from atomseg_app.segmentation.sampling import Sampler, mirrored_indices, slice_indices, window_indices


def painted(shape: tuple[int, int, int], axis: int, places: list[int]) -> np.ndarray:
    labels = np.full(shape, IGNORE, np.uint8)
    random = np.random.default_rng(0)
    view = np.moveaxis(labels, axis, 0)
    for place in places:
        view[place] = random.choice([0, 0, 0, 1, 1, 2], view.shape[1:])
    return labels


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_axis_is_the_one_painted_across(axis: int) -> None:
    assert painted_axis(painted((20, 24, 28), axis, [3, 9, 15])) == AXES[axis]


def test_a_dense_volume_is_sliced_across_the_tilt_axis() -> None:
    assert painted_axis(np.zeros((8, 8, 8), np.uint8)) == "y"


def test_classes_are_those_named_and_those_that_occur() -> None:
    values = np.array([[[0, 40, 255, 40]]], np.uint8)
    named = Labels(values, classes=(LabelClass(40, "metal", "#ff0000"),))
    assert [(each.value, each.name) for each in classes_of(named)] == [(0, "background"), (40, "metal")]
    with pytest.raises(UserError, match="at least two classes"):
        classes_of(Labels(np.full((2, 2, 2), 40, np.uint8), classes=(LabelClass(40, "metal"),)))
    with pytest.raises(UserError, match="no class"):
        classes_of(Labels(np.full((2, 2, 2), IGNORE, np.uint8)))


def test_labels_of_another_shape_are_refused_with_both_shapes() -> None:
    with pytest.raises(UserError, match=r"2 x 3 x 4 .* 2 x 3 x 5"):
        check_fit(Volume(np.zeros((2, 3, 5))), Labels(np.zeros((2, 3, 4), np.uint8)))


def lesson(places: list[int], length: int = 100) -> Taught:
    labels = painted((length, 12, 14), 0, places)
    values = np.random.default_rng(1).normal(size=labels.shape).astype(np.float32)
    return Taught(values, labels, GreyRange(0, 1))


@pytest.mark.parametrize("places", [[5, 25, 45, 65, 85], list(range(100)), [10, 11, 12, 60, 61, 90]])
@pytest.mark.parametrize("gap", [0, 4, 8])
def test_no_slice_is_near_both_parts(places: list[int], gap: int) -> None:
    teaching, judging = split(lesson(places), 0.2, gap, 3)
    one, other = (np.flatnonzero((part.labels != IGNORE).any((1, 2))) for part in (teaching, judging))
    assert len(one)
    assert len(other)
    assert np.abs(one[:, None] - other).min() > gap
    assert set(one) | set(other) <= set(places)
    assert np.ptp(other) == other[-1] - other[0]
    assert 0.05 <= len(other) / len(places) <= 0.4
    for part in (teaching, judging):
        assert (part.counts(3) > 0).all()


def test_the_only_slice_with_a_class_stays_with_what_is_taught() -> None:
    item = lesson([5, 25, 45, 65, 85])
    labels = item.labels.copy()
    labels[(labels == 2) & (np.arange(100) != 85)[:, None, None]] = 0
    teaching, judging = split(Taught(item.values, labels, item.grey), 0.2, 8, 3)
    assert teaching.counts(3)[2] > 0
    assert judging.counts(3)[2] == 0


def test_one_painted_slice_is_cut_across() -> None:
    labels = painted((9, 100, 20), 0, [4])
    teaching, judging = split(Taught(np.zeros(labels.shape), labels, GreyRange(0, 1)), 0.2, 8, 3)
    one, other = (np.flatnonzero((part.labels != IGNORE).any((0, 2))) for part in (teaching, judging))
    assert other.min() - one.max() > 8
    with pytest.raises(UserError, match="paint a second slice"):
        split(Taught(np.zeros((9, 12, 20)), painted((9, 12, 20), 0, [4]), GreyRange(0, 1)), 0.2, 8, 3)


def test_classes_become_indices_and_the_axis_comes_first() -> None:
    labels = np.full((3, 4, 5), IGNORE, np.uint8)
    labels[:, 2], labels[:, 1] = 40, 7
    classes = (LabelClass(7, "a"), LabelClass(40, "b"))
    volume = Volume(np.arange(60, dtype=np.float32).reshape(3, 4, 5))
    item = taught(volume, Labels(labels, classes=classes), classes, "y")
    assert item.values.shape == item.labels.shape == (4, 3, 5)
    assert (item.labels[2] == 1).all()
    assert (item.labels[1] == 0).all()
    assert (item.labels[0] == IGNORE).all()
    assert item.values[2, 1, 3] == volume.values[1, 2, 3]


def test_the_rarest_class_is_in_at_least_its_share_of_the_pieces() -> None:
    labels = np.zeros((40, 200, 200), np.uint8)
    labels[20, 100:104, 50:54] = 2
    labels[:, :100] = 1
    item = Taught(np.zeros(labels.shape, np.float32), labels, GreyRange(0, 1))
    sampler = Sampler([item], 3, channels=1, dimensions=2, oversample=0.4, seed=1)
    assert sampler.rarest == 2
    _, drawn = sampler.draw(300, 32)
    share = float((drawn == 2).flatten(1).any(1).float().mean())
    assert 0.4 + 0.6 / 3 - 0.1 < share < 0.4 + 0.6 / 3 + 0.1  # the rest is drawn evenly from three classes


@pytest.mark.parametrize("dimensions", [2, 3])
def test_pieces_are_what_lies_there(dimensions: int) -> None:
    random = np.random.default_rng(3)
    values = random.normal(size=(20, 30, 34)).astype(np.float32)
    labels = np.full(values.shape, IGNORE, np.uint8)
    labels[7] = (values[7] > 0).astype(np.uint8)
    item = Taught(values, labels, GreyRange(0, 1))
    channels = 5 if dimensions == 2 else 1
    sampler = Sampler([item], 2, channels=channels, dimensions=dimensions, oversample=0.5, seed=1)
    drawn, found = sampler.draw(20, 16)
    middle = drawn[:, channels // 2]
    known = found != IGNORE
    assert known.flatten(1).any(1).all()
    assert torch.equal(((middle > 0) & known), (found == 1))
    again = Sampler([item], 2, channels=channels, dimensions=dimensions, oversample=0.5, seed=1).draw(20, 16)
    assert torch.equal(again[0], drawn)
    assert torch.equal(again[1], found)


def test_indices_are_mirrored_and_windows_stay_inside() -> None:
    assert mirrored_indices(np.arange(-3, 8), 5).tolist() == [3, 2, 1, 0, 1, 2, 3, 4, 3, 2, 1]
    assert mirrored_indices(np.arange(-2, 3), 1).tolist() == [0] * 5
    assert slice_indices(0, 5, 9).tolist() == [2, 1, 0, 1, 2]
    assert slice_indices(8, 3, 9).tolist() == [7, 8, 7]
    assert window_indices(0, 6, 20).tolist() == list(range(6))
    assert window_indices(19, 6, 20).tolist() == list(range(14, 20))
    assert window_indices(2, 8, 5).shape == (8,)


def test_grey_levels_do_not_depend_on_units_or_hot_voxels() -> None:
    random = np.random.default_rng(0)
    values = np.where(random.random((40, 40, 40)) < 0.2, 59.0, 8.0) + random.normal(0, 5, (40, 40, 40))
    values[random.random(values.shape) < 0.003] = 205.0
    plain = GreyRange.of(values).apply(values)
    other = values * 3e-4 - 7.0
    np.testing.assert_allclose(GreyRange.of(other).apply(other), plain, atol=1e-3)
    hot = values.copy()
    hot[0, 0, 0], hot[1, 1, 1] = 1e9, np.nan
    np.testing.assert_allclose(GreyRange.of(hot).apply(hot)[2:], plain[2:], atol=0.01)
    assert np.isfinite(GreyRange.of(hot).apply(hot)).all()
    assert GreyRange.of(hot).apply(hot).max() <= 12
    with pytest.raises(UserError, match="no voxel with a finite value"):
        GreyRange.of(np.full((2, 2, 2), np.nan))
    assert (GreyRange.of(np.full((3, 3, 3), 5.0)).apply(np.full((3, 3, 3), 5.0)) == 0).all()
