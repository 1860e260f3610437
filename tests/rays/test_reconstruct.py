"""Classical reconstructions in torch: values, convergence, weights of views, noise."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
import torch

from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.rays.reconstruct import fbp, noise_of, sirt, total_variation, view_angles
from tests.rays.test_parallel_beam import disc

SIZE = 64
FULL = torch.arange(0, 180, 2, dtype=torch.float64)
LIMITED = torch.arange(-60, 61, 2, dtype=torch.float64)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def error(found: torch.Tensor, truth: torch.Tensor) -> float:
    return float((found - truth).square().mean().sqrt())


def test_filtered_back_projection_gives_grey_levels() -> None:
    truth = disc(SIZE, 6.0, -4.0, 15.0)
    beam = ParallelBeam(FULL, SIZE)
    found = fbp(beam, torch.stack([beam.project(truth), 3 * beam.project(truth)]))
    assert float(found[0, 24:32, 34:42].mean()) == pytest.approx(1.0, abs=0.02)
    torch.testing.assert_close(found[1], 3 * found[0], rtol=1e-4, atol=1e-4)
    assert error(found[0], truth) < 0.08


def test_sirt_comes_nearer_to_the_views_with_every_iteration_and_stays_positive() -> None:
    truth = disc(SIZE, 6.0, -4.0, 15.0)[None]
    beam = ParallelBeam(LIMITED, SIZE)
    views, image, misfits = beam.project(truth), None, []
    for _ in range(6):
        image = sirt(beam, views, 5, image)
        misfits.append(error(beam.project(image), views))
    assert all(after < before for before, after in pairwise(misfits))
    assert float(image.min()) >= 0
    torch.testing.assert_close(sirt(beam, views, 30), image)
    torch.testing.assert_close(sirt(beam, views, 3, truth), truth, rtol=1e-4, atol=1e-4)


def test_total_variation_beats_sirt_on_a_disc() -> None:
    truth = disc(SIZE, 6.0, -4.0, 15.0)
    beam = ParallelBeam(LIMITED, SIZE)
    views = beam.project(truth)
    found = total_variation(beam, views, 0.3, 150)
    assert error(found, truth) < 0.5 * error(sirt(beam, views, 150), truth)
    assert float(found.min()) >= 0


def test_the_weight_of_total_variation_is_one_a_slice_and_holds_noise_down() -> None:
    beam = ParallelBeam(LIMITED, SIZE)
    views = beam.project(disc(SIZE, 6.0, -4.0, 15.0))
    noisy = (views + torch.randn(views.shape, generator=torch.Generator().manual_seed(2))).expand(2, -1, -1)
    found = total_variation(beam, noisy, torch.tensor([0.01, 6.0]), 100)
    edges = found.diff(dim=1).abs().sum((1, 2)) + found.diff(dim=2).abs().sum((1, 2))
    assert float(edges[1]) < 0.5 * float(edges[0])
    torch.testing.assert_close(total_variation(beam, noisy[0], 6.0, 100), found[1], rtol=1e-4, atol=1e-4)


def test_views_stand_for_the_angles_between_them() -> None:
    assert float(view_angles(FULL).sum()) == pytest.approx(math.pi)
    limited = view_angles(LIMITED)
    torch.testing.assert_close(limited, torch.full_like(limited, math.radians(2)), msg="the wedge belongs to no view")
    uneven = torch.tensor([0.0, 10.0, 40.0, 45.0, 90.0, 135.0])
    assert float(view_angles(uneven).sum()) == pytest.approx(math.pi)
    twice = view_angles(torch.cat([LIMITED, LIMITED[:1], LIMITED[-1:] + 180]))
    assert float(twice.sum()) == pytest.approx(float(limited.sum()))
    assert float(view_angles(torch.tensor([7.0, 7.0]))[0]) == pytest.approx(math.pi / 2)
    order = torch.randperm(len(uneven), generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(view_angles(uneven)[order], view_angles(uneven[order]))


def test_noise_is_told_from_structure() -> None:
    beam = ParallelBeam(LIMITED, SIZE)
    views = beam.project(disc(SIZE, 0.0, 0.0, 20.0)).expand(3, -1, -1)
    rms = torch.tensor([0.0, 1.0, 4.0])
    noisy = views + rms[:, None, None] * torch.randn(views.shape, generator=torch.Generator().manual_seed(1))
    found = noise_of(noisy)
    assert float(found[0]) < 0.3
    torch.testing.assert_close(found[1:], rms[1:], rtol=0.1, atol=0)
    assert float(noise_of(torch.zeros(1, 4, 8))[0]) == 0
