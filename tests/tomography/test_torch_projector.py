"""Projectors in torch: against the kernels, their own adjoint, and numerical gradients."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from atomseg_app import operations
from atomseg_app.alignment import Alignment
from atomseg_app.data import TiltSeries
from atomseg_app.errors import UserError
from atomseg_app.operations import Report
from atomseg_app.simulate.ellipsoids import phantom
from atomseg_app.tomography import device_iterations, torch_projector
from atomseg_app.tomography.geometry import Geometry, geometry_of
from atomseg_app.tomography.parts import support_of
from atomseg_app.tomography.projector import projector

GEOMETRIES = [
    Geometry((0.0, 45.0, -89.9, 90.0, 13.3, 180.0), (5, 23), (19, 5, 27)),
    Geometry((33.0,), (1, 25), (17, 1, 31)),
    Geometry((-60.0, 2.0, 61.0), (70, 16), (16, 70, 16), Alignment((1.25, -3.5, 0.1), (0.0,) * 3, (0.0,) * 3, -1.75)),
]


@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_the_matrix_is_what_the_kernels_do(geometry: Geometry, rng) -> None:
    sparse, kernels = torch_projector.SparseProjector(geometry), projector(geometry)
    volume = rng.standard_normal(kernels.domain_shape).astype(np.float32)
    views = rng.standard_normal(kernels.range_shape).astype(np.float32)
    x, y = (torch.from_numpy(array).permute(0, 2, 1).contiguous() for array in (volume, views))
    seen, smeared = sparse.forward(x), sparse.adjoint(y)
    np.testing.assert_allclose(seen.permute(0, 2, 1), kernels(volume), atol=2e-5)
    np.testing.assert_allclose(smeared.permute(0, 2, 1), kernels.T(views), atol=2e-5)
    assert abs(float((seen * y).sum() - (x * smeared).sum())) < 1e-5 * float(seen.norm()) * float(y.norm())


@pytest.mark.parametrize("algorithm", ["sirt", "mlem"])
def test_iterations_of_tensors_are_those_of_the_kernels(algorithm: str, rng) -> None:
    """What runs on a GPU, run here on the CPU, gives the volume that the kernels give."""
    tilts = tuple(np.arange(-66.0, 67.0, 6.0))
    series = TiltSeries(phantom(40, 9, tilts)[1], (None, None), tilt_deg=tilts)
    settings = operations.get("reconstruct").parse({"algorithm": algorithm, "iterations": 8, "support": "cylinder"})
    geometry = geometry_of(series)
    parts = device_iterations.device_parts(
        series.values, geometry, settings, torch_projector.SparseProjector(geometry), support_of(geometry, settings), 0
    )
    for _ in range(8):
        step = next(parts.steps[0])
    shown = parts.slice_of(0, step.image, 4)
    volume = np.empty(geometry.volume_zyx, np.float32)
    parts.put(volume)
    expected = operations.run(operations.get("reconstruct"), (series,), settings, Report()).values
    np.testing.assert_allclose(volume, expected, atol=1e-3 * expected.max())
    np.testing.assert_array_equal(shown, volume[:, 4])


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("geometry", GEOMETRIES)
def test_the_gpu_does_what_the_kernels_do(geometry: Geometry, rng) -> None:
    on_gpu, kernels = triton_projector().TritonProjector(geometry), projector(geometry)
    volume = rng.standard_normal(kernels.domain_shape).astype(np.float32)
    views = rng.standard_normal(kernels.range_shape).astype(np.float32)
    x, y = (torch.from_numpy(array).permute(0, 2, 1).contiguous().cuda() for array in (volume, views))
    seen, smeared = on_gpu.forward(x), on_gpu.adjoint(y)
    np.testing.assert_allclose(seen.permute(0, 2, 1).cpu(), kernels(volume), atol=1e-4)
    np.testing.assert_allclose(smeared.permute(0, 2, 1).cpu(), kernels.T(views), atol=1e-4)
    assert abs(float((seen * y).sum() - (x * smeared).sum())) < 1e-5 * float(seen.norm()) * float(y.norm())


_INTERPRETED = """
import numpy as np, torch
from atomseg_app.tomography import triton_projector
from atomseg_app.tomography.geometry import Geometry
from atomseg_app.tomography.projector import projector
triton_projector._LANES = 8
geometry = Geometry((0.0, 45.0, -89.9, 90.0, 13.3), (5, 13), (9, 5, 17))
on_gpu, kernels, rng = triton_projector.TritonProjector(geometry, "cpu"), projector(geometry), np.random.default_rng(0)
for one, other in ((on_gpu.forward, kernels), (on_gpu.adjoint, kernels.T)):
    given = rng.standard_normal(other.domain_shape).astype(np.float32)
    found = one(torch.from_numpy(given).permute(0, 2, 1).contiguous()).permute(0, 2, 1)
    np.testing.assert_allclose(found, other(given), atol=2e-5)
"""


def test_the_code_of_the_gpu_run_by_an_interpreter() -> None:
    """Where Triton is installed: its kernels on the CPU, step by step, do what the others do."""
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, "-c", _INTERPRETED], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def triton_projector():
    pytest.importorskip("triton")
    return importlib.import_module("atomseg_app.tomography.triton_projector")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_gpu_that_is_not_there_is_told() -> None:
    tilts = tuple(np.arange(-66.0, 67.0, 12.0))
    series = TiltSeries(phantom(16, 4, tilts)[1], (None, None), tilt_deg=tilts)
    operation = operations.get("reconstruct")
    with pytest.raises(UserError, match="'cuda' cannot be used here"):
        operations.run(operation, (series,), operation.parse({"device": "cuda"}), Report())


def test_gradients_pass_through(rng) -> None:
    """The gradient of |A x - b|^2 / 2 is A^T (A x - b), and its own derivative along v is A^T A v."""
    geometry = GEOMETRIES[0]
    operator = projector(geometry)
    x = torch.from_numpy(rng.standard_normal(operator.domain_shape).astype(np.float32)).requires_grad_()
    b = torch.from_numpy(rng.standard_normal(operator.range_shape).astype(np.float32))
    loss = 0.5 * (torch_projector.differentiable(operator, x) - b).square().sum()
    (gradient,) = torch.autograd.grad(loss, x, create_graph=True)
    expected = operator.T(operator(x.detach().numpy()) - b.numpy())
    np.testing.assert_allclose(gradient.detach(), expected, rtol=1e-4, atol=1e-4)
    v = torch.from_numpy(rng.standard_normal(operator.domain_shape).astype(np.float32))
    (second,) = torch.autograd.grad((gradient * v).sum(), x)
    np.testing.assert_allclose(second, operator.T(operator(v.numpy())), rtol=1e-3, atol=1e-3)


def test_what_it_cannot_do_is_told() -> None:
    turned = GEOMETRIES[2].with_alignment(Alignment((0.0,) * 3, (0.0,) * 3, (1.0,) * 3))
    with pytest.raises(UserError, match="one axis and not turned"):
        torch_projector.SparseProjector(turned)
    with pytest.raises(UserError, match="too large"):
        torch_projector.slice_matrix(Geometry(tuple(np.arange(180.0)), (1, 4096), (4096, 1, 4096)))
