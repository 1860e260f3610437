"""Agreement of labels: figures worked out by hand, absent classes, ignored voxels, distances against closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from atomseg_app.data import Labels
from atomseg_app.errors import UserError
from atomseg_app.label_classes import IGNORE, LabelClass
from atomseg_app.segmentation.metrics import compare
from atomseg_app.segmentation.surface_distance import surface_distances

CLASSES = (LabelClass(0, "pores"), LabelClass(1, "support"), LabelClass(2, "metal"))


def labels(values: object, size_nm: tuple[float | None, ...] = (None,) * 3) -> Labels:
    return Labels(np.asarray(values, np.uint8), size_nm, classes=CLASSES)


def test_figures_of_a_case_worked_out_by_hand() -> None:
    truth = labels([[[0, 0, 0, 1, 1, 2]], [[0, 0, 1, 1, 1, 1]]])
    found = labels([[[0, 0, 1, 1, 1, 1]], [[0, 1, 1, 1, 0, 2]]])
    result = compare(found, truth)
    pores, support, metal = result.scores
    np.testing.assert_array_equal(result.matrix, [[3, 2, 0, 0], [1, 4, 1, 0], [0, 1, 0, 0]])
    assert support.dice == pytest.approx(2 * 4 / (7 + 6))
    assert support.iou == pytest.approx(4 / 9)
    assert support.precision == pytest.approx(4 / 7)
    assert support.recall == pytest.approx(4 / 6)
    assert support.specificity == pytest.approx(3 / 6)
    assert support.volume_fraction_error == pytest.approx(1 / 12)
    assert (metal.dice, metal.recall, metal.precision, metal.volume_fraction_error) == (0.0, 0.0, 0.0, 0.0)
    assert pores.of_slices == pytest.approx((2 * 2 / 5 + 2 * 1 / 4) / 2)
    assert result.slice_dice.shape == (2, 3)
    assert result.unit == "px"


def test_a_class_that_is_absent_has_no_figure() -> None:
    result = compare(labels([[[0, 0, 1]]]), labels([[[0, 1, 1]]]))
    metal = result.scores[2]
    assert (metal.dice, metal.iou, metal.precision, metal.recall, metal.hd95, metal.of_slices) == (None,) * 6
    assert metal.specificity == 1.0
    assert np.isnan(result.slice_dice[0, 2])


def test_ignored_voxels_of_the_reference_count_nowhere() -> None:
    truth = labels([[[0, 1, IGNORE, IGNORE, 1]]])
    result = compare(labels([[[0, 1, 2, 0, 1]]]), truth)
    assert result.matrix.sum() == 3
    assert result.scores[1].dice == 1.0
    assert result.scores[2].dice is None
    unknown = compare(labels([[[0, IGNORE, 2, 0, 1]]]), truth)
    assert unknown.matrix[1].tolist() == [0, 1, 0, 1], "what was found to be nothing is missed"


def test_shapes_that_differ_are_told() -> None:
    with pytest.raises(UserError, match=r"1 x 1 x 3 .*1 x 3 x 1"):
        compare(labels([[[0, 0, 1]]]), labels([[[0], [0], [1]]]))
    with pytest.raises(UserError, match="no labelled voxel"):
        compare(labels([[[0, 0, 1]]]), labels([[[IGNORE] * 3]]))
    with pytest.raises(UserError, match="correct one"):
        compare(labels([[[0]]], (1, 1, 1)), labels([[[0]]], (1, 1, 2)))


def _ball(shape: tuple[int, ...], centre: tuple[float, ...], radius: float) -> np.ndarray:
    grid = np.indices(shape)
    return sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True)) <= radius**2


def test_distances_between_shifted_planes_and_concentric_balls_are_known() -> None:
    truth, found = np.zeros((2, 20, 30, 30), np.uint8)
    truth[8:], found[12:] = 1, 1
    assert compare(labels(found, (0.5, 1, 1)), labels(truth, (0.5, 1, 1))).scores[1].hd95 == pytest.approx(2.0)
    small, large = (_ball((40, 40, 40), (20, 20, 20), r).astype(np.uint8) for r in (10.0, 14.0))
    result = compare(labels(small, (2, 2, 2)), labels(large, (2, 2, 2)))
    assert result.unit == "nm"
    assert result.scores[1].mean_distance == pytest.approx(8.0, abs=0.8)
    assert compare(labels(large), labels(large)).scores[1].hd95 == 0.0


def test_distances_agree_with_distance_transforms_in_voxels_that_are_no_cubes() -> None:
    random = np.random.default_rng(4)
    spacing = (0.7, 1.1, 0.4)
    one, other = (ndimage.gaussian_filter(random.normal(size=(24, 26, 28)), 2.5) > 0.02 for _ in range(2))
    found = surface_distances(one.astype(np.uint8), other.astype(np.uint8), 1, spacing)
    edges = [mask & ~ndimage.binary_erosion(mask, border_value=1) for mask in (one, other)]
    ways = [ndimage.distance_transform_edt(~there, sampling=spacing)[here] for here, there in (edges, edges[::-1])]
    assert found is not None
    assert found.hd95 == pytest.approx(max(np.percentile(way, 95) for way in ways))
    assert found.mean == pytest.approx(np.concatenate(ways).mean())


def test_both_ways_swap_precision_and_recall() -> None:
    random = np.random.default_rng(1)
    one, other = (labels(random.integers(0, 3, (4, 9, 8))) for _ in range(2))
    there, back = compare(one, other), compare(other, one)
    for a, b in zip(there.scores, back.scores, strict=True):
        assert (a.dice, a.iou, a.hd95) == pytest.approx((b.dice, b.iou, b.hd95))
        assert a.precision == pytest.approx(b.recall)
