"""Splitting masks into particles: counts of generated spheres, necks, what cannot be split, numbers in order."""

from __future__ import annotations

import numpy as np
import pytest

from atomseg_app.segmentation.instances import split


def spheres(shape: tuple[int, ...], centres: object, radii: object) -> np.ndarray:
    grid = np.indices(shape)
    mask = np.zeros(shape, bool)
    for centre, radius in zip(np.asarray(centres), np.asarray(radii), strict=True):
        mask |= ((grid - centre[:, None, None, None]) ** 2).sum(0) <= radius**2
    return mask


@pytest.mark.parametrize("overlap", [0.02, 0.06, 0.1])
@pytest.mark.parametrize("ratio", [1.0, 0.6])
def test_two_spheres_that_touch_are_two(overlap: float, ratio: float) -> None:
    for radius in (5.0, 8.0, 12.0):
        reach = (1 - overlap) * radius * (1 + ratio)
        centres = [(18.2, 18.1, 15.4), (18.2 + 0.5 * reach, 18.1 + 0.6 * reach, 15.4 + np.sqrt(0.39) * reach)]
        mask = spheres((44, 48, 48), centres, (radius, radius * ratio))
        found = split(mask)
        assert found.max() == 2
        sizes = np.sort(np.bincount(found.ravel())[1:])
        assert sizes[1] == pytest.approx(4 / 3 * np.pi * radius**3, rel=0.12)


def test_one_number_a_sphere_of_many_of_all_sizes() -> None:
    random = np.random.default_rng(7)
    shape, centres, radii = (80, 80, 80), [], []
    while len(centres) < 60:
        radius = random.uniform(2.0, 7.0)
        centre = random.uniform(radius + 1, np.array(shape) - radius - 2)
        if all(np.linalg.norm(centre - c) > radius + r + 2 for c, r in zip(centres, radii, strict=True)):
            centres.append(centre)
            radii.append(radius)
    mask = spheres(shape, centres, radii)
    for splitting in (0.0, 0.5, 0.8):
        found = split(mask, splitting)
        assert found.max() == 60
        np.testing.assert_array_equal(found > 0, mask)
        at = [found[tuple(np.rint(centre).astype(int))] for centre in centres]
        assert len(set(at)) == 60


def test_splitting_is_adjusted() -> None:
    mask = spheres((30, 30, 50), [(15, 15, 15), (15, 15, 28)], (9.0, 9.0))
    assert [split(mask, share).max() for share in (0.0, 0.3, 0.9, 1.0)] == [1, 1, 2, 2]
    with pytest.raises(ValueError, match="from 0 to 1"):
        split(mask, 1.5)


def test_ellipsoids_and_rough_spheres_stay_whole() -> None:
    random = np.random.default_rng(2)
    grid = np.indices((40, 40, 60)) - np.array([20, 20, 30])[:, None, None, None]
    long = (grid[0] / 6) ** 2 + (grid[1] / 7) ** 2 + (grid[2] / 18) ** 2 <= 1
    assert split(long).max() == 1
    distance = np.sqrt((grid**2).sum(0)) + 0.6 * random.standard_normal(long.shape)
    assert split(distance <= 9, least_voxels=20).max() == 1


def test_small_ones_are_left_out_and_numbers_have_no_gaps() -> None:
    mask = np.zeros((9, 9, 20), bool)
    mask[2, 2, 2] = mask[4:8, 4:8, 4:8] = mask[2, 5, 15] = mask[6:8, 6:8, 14:18] = True
    found = split(mask, least_voxels=5)
    assert found.max() == 2
    assert set(np.unique(found)) == {0, 1, 2}
    assert not found[2].any()
    assert split(np.zeros((5, 5, 5), bool)).max() == 0
    assert split(np.ones((6, 6, 6), bool)).max() == 1


def test_voxels_that_are_no_cubes() -> None:
    spacing = (2.0, 1.0, 1.0)
    grid = np.indices((20, 50, 40)) * np.array(spacing)[:, None, None, None]
    mask = np.zeros((20, 50, 40), bool)
    for centre in ((20, 15, 20), (20, 34, 20)):
        mask |= ((grid - np.array(centre)[:, None, None, None]) ** 2).sum(0) <= 100
    assert split(mask, spacing=spacing).max() == 2
