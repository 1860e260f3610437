"""From a specimen to its tomogram: tilt series with a missing wedge, noise and misalignment, then MLEM or SIRT."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.rays.reconstruct import sirt
from atomseg_app.simulate.catalyst_preset import CatalystPreset
from atomseg_app.simulate.catalyst_support import Floats

_TOGETHER = 32
"""Slices done at once: so many fit the nearest caches."""
_LIT = 0.1  # of the largest projection: bins that see the specimen


@dataclass(frozen=True)
class Conditions:
    """How one tomogram was taken and reconstructed; see :class:`CatalystPreset`."""

    tilt_deg: tuple[float, ...]
    tilt_error_deg: float
    shift_px: float
    blur_px: float
    saturation: float
    dose: float
    method: str
    iterations: int


def draw_conditions(random: np.random.Generator, preset: CatalystPreset) -> Conditions:
    """Conditions from the ranges of a preset."""
    last, step = random.uniform(*preset.last_tilt_deg), random.uniform(*preset.step_deg)
    side = int(last / step)
    method = "sirt" if random.random() < preset.sirt else "mlem"
    span = preset.sirt_iterations if method == "sirt" else preset.mlem_iterations
    return Conditions(
        tuple(step * view for view in range(-side, side + 1)),
        random.uniform(*preset.tilt_error_deg), random.uniform(*preset.shift_px), random.uniform(*preset.blur_px),
        random.uniform(*preset.saturation), float(np.exp(random.uniform(*np.log(preset.dose)))),
        method, round(random.uniform(*span)),
    )  # fmt: skip


def tomogram(random: np.random.Generator, density: Floats, how: Conditions) -> Floats:
    """Reconstruction (z, y, x) of a specimen's scattering (z, y, x), made of its noisy views round y.

    z and x are as long as each other.
    """
    slices = torch.from_numpy(np.ascontiguousarray(_blurred(density, how.blur_px).transpose(1, 0, 2)))
    views = _noisy(random, _exact_views(random, slices, how), how)
    beam = ParallelBeam(how.tilt_deg, density.shape[0])
    reconstruct = _sirt if how.method == "sirt" else mlem
    parts = [reconstruct(beam, part, how.iterations) for part in torch.split(views, _TOGETHER)]
    return np.ascontiguousarray(torch.cat(parts).numpy().transpose(1, 0, 2))


def _blurred(density: Floats, sigma_px: float) -> Floats:
    """The specimen as the probe sees it: what blurs all views alike may as well blur what they are of."""
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(density, sigma_px, mode="constant", truncate=3.0), np.float32)


def _exact_views(random: np.random.Generator, slices: torch.Tensor, how: Conditions) -> torch.Tensor:
    """Views (slice, view, t) at tilts and places that are a little off, as alignment leaves them."""
    count = len(how.tilt_deg)
    tilts = np.asarray(how.tilt_deg) + how.tilt_error_deg * random.standard_normal(count)
    across, along = how.shift_px * random.standard_normal((2, count))
    across, along = across - _rigid(across, how.tilt_deg), along - along.mean()
    beam = ParallelBeam(torch.from_numpy(tilts), slices.shape[-1], shift_px=torch.from_numpy(across))
    views = torch.cat([beam.project(part) for part in torch.split(slices, _TOGETHER)])
    last = len(views) - 1
    for view, shift in enumerate(along):
        place = (torch.arange(last + 1) - float(shift)).clamp(0, last)
        near = place.floor().long()
        share = (place - near)[:, None].float()
        exact = views[:, view]
        views[:, view] = (1 - share) * exact[near] + share * exact[(near + 1).clamp(max=last)]
    return views


def _rigid(across_px: npt.NDArray[np.float64], tilt_deg: tuple[float, ...]) -> npt.NDArray[np.float64]:
    """The part of shifts of views that moves the whole specimen: it would move the tomogram, and no truth with it."""
    tilt = np.deg2rad(tilt_deg)
    moves = np.stack([np.cos(tilt), np.sin(tilt)], axis=1)
    return np.asarray(moves @ np.linalg.lstsq(moves, across_px, rcond=None)[0])


def _noisy(random: np.random.Generator, views: torch.Tensor, how: Conditions) -> torch.Tensor:
    """Views that saturate where the specimen is thick, counted."""
    views = views.clamp(min=0)
    top = float(views.max()) or 1.0
    views = views * (1 - how.saturation * views / top)
    lit = views > _LIT * top
    scale = how.dose / max(float(views[lit].mean()) if lit.any() else 1.0, 1e-6)
    seed = int(random.integers(2**62))
    return torch.poisson(views * scale, generator=torch.Generator().manual_seed(seed)) / scale


def mlem(beam: ParallelBeam, views: torch.Tensor, iterations: int) -> torch.Tensor:
    """Slices (..., z, x) of views (..., view, t) by so many iterations of MLEM from a constant.

    Shepp and Vardi, IEEE Trans. Med. Imaging 1 (1982) 113. Voxels that no view sees are 0.
    """
    lengths = beam.project(torch.ones(beam.domain_shape))
    level = views.sum((-2, -1), keepdim=True).clamp(min=1e-12) / lengths.sum()
    image = level * (beam.voxel_weight > 0) * torch.ones(beam.domain_shape)
    for _ in range(iterations):
        projected = beam.project(image)
        ratio = torch.where(projected > 1e-6 * level, views / projected.clamp(min=1e-12), 1.0)
        image = image * beam.voxel_weight * beam.smear(ratio)
    return image


def _sirt(beam: ParallelBeam, views: torch.Tensor, iterations: int) -> torch.Tensor:
    return sirt(beam, views, iterations)
