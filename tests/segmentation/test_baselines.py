"""Baselines: Otsu against scikit-image and a closed form, the forest against what it must find."""

from __future__ import annotations

import time

import numpy as np
import pytest
from skimage.filters import threshold_multiotsu

from atomseg_app.data import Labels, Volume
from atomseg_app.errors import Cancelled, UserError
from atomseg_app.label_classes import IGNORE, LabelClass
from atomseg_app.operations import Report
from atomseg_app.segmentation.baselines import Forest, forest, otsu, otsu_thresholds

CLASSES = (LabelClass(0, "pores"), LabelClass(1, "support"), LabelClass(2, "metal"))


def phantom(shape: tuple[int, int, int] = (20, 48, 48), noise: float = 12.0) -> tuple[Volume, np.ndarray]:
    """A slab of support with bright balls in noise, and its classes."""
    random = np.random.default_rng(3)
    z, y, x = np.indices(shape)
    truth = (np.abs(y - shape[1] / 2) < 12).astype(np.uint8)
    for centre in random.uniform(0.2, 0.8, (6, 3)) * shape:
        truth[(z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 < 4**2] = 2
    grey = np.array([8.0, 59.0, 205.0])[truth] + random.normal(0, noise, shape)
    return Volume(grey.astype(np.float32)), truth


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_thresholds_are_scikit_images(classes: int) -> None:
    values = phantom()[0].values
    bin_width = np.ptp(values) / 256
    np.testing.assert_allclose(
        otsu_thresholds(values, classes), threshold_multiotsu(values, classes), atol=1.01 * bin_width
    )


def test_otsu_of_levels_without_noise_is_exact_and_ordered() -> None:
    volume, truth = phantom(noise=0.0)
    found = otsu(volume, CLASSES)
    assert np.array_equal(found.values, truth)
    assert found.classes == CLASSES
    backwards = (LabelClass(9, "dark"), LabelClass(20, "middle"), LabelClass(30, "bright"))
    assert set(np.unique(otsu(volume, backwards).values)) == {9, 20, 30}
    with pytest.raises(UserError, match="too few grey levels"):
        otsu(Volume(np.ones((3, 3, 3))), 2)


def test_a_forest_of_three_slices_finds_the_rest() -> None:
    volume, truth = phantom(noise=40.0)
    labels = np.full(truth.shape, IGNORE, np.uint8)
    labels[[4, 9, 14]] = truth[[4, 9, 14]]
    found = forest(volume, Labels(labels, classes=CLASSES)).values
    by_threshold = otsu(volume, CLASSES).values
    for value in range(3):
        both, either = (found == value) & (truth == value), (found == value).sum() + (truth == value).sum()
        simple = (
            2
            * ((by_threshold == value) & (truth == value)).sum()
            / ((by_threshold == value).sum() + (truth == value).sum())
        )
        assert 2 * both.sum() / either > max(0.85, simple)


def test_a_class_may_be_absent_and_values_need_not_count_up() -> None:
    volume, truth = phantom()
    labels = np.full(truth.shape, IGNORE, np.uint8)
    labels[10] = np.where(truth[10] > 0, 40, 7)
    named = (LabelClass(7, "out"), LabelClass(20, "never painted"), LabelClass(40, "in"))
    taught = Forest.taught(volume, Labels(labels, classes=named))
    assert taught.axis == "z"
    assert set(np.unique(taught.slice_labels(volume, 5))) == {7, 40}
    assert np.mean((taught.slice_labels(volume, 5) == 40) == (truth[5] > 0)) > 0.97


def test_a_seed_gives_the_same_forest_again_and_cancelling_ends_it() -> None:
    volume, truth = phantom((8, 32, 32))
    labels = Labels(np.where(np.arange(8)[:, None, None] % 4 == 0, truth, np.uint8(IGNORE)), classes=CLASSES)
    assert np.array_equal(forest(volume, labels).values, forest(volume, labels).values)
    with pytest.raises(Cancelled):
        forest(volume, labels, Report(cancelled=lambda: True))


def test_a_slice_is_previewed_at_once() -> None:
    volume, truth = phantom((9, 256, 256))
    labels = np.full(truth.shape, IGNORE, np.uint8)
    labels[4] = truth[4]
    taught = Forest.taught(volume, Labels(labels, classes=CLASSES))
    began = time.process_time()
    taught.slice_labels(volume, 5)
    assert time.process_time() - began < 2.0
