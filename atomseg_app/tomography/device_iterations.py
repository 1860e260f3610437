"""SIRT and MLEM on a CUDA device: Triton's projector where it works, else the sparse matrix; all slices at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch

from atomseg_app.errors import UserError
from atomseg_app.operations import Report
from atomseg_app.tomography.algorithms import relaxation_of
from atomseg_app.tomography.geometry import Geometry
from atomseg_app.tomography.iterates import Iterate
from atomseg_app.tomography.mlem import SMALLEST_RATIO
from atomseg_app.tomography.operations import Reconstruct
from atomseg_app.tomography.parts import Parts
from atomseg_app.tomography.problem import SMALLEST_LENGTH, Floats
from atomseg_app.tomography.torch_projector import SparseProjector
from atomseg_app.tomography.warp import Warp

KNOWN = ("sirt", "mlem")
Support = npt.NDArray[np.bool_] | None


class DeviceProjector(Protocol):
    """Volume (z, x, y) to views (view, t, y) as tensors of a device."""

    device: torch.device
    domain_shape: tuple[int, int, int]
    range_shape: tuple[int, int, int]

    def forward(self, volume: torch.Tensor) -> torch.Tensor:
        """Views of a volume."""

    def adjoint(self, views: torch.Tensor) -> torch.Tensor:
        """Volume that views are smeared over."""


class DeviceParts(Parts):
    """A slab of the volume on a device, shown and copied from there."""

    def put(self, volume: Floats) -> None:
        """Copy the image into a slab of the volume."""
        self.steps.clear()
        image: Any = self.images.pop()
        volume[...] = image.permute(0, 2, 1).cpu().numpy()

    def slice_of(self, number: int, image: Floats, wanted: int) -> Floats | None:
        """Slice (z, x) of the whole volume, if it is in this slab."""
        place = wanted - self.first_slice
        tensor: Any = image
        return np.asarray(tensor[:, :, place].cpu().numpy()) if 0 <= place < self.slices else None


def on_cuda(
    views: Floats, geometry: Geometry, settings: Reconstruct, support: Support, first_slice: int, report: Report
) -> Parts | None:
    """The slab on the CUDA device; None, with a note, where the CPU has to do it."""
    if settings.algorithm not in KNOWN or not geometry.is_single_axis or Warp.is_needed(geometry):
        report.note(f"{settings.algorithm} of such views runs on the CPU; on the GPU run {' and '.join(KNOWN)}, "
                    "of views tilted round one axis and not turned.")  # fmt: skip
        return None
    try:
        return device_parts(views, geometry, settings, cuda_projector(geometry, report), support, first_slice)
    except torch.OutOfMemoryError:
        report.note("The GPU's memory is too small for this volume; computing on the CPU.")
        return None


def cuda_projector(geometry: Geometry, report: Report) -> DeviceProjector:
    """Triton's projector after a trial, or the sparse matrix with a note why."""
    try:
        from atomseg_app.tomography.triton_projector import TritonProjector

        found = TritonProjector(geometry)
        found.forward(torch.zeros(found.domain_shape, device=found.device))
    except (ImportError, RuntimeError) as problem:
        if isinstance(problem, torch.OutOfMemoryError):
            raise
        report.note(f"The GPU's own projector cannot run here ({str(problem).splitlines()[0]}); a matrix is used.")
    else:
        return found
    return SparseProjector(geometry, "cuda")


def device_parts(
    views: Floats, geometry: Geometry, settings: Reconstruct, projector: DeviceProjector, support: Support,
    first_slice: int,
) -> Parts:  # fmt: skip
    """One part: the slab of these views (view, y, x). Raises UserError for algorithms that are not :data:`KNOWN`."""
    if settings.algorithm not in KNOWN:
        raise UserError(f"{settings.algorithm} does not run on a GPU; choose {' or '.join(KNOWN)}.")
    measured = torch.from_numpy(views).permute(0, 2, 1).contiguous().to(projector.device)
    image = torch.zeros(projector.domain_shape, device=projector.device)
    mask = None if support is None else torch.from_numpy(support.astype(np.float32)).to(projector.device)[:, :, None]
    if settings.algorithm == "sirt":
        least = 0.0 if settings.positivity else -float("inf")
        steps = _sirt(projector, measured, image, mask, relaxation_of(settings), least)
    else:
        steps = _mlem(projector, measured, image, mask)
    total = max(float(np.abs(views).sum(dtype=np.float64)), 1e-30)
    shown: Any = image
    return DeviceParts(None, [shown], [steps], total, first_slice, views.shape[1])


def _inverse(lengths: torch.Tensor) -> torch.Tensor:
    """One over lengths, 0 for those that are almost nothing."""
    return torch.where(lengths > SMALLEST_LENGTH, 1 / lengths.clamp(min=SMALLEST_LENGTH), torch.zeros_like(lengths))


def _weights(projector: DeviceProjector, mask: torch.Tensor | None) -> tuple[torch.Tensor, torch.Tensor]:
    """One over the sums of rows (view, t, 1) and of columns (z, x, 1), the latter 0 outside the mask."""
    rows = _inverse(projector.forward(torch.ones(projector.domain_shape, device=projector.device))[:, :, :1].clone())
    columns = _inverse(projector.adjoint(torch.ones(projector.range_shape, device=projector.device))[:, :, :1].clone())
    return rows, columns if mask is None else columns * mask


def _sirt(
    projector: DeviceProjector, measured: torch.Tensor, image: torch.Tensor, mask: torch.Tensor | None,
    relaxation: float, least: float,
) -> Iterator[Iterate]:  # fmt: skip
    """As :func:`atomseg_app.tomography.sirt.sirt`."""
    rows, columns = _weights(projector, mask)
    shown: Any = image
    while True:
        rest = measured - projector.forward(image)
        misfit = rest.abs().sum(dim=(1, 2)).cpu().numpy()
        image.addcmul_(projector.adjoint(rest.mul_(rows)), relaxation * columns).clamp_(min=least)
        yield Iterate(shown, misfit)


def _mlem(
    projector: DeviceProjector, measured: torch.Tensor, image: torch.Tensor, mask: torch.Tensor | None
) -> Iterator[Iterate]:
    """As :func:`atomseg_app.tomography.mlem.mlem`."""
    rows, columns = _weights(projector, mask)
    measured = measured.clamp(min=0)
    lengths = torch.where(rows > 0, 1 / rows.clamp(min=1e-30), torch.zeros_like(rows)).sum() * measured.shape[2]
    level = max(float(measured.sum(dtype=torch.float64)) / max(float(lengths), 1.0), 1e-12)
    image.copy_((columns > 0) * level)
    shown: Any = image
    while True:
        found = projector.forward(image)
        misfit = (measured - found).abs().sum(dim=(1, 2)).cpu().numpy()
        ratio = torch.where(found > SMALLEST_RATIO * level, measured / found, torch.ones_like(found))
        image.mul_(projector.adjoint(ratio).mul_(columns))
        yield Iterate(shown, misfit)
