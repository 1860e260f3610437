"""Projection of slices by a parallel beam, in torch: differentiable, many slices at once, one list of angles.

Joseph's method (IEEE Trans. Med. Imaging 1 (1982) 192): a ray takes one step a row or column, whichever it crosses more
steeply, and interpolates between the two voxels beside it. The compiled kernels do so on the CPU, sparse matrices
elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch

from atomseg_app.rays.matrices import MatrixBeam

if TYPE_CHECKING:
    from atomseg_app.rays.lane_beam import LaneBeam

_Map = Callable[[torch.Tensor], torch.Tensor]


class ParallelBeam:
    """Rays at ``tilt_deg`` through slices (..., z, x) of ``size`` voxels a side to sinograms (..., view, t).

    A voxel at (x, z) from the centre (size - 1) / 2 is seen at t = x cos(tilt) + z sin(tilt) from the centre of the
    ``size`` bins, which are as wide as voxels, moved by ``shift_px`` (view,) towards larger t. A projection is the sum
    of grey levels in voxel units. ``compiled`` is whether kernels do it, by default on the CPU. Raises ValueError for
    no angle, one that is no number, other counts, or a size below 2.
    """

    def __init__(
        self,
        tilt_deg: Sequence[float] | torch.Tensor,
        size: int,
        device: torch.device | str = "cpu",
        shift_px: Sequence[float] | torch.Tensor | None = None,
        *,
        compiled: bool | None = None,
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
        self._compiled = self.device.type == "cpu" if compiled is None else compiled

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

    def check(self) -> None:
        """Called before every projection, back projection, and iteration; raise from here to end them early."""

    def project(self, slices: torch.Tensor) -> torch.Tensor:
        """Sinograms (..., view, t) of slices (..., z, x), with gradients. Raises ValueError for another shape."""
        return self._applied(slices, self.domain_shape, self.range_shape, self._pair)

    def smear(self, sinograms: torch.Tensor) -> torch.Tensor:
        """The adjoint: slices (..., z, x) of sinograms (..., view, t). Raises ValueError for another shape."""
        return self._applied(sinograms, self.range_shape, self.domain_shape, self._pair[::-1])

    @cached_property
    def ray_weight(self) -> torch.Tensor:
        """One over the length of every ray in the slice (view, t), 0 for rays that hardly touch it."""
        return _inverse(self.project(torch.ones(self.domain_shape, device=self.device)))

    @cached_property
    def voxel_weight(self) -> torch.Tensor:
        """One over what every voxel is seen in (z, x)."""
        return _inverse(self.smear(torch.ones(self.range_shape, device=self.device)))

    @cached_property
    def lanes(self) -> LaneBeam | None:
        """The compiled projector, where it does the work."""
        if not self._compiled:
            return None
        from atomseg_app.rays import lane_beam  # numba takes half a second, and other devices need none

        rays = lane_beam.SliceRays(tuple(self.tilt_deg.tolist()), self.shift_px.numpy(), self.size)
        return lane_beam.LaneBeam(rays)

    @cached_property
    def _pair(self) -> tuple[_Map, _Map]:
        """Projection and smearing of float32 batches (slices, ...)."""
        lanes = self.lanes
        if lanes is None:
            matrices = MatrixBeam(torch.deg2rad(self.tilt_deg), self.shift_px, self.size, self.device)
            return matrices.project, matrices.smear
        return _through(lanes.project), _through(lanes.smear)

    def _applied(
        self, values: torch.Tensor, shape: tuple[int, int], to: tuple[int, int], pair: tuple[_Map, _Map]
    ) -> torch.Tensor:
        self.check()
        if tuple(values.shape[-2:]) != shape:
            raise ValueError(f"values of shape {tuple(values.shape)} do not end in {shape}")
        result: torch.Tensor = _Linear.apply(values.reshape(-1, *shape).float(), *pair)  # type: ignore[no-untyped-call]
        return result.reshape(*values.shape[:-2], *to)


class _Linear(torch.autograd.Function):
    """A linear map; its gradient is that of its adjoint, of any order."""

    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, map_: _Map, adjoint: _Map) -> torch.Tensor:
        ctx.pair = map_, adjoint
        return map_(values)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        map_, adjoint = ctx.pair
        return _Linear.apply(gradients[0], adjoint, map_), None, None  # type: ignore[no-untyped-call]


def _through(work: Callable[..., Any]) -> _Map:
    """Work on arrays as work on tensors, on as many threads as torch has."""
    return lambda values: torch.from_numpy(work(values.detach().contiguous().numpy(), torch.get_num_threads()))


def _inverse(lengths: torch.Tensor) -> torch.Tensor:
    return torch.where(lengths > 1e-3, 1 / lengths.clamp(min=1e-3), 0.0)
