"""The image of one column: an optical transfer function a picture, from the probe's core, tail, coma and rings."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from atomseg_app.simulate.draw import Draw
from atomseg_app.simulate.fourier import Frequencies

FWHM = 2 * math.sqrt(2 * math.log(2))
"""Full width at half maximum of a Gaussian in standard deviations."""


@dataclass(frozen=True)
class Optics:
    """One entry a picture (images,): lengths in pixels, weights in parts of the core's volume.

    ``probe_px`` is the rms width of the probe's core, ``blur_px`` that of thermal motion and source together.
    ``ellipticity`` >= 1 is the ratio of the axes, ``coma`` the phase in rad at one inverse width, ``ring`` the weight
    of a ring of ``ring_px`` radius, ``airy`` whether the core is that of an aperture instead of a Gaussian.
    """

    probe_px: torch.Tensor
    blur_px: torch.Tensor
    ellipticity: torch.Tensor
    angle: torch.Tensor
    tail: torch.Tensor
    tail_px: torch.Tensor
    coma: torch.Tensor
    coma_angle: torch.Tensor
    ring: torch.Tensor
    ring_px: torch.Tensor
    airy: torch.Tensor

    @property
    def sigma_px(self) -> torch.Tensor:
        """rms width (images,) of a column's core."""
        return (self.probe_px**2 + self.blur_px**2).sqrt()

    def transfer(self, frequencies: Frequencies) -> torch.Tensor:
        """Transfer functions (images, y, x // 2 + 1), complex, scaled so that a column of weight 1 peaks at 1."""

        def per_image(values: torch.Tensor) -> torch.Tensor:
            return values[:, None, None]

        kx, ky = frequencies.kx, frequencies.ky
        cos, sin = per_image(self.angle.cos()), per_image(self.angle.sin())
        stretch = per_image(self.ellipticity.sqrt())
        along, across = (kx * cos + ky * sin) * stretch, (ky * cos - kx * sin) / stretch
        k2 = along**2 + across**2
        core = torch.exp(-0.5 * k2 * per_image(self.probe_px) ** 2)
        core[self.airy] = _aperture(k2[self.airy].sqrt(), per_image(self.probe_px[self.airy]))
        core *= frequencies.gaussian(self.blur_px)
        ringed, tailed = self.ring != 0, self.tail > 0
        ring = torch.special.bessel_j0(frequencies.k * per_image(self.ring_px[ringed]))
        core[ringed] *= 1 + per_image(self.ring[ringed]) * ring
        core[tailed] += per_image(self.tail[tailed]) * frequencies.gaussian(self.tail_px[tailed])
        sigma = per_image(self.sigma_px)
        towards = kx * per_image(self.coma_angle.cos()) + ky * per_image(self.coma_angle.sin())
        # Coma that leaves the centre of a fitted Gaussian in its place: 2 is the mean of k_x^2 k^2 s^2 over that of
        # k_x^2 under the square of its transfer. What is left out displaces all columns alike, as does the scan.
        phase = per_image(self.coma) * towards * sigma * (frequencies.k2 * sigma**2 - 2)
        transfer = torch.polar(core, phase.clamp(-math.pi, math.pi))
        return transfer / per_image(frequencies.peak(transfer))


def _aperture(k: torch.Tensor, sigma_px: torch.Tensor) -> torch.Tensor:
    """Incoherent transfer of a round aperture whose Airy disc is as wide at half maximum as that Gaussian."""
    cutoff = 2 * math.pi * 1.029 / (FWHM * sigma_px)
    q = (k / cutoff).clamp(max=1.0)
    return (2 / math.pi) * (torch.acos(q) - q * (1 - q**2).clamp(min=0).sqrt())


def gaussian_transfer(frequencies: Frequencies, sigma_px: torch.Tensor) -> torch.Tensor:
    """Transfer functions (images, y, x // 2 + 1) of Gaussians of rms width ``sigma_px`` (images,) that peak at 1."""
    return frequencies.gaussian(sigma_px, 2 * math.pi * sigma_px**2)


def draw_optics(draw: Draw, probe_px: torch.Tensor, blur_px: torch.Tensor, *, aberrations: float = 1.0) -> Optics:
    """Random aberrations for cores of given widths (images,); ``aberrations`` 0..1 scales how strong they get."""
    count = len(probe_px)
    sigma = (probe_px**2 + blur_px**2).sqrt()
    return Optics(
        probe_px,
        blur_px,
        1 + 0.3 * aberrations * draw.uniform(count) ** 2,
        draw.uniform(count, 0, math.pi),
        draw.sometimes(count, 0.6, draw.uniform(count, 0, 0.8 * aberrations)),
        sigma * draw.uniform(count, 2.5, 6.0),
        draw.sometimes(count, 0.3, draw.uniform(count, 0, 0.06 * aberrations)),
        draw.uniform(count, 0, 2 * math.pi),
        draw.sometimes(count, 0.2, draw.uniform(count, -0.15, 0.25) * aberrations),
        sigma * draw.uniform(count, 2.5, 4.0),
        draw.chance(count, 0.4),
    )
