"""The report at the end of a training: the network on what was held back, and what it must beat on the same.

One confusion matrix each, figures class by class; a figure that is not defined (a class that is absent) is None.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from atomseg_app.label_classes import LabelClass
from atomseg_app.networks.tiling import precision_of
from atomseg_app.operations import Report
from atomseg_app.segmentation.baselines import Forest, otsu_thresholds
from atomseg_app.segmentation.course import Window, windows
from atomseg_app.segmentation.dataset import AxisName, Taught
from atomseg_app.segmentation.scores import confusion, scores
from atomseg_app.segmentation.settings import TrainSegmentation
from atomseg_app.segmentation.surface_distance import surface_distances

_MOST_VOXELS, _MOST_BY_FOREST = 40_000_000, 1_000_000

Found = npt.NDArray[np.uint8]


def judge(
    module: nn.Module,
    teaching: Sequence[Taught],
    judging: Sequence[Taught],
    classes: tuple[LabelClass, ...],
    axis: AxisName,
    settings: TrainSegmentation,
    device: torch.device,
    report: Report,
) -> dict[str, Any]:
    """Report of a network, and of Otsu's thresholds and a random forest on the same parts under ``baselines``.

    At most 40 million voxels are looked at, the forest's one million, evenly spread. May raise Cancelled.
    """
    module.eval()
    names = [each.name for each in classes]
    parts = windows(judging, settings, _MOST_VOXELS)
    told = _judged(parts, names, lambda part: _by_network(module, part, device), report.part(0, 0.5), "the network")
    thresholds = otsu_thresholds(_sample(judging), len(names))
    few = windows(judging, settings, _MOST_BY_FOREST)
    forest = Forest.of(teaching, classes, axis, settings.seed)
    told["baselines"] = {
        "otsu": _judged(parts, names, lambda part: _by_otsu(part, thresholds), report.part(0.5, 0.6), "thresholds"),
        "forest": _judged(few, names, lambda part: _by_forest(part, forest), report.part(0.6, 1), "a random forest"),
    }
    return told


def _judged(
    parts: Sequence[Window], names: Sequence[str], answer: Callable[[Window], Found], report: Report, what: str
) -> dict[str, Any]:
    """Confusion matrix (true, found), figures per class, Dice of each part, and HD95 as the mean over parts."""
    total = np.zeros((len(names), len(names)), np.int64)
    each: list[dict[str, float | None]] = []
    far: dict[str, list[float | None]] = {name: [] for name in names}
    in_nm = all(part.item.voxel_nm is not None for part in parts)
    for number, part in enumerate(parts):
        report.progress(number / len(parts), f"Judging {what} by what was held back")
        truth, found = part.labels.numpy(), answer(part)
        matrix = confusion(truth, found, len(names))
        total += matrix
        each.append({name: figures["dice"] for name, figures in scores(matrix, names).items()})
        spacing = (part.item.voxel_nm if in_nm else None) or (1.0, 1.0, 1.0)
        for value, name in enumerate(names):
            distances = surface_distances(found, truth, value, spacing[-truth.ndim :])
            far[name].append(None if distances is None else distances.hd95)
    table = scores(total, names)
    unit = "nm" if in_nm else "px"
    return {
        "names": list(names),
        "confusion": total.tolist(),
        "classes": {name: {**table[name], f"hd95_{unit}": _mean(far[name])} for name in names},
        "dice_of_each_part": each,
        "mean_dice_of_parts": {name: _mean([part[name] for part in each]) for name in names},
    }


@torch.no_grad()
def _by_network(module: nn.Module, part: Window, device: torch.device) -> Found:
    half = precision_of("auto", device) == torch.bfloat16
    with torch.autocast(device.type, torch.bfloat16, enabled=half):
        best = module(part.values[None].to(device)).argmax(1)[0]
    return np.asarray(best.to(torch.uint8).cpu().numpy())


def _by_otsu(part: Window, thresholds: npt.NDArray[np.float64]) -> Found:
    return np.asarray(np.digitize(part.values[len(part.values) // 2].numpy(), thresholds), np.uint8)


def _by_forest(part: Window, forest: Forest) -> Found:
    planes, rows, columns = (slice(*each) for each in part.place)
    found = [
        forest.probabilities(part.item, index).argmax(0)[rows, columns].astype(np.uint8)
        for index in range(planes.start, planes.stop)
    ]
    return np.stack(found) if part.labels.ndim == 3 else found[0]


def _sample(items: Sequence[Taught]) -> npt.NDArray[np.float32]:
    """Normalised grey levels of all volumes, at most some millions."""
    step = max(1, int(np.ceil((sum(item.values.size for item in items) / 4e6) ** (1 / 3))))
    return np.concatenate([item.grey.apply(item.values[::step, ::step, ::step]).ravel() for item in items])


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None
