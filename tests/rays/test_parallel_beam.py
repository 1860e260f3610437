"""The torch projector pair against closed forms, its adjoint, and the application's other projector."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from atomseg_app.alignment import Alignment
from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.tomography.geometry import Geometry
from atomseg_app.tomography.projector import projector

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA"))]
TILTS = [-77.3, -45.0, -44.0, -10.2, 0.0, 0.4, 30.0, 45.0, 62.0, 90.0, 123.4]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def disc(size: int, x: float, z: float, radius: float) -> torch.Tensor:
    """A disc at (x, z) from the centre, averaged over 8 x 8 places in a voxel."""
    line = (torch.arange(8 * size) + 0.5) / 8 - size / 2
    fine = (torch.hypot(line[None, :] - x, line[:, None] - z) < radius).float()
    return torch.nn.functional.avg_pool2d(fine[None], 8)[0]


def half_disc(t: torch.Tensor, radius: float) -> torch.Tensor:
    """Integral of half a disc's chord from its middle to t."""
    u = t.clamp(-radius, radius)
    return 0.5 * (u * (radius**2 - u**2).sqrt() + radius**2 * torch.asin(u / radius))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("size", [2, 33, 64])
def test_the_pair_is_adjoint(size: int, device: str) -> None:
    beam = ParallelBeam(TILTS, size, device, [0.7 * n - 3 for n in range(len(TILTS))])
    generator = torch.Generator().manual_seed(1)
    slices = torch.randn(3, size, size, generator=generator).to(device)
    sinograms = torch.randn(3, len(TILTS), size, generator=generator).to(device)
    one = (beam.project(slices).double() * sinograms).sum()
    other = (slices.double() * beam.smear(sinograms)).sum()
    scale = beam.project(slices).double().norm() * sinograms.double().norm()
    assert float((one - other).abs() / scale) < 1e-6


def test_gradients_are_those_of_a_linear_map() -> None:
    beam = ParallelBeam(TILTS, 16)
    slices = torch.rand(2, 16, 16, requires_grad=True)
    target = torch.rand(2, len(TILTS), 16)
    (0.5 * (beam.project(slices) - target) ** 2).sum().backward()
    assert slices.grad is not None
    torch.testing.assert_close(slices.grad, beam.smear(beam.project(slices.detach()) - target))
    sinograms = target.clone().requires_grad_()
    (beam.smear(sinograms) * slices.detach()).sum().backward()
    torch.testing.assert_close(sinograms.grad, beam.project(slices.detach()))


def test_a_disc_casts_the_shadow_that_geometry_says() -> None:
    size, x, z, radius = 96, 11.5, -7.25, 22.0
    beam = ParallelBeam(TILTS, size)
    found = beam.project(disc(size, x, z, radius))
    tilts = torch.deg2rad(torch.tensor(TILTS))[:, None]
    t = torch.arange(size) - (size - 1) / 2 - (x * tilts.cos() + z * tilts.sin())
    exact = 2 * (half_disc(t + 0.5, radius) - half_disc(t - 0.5, radius))
    assert float((found - exact).abs().max()) < 0.09 * 2 * radius, "at the rim, where the chord rises steeply"
    assert float((found - exact).abs().mean()) < 0.004 * 2 * radius
    torch.testing.assert_close(found.sum(1), torch.full((len(TILTS),), math.pi * radius**2), rtol=3e-3, atol=0)


@pytest.mark.parametrize("shifts", [(0.0,) * len(TILTS), tuple(0.37 * n - 1.6 for n in range(len(TILTS)))])
def test_it_is_the_same_geometry_as_the_compiled_projector(shifts: tuple[float, ...]) -> None:
    size = 40
    values = np.random.default_rng(5).random((size, 2, size), np.float32)
    nothing = (0.0,) * len(TILTS)
    alignment = Alignment(shifts, nothing, nothing, 0.0, 0.0)
    compiled = projector(Geometry(tuple(TILTS), (2, size), (size, 2, size), alignment))
    views = np.asarray(compiled(values))
    ours = ParallelBeam(TILTS, size, shift_px=shifts).project(torch.from_numpy(values.transpose(1, 0, 2).copy()))
    np.testing.assert_allclose(ours.numpy().transpose(1, 0, 2), views, rtol=2e-4, atol=2e-3)


def test_leading_shapes_and_what_is_refused() -> None:
    beam = ParallelBeam([0.0, 50.0], 8)
    assert beam.project(torch.ones(2, 3, 8, 8)).shape == (2, 3, 2, 8)
    assert beam.project(torch.ones(8, 8)).shape == beam.range_shape
    torch.testing.assert_close(beam.project(torch.ones(8, 8))[0], torch.full((8,), 8.0))
    with pytest.raises(ValueError, match=r"\(9, 8\) do not end in \(8, 8\)"):
        beam.project(torch.ones(9, 8))
    with pytest.raises(ValueError, match="angles that are numbers"):
        ParallelBeam([0.0, float("nan")], 8)
    with pytest.raises(ValueError, match="angles that are numbers"):
        ParallelBeam([], 8)
    with pytest.raises(ValueError, match="2 angles need as many shifts"):
        ParallelBeam([0.0, 50.0], 8, shift_px=[1.0])
    with pytest.raises(ValueError, match="2 voxels a side"):
        ParallelBeam([0.0], 1)
