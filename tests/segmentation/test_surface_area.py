"""Areas from crossings: spheres, planes in many directions and ellipsoids, whatever the proportions of voxels."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from atomseg_app.segmentation.surface_area import STEPS, areas, contact_areas, weights


def ball(radius: float, centre: np.ndarray, shape: tuple[int, ...], spacing: tuple[float, ...]) -> np.ndarray:
    grid = np.stack(np.meshgrid(*(np.arange(n) * s for n, s in zip(shape, spacing, strict=True)), indexing="ij"))
    return (((grid - centre[:, None, None, None]) ** 2).sum(0) <= radius**2).astype(np.int32)


@pytest.mark.parametrize(("radius", "volume", "area"), [(10.0, 0.01, 0.02), (20.0, 0.01, 0.02)])
def test_volume_and_area_of_spheres_from_their_masks(radius: float, volume: float, area: float) -> None:
    random = np.random.default_rng(int(radius))
    size = int(2 * radius + 8)
    for _ in range(4):
        mask = ball(radius, size / 2 + random.uniform(-0.5, 0.5, 3), (size,) * 3, (1, 1, 1))
        assert mask.sum() == pytest.approx(4 / 3 * np.pi * radius**3, rel=volume)
        assert areas(mask, 1, (1, 1, 1))[0] == pytest.approx(4 * np.pi * radius**2, rel=area)


def test_areas_are_in_the_unit_of_the_voxel_size_also_where_voxels_are_no_cubes() -> None:
    spacing = (0.6, 0.3, 0.4)
    mask = ball(6.0, np.array([7.1, 7.0, 7.2]), (24, 48, 36), spacing)
    assert areas(mask, 1, spacing)[0] == pytest.approx(4 * np.pi * 36, rel=0.02)


def test_bodies_with_flat_faces_are_right_in_any_direction() -> None:
    assert len(STEPS) == 13
    grid = np.stack(np.meshgrid(*(np.arange(52) - 25.3,) * 3, indexing="ij"))
    half = np.array([15.0, 12.0, 6.0])
    truth = 8 * (half[0] * half[1] + half[1] * half[2] + half[0] * half[2])
    ratios = []
    for turn in Rotation.random(12, rng=3).as_matrix():
        mask = (np.abs(np.tensordot(turn, grid, 1)) <= half[:, None, None, None]).all(0).astype(np.int32)
        ratios.append(areas(mask, 1, (1, 1, 1))[0] / truth)
    assert np.mean(ratios) == pytest.approx(0.97, abs=0.02), "sharp edges are missed a little"
    assert max(np.abs(np.array(ratios) - 1)) < 0.07


def test_contact_is_the_part_of_the_surface_towards_the_other() -> None:
    mask = ball(12.0, np.array([16.3, 16.1, 16.2]), (33, 33, 33), (1, 1, 1))
    whole = areas(mask, 1, (1, 1, 1))[0]
    assert contact_areas(mask, mask == 0, 1, (1, 1, 1))[0] == pytest.approx(whole)
    below = (mask == 0) & (np.arange(33)[:, None, None] < 10.3)
    cap = 2 * np.pi * 12 * (10.5 - (16.3 - 12))  # the layer at 10 ends at 10.5
    assert contact_areas(mask, below, 1, (1, 1, 1))[0] == pytest.approx(cap, rel=0.06)
    assert contact_areas(mask, np.zeros_like(mask, bool), 1, (1, 1, 1))[0] == 0


def test_numbers_share_the_area_between_them_and_slabs_make_no_difference() -> None:
    numbers = np.zeros((40, 20, 20), np.int32)
    numbers[:25], numbers[25:] = 1, 2
    one, two = areas(numbers, 2, (1, 1, 1))
    assert one == two
    turned = areas(np.ascontiguousarray(numbers.transpose(1, 0, 2)), 2, (1, 1, 1))
    np.testing.assert_allclose(turned, (one, two), rtol=0.01)
    assert one == pytest.approx(400, rel=0.15), "a plane along the grid, the worst case, and short of pairs at its rim"


def test_weights_of_cubes_are_the_same_for_directions_alike_and_know_the_scale() -> None:
    one = np.array(weights((1.0, 1.0, 1.0)))
    kinds = np.abs(STEPS).sum(axis=1)
    for kind in (1, 2, 3):
        np.testing.assert_allclose(one[kinds == kind], one[kinds == kind].mean(), rtol=2e-3)
    np.testing.assert_allclose(np.array(weights((2.0, 2.0, 2.0))), 4 * one)
