"""Errors of labels against a reference, on hand cases and generated blocks."""

from __future__ import annotations

import numpy as np
import pytest

from atomseg_app.errors import UserError
from atomseg_app.label_classes import IGNORE
from atomseg_app.operations import Report
from atomseg_app.segmentation.error_codes import MISSED, RIGHT, TOO_MUCH, error_codes
from atomseg_app.segmentation.error_list import list_errors


def test_codes_count_as_a_confusion_matrix_does(rng):
    found, truth = rng.integers(0, 3, (6, 20, 20)), rng.integers(0, 3, (6, 20, 20))
    truth[rng.random(truth.shape) < 0.2] = IGNORE
    for value in range(3):
        codes = error_codes(found, truth, value)
        known = truth != IGNORE
        assert (codes == RIGHT).sum() == ((found == value) & (truth == value)).sum()
        assert (codes == TOO_MUCH).sum() == ((found == value) & (truth != value) & known).sum()
        assert (codes == MISSED).sum() == ((found != value) & (truth == value)).sum()
        assert not codes[~known].any()


def test_places_are_listed_from_the_largest_with_a_voxel_inside():
    truth = np.zeros((20, 30, 30), np.uint8)
    truth[2:6, 2:6, 2:6] = truth[10:13, 10:13, 10:13] = 1
    found = truth.copy()
    found[2:6, 2:6, 2:6] = 0
    found[16:18, 20:22, 20:22] = 1
    errors = list_errors(found, truth, 1, Report())
    assert errors.total == 2
    np.testing.assert_array_equal(errors.places[:, 3:], [[64, MISSED], [8, TOO_MUCH]])
    codes = error_codes(found, truth, 1)
    for z, y, x, _, code in errors.places:
        assert codes[z, y, x] == code
    np.testing.assert_array_equal(errors.profile.sum(1), [27, 8, 64])
    assert errors.profile[2, 2:6].tolist() == [16] * 4


def test_a_ring_is_shown_at_one_of_its_own_voxels():
    """The middle of a ring is no error: the cross-hair must not land there."""
    truth = np.zeros((3, 21, 21), np.uint8)
    truth[1, 5:16, 5:16] = 1
    truth[1, 6:15, 6:15] = 0
    errors = list_errors(np.zeros_like(truth), truth, 1, Report())
    z, y, x = errors.places[0, :3]
    assert truth[z, y, x] == 1


def test_no_errors_and_other_shapes():
    same = np.ones((4, 5, 6), np.uint8)
    errors = list_errors(same, same, 1, Report())
    assert errors.total == 0
    assert errors.places.shape == (0, 5)
    with pytest.raises(UserError, match=r"\(4, 5, 6\), but the reference has \(4, 5, 7\)"):
        list_errors(same, np.ones((4, 5, 7), np.uint8), 1, Report())
