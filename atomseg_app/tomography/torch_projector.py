"""The projector as torch operations: a sparse matrix of one slice, and gradients through any projector.

The matrix has the weights of the kernels (:mod:`~atomseg_app.rays.kernels`), so that both agree to rounding. It
is what runs on devices without kernels of their own; 1.65 entries a voxel and view, twice.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from atomseg_app.errors import UserError
from atomseg_app.rays.blocks import ray_table
from atomseg_app.rays.kernels import PAD
from atomseg_app.tomography.geometry import Geometry
from atomseg_app.tomography.projector import Operator
from atomseg_app.tomography.warp import Warp

_MOST_ENTRIES = 2**31 - 1


def slice_matrix(geometry: Geometry) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    """Rows (view, t), columns (z, x) and weights of the matrix of one slice. Raises UserError where it is too large."""
    depth, _, width = geometry.volume_zyx
    bins, views = geometry.detector_yx[1], geometry.views
    if 2 * views * depth * width > _MOST_ENTRIES:
        raise UserError(
            f"A matrix of {views} views of {depth} x {width} voxels is too large; use the CPU (--device cpu)."
        )
    z, x = (grid.reshape(-1) for grid in np.indices((depth, width)))
    rows, columns, weights = [], [], []
    for view, ray in enumerate(ray_table(geometry)):
        position = ray["cos"] * x + ray["sin"] * z + ray["corner"] - PAD
        left = np.floor(position)
        share, sharp = position - left, float(ray["sharp"])
        for step, distance in ((0, share), (1, 1 - share)):
            weight = np.maximum(0, 1 - distance * sharp) * sharp
            bin_number = left.astype(np.int64) + step
            seen = (weight > 0) & (bin_number >= 0) & (bin_number < bins)
            rows.append(view * bins + bin_number[seen])
            columns.append(np.flatnonzero(seen))
            weights.append(weight[seen].astype(np.float32))
    return np.concatenate(rows), np.concatenate(columns), np.concatenate(weights)


def sparse_matrix(geometry: Geometry, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """The matrix (view t, z x) and its transpose in compressed rows on a device."""
    rows, columns, weights = slice_matrix(geometry)
    shape = geometry.views * geometry.detector_yx[1], geometry.volume_zyx[0] * geometry.volume_zyx[2]

    def compressed(one: npt.NDArray[np.int64], other: npt.NDArray[np.int64], size: tuple[int, int]) -> torch.Tensor:
        order = np.lexsort((other, one))
        counts = np.bincount(one, minlength=size[0])
        starts = np.concatenate([[0], np.cumsum(counts)])
        first, second, third = (torch.from_numpy(part) for part in (starts, other[order], weights[order]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # torch calls its compressed rows a beta
            return torch.sparse_csr_tensor(first, second, third, size, check_invariants=False).to(device)

    return compressed(rows, columns, shape), compressed(columns, rows, (shape[1], shape[0]))


class SparseProjector:
    """Volume (z, x, y) to views (view, t, y) as float32 tensors of one device, by the matrix of a slice.

    Raises UserError for views in any direction and for alignments that turn views or move them along the axis.
    """

    def __init__(self, geometry: Geometry, device: torch.device | str = "cpu") -> None:
        if not geometry.is_single_axis or Warp.is_needed(geometry):
            raise UserError("The sparse projector takes views tilted round one axis and not turned; use the CPU.")
        self.device = torch.device(device)
        depth, slices, width = geometry.volume_zyx
        self.domain_shape = depth, width, slices
        self.range_shape = geometry.views, geometry.detector_yx[1], slices
        self._matrix, self._transpose = sparse_matrix(geometry, self.device)

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        """Views of a volume, which may have any number of slices."""
        return (self._matrix @ volume.reshape(-1, volume.shape[2])).reshape(*self.range_shape[:2], -1)

    def adjoint(self, views: torch.Tensor) -> torch.Tensor:
        """Volume that views are smeared over."""
        return (self._transpose @ views.reshape(-1, views.shape[2])).reshape(*self.domain_shape[:2], -1)


class _Projection(torch.autograd.Function):
    """A linear operator on CPU tensors whose gradient is its adjoint."""

    @staticmethod
    def forward(ctx: Any, array: torch.Tensor, operator: Operator) -> torch.Tensor:
        ctx.operator = operator
        return torch.from_numpy(operator(array.detach().cpu().numpy())).to(array.device)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return differentiable(ctx.operator.T, gradients[0]), None


def differentiable(operator: Operator, array: torch.Tensor) -> torch.Tensor:
    """Apply an operator so that gradients pass through, of any order, as its derivative is itself.

    Raises UserError for a tensor of another shape than the operator takes.
    """
    result: torch.Tensor = _Projection.apply(array, operator)  # type: ignore[no-untyped-call]
    return result
