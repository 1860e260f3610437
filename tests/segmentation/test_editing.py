"""Edits of labels that look at the volume, on generated balls and slabs."""

from __future__ import annotations

import numpy as np
import pytest

from atomseg_app.errors import UserError
from atomseg_app.label_classes import IGNORE
from atomseg_app.operations import Report
from atomseg_app.segmentation.editing import CLEANERS, Part, edited

SHAPE = (30, 36, 40)
Z, Y, X = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]


def ball(centre: tuple[int, int, int], radius: float) -> np.ndarray:
    return (Z - centre[0]) ** 2 + (Y - centre[1]) ** 2 + (X - centre[2]) ** 2 <= radius**2


def mask_of(parts: list[Part], *, erase: bool = False) -> np.ndarray:
    """All that the parts paint."""
    result = np.zeros(SHAPE, bool)
    for part in parts:
        if part.erase == erase:
            place = tuple(slice(s, s + n) for s, n in zip(part.start, part.mask.shape, strict=True))
            result[place] |= part.mask
    return result


def test_a_region_grows_over_one_particle_and_not_the_other(rng):
    one, other = ball((10, 12, 12), 6), ball((20, 24, 28), 5)
    values = np.where(one | other, 200.0, 10.0) + rng.normal(0, 4, SHAPE)
    parts = edited("grow", {"seed": (10, 12, 12), "tolerance": 0.2}, [values], Report())
    np.testing.assert_array_equal(mask_of(parts), one)


def test_what_would_fill_the_volume_is_refused(rng):
    values = rng.normal(10, 1, SHAPE)
    with pytest.raises(UserError, match="Lower the tolerance"):
        edited("grow", {"seed": (1, 1, 1), "tolerance": 2.0}, [values], Report())


def test_a_part_is_connected_by_corners_too():
    labels = np.zeros(SHAPE, np.uint8)
    labels[3:6, 3:6, 3:6] = labels[6:9, 6:9, 6:9] = 2
    labels[20:22, 20:22, 20:22] = 2
    found = mask_of(edited("component", {"seed": (4, 4, 4)}, [labels], Report()))
    assert found.sum() == 54
    assert not found[20:22].any()


def test_slices_between_two_discs_are_a_cone():
    """Radii change linearly where outlines are circles about one centre: the closed form of the interpolation."""
    labels = np.full(SHAPE, IGNORE, np.uint8)
    for z, radius in ((5, 12.0), (15, 4.0)):
        labels[z][(Y[0] - 18) ** 2 + (X[0] - 20) ** 2 <= radius**2] = 1
    found = mask_of(edited("between", {"value": 1}, [labels], Report()))
    for z in range(6, 15):
        radius = 12 + (4 - 12) * (z - 5) / 10
        assert np.sqrt(found[z].sum() / np.pi) == pytest.approx(radius, abs=0.5)
    assert not found[:6].any()
    assert not found[15:].any()


def test_there_must_be_slices_between():
    labels = np.full(SHAPE, IGNORE, np.uint8)
    labels[5, :4, :4] = labels[6, :4, :4] = 1
    with pytest.raises(UserError, match="no slice between"):
        edited("between", {"value": 1}, [labels], Report())


@pytest.mark.parametrize("how", ["dilate", "erode"])
def test_growing_and_shrinking_move_the_surface_by_a_voxel(how):
    labels = np.where(ball((15, 18, 20), 8), 1, 0).astype(np.uint8)
    parts = edited(how, {"value": 1}, [labels], Report())
    gained, lost = mask_of(parts), mask_of(parts, erase=True)
    radius = (3 / 4 / np.pi * (ball((15, 18, 20), 8).sum() + gained.sum() - lost.sum())) ** (1 / 3)
    assert radius == pytest.approx(8 + (0.75 if how == "dilate" else -0.75), abs=0.3)


def test_holes_are_filled_and_specks_removed():
    labels = np.where(ball((15, 18, 20), 9) & ~ball((15, 18, 20), 3), 1, 0).astype(np.uint8)
    np.testing.assert_array_equal(mask_of(edited("holes", {"value": 1}, [labels], Report())), ball((15, 18, 20), 3))
    labels[1, 1, 1:4] = 1
    gone = mask_of(edited("specks", {"value": 1}, [labels], Report()), erase=True)
    assert gone.sum() == 3
    assert gone[1, 1, 1:4].all()


@pytest.mark.parametrize("how", sorted(CLEANERS))
def test_what_changes_nothing_says_so(how):
    with pytest.raises(UserError, match="changes nothing"):
        edited(how, {"value": 7}, [np.zeros(SHAPE, np.uint8)], Report())


def test_smoothing_removes_a_bump_of_one_voxel_and_keeps_a_plane():
    labels = np.zeros(SHAPE, np.uint8)
    labels[:15] = 1
    labels[15, 10, 10] = 1
    parts = edited("smooth", {"value": 1}, [labels], Report())
    assert not mask_of(parts).any()
    assert [tuple(each) for each in np.argwhere(mask_of(parts, erase=True))] == [(15, 10, 10)]
