"""What a segmentation network is taught, piece by piece, and judged by: the lessons of ``networks/training.py``."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from atomseg_app.errors import UserError
from atomseg_app.label_classes import IGNORE
from atomseg_app.networks.segmentation_losses import class_weights, loss_of
from atomseg_app.networks.tiling import no_memory, precision_of
from atomseg_app.operations import Report
from atomseg_app.segmentation.augment import VARIATIONS, affine, greys, warp
from atomseg_app.segmentation.dataset import Taught
from atomseg_app.segmentation.sampling import Sampler, slice_indices
from atomseg_app.segmentation.scores import confusion, mean_dice, scores
from atomseg_app.segmentation.settings import TrainSegmentation

_VALIDATED_VOXELS = 1_500_000
_LARGEST_WINDOW = 512
_SMALLEST_PATCH = 32

Place = tuple[tuple[int, int], ...]
Pieces = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True, eq=False)
class Window:
    """A part that is judged: first and last along each axis of ``item``, unvaried values (channels, [z,] y, x), labels.

    ``labels`` are ([z,] y, x).
    """

    item: Taught
    place: Place
    values: torch.Tensor
    labels: torch.Tensor


class SegmentationCourse:
    """Lessons of one or many volumes; ``names`` are the classes', the first one the background."""

    def __init__(
        self,
        teaching: Sequence[Taught],
        judging: Sequence[Taught],
        names: Sequence[str],
        settings: TrainSegmentation,
        device: torch.device,
        report: Report,
        *,
        rank: int = 0,
    ) -> None:
        self._names, self._settings, self._device, self._report = tuple(names), settings, device, report
        self._dimensions = 3 if settings.dimensions == "3d" else 2
        self._sampler = Sampler(
            teaching, len(names), channels=settings.neighbours, dimensions=self._dimensions,
            oversample=settings.oversample, seed=settings.seed + 7919 * rank,
        )  # fmt: skip
        self._variation = VARIATIONS[settings.augmentation]
        self._patch_px = settings.patch_px
        weights = class_weights(settings.class_weights, self._sampler.counts.tolist())
        self._loss = loss_of(settings.loss, weights.to(device), gamma=settings.gamma, recall=settings.recall)
        self._precision = precision_of("auto", device)
        self._windows = windows(judging, settings, _VALIDATED_VOXELS)

    def generators(self) -> dict[str, torch.Generator]:
        """The sampler's, which draws everything."""
        return {"pieces": self._sampler.generator}

    def loss(self, module: nn.Module, batch: int) -> tuple[torch.Tensor, dict[str, float]]:
        """Loss of the next pieces. Where memory does not hold them, they are halved, and the report says so."""
        while True:
            values, labels = self.pieces(batch)
            try:
                return self._loss(self._run(module, values), labels.to(self._device)), {}
            except (RuntimeError, MemoryError) as problem:
                if not no_memory(problem):
                    raise
            self._halve()

    def pieces(self, batch: int) -> Pieces:
        """Varied values (batch, channels, [z,] y, x) and labels (batch, [z,] y, x) of the next pieces."""
        size, generator = self._patch_px, self._sampler.generator
        side = size + 2 * math.ceil(size * (self._variation.margin - 1) / 2)
        values, labels = self._sampler.draw(batch, side)
        matrix = affine(batch, self._variation, self._dimensions, generator)
        values, labels = warp(values, labels, matrix, size)
        if self._variation.flips and self._dimensions == 2:
            back = torch.rand(batch, generator=generator) < 0.5
            values = torch.where(back[:, None, None, None], values.flip(1), values)
        return greys(values, self._variation, generator), labels

    def validate(self, module: nn.Module) -> dict[str, float]:
        """``loss`` is one minus the mean Dice of all classes but the first, and the Dice of each one is told."""
        matrix = np.zeros((len(self._names), len(self._names)), np.int64)
        for window in self._windows:
            self._report.check()
            found = self._run(module, window.values[None]).argmax(1)[0].to(torch.uint8).cpu().numpy()
            matrix += confusion(window.labels.numpy(), found, len(self._names))
        table = scores(matrix, self._names)
        mean = mean_dice(table)
        told = {f"dice_{name}": each["dice"] for name, each in table.items() if each["dice"] is not None}
        return {"loss": 1.0 if math.isnan(mean) else 1 - mean, **told}

    def _run(self, module: nn.Module, values: torch.Tensor) -> torch.Tensor:
        layout = torch.channels_last if self._dimensions == 2 else torch.channels_last_3d
        placed = values.to(self._device).contiguous(memory_format=layout)
        # oneDNN's gradients in bfloat16 of features 2 voxels a side hold whatever lay in memory (torch 2.13).
        tiny = self._dimensions == 3 and min(values.shape[2:]) < 3 * int(getattr(module, "stride", 1))
        half = self._precision == torch.bfloat16 and not tiny
        with torch.autocast(self._device.type, torch.bfloat16, enabled=half):
            logits: torch.Tensor = module(placed)
        return logits.float()

    def _halve(self) -> None:
        smaller = self._patch_px // 2 // 8 * 8
        if smaller < _SMALLEST_PATCH:
            raise UserError(
                f"Memory does not hold pieces of {self._patch_px} px; take a smaller batch or network, or another "
                "device."
            )
        self._report.note(f"Memory ran out with pieces of {self._patch_px} px; they are {smaller} px from here on.")
        self._patch_px = smaller
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def windows(items: Sequence[Taught], settings: TrainSegmentation, most_voxels: int) -> list[Window]:
    """What is judged by, spread evenly over what is labelled."""
    found = [window for item in items for window in _window_places(item, settings)]
    size = max(1, sum(math.prod(b - a for a, b in place) for _, place in found) // max(1, len(found)))
    keep = max(1, min(len(found), most_voxels // size))
    chosen = [found[round(index)] for index in np.linspace(0, len(found) - 1, keep)] if found else []
    return [_window(item, place, settings) for item, place in chosen]


def _window_places(item: Taught, settings: TrainSegmentation) -> Iterator[tuple[Taught, Place]]:
    """Windows in which something is labelled, as first and last along each axis."""
    depth = settings.patch_px if settings.dimensions == "3d" else 1
    most = settings.patch_px if settings.dimensions == "3d" else _LARGEST_WINDOW
    _, height, width = item.labels.shape
    for start in range(0, len(item.labels), depth):
        slab = item.labels[start : start + depth]
        if (slab == IGNORE).all():
            continue
        for rows in _cuts(height, most):
            for columns in _cuts(width, most):
                if (slab[:, slice(*rows), slice(*columns)] != IGNORE).any():
                    yield item, ((start, start + len(slab)), rows, columns)


def _cuts(length: int, most: int) -> list[tuple[int, int]]:
    count = -(-length // most)
    return [(length * k // count, length * (k + 1) // count) for k in range(count)]


def _window(item: Taught, place: Place, settings: TrainSegmentation) -> Window:
    planes, rows, columns = (slice(*each) for each in place)
    if settings.dimensions == "3d":
        values = item.grey.apply(item.values[planes, rows, columns])[None]
        labels = item.labels[planes, rows, columns]
    else:
        near = slice_indices(place[0][0], settings.neighbours, len(item.values))
        values = item.grey.apply(item.values[:, rows, columns][near])
        labels = item.labels[place[0][0], rows, columns]
    return Window(item, place, torch.from_numpy(values), torch.from_numpy(labels.copy()))
