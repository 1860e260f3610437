"""A trained network over a whole volume, in tiles and at constant memory: labels, probabilities, uncertainty.

2D and 2.5D networks go slice by slice, each tiled so that it is answered as the whole slice would be; 3D networks go
block by block, blended. Arrays as large as the volume are maps of files where they would not fit beside others.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from atomseg_app import devices
from atomseg_app.data import Array, Labels, Volume
from atomseg_app.errors import UserError
from atomseg_app.io.scratch import scratch
from atomseg_app.label_classes import LabelClass
from atomseg_app.networks.card import ModelCard
from atomseg_app.networks.gated_unet import GatedUNet, fused
from atomseg_app.networks.store import channels_last, load_model
from atomseg_app.networks.tiling import apply_tiled
from atomseg_app.operations import Report
from atomseg_app.segmentation.blocks import Slices, block_probabilities
from atomseg_app.segmentation.dataset import AXES, AxisName
from atomseg_app.segmentation.grey import NORMALISATION, GreyRange
from atomseg_app.segmentation.operations import Segment
from atomseg_app.segmentation.sampling import slice_indices

_TILE_PX = 512


@dataclass(frozen=True, eq=False)
class Prediction:
    """``labels``; ``probabilities`` (classes, z, y, x) float16, ``entropy`` and ``disagreement`` where asked for.

    Entropy is 0 where one class is certain and 1 where all are alike; disagreement is the share of the axes' answers
    that differ from the mean's.
    """

    labels: Labels
    probabilities: Array | None = None
    entropy: Volume | None = None
    disagreement: Volume | None = None


@dataclass(frozen=True, eq=False)
class Network:
    """A segmentation network ready to be used, and what its card says."""

    module: nn.Module
    card: ModelCard
    classes: tuple[LabelClass, ...]
    device: torch.device

    @property
    def axis(self) -> AxisName:
        """Direction across its slices."""
        assert self.card.segmentation is not None
        return self.card.segmentation.axis

    @property
    def dimensions(self) -> int:
        """2 or 3."""
        return int(self.module.dimensions)  # type: ignore[arg-type]


def load_network(name: str, device: str, report: Report) -> Network:
    """Network of a model's name, file or folder. Raises UserError where there is none or it is no segmentation's."""
    chosen = devices.choose(device, report)
    module, card = load_model(name, chosen)
    if card.task != "segmentation" or card.segmentation is None:
        raise UserError(f"The model {card.name!r} is of the task {card.task}; choose one for segmentation.")
    if card.input.normalisation != NORMALISATION:
        raise UserError(f"The model {card.name!r} wants grey levels ({card.input.normalisation}) that this version "
                        "does not make; a newer one may.")  # fmt: skip
    if isinstance(module, GatedUNet):
        module = channels_last(fused(module))
    classes = tuple(LabelClass(each.value, each.name, each.colour) for each in card.segmentation.classes)
    return Network(module, card, classes, chosen)


def segment(volume: Volume, parameters: Segment, report: Report) -> Labels:
    """Labels of a volume by a model (operation *Segment*); what else is asked for lies beside, each a volume.

    Beside are ``probability_0``, ``probability_1``, ... (by the values of classes), ``entropy`` and ``disagreement``.
    """
    found = predict(volume, parameters, report)
    beside = {"entropy": found.entropy, "disagreement": found.disagreement}
    if found.probabilities is not None:
        for each, values in zip(found.labels.classes, found.probabilities, strict=True):
            beside[f"probability_{each.value}"] = _volume(volume, values)
    report.facts.beside |= {name: item for name, item in beside.items() if item is not None}
    return found.labels


def predict(volume: Volume, parameters: Segment, report: Report) -> Prediction:
    """Labels of a volume by a model, and what else is asked for.

    Raises UserError for a model that is none, or memory that does not hold the smallest tile; Cancelled.
    """
    network = load_network(parameters.model, parameters.device, report)
    grey = GreyRange.of(volume.values)
    axes: tuple[AxisName, ...] = (network.axis,)
    if parameters.three_axes and network.dimensions == 2:
        axes = (network.axis, *(axis for axis in AXES if axis != network.axis))
    keep = parameters.probabilities or parameters.uncertainty or len(axes) > 1
    mean = scratch((len(network.classes), *volume.shape), np.float16) if keep else None
    votes: list[Array] = []
    for number, axis in enumerate(axes):
        part = report.part(number / len(axes), (number + 1) / len(axes))
        votes.append(_along(network, volume, grey, axis, parameters, part, mean, 1 / len(axes)))
    labels = votes[0] if len(axes) == 1 else _winners(mean, network, report)
    entropy = disagreement = None
    if parameters.uncertainty and mean is not None:
        entropy = _volume(volume, _entropy(mean))
        if len(axes) > 1:
            disagreement = _volume(volume, _disagreement(votes, labels))
    history = (volume.pixel_size_nm, volume.source, dict(volume.metadata), volume.history)
    found = Labels(labels, *history, classes=network.classes)
    return Prediction(found, mean if parameters.probabilities else None, entropy, disagreement)


def _along(
    network: Network,
    volume: Volume,
    grey: GreyRange,
    axis: AxisName,
    parameters: Segment,
    report: Report,
    mean: Array | None,
    weight: float,
) -> Array:
    """Winning classes (z, y, x) of a pass across one axis; probabilities times ``weight`` are added to ``mean``."""
    first = AXES.index(axis)
    values = np.moveaxis(volume.values, first, 0)
    labels = scratch(volume.shape, np.uint8)
    out = np.moveaxis(labels, first, 0)
    sums = None if mean is None else np.moveaxis(mean, first + 1, 1)
    if network.dimensions == 3:
        answers = block_probabilities(network.module, values, grey, report, flips=parameters.flips)
    else:
        answers = _slice_probabilities(network, values, grey, report, parameters)
    table = np.array([each.value for each in network.classes], np.uint8)
    done = 0
    for start, found in answers:
        stop = start + found.shape[1]
        out[start:stop] = table[found.argmax(0)]
        if sums is not None:  # a second start, with smaller blocks, must not add twice
            fresh = max(start, done)
            sums[:, fresh:stop] += (weight * found[:, fresh - start :]).astype(np.float16)
            done = max(done, stop)
    return labels


def _slice_probabilities(
    network: Network, values: Array, grey: GreyRange, report: Report, parameters: Segment
) -> Iterator[Slices]:
    """Probabilities (classes, 1, rows, columns) of slice after slice."""
    module, channels = network.module, network.card.input.channels
    overlap = int(module.reach_px)  # type: ignore[arg-type]
    quiet = Report(cancelled=lambda: report.cancelled)
    quiet.facts = report.facts
    near: dict[int, npt.NDArray[np.float32]] = {}
    for index in range(len(values)):
        report.progress(index / len(values), "Segmenting")
        wanted = slice_indices(index, channels, len(values))
        near = {int(i): near[int(i)] if int(i) in near else grey.apply(values[int(i)]) for i in wanted}
        planes = torch.from_numpy(np.stack([near[int(i)] for i in wanted])).to(network.device)
        total: torch.Tensor | None = None
        for flip in ((), (1,), (2,), (1, 2)) if parameters.flips else ((),):
            answer = apply_tiled(module, planes.flip(flip), quiet, tile_px=max(_TILE_PX, 4 * overlap),
                                 overlap_px=overlap)  # fmt: skip
            chance = torch.softmax(answer, 0).flip(flip)
            total = chance if total is None else total + chance
        assert total is not None
        yield index, (total / (4 if parameters.flips else 1)).cpu().numpy()[:, None]


def _winners(mean: Array | None, network: Network, report: Report) -> Array:
    assert mean is not None
    labels = scratch(mean.shape[1:], np.uint8)
    table = np.array([each.value for each in network.classes], np.uint8)
    for index in range(mean.shape[1]):
        report.check()
        labels[index] = table[mean[:, index].argmax(0)]
    return labels


def _entropy(mean: Array) -> Array:
    """Entropy (z, y, x) float32 of probabilities in units of that of all classes alike."""
    result = scratch(mean.shape[1:], np.float32)
    for index in range(mean.shape[1]):
        chance = np.clip(mean[:, index].astype(np.float32), 1e-6, 1)
        result[index] = -(chance * np.log(chance)).sum(0) / np.log(len(chance))
    return result


def _disagreement(votes: list[Array], labels: Array) -> Array:
    result = scratch(labels.shape, np.float32)
    for index in range(len(labels)):
        result[index] = np.mean([vote[index] != labels[index] for vote in votes], 0)
    return result


def _volume(like: Volume, values: Array) -> Volume:
    return Volume(values, like.pixel_size_nm, like.source, dict(like.metadata), like.history)
