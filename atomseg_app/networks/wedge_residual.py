"""Filling of a missing wedge, from total variation: U-Nets correct it, and the views are obeyed in between.

The network predicts what the reconstruction got wrong (Ge and Xin 2018), knowing it, what of the views it does not
explain yet, and the noise. After each correction come steps towards the views through the projector, with learned sizes
that are smaller the noisier the views are (unrolled descent: Adler and Oktem, IEEE Trans. Med. Imaging 37 (2018) 1322),
so that projections of the answer are what was measured, within its noise, whatever the network thinks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import nn
from torch.nn import functional

from atomseg_app.networks.unet import UNet
from atomseg_app.rays.parallel_beam import ParallelBeam
from atomseg_app.rays.reconstruct import filtered, found_weight, noise_of, sirt, total_variation

_SOFT = 10  # iterations of SIRT, whose blurred image is shown beside the one that total variation gives
_FAINTEST = 1e-3  # relative noise that is told apart from none


class WedgeResidual(nn.Module):
    """Maps views (slices, view, t) and their beam to slices (slices, z, x), grey levels of 0 and more.

    ``stages`` corrections, each by a U-Net of ``stem``, ``widths``, ``depth`` and followed by ``steps`` towards the
    views, begin with ``start`` iterations of total variation. Scale is arbitrary: the answer goes with the views.
    """

    def __init__(
        self,
        stem: int = 12,
        widths: Sequence[int] = (24, 32, 48, 64),
        depth: int = 1,
        stages: int = 2,
        steps: int = 2,
        start: int = 100,
    ) -> None:
        super().__init__()
        self.start = start
        self.weight = 1.0  # of total variation, times the one that the views' noise suggests
        self.correct = nn.ModuleList(_Correction(stem, widths, depth) for _ in range(stages))
        self.obey = nn.ModuleList(Obedience(steps) for _ in range(stages))

    def forward(self, views: torch.Tensor, beam: ParallelBeam) -> torch.Tensor:
        """Raises ValueError where views and beam do not belong together."""
        image, soft, wanted, noise, scale = self.begun(views, beam)
        return self.corrected(image, soft, wanted, beam, noise) * scale

    def corrected(
        self, image: torch.Tensor, soft: torch.Tensor, wanted: torch.Tensor, beam: ParallelBeam, noise: torch.Tensor
    ) -> torch.Tensor:
        """All corrections of an image (slices, z, x) by total variation, about as bright as 1, that belongs to views.

        ``soft`` is SIRT's image, ``noise`` (slices,) as :func:`relative_noise` tells it.
        """
        for correct, obey in zip(self.correct, self.obey, strict=True):
            image = correct(image, soft, wanted, beam, noise)
            image = obey(image, wanted, beam, noise)
        answer: torch.Tensor = image.clamp(min=0)
        return answer

    @torch.no_grad()
    def begun(self, views: torch.Tensor, beam: ParallelBeam) -> tuple[torch.Tensor, ...]:
        """What :meth:`corrected` takes, of views (slices, view, t): image, soft, wanted, noise; and the scale."""
        soft = sirt(beam, views.float(), _SOFT)
        scale = brightness(soft)
        soft, wanted = soft / scale, views.float() / scale
        image = total_variation(beam, wanted, self.weight * found_weight(wanted), self.start, soft)
        return image, soft, wanted, relative_noise(wanted), scale


class Obedience(nn.Module):
    """Steps of an image (slices, z, x) towards its views: one as SIRT takes, one as filtered back projection does.

    Filtered, a step reaches fine detail at once that SIRT needs hundreds for, and noise as well; the size of either is
    learned and falls with the noise from a level that is learned.
    """

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.size = nn.Parameter(torch.tensor([[0.9, 0.4]] * steps))
        self.log_level = nn.Parameter(torch.tensor([[-1.0, -3.0]] * steps))

    def forward(
        self, image: torch.Tensor, wanted: torch.Tensor, beam: ParallelBeam, noise: torch.Tensor
    ) -> torch.Tensor:
        """Same shape; ``noise`` (slices,) as :func:`relative_noise` tells it."""
        for size, level in zip(self.size, self.log_level, strict=True):
            plain, sharp = unexplained(image, wanted, beam)
            weight = size / (1 + (noise[:, None] / level.exp()) ** 2)  # (slices, 2)
            image = image + weight[:, :1, None] * plain + weight[:, 1:, None] * sharp
        return image


class _Correction(nn.Module):
    """A U-Net's correction of an image, nothing before it is trained."""

    def __init__(self, stem: int, widths: Sequence[int], depth: int) -> None:
        super().__init__()
        self.unet = UNet(5, 1, stem, widths, depth)
        nn.init.zeros_(self.unet.head.weight)
        if self.unet.head.bias is not None:
            nn.init.zeros_(self.unet.head.bias)

    def forward(
        self,
        image: torch.Tensor,
        soft: torch.Tensor,
        wanted: torch.Tensor,
        beam: ParallelBeam,
        noise: torch.Tensor,
    ) -> torch.Tensor:
        plain, sharp = unexplained(image, wanted, beam)
        told = (noise + _FAINTEST).log()[:, None, None].expand_as(image) / 3 + 1
        return image + corrected(self.unet, torch.stack([image, soft, 10 * plain, 3 * sharp, told], 1))[:, 0]


def unexplained(image: torch.Tensor, wanted: torch.Tensor, beam: ParallelBeam) -> tuple[torch.Tensor, torch.Tensor]:
    """What is left of the views, smeared back as SIRT does and by filtered back projection, each (slices, z, x)."""
    left = wanted - beam.project(image)
    plain, sharp = beam.smear(torch.stack([beam.ray_weight * left, filtered(beam, left)]))
    return beam.voxel_weight * plain, sharp


def corrected(unet: UNet, channels: torch.Tensor) -> torch.Tensor:
    """Answer of a U-Net for slices of any size, computed in bfloat16, given in float32."""
    height, width = channels.shape[-2:]
    padded = functional.pad(channels, (0, -width % unet.stride, 0, -height % unet.stride))
    with torch.autocast(channels.device.type, torch.bfloat16):
        answer = unet(padded.contiguous(memory_format=torch.channels_last))
    result: torch.Tensor = answer.float()[..., :height, :width]
    return result


def brightness(image: torch.Tensor) -> torch.Tensor:
    """Grey level (slices, 1, 1) of the brightest 4 x 4 voxels, 1 for empty slices: what slices are divided by."""
    brightest = functional.avg_pool2d(image.abs()[:, None], 4).amax((1, 2, 3))[:, None, None]
    return torch.where(brightest > 0, brightest, 1.0)


def relative_noise(wanted: torch.Tensor) -> torch.Tensor:
    """Noise (slices,) of views, as it appears in a voxel of their filtered back projection: s / sqrt(views)."""
    return noise_of(wanted) / math.sqrt(wanted.shape[-2])
