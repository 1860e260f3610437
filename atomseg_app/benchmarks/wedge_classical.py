"""What filling a missing wedge is compared with: back projection, SART, SART with TV, and total variation at its best.

SART and SART-TV are the recipes of TomoFillNet's authors: ten sweeps with relaxation 0.25; ten times a sweep with 0.3
and Bregman's total variation (scikit-image) of 0.1. That is a weight of 10 in the library's terms today, where a
smaller one smooths more: 0.1 itself smooths everything away (20 dB), which is not what they published (27.9 dB).
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec

import numpy as np
import torch

from atomseg_app.networks.image_losses import decibels, similarity
from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.rays.reconstruct import fbp, found_weight, sirt, total_variation

_SWEEPS, _RELAXATION, _RELAXATION_TV = 10, 0.25, 0.3
_BREGMAN = 10.0
_GOLDEN = (5**0.5 - 1) / 2
_TV_ITERATIONS, _TV_START = 150, 10
_COARSE, _FINE = (1 / 64, 1 / 16, 1 / 4, 1.0, 4.0, 16.0), (0.5, 2.0)
"""Weights that an oracle tries, times the automatic one: first these, then such factors of the best."""


def back_projection(views: torch.Tensor, beam: ParallelBeam) -> torch.Tensor:
    """Filtered back projection (slices, z, x), not below 0."""
    return fbp(beam, views).clamp(min=0)


def sart(views: torch.Tensor, beam: ParallelBeam) -> torch.Tensor:
    """SART (Andersen and Kak, Ultrason. Imaging 6 (1984) 81) as the papers ran it, not below 0."""
    image = torch.zeros(len(views), *beam.domain_shape)
    single = _single_views(beam)
    for _ in range(_SWEEPS):
        image = _sweep(image, views, single, _RELAXATION)
    return image


def sart_tv(views: torch.Tensor, beam: ParallelBeam) -> torch.Tensor:
    """SART and total variation in turn, as the papers ran it."""
    from skimage.restoration import denoise_tv_bregman

    image = torch.zeros(len(views), *beam.domain_shape)
    single = _single_views(beam)
    for _ in range(_SWEEPS):
        swept = _sweep(image, views, single, _RELAXATION_TV).double().numpy()
        smooth = np.stack([denoise_tv_bregman(each, weight=_BREGMAN) for each in swept])
        image = torch.from_numpy(smooth).float()
    return image.clamp(min=0)


def tv(views: torch.Tensor, beam: ParallelBeam) -> torch.Tensor:
    """Total variation with the weight found from the views."""
    return _tv(views, beam, found_weight(views))


def tv_oracle(views: torch.Tensor, beam: ParallelBeam, truth: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Greatest decibels and greatest similarity (slices,) of total variation over weights, each chosen by the truth."""
    automatic = found_weight(views).clamp(min=1e-6)

    def tried(factors: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Decibels and similarity (factors, slices) for factors (factors, slices), all at once."""
        count = len(factors)
        image = _tv(views.repeat(count, 1, 1), beam, (automatic * factors).flatten())
        pairs = truth.repeat(count, 1, 1)
        return decibels(image, pairs).reshape(count, -1), similarity(image, pairs).reshape(count, -1)

    coarse = torch.tensor(_COARSE)[:, None].expand(-1, len(views))
    psnr, ssim = tried(coarse)
    near = torch.tensor(_FINE)[:, None]
    finer = tried(near * coarse.gather(0, psnr.argmax(0)[None]))
    return torch.cat([psnr, finer[0]]).amax(0), torch.cat([ssim, finer[1]]).amax(0)


def classical() -> dict[str, Callable[[torch.Tensor, ParallelBeam], torch.Tensor]]:
    """The recipes that need no truth, by name; SART-TV only where scikit-image is installed."""
    there = find_spec("skimage") is not None
    return {"WBP": back_projection, "SART": sart, **({"SART-TV": sart_tv} if there else {}), "TV, automatic": tv}


def _tv(views: torch.Tensor, beam: ParallelBeam, weight: torch.Tensor) -> torch.Tensor:
    return total_variation(beam, views, weight, _TV_ITERATIONS, sirt(beam, views, _TV_START))


def _single_views(beam: ParallelBeam) -> list[tuple[int, ParallelBeam]]:
    """Index and beam of every view, each far from the one before it."""
    ordered = beam.tilt_deg.argsort().tolist()
    steps = np.argsort(np.mod(np.arange(beam.views) * _GOLDEN, 1), kind="stable")
    return [(ordered[step], ParallelBeam(beam.tilt_deg[ordered[step]][None], beam.size)) for step in steps]


def _sweep(
    image: torch.Tensor, views: torch.Tensor, single: list[tuple[int, ParallelBeam]], relaxation: float
) -> torch.Tensor:
    for index, one in single:
        left = views[:, index : index + 1] - one.project(image)
        image = (image + relaxation * one.voxel_weight * one.smear(one.ray_weight * left)).clamp(min=0)
    return image
