"""What the column network is taught: targets from simulated pictures, and the loss."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import nn
from torch.nn import functional

from atomseg_app.networks.columns import CHANNELS, HEAT_PX, Normalisation
from atomseg_app.operations import Report
from atomseg_app.simulate.preset import Preset
from atomseg_app.simulate.simulator import Batch, Simulator

SURE_SNR = 4.0
"""Columns with at least this matched-filter signal-to-noise are to be found."""
UNSEEN_SNR = 2.0
"""Columns below are taught as absent; between the two the network is not asked."""

Lesson = TypeVar("Lesson")

_JUDGE, _RANKS_APART = 1_000_003, 7919  # between seeds: of validation, and of the processes' training

_REACH = 3  # pixels round a column in which probability and offsets are taught


@dataclass(frozen=True)
class Targets:
    """``image`` (batch, 1, y, x) normalised, and what the channels should be, each (batch, y, x).

    ``asked`` weighs the probability, ``near`` says where offsets, amplitude are taught (with which weight).
    """

    image: torch.Tensor
    heat: torch.Tensor
    asked: torch.Tensor
    near: torch.Tensor
    offset_x: torch.Tensor
    offset_y: torch.Tensor
    amplitude: torch.Tensor
    circle: torch.Tensor
    gaussian: torch.Tensor
    denoised: torch.Tensor
    background_free: torch.Tensor
    super_resolved: torch.Tensor


@torch.no_grad()
def targets_of(batch: Batch) -> Targets:
    """Targets of a batch of simulated pictures."""
    norm = Normalisation.of(batch.image)
    counts_a_peak = batch.dose / norm.scale
    sure, doubtful = batch.snr >= SURE_SNR, (batch.snr >= UNSEEN_SNR) & (batch.snr < SURE_SNR)
    shape = tuple(batch.image.shape)
    peaks = _Peaks.of(batch, sure, shape)
    unsure = _Peaks.of(batch, doubtful, shape).heat
    amplitude = batch.truth.amplitude * counts_a_peak[batch.truth.image]
    asked = 1 - (unsure > 0.05).float() * (peaks.heat < 0.3).float()
    return Targets(
        norm.apply(batch.image)[:, None],
        peaks.heat,
        asked,
        torch.where(peaks.heat > 0.3, peaks.heat, torch.zeros_like(peaks.heat)),
        peaks.spread(peaks.offset_x),
        peaks.spread(peaks.offset_y),
        peaks.spread(amplitude[sure][peaks.owner]),
        (batch.mask > 0.5).float(),
        batch.mask,
        norm.apply(batch.clean),
        norm.scaled(batch.columns),
        norm.scaled(batch.narrow),
    )


@dataclass(frozen=True)
class _Peaks:
    """Pixels round columns: ``heat`` (batch, y, x), and for each of m pixel-column pairs the pixel, offset, owner."""

    heat: torch.Tensor
    pixel: torch.Tensor
    offset_x: torch.Tensor
    offset_y: torch.Tensor
    owner: torch.Tensor

    @classmethod
    def of(cls, batch: Batch, chosen: torch.Tensor, shape: tuple[int, ...]) -> _Peaks:
        _, height, width = shape
        image, x, y = batch.truth.image[chosen], batch.truth.x_px[chosen], batch.truth.y_px[chosen]
        step = torch.arange(-_REACH, _REACH + 1, device=x.device)
        columns = (x.round().long()[:, None, None] + step[None, None, :]).expand(-1, len(step), -1)
        rows = (y.round().long()[:, None, None] + step[None, :, None]).expand(-1, -1, len(step))
        inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
        owner = torch.arange(len(x), device=x.device)[:, None, None].expand_as(columns)[inside]
        columns, rows = columns[inside], rows[inside]
        dx, dy = x[owner] - columns, y[owner] - rows
        pixel = (image[owner] * height + rows) * width + columns
        value = torch.exp(-(dx**2 + dy**2) / (2 * HEAT_PX**2))
        heat = torch.zeros(math.prod(shape), device=x.device).scatter_reduce_(0, pixel, value, "amax")
        best = value >= heat[pixel]  # a pixel between two columns belongs to the nearer
        return cls(heat.reshape(shape), pixel[best], dx[best], dy[best], owner[best])

    def spread(self, values: torch.Tensor) -> torch.Tensor:
        """Picture (batch, y, x) with a value at every owned pixel, 0 elsewhere."""
        flat = torch.zeros(self.heat.numel(), device=self.heat.device)
        flat[self.pixel] = values
        return flat.reshape(self.heat.shape)


def column_loss(out: torch.Tensor, wanted: Targets) -> tuple[torch.Tensor, dict[str, float]]:
    """Loss of outputs (batch, 10, y, x), and its parts for the log.

    Probability: cross-entropy against the soft peak. Offsets: Gaussian negative log-likelihood with the network's own
    sd. Pictures: logarithm of the mean square error of each, so that every picture counts by its decibels.
    """
    channel = dict(zip(CHANNELS, out.float().unbind(1), strict=True))
    bce = functional.binary_cross_entropy_with_logits
    heat = (bce(channel["heat"], wanted.heat, reduction="none") * wanted.asked).mean() * 20
    weight = wanted.near / wanted.near.sum().clamp(min=1.0)
    log_sd = channel["log_sd"].clamp(-4.0, 2.0)
    square = (channel["offset_x"] - wanted.offset_x) ** 2 + (channel["offset_y"] - wanted.offset_y) ** 2
    offset = (weight * (0.5 * square * torch.exp(-2 * log_sd) + 2 * log_sd)).sum()
    miss = (channel["amplitude"] - wanted.amplitude).abs() / (0.3 + wanted.amplitude)
    parts = {
        "heat": heat,
        "offset": 0.1 * offset,
        "amplitude": 0.1 * (weight * miss).sum(),
        "circle": bce(channel["circle"], wanted.circle),
        "gaussian": 0.1 * _log_error(channel["gaussian"], wanted.gaussian),
        "denoised": 0.1 * _log_error(channel["denoised"], wanted.denoised),
        "background_free": 0.05 * _log_error(channel["background_free"], wanted.background_free),
        "super_resolved": 0.05 * _log_error(channel["super_resolved"], wanted.super_resolved),
    }
    each = torch.stack(list(parts.values()))
    return each.sum(), dict(zip(parts, each.detach().tolist(), strict=True))  # one transfer from the device


def _log_error(picture: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Mean over pictures of the logarithm of their mean square error."""
    error = ((picture - wanted) ** 2).mean((1, 2))
    return torch.log(error + 1e-4).mean()


def column_seeds(seed: int, processes: int = 1) -> tuple[int, ...]:
    """Seeds of all pictures of a course: what each process trains on, then what is validated on."""
    return (*(seed + _RANKS_APART * rank for rank in range(processes)), _JUDGE + seed)


class PictureCourse(Generic[Lesson]):
    """Fresh pictures without end, and a fixed set from another seed to validate on, as ``lesson_of`` shows them."""

    def __init__(
        self,
        preset: Preset,
        seed: int,
        device: torch.device,
        validation: int = 64,
        *,
        rank: int = 0,
        report: Report | None = None,
    ) -> None:
        """``rank`` is that of the process, each of which draws its own pictures; validating obeys ``report``."""
        self._simulator = Simulator(preset, seed + _RANKS_APART * rank, device)
        self._device = device
        self._report = report or Report()
        judge = Simulator(preset, _JUDGE + seed, device, self._simulator.library)
        self._validation = [self.lesson_of(judge.batch(8)) for _ in range(validation // 8)]

    def lesson_of(self, batch: Batch) -> Lesson:
        """What is shown and taught of a batch."""
        raise NotImplementedError

    def generators(self) -> dict[str, torch.Generator]:
        """The simulator's."""
        return {"simulator": self._simulator.generator}


class ColumnCourse(PictureCourse[Targets]):
    """The column network's lessons."""

    def lesson_of(self, batch: Batch) -> Targets:
        """All its targets."""
        return targets_of(batch)

    def loss(self, module: nn.Module, batch: int) -> tuple[torch.Tensor, dict[str, float]]:
        """Loss on fresh pictures."""
        return column_loss(*self._run(module, targets_of(self._simulator.batch(batch))))

    def validate(self, module: nn.Module) -> dict[str, float]:
        """Mean loss and its parts on the fixed set, and the gain in decibels of the denoised pictures."""
        totals: dict[str, float] = {}
        for targets in self._validation:
            self._report.check()
            out, _ = self._run(module, targets)
            loss, parts = column_loss(out, targets)
            denoised = out[:, CHANNELS.index("denoised")].float()
            before = ((targets.image[:, 0] - targets.denoised) ** 2).mean((1, 2))
            after = ((denoised - targets.denoised) ** 2).mean((1, 2))
            figures = {"loss": float(loss), **parts, "gain_db": float(10 * torch.log10(before / after).mean())}
            for name, value in figures.items():
                totals[name] = totals.get(name, 0.0) + value / len(self._validation)
        return totals

    def _run(self, module: nn.Module, targets: Targets) -> tuple[torch.Tensor, Targets]:
        image = targets.image.contiguous(memory_format=torch.channels_last)
        with torch.autocast(self._device.type, torch.bfloat16):
            return module(image), targets
