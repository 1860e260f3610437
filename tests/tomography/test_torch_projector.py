"""Projectors in torch: against the kernels, their own adjoint, and numerical gradients."""

from __future__ import annotations

import numpy as np
import pytest

from atomseg_app.alignment import Alignment
from atomseg_app.errors import UserError
from atomseg_app.tomography.geometry import Geometry
from atomseg_app.tomography.projector import projector

torch = pytest.importorskip("torch")
torch_projector = pytest.importorskip("atomseg_app.tomography.torch_projector")

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
    seen, smeared = sparse.forward(torch.from_numpy(volume)), sparse.adjoint(torch.from_numpy(views))
    np.testing.assert_allclose(seen, kernels(volume), atol=2e-5)
    np.testing.assert_allclose(smeared, kernels.T(views), atol=2e-5)
    difference = float((seen * torch.from_numpy(views)).sum() - (torch.from_numpy(volume) * smeared).sum())
    assert abs(difference) < 1e-5 * float(seen.norm()) * float(np.linalg.norm(views))


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
