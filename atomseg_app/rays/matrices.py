"""The projector of slices as two sparse matrices, for devices that the compiled kernels do not run on.

Projection goes along rays and smearing back over voxels, so that the rows of both matrices all have the same length and
are made without sorting; their numbers are the same but for rounding, which makes them adjoint.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from functools import cached_property

import torch


class MatrixBeam:
    """Projector pair of float32 batches (slices, ...) at angles in rad with shifts (view,), on their device."""

    def __init__(self, radians: torch.Tensor, shift_px: torch.Tensor, size: int, device: torch.device) -> None:
        cos, sin, shift = (each.to(device, torch.float32) for each in (radians.cos(), radians.sin(), shift_px))
        self._shape, self._rays = (len(cos), size), (cos, sin, shift, size)

    @cached_property
    def _along_rays(self) -> torch.Tensor:
        return along_rays(*self._rays)

    @cached_property
    def _over_voxels(self) -> torch.Tensor:
        return over_voxels(*self._rays)

    def project(self, slices: torch.Tensor) -> torch.Tensor:
        """Sinograms (slices, view, t) of slices (slices, z, x)."""
        return _times(self._along_rays, slices.flatten(1)).reshape(-1, *self._shape)

    def smear(self, sinograms: torch.Tensor) -> torch.Tensor:
        """Slices (slices, z, x) that sinograms (slices, view, t) are smeared over."""
        size = self._shape[1]
        return _times(self._over_voxels, sinograms.flatten(1)).reshape(-1, size, size)


def along_rays(cos: torch.Tensor, sin: torch.Tensor, shift_px: torch.Tensor, size: int) -> torch.Tensor:
    """Matrix (rays, voxels) of views at angles with these cosines and sines (view,): two entries a step."""
    steep = sin.abs() > cos.abs()
    lead, other = torch.where(steep, sin, cos), torch.where(steep, cos, sin)
    grid = torch.arange(size, device=cos.device, dtype=torch.float32) - (size - 1) / 2
    step = torch.arange(size, device=cos.device, dtype=torch.int32)
    # A ray's place across, in voxels, at every step (view, t, step).
    ideal = grid - shift_px[:, None]
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
    return _matrix(entries, len(cos) * size, size * size)


def over_voxels(cos: torch.Tensor, sin: torch.Tensor, shift_px: torch.Tensor, size: int) -> torch.Tensor:
    """Matrix (voxels, rays): two entries a view, of the triangle that interpolation along rays gives a voxel."""
    lead = torch.maximum(cos.abs(), sin.abs())
    grid = torch.arange(size, device=cos.device, dtype=torch.float32) - (size - 1) / 2
    middle = shift_px + (size - 1) / 2
    seen = grid[:, None, None] * sin + grid[None, :, None] * cos + middle  # (z, x, view)
    near = seen.floor()
    share, first = seen - near, near.int()
    start = torch.arange(len(cos), device=cos.device, dtype=torch.int32) * size
    entries = []
    for bin_, distance in ((first, share), (first + 1, 1 - share)):
        inside = (bin_ >= 0) & (bin_ < size)
        weight = (1 - distance / lead).clamp(min=0) / lead
        entries.append((start + bin_.clamp(0, size - 1), torch.where(inside, weight, 0.0)))
    return _matrix(entries, size * size, len(cos) * size)


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
