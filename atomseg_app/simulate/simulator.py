"""Simulated STEM pictures with exact truth by the batch: what the networks learn from and are judged on.

The completion of the TEMImageNet recipe (Lin et al., Sci. Rep. 11, 5386, 2021): projected columns of known crystals
through a probe, over backgrounds, with defects, and counted by a detector. Everything is drawn on one device from one
seed; the same seed on the same device gives the same pictures.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch.nn import functional

from atomseg_app.simulate.detector import burn_in_labels, draw_detector, record, scan_rows
from atomseg_app.simulate.draw import Draw
from atomseg_app.simulate.layout import Layout, Shape, lay_out
from atomseg_app.simulate.library import Library, pack
from atomseg_app.simulate.optics import FWHM, draw_optics
from atomseg_app.simulate.preset import Preset
from atomseg_app.simulate.projection import library as projections
from atomseg_app.simulate.scene import Scene, Truth, draw_scene, resolved

Arrange = Callable[[Draw, Preset, torch.Tensor, torch.Tensor, int], tuple[Layout, Shape, torch.Tensor]]
"""Where columns stand, instead of crystals of the library: from the numbers to draw from, the preset, ``pm_per_px`` and
the full width of a column in pm (images,), and the side of the padded pictures; as :func:`lay_out` returns it."""

_SMALLEST_SIGMA_PX = 1.5  # a column's image is drawn at least this wide, then summed into coarser pixels


@dataclass(frozen=True)
class Batch:
    """Pictures (images, y, x) and their truth, in one frame; dark-column pictures come negated.

    ``image`` as recorded; ``clean`` what its counts fluctuate round; ``columns`` the same without background;
    ``narrow`` the columns through a probe of half the width; ``mask`` Gaussian mask. ``truth`` the resolved columns,
    with ``snr`` (n,) their matched-filter signal-to-noise. ``pm_per_px``, ``sigma_px``, ``dose`` (images,) of each
    picture's frame (counts of its typical column peak); ``coarse`` how many pixels of the frame a pixel of the file
    covers; ``names`` the crystals.
    """

    image: torch.Tensor
    clean: torch.Tensor
    columns: torch.Tensor
    narrow: torch.Tensor
    mask: torch.Tensor
    truth: Truth
    snr: torch.Tensor
    pm_per_px: torch.Tensor
    sigma_px: torch.Tensor
    dose: torch.Tensor
    coarse: int
    names: tuple[str, ...]


class Simulator:
    """Pictures of a preset, one batch after the other, from a seed; of crystals, or of what ``arrange`` lays out."""

    def __init__(
        self,
        preset: Preset,
        seed: int,
        device: torch.device,
        library: Library | None = None,
        *,
        arrange: Arrange | None = None,
    ) -> None:
        self.preset = preset
        self._arrange = arrange
        self.library = (library or _packed(preset.held_out)).to(device)
        self._draw = Draw(seed, device)

    @property
    def generator(self) -> torch.Generator:
        """The generator that everything is drawn from, for checkpoints."""
        return self._draw.generator

    @torch.no_grad()
    def batch(self, count: int) -> Batch:
        """That many pictures. Those of one batch share how coarse their pixels are."""
        draw, preset = self._draw, self.preset
        if preset.sigma_px is not None:
            weights = torch.tensor(preset.coarse, dtype=torch.float32, device=draw.device)
            coarse = 1 + int(draw.choose(weights, 1))
            probe_pm, blur_pm = self._widths(count)
            sigma_px = draw.log_uniform(count, *preset.sigma_px)
            pm_per_px = (probe_pm**2 + blur_pm**2).sqrt() / sigma_px
            return self._pictures(probe_pm, blur_pm, pm_per_px, coarse, upsample=True)
        probe_pm, blur_pm = self._widths(count)
        # One magnification a batch, so that all its pictures are drawn equally fine.
        pm_per_px = draw.log_uniform(1, *preset.pm_per_px).expand(count)
        sigma_px = (probe_pm**2 + blur_pm**2).sqrt() / pm_per_px
        coarse = int(torch.ceil(_SMALLEST_SIGMA_PX / sigma_px.min()).clamp(1, 4))
        return self._pictures(probe_pm, blur_pm, pm_per_px / coarse, coarse, upsample=False)

    def _widths(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        draw, preset = self._draw, self.preset
        return draw.uniform(count, *preset.probe_fwhm_pm) / FWHM, draw.uniform(count, *preset.blur_pm)

    def _pictures(
        self, probe_pm: torch.Tensor, blur_pm: torch.Tensor, pm_per_px: torch.Tensor, coarse: int, *, upsample: bool
    ) -> Batch:
        """Pictures drawn at ``pm_per_px`` (images,), recorded in pixels ``coarse`` times larger."""
        draw, preset, count = self._draw, self.preset, len(pm_per_px)
        inner = preset.size_px * (1 if upsample else coarse)
        size = inner + 2 * preset.margin_px * (1 if upsample else coarse)
        size -= size % (2 * coarse)
        optics = draw_optics(draw, probe_pm / pm_per_px, blur_pm / pm_per_px, aberrations=preset.aberrations)
        sigma = optics.sigma_px
        fwhm_pm = sigma * pm_per_px * FWHM
        if self._arrange is None:
            layout, shape, chosen = lay_out(self.library, draw, preset, pm_per_px, fwhm_pm, size)
        else:
            layout, shape, chosen = self._arrange(draw, preset, pm_per_px, fwhm_pm, size)
        truth, strength = resolved(layout, count)
        scene = draw_scene(draw, preset, layout, truth, strength, optics, shape)
        frame = _Frame(coarse, upsample, size, inner)
        dose = draw.log_uniform(count, *preset.dose)
        dark = draw.chance(count, preset.dark)
        expected = _intensity(scene, dark) * dose[:, None, None]
        filed, wide = frame.file(expected).clamp(min=0), sigma / coarse
        detector = draw_detector(draw, filed.mean((1, 2)))
        scanned = frame.file(scan_rows(draw, preset, expected, coarse, detector.lag_px(wide)).clamp(min=0))
        recorded = record(draw, preset, detector, scanned)
        snr = _signal_to_noise(truth, dose, wide, filed, detector.excess(wide), coarse)
        sign = torch.where(dark, -1.0, 1.0)[:, None, None]
        pictures = burn_in_labels(draw, preset, frame.shown(recorded * sign))
        x_px, y_px = frame.place(truth.x_px), frame.place(truth.y_px)
        side = frame.side
        keep = (x_px > -0.5) & (y_px > -0.5) & (x_px < side - 0.5) & (y_px < side - 0.5)
        moved_truth = Truth(truth.image, x_px, y_px, truth.amplitude, truth.sum_z, truth.atoms, truth.number)
        shrink = 1 if upsample else coarse
        scale = dose[:, None, None]
        return Batch(
            pictures,
            frame.wanted(expected) * sign,
            frame.wanted(scene.columns) * scale,
            frame.wanted(scene.narrow) * scale,
            frame.wanted(scene.mask),
            moved_truth.take(keep),
            snr[keep],
            pm_per_px * shrink,
            sigma / shrink,
            dose,
            coarse if upsample else 1,
            tuple(self.library.names[i] for i in chosen.tolist()),
        )


@cache
def _packed(held_out: bool) -> Library:
    """The structures to train on, or those held out; packing takes a second."""
    return pack(projections(held_out))


@dataclass(frozen=True)
class _Frame:
    """From the grid that pictures are drawn on to the file's pixels, and to the frame that is handed out."""

    coarse: int
    upsample: bool
    size: int
    inner: int

    @property
    def side(self) -> int:
        return self.inner if self.upsample else self.inner // self.coarse

    def file(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures in pixels of the file: the mean over the fine ones, so that values stay counts a pixel."""
        return functional.avg_pool2d(pictures[:, None], self.coarse)[:, 0] if self.coarse > 1 else pictures

    def shown(self, pictures: torch.Tensor) -> torch.Tensor:
        """Pictures of the file in the frame that is handed out, without the padding."""
        if self.upsample and self.coarse > 1:
            pictures = functional.interpolate(
                pictures[:, None], size=(self.size, self.size), mode="bicubic", align_corners=False
            )[:, 0]
        return self._cropped(pictures)

    def wanted(self, pictures: torch.Tensor) -> torch.Tensor:
        """Noise-free pictures in the frame that is handed out."""
        return self._cropped(pictures if self.upsample else self.file(pictures))

    def place(self, position: torch.Tensor) -> torch.Tensor:
        """Pixel positions of the frame that is handed out."""
        if not self.upsample and self.coarse > 1:
            position = (position + 0.5) / self.coarse - 0.5
        return position - self._first(self.size if self.upsample else self.size // self.coarse)

    def _first(self, padded: int) -> int:
        return (padded - self.side) // 2

    def _cropped(self, pictures: torch.Tensor) -> torch.Tensor:
        first = self._first(pictures.shape[-1])
        return pictures[:, first : first + self.side, first : first + self.side].contiguous()


def _intensity(scene: Scene, dark: torch.Tensor) -> torch.Tensor:
    """Bright columns over their background, or dark ones in a bright ground (never quite black)."""
    bright = scene.columns + scene.background
    top = scene.columns.amax((1, 2), keepdim=True)
    return torch.where(dark[:, None, None], 1.15 * top + scene.background - scene.columns, bright).clamp(min=0)


def _signal_to_noise(
    truth: Truth, dose: torch.Tensor, sigma_px: torch.Tensor, expected: torch.Tensor, excess: torch.Tensor, coarse: int
) -> torch.Tensor:
    """Matched-filter signal-to-noise (n,): amplitude times root of the sum of g^2 / v in pixels of the file.

    The sum over a Gaussian of width s is pi s^2; v is the expected counts under the column, weighted with g^2, and the
    detector's ``excess`` (images,). An afterglow changes signal and noise alike.
    """
    reach = math.ceil(3 * float(sigma_px.max()) / math.sqrt(2))
    line = torch.arange(-reach, reach + 1, device=expected.device)
    kernel = torch.exp(-(line[None, :] ** 2) / sigma_px[:, None] ** 2)
    kernel = (kernel / kernel.sum(1, keepdim=True))[:, None, :]
    images = len(expected)
    padded = functional.pad(expected[None], (reach,) * 4, mode="replicate")
    blurred = functional.conv2d(padded, kernel[:, :, None, :], groups=images)
    blurred = functional.conv2d(blurred, kernel[:, :, :, None], groups=images)[0]
    x = ((truth.x_px + 0.5) / coarse - 0.5).round().long().clamp(0, expected.shape[2] - 1)
    y = ((truth.y_px + 0.5) / coarse - 0.5).round().long().clamp(0, expected.shape[1] - 1)
    variance = (blurred[truth.image, y, x] + excess[truth.image]).clamp(min=1e-3)
    return truth.amplitude * dose[truth.image] * (math.pi * sigma_px[truth.image] ** 2 / variance).sqrt()
