"""Varied pieces: no class is invented, none grows or shrinks, and values go where their labels go."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from atomseg_app.label_classes import IGNORE
from atomseg_app.segmentation.augment import VARIATIONS, Variation, affine, greys, warp


def discs(side: int, count: int = 12) -> torch.Tensor:
    """Labels 0, 3, 7 and some IGNORE in small discs, all well inside."""
    random = np.random.default_rng(2)
    labels = np.zeros((side, side), np.uint8)
    yy, xx = np.mgrid[:side, :side]
    for _ in range(count):
        y, x = random.uniform(0.38 * side, 0.62 * side, 2)
        labels[(yy - y) ** 2 + (xx - x) ** 2 < random.uniform(3, 7) ** 2] = random.choice([3, 7, IGNORE])
    return torch.from_numpy(labels)


@pytest.mark.parametrize("name", ["light", "strong"])
def test_no_label_is_invented_and_areas_are_kept(name: str) -> None:
    side, size, count = 192, 128, 120
    labels = discs(side)
    generator = torch.Generator().manual_seed(4)
    matrix = affine(count, VARIATIONS[name], 2, generator)
    batch = labels[None].expand(count, -1, -1)
    _, warped = warp(batch[:, None].float(), batch, matrix, size)
    assert set(warped.unique().tolist()) <= set(labels.unique().tolist())
    # A matrix of determinant d reads an area d times as large: shapes come out 1 / d as large.
    shrunk = (1 / torch.linalg.det(matrix).abs()).sum()
    for value in (3, 7, IGNORE):
        area = (warped == value).sum() / shrunk
        assert float(area) == pytest.approx(float((labels == value).sum()), rel=0.02), value


def test_bilinear_masks_would_have_lost_area() -> None:
    """The defect that this is written to avoid is real: interpolated and truncated, small discs shrink."""
    labels = (discs(192) == 7).to(torch.uint8)
    matrix = affine(50, Variation(turn_deg=45.0, often=1.0), 2, torch.Generator().manual_seed(4))
    batch = labels[None].expand(50, -1, -1)
    bilinear, nearest = warp(batch[:, None].float(), batch, matrix, 128)
    assert bilinear.floor().sum() < 0.93 * nearest.sum()


@pytest.mark.parametrize("dimensions", [2, 3])
def test_values_go_where_their_labels_go(dimensions: int) -> None:
    side, size = 64, 48
    grid = torch.stack(torch.meshgrid(*[torch.arange(side)] * dimensions, indexing="ij"))
    blob = torch.zeros((side,) * dimensions)
    for axis, centre in enumerate((25.0, 30.0, 36.0)[:dimensions]):
        blob = blob + (grid[axis] - centre) ** 2
    values = (10.0 - blob.sqrt()).float()
    labels = (values > 0).to(torch.uint8)
    matrix = affine(8, VARIATIONS["strong"], dimensions, torch.Generator().manual_seed(1))
    many = values[None, None].expand(8, 1, *values.shape)
    warped, found = warp(many, labels[None].expand(8, *labels.shape), matrix, size)
    sure = warped[:, 0].abs() > 1.2  # a voxel's diagonal from the border there is no doubt
    assert torch.equal((warped[:, 0] > 0)[sure], (found > 0)[sure])
    assert (found > 0).flatten(1).any(1).all()


def test_without_variation_nothing_is_interpolated() -> None:
    values = torch.randn(3, 5, 40, 40)
    labels = torch.randint(3, (3, 40, 40), dtype=torch.uint8)
    matrix = affine(3, VARIATIONS["none"], 2, torch.Generator())
    warped, found = warp(values, labels, matrix, 32)
    torch.testing.assert_close(warped, values[..., 4:36, 4:36], atol=2e-5, rtol=0)
    assert torch.equal(found, labels[:, 4:36, 4:36])
    assert torch.equal(greys(values, VARIATIONS["none"], torch.Generator()), values)


def test_flips_are_exact_too() -> None:
    values = torch.randn(1, 1, 20, 20)
    labels = torch.randint(3, (1, 20, 20), dtype=torch.uint8)
    warped, found = warp(values, labels, torch.diag(torch.tensor([-1.0, 1.0]))[None], 20)
    torch.testing.assert_close(warped, values.flip(3), atol=2e-5, rtol=0)
    assert torch.equal(found, labels.flip(2))


def test_a_seed_gives_the_same_variation_again() -> None:
    draws = [affine(6, VARIATIONS["strong"], 3, torch.Generator().manual_seed(9)) for _ in range(2)]
    assert torch.equal(*draws)
    noisy = [greys(torch.zeros(2, 1, 8, 8), VARIATIONS["strong"], torch.Generator().manual_seed(9)) for _ in range(2)]
    assert torch.equal(*noisy)
    assert noisy[0].std() > 0
