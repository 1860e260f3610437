"""The projector on a CUDA device: the gathers of the numba kernels, written in Triton, which comes with torch for CUDA.

Volumes are (z, x, y) there and views (view, t, y), slices innermost, so that neighbouring threads read neighbouring
slices and share what is reckoned of the position.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import triton
import triton.language as tl

from atomseg_app.errors import UserError
from atomseg_app.rays.blocks import ray_table
from atomseg_app.rays.kernels import PAD
from atomseg_app.tomography.geometry import Geometry
from atomseg_app.tomography.warp import Warp

_LANES = 128  # slices a program works on
_RAYS = 4  # neighbouring rays, or voxels, of a program: they read nearly the same data


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def _forward(  # type: ignore[no-untyped-def]
    volume, views, slope, per_bin, zero, length, steep,
    depth, width, slices, bins, LANES: tl.constexpr, RAYS: tl.constexpr,
):  # fmt: skip
    """Sums along RAYS neighbouring rays of a view, for LANES slices."""
    view = tl.program_id(1)
    t = tl.program_id(0) * RAYS + tl.arange(0, RAYS)
    lane = tl.program_id(2) * LANES + tl.arange(0, LANES)
    is_steep = tl.load(steep + view) != 0
    steps = tl.where(is_steep, width, depth)
    across_count = tl.where(is_steep, depth, width)
    step_stride = tl.where(is_steep, slices, width * slices).to(tl.int64)
    across_stride = tl.where(is_steep, width * slices, slices).to(tl.int64)
    start = (t - tl.load(zero + view)) * tl.load(per_bin + view)
    fall = tl.load(slope + view)
    total = tl.zeros((RAYS, LANES), tl.float32)
    inside = lane < slices
    for k in range(steps):
        position = start - k * fall
        left = tl.floor(position)
        share = (position - left).to(tl.float32)
        column = left.to(tl.int64)
        here = volume + k * step_stride + column[:, None] * across_stride + lane[None, :]
        is_left = (column >= 0) & (column < across_count)
        is_right = (column + 1 >= 0) & (column + 1 < across_count)
        one = tl.load(here, mask=is_left[:, None] & inside[None, :], other=0.0)
        other = tl.load(here + across_stride, mask=is_right[:, None] & inside[None, :], other=0.0)
        total += (1 - share)[:, None] * one + share[:, None] * other
    total *= tl.load(length + view)
    target = views + (view * bins + t)[:, None].to(tl.int64) * slices + lane[None, :]
    tl.store(target, total, mask=(t < bins)[:, None] & inside[None, :])


@triton.jit  # type: ignore[untyped-decorator, unused-ignore]
def _back(  # type: ignore[no-untyped-def]
    views, volume, cos, sin, corner, sharp,
    count, width, slices, bins, LANES: tl.constexpr, RAYS: tl.constexpr,
):  # fmt: skip
    """Sums over all views of RAYS neighbouring voxels of a row, for LANES slices."""
    z = tl.program_id(1)
    x = tl.program_id(0) * RAYS + tl.arange(0, RAYS)
    lane = tl.program_id(2) * LANES + tl.arange(0, LANES)
    inside = lane < slices
    total = tl.zeros((RAYS, LANES), tl.float32)
    for view in range(count):
        position = tl.load(cos + view) * x + tl.load(sin + view) * z + tl.load(corner + view)
        left = tl.floor(position)
        share = (position - left).to(tl.float32)
        edge = tl.load(sharp + view)
        one = tl.maximum(1 - share * edge, 0.0) * edge
        other = tl.maximum(1 - (1 - share) * edge, 0.0) * edge
        column = left.to(tl.int64)
        here = views + (view * bins + column[:, None]) * slices + lane[None, :]
        is_left = (column >= 0) & (column < bins)
        is_right = (column + 1 >= 0) & (column + 1 < bins)
        near = tl.load(here, mask=is_left[:, None] & inside[None, :], other=0.0)
        far = tl.load(here + slices, mask=is_right[:, None] & inside[None, :], other=0.0)
        total += one[:, None] * near + other[:, None] * far
    target = volume + (z * width + x)[:, None].to(tl.int64) * slices + lane[None, :]
    tl.store(target, total, mask=(x < width)[:, None] & inside[None, :])


class TritonProjector:
    """Volume (z, x, y) to views (view, t, y) as float32 tensors of a CUDA device.

    Raises UserError for views in any direction and for alignments that turn views or move them along the axis.
    """

    def __init__(self, geometry: Geometry, device: torch.device | str = "cuda") -> None:
        if not geometry.is_single_axis or Warp.is_needed(geometry):
            raise UserError("The GPU's projector takes views tilted round one axis and not turned; use the CPU.")
        self.device = torch.device(device)
        depth, slices, width = geometry.volume_zyx
        self.domain_shape = depth, width, slices
        self.range_shape = geometry.views, geometry.detector_yx[1], slices
        table = ray_table(geometry)

        def column(values: npt.NDArray[Any], dtype: type) -> torch.Tensor:
            return torch.from_numpy(np.ascontiguousarray(values, dtype)).to(self.device)

        self._rays = [column(table[name], np.float64) for name in ("slope", "per_bin", "zero")]
        self._rays += [
            column(table["length"], np.float32),
            column(np.abs(table["sin"]) > np.abs(table["cos"]), np.int32),
        ]
        self._voxels = [column(table["cos"], np.float64), column(table["sin"], np.float64)]
        self._voxels += [column(table["corner"] - PAD, np.float64), column(table["sharp"], np.float32)]

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        """Views of a volume."""
        depth, width, slices = self.domain_shape
        count, bins, _ = self.range_shape
        views = torch.empty(self.range_shape, dtype=torch.float32, device=self.device)
        grid = triton.cdiv(bins, _RAYS), count, triton.cdiv(slices, _LANES)
        _forward[grid](volume.contiguous(), views, *self._rays, depth, width, slices, bins, LANES=_LANES, RAYS=_RAYS)
        return views

    def adjoint(self, views: torch.Tensor) -> torch.Tensor:
        """Volume that views are smeared over."""
        depth, width, slices = self.domain_shape
        count, bins, _ = self.range_shape
        volume = torch.empty(self.domain_shape, dtype=torch.float32, device=self.device)
        grid = triton.cdiv(width, _RAYS), depth, triton.cdiv(slices, _LANES)
        _back[grid](views.contiguous(), volume, *self._voxels, count, width, slices, bins, LANES=_LANES, RAYS=_RAYS)
        return volume
