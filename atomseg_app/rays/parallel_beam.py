"""Projection of slices by a parallel beam, in torch: differentiable, many slices at once, one list of angles.

Joseph's method (IEEE Trans. Med. Imaging 1 (1982) 192): a ray takes one step a row or column, whichever it crosses more
steeply, and interpolates between the two voxels beside it. Projection goes along rays and smearing back over voxels,
both as sparse matrices whose rows all have the same length, so that they are made without sorting; their numbers are
the same but for rounding, which makes them adjoint.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch


class ParallelBeam:
    """Rays at ``tilt_deg`` through slices (..., z, x) of ``size`` voxels a side to sinograms (..., view, t).

    A voxel at (x, z) from the centre (size - 1) / 2 is seen at t = x cos(tilt) + z sin(tilt) from the centre of the
    ``size`` bins, which are as wide as voxels, moved by ``shift_px`` (view,) towards larger t. A projection is the sum
    of grey levels in voxel units. Raises ValueError for no angle, one that is no number, other counts, or a size below
    2.
    """

    def __init__(
        self,
        tilt_deg: Sequence[float] | torch.Tensor,
        size: int,
        device: torch.device | str = "cpu",
        shift_px: Sequence[float] | torch.Tensor | None = None,
    ) -> None:
        tilts = torch.as_tensor(tilt_deg, dtype=torch.float64).flatten().cpu()
        if not len(tilts) or not torch.isfinite(tilts).all():
            raise ValueError(f"rays need one or more angles that are numbers, got {tilts.tolist()}")
        if size < 2:
            raise ValueError(f"a slice needs 2 voxels a side or more, got {size}")
        moved = torch.zeros_like(tilts) if shift_px is None else torch.as_tensor(shift_px, dtype=torch.float64).cpu()
        if moved.shape != tilts.shape or not torch.isfinite(moved).all():
            raise ValueError(f"{len(tilts)} angles need as many shifts that are numbers, got {moved.tolist()}")
        self.tilt_deg, self.shift_px, self.size, self.device = tilts, moved, size, torch.device(device)
        radians = torch.deg2rad(tilts)
        self._cos, self._sin = radians.cos(), radians.sin()

    @property
    def views(self) -> int:
        """How many angles there are."""
        return len(self.tilt_deg)

    @property
    def domain_shape(self) -> tuple[int, int]:
        """Shape of a slice (z, x)."""
        return self.size, self.size

    @property
    def range_shape(self) -> tuple[int, int]:
        """Shape of a sinogram (view, t)."""
        return self.views, self.size

    def project(self, slices: torch.Tensor) -> torch.Tensor:
        """Sinograms (..., view, t) of slices (..., z, x), with gradients. Raises ValueError for another shape."""
        return self._applied(slices, self.domain_shape, self.range_shape, 0)

    def smear(self, sinograms: torch.Tensor) -> torch.Tensor:
        """The adjoint: slices (..., z, x) of sinograms (..., view, t). Raises ValueError for another shape."""
        return self._applied(sinograms, self.range_shape, self.domain_shape, 1)

    @cached_property
    def ray_weight(self) -> torch.Tensor:
        """One over the length of every ray in the slice (view, t), 0 for rays that hardly touch it."""
        return _inverse(self.project(torch.ones(self.domain_shape, device=self.device)))

    @cached_property
    def voxel_weight(self) -> torch.Tensor:
        """One over what every voxel is seen in (z, x)."""
        return _inverse(self.smear(torch.ones(self.range_shape, device=self.device)))

    def _applied(
        self, values: torch.Tensor, shape: tuple[int, int], to: tuple[int, int], direction: int
    ) -> torch.Tensor:
        if tuple(values.shape[-2:]) != shape:
            raise ValueError(f"values of shape {tuple(values.shape)} do not end in {shape}")
        flat = values.reshape(-1, shape[0] * shape[1]).float()
        pair = (self._along_rays, self._over_voxels)
        result: torch.Tensor = _Product.apply(flat, pair, direction)  # type: ignore[no-untyped-call]
        return result.reshape(*values.shape[:-2], *to)

    @cached_property
    def _along_rays(self) -> torch.Tensor:
        """Matrix (rays, voxels): two entries a step."""
        cos, sin, size = self._on_device(self._cos), self._on_device(self._sin), self.size
        steep = sin.abs() > cos.abs()
        lead, other = torch.where(steep, sin, cos), torch.where(steep, cos, sin)
        grid = torch.arange(size, device=self.device, dtype=torch.float32) - (size - 1) / 2
        step = torch.arange(size, device=self.device, dtype=torch.int32)
        # A ray's place across, in voxels, at every step (view, t, step).
        ideal = grid - self._on_device(self.shift_px)[:, None]
        across = (ideal[:, :, None] - grid[None, None, :] * other[:, None, None]) / lead[:, None, None]
        across += (size - 1) / 2
        near = across.floor()
        share, row = across - near, near.int()
        length = (1 / lead.abs())[:, None, None]
        entries = []
        for place, weight in ((row, 1 - share), (row + 1, share)):
            inside = (place >= 0) & (place < size)
            held = place.clamp(0, size - 1)
            column = torch.where(steep[:, None, None], held * size + step, step * size + held)
            entries.append((column, torch.where(inside, weight * length, 0.0)))
        return _matrix(entries, self.views * size, size * size)

    @cached_property
    def _over_voxels(self) -> torch.Tensor:
        """Matrix (voxels, rays): two entries a view, of the triangle that interpolation along rays gives a voxel."""
        cos, sin, size = self._on_device(self._cos), self._on_device(self._sin), self.size
        lead = torch.maximum(cos.abs(), sin.abs())
        grid = torch.arange(size, device=self.device, dtype=torch.float32) - (size - 1) / 2
        middle = self._on_device(self.shift_px) + (size - 1) / 2
        seen = grid[:, None, None] * sin + grid[None, :, None] * cos + middle  # (z, x, view)
        near = seen.floor()
        share, first = seen - near, near.int()
        start = torch.arange(self.views, device=self.device, dtype=torch.int32) * size
        entries = []
        for bin_, distance in ((first, share), (first + 1, 1 - share)):
            inside = (bin_ >= 0) & (bin_ < size)
            weight = (1 - distance / lead).clamp(min=0) / lead
            entries.append((start + bin_.clamp(0, size - 1), torch.where(inside, weight, 0.0)))
        return _matrix(entries, size * size, self.views * size)

    def _on_device(self, values: torch.Tensor) -> torch.Tensor:
        return values.to(device=self.device, dtype=torch.float32)


class _Product(torch.autograd.Function):
    """Product with one matrix of a pair; its gradient is the product with the other."""

    @staticmethod
    def forward(
        ctx: Any, values: torch.Tensor, pair: tuple[torch.Tensor, torch.Tensor], direction: int
    ) -> torch.Tensor:
        ctx.pair, ctx.direction = pair, direction
        return _times(pair[direction], values)

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return _times(ctx.pair[1 - ctx.direction], gradient), None, None


def _times(matrix: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Values (slices, n) times a sparse matrix (m, n): (slices, m)."""
    with torch.autocast(values.device.type, enabled=False):
        return (matrix @ values.T.contiguous()).T.contiguous()


def _matrix(entries: Sequence[tuple[torch.Tensor, torch.Tensor]], rows: int, columns: int) -> torch.Tensor:
    """Sparse matrix whose rows have the entries (column, weight) of one step or view after the other."""
    column = torch.stack([each[0] for each in entries], -1).reshape(-1)
    weight = torch.stack([each[1] for each in entries], -1).reshape(-1)
    length = math.prod(column.shape) // rows
    ends = torch.arange(0, rows * length + 1, length, device=column.device, dtype=torch.int32)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")
        return torch.sparse_csr_tensor(ends, column, weight, (rows, columns), check_invariants=False)


def _inverse(lengths: torch.Tensor) -> torch.Tensor:
    return torch.where(lengths > 1e-3, 1 / lengths.clamp(min=1e-3), 0.0)
