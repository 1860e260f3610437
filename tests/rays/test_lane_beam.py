"""Compiled kernels behind the torch beam: the same as sparse matrices, for any number of slices, threads and shapes."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from atomseg_app.rays.lane_beam import arrangement
from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.rays.reconstruct import sirt, total_variation

TILTS = [-77.3, -45.0, -44.0, -10.2, 0.0, 0.4, 30.0, 45.0, 62.0, 90.0, 123.4, 135.0]
SHIFTS = [0.31 * n - 1.7 for n in range(len(TILTS))]


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def beams(size: int) -> tuple[ParallelBeam, ParallelBeam]:
    """Compiled, and by matrices."""
    return ParallelBeam(TILTS, size, shift_px=SHIFTS), ParallelBeam(TILTS, size, shift_px=SHIFTS, compiled=False)


def random(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(4))


def difference(found: torch.Tensor, wanted: torch.Tensor) -> float:
    """Largest, relative to the largest value."""
    assert found.shape == wanted.shape
    assert found.dtype == wanted.dtype == torch.float32
    return float((found - wanted).abs().max() / wanted.abs().max())


@pytest.mark.parametrize("size", [2, 17, 65])
@pytest.mark.parametrize("slices", [1, 9, 35])
@pytest.mark.parametrize("threads", [1, 2])
def test_kernels_do_what_matrices_do(size: int, slices: int, threads: int) -> None:
    torch.set_num_threads(threads)
    fast, plain = beams(size)
    image, views = random(slices, size, size) - 0.3, random(slices, len(TILTS), size) - 0.3
    assert difference(fast.project(image), plain.project(image)) < 1e-5
    assert difference(fast.smear(views), plain.smear(views)) < 1e-5
    assert difference(fast.ray_weight, plain.ray_weight) < 1e-5
    assert difference(fast.voxel_weight, plain.voxel_weight) < 1e-5


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("least", [0.0, -0.2])
def test_iterations_do_what_those_in_torch_do(threads: int, least: float) -> None:
    torch.set_num_threads(threads)
    fast, plain = beams(33)
    views = plain.project(random(2, 9, 33, 33)) + random(2, 9, len(TILTS), 33) - 0.5
    weight, start = 2 * random(2, 9), random(2, 9, 33, 33)
    assert difference(sirt(fast, views, 12, start, least), sirt(plain, views, 12, start, least)) < 1e-5
    assert difference(sirt(fast, views, 4), sirt(plain, views, 4)) < 1e-5
    for each in (start, None):
        found, wanted = (total_variation(beam, views, weight, 40, each, least) for beam in (fast, plain))
        assert difference(found, wanted) < 1e-5
    torch.testing.assert_close(start, random(2, 9, 33, 33), rtol=0, atol=0, msg="what was given stays as it is")
    found, wanted = (total_variation(beam, views[0, 0], 0.7, 20) for beam in (fast, plain))
    assert difference(found, wanted) < 1e-5


def test_iterations_are_those_of_every_slice_alone() -> None:
    beam, _ = beams(24)
    views = beam.project(random(40, 24, 24))
    whole = total_variation(beam, views, 0.3, 10)
    for number in (0, 31, 39):
        torch.testing.assert_close(total_variation(beam, views[number], 0.3, 10), whole[number], rtol=1e-6, atol=1e-6)
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(total_variation(beam, views[order], 0.3, 10), whole[order], rtol=0, atol=0)


def test_gradients_pass_through_kernels_and_through_iterations() -> None:
    beam, plain = beams(9)
    image = random(2, 9, 9).requires_grad_()
    first = torch.autograd.grad(beam.project(image).square().sum(), image, create_graph=True)[0]
    second = torch.autograd.grad(first.sum(), image)[0]
    assert difference(second, 2 * plain.smear(plain.project(torch.ones(2, 9, 9)))) < 1e-5
    views = random(2, len(TILTS), 9).requires_grad_()
    found, wanted = (torch.autograd.grad(sirt(each, views, 3).sum(), views)[0] for each in (beam, plain))
    assert difference(found, wanted) < 1e-5
    beam.project(image.transpose(1, 2)).sum().backward()
    assert image.grad is not None
    ones = plain.smear(torch.ones(2, len(TILTS), 9)).transpose(1, 2)
    assert difference(image.grad, ones) < 1e-5


def test_iterations_end_when_told_to() -> None:
    class Ends(ParallelBeam):
        left = 12

        def check(self) -> None:
            self.left -= 1
            if self.left < 0:
                raise InterruptedError

    views = random(3, len(TILTS), 16)
    for iterate in (sirt, lambda beam, views, count: total_variation(beam, views, 0.1, count)):
        beam = Ends(TILTS, 16)
        iterate(beam, views, 5)
        with pytest.raises(InterruptedError):
            iterate(beam, views, 50)


@pytest.mark.parametrize("compiled", [True, False])
def test_iterations_refuse_what_does_not_belong_together(compiled: bool) -> None:
    beam = ParallelBeam(TILTS, 12, compiled=compiled)
    views = random(3, len(TILTS), 12)
    for iterate in (sirt, lambda *given: total_variation(given[0], given[1], 0.1, *given[2:])):
        with pytest.raises(ValueError, match=r"\(3, 12, 11\) do not end in \(12, 12\)"):
            iterate(beam, views[..., :11], 2)
        with pytest.raises(ValueError, match=r"\(3, 9, 12\) do not end in \(12, 12\)"):
            iterate(beam, views, 2, random(3, 9, 12))
        with pytest.raises(ValueError, match=r"slices of shape \(2, 12, 12\) do not go with sinograms of"):
            iterate(beam, views, 2, random(2, 12, 12))


def test_slices_are_put_where_they_are_done_soonest() -> None:
    """By blocks on threads of their own, or by threads that share a block where there are few."""
    assert [arrangement(count, 1) for count in (1, 8, 9, 16, 32, 256)] == [
        (8, 1), (8, 1), (16, 1), (16, 1), (32, 1), (32, 1)
    ]  # fmt: skip
    assert [arrangement(count, 2) for count in (8, 32, 256)] == [(8, 2), (16, 1), (32, 1)]
    assert [arrangement(count, 16) for count in (16, 64, 512)] == [(16, 16), (8, 1), (32, 1)]


def test_the_beam_alone_imports_no_compiler_and_the_kernels_no_torch() -> None:
    code = "import sys, atomseg_app.rays.{}; print(sorted({{'torch', 'numba'}} & set(sys.modules)))"
    for module, loaded in (("reconstruct", "['torch']"), ("lane_beam", "['numba']")):
        done = subprocess.run([sys.executable, "-c", code.format(module)], capture_output=True, text=True, check=True)
        assert done.stdout.strip() == loaded
