"""The report at the end of a training: the network on what was held back, one confusion matrix, class by class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from atomseg_app.networks.tiling import precision_of
from atomseg_app.operations import Report
from atomseg_app.segmentation.course import windows
from atomseg_app.segmentation.dataset import Taught
from atomseg_app.segmentation.scores import confusion, scores
from atomseg_app.segmentation.settings import TrainSegmentation

_MOST_VOXELS = 40_000_000


@torch.no_grad()
def judge(
    module: nn.Module,
    judging: Sequence[Taught],
    names: Sequence[str],
    settings: TrainSegmentation,
    device: torch.device,
    report: Report,
) -> dict[str, Any]:
    """Confusion matrix (true, found) of all that is labelled, figures per class, and the Dice of each slice or block.

    A figure that is not defined (a class that is absent) is None. At most 40 million voxels are looked at, evenly
    spread. May raise Cancelled.
    """
    module.eval()
    precision = precision_of("auto", device)
    total = np.zeros((len(names), len(names)), np.int64)
    each: list[dict[str, float | None]] = []
    parts = windows(judging, settings, _MOST_VOXELS)
    for number, (values, labels) in enumerate(parts):
        report.progress(number / len(parts), "Judging the network by what was held back")
        with torch.autocast(device.type, torch.bfloat16, enabled=precision == torch.bfloat16):
            found = module(values[None].to(device)).argmax(1)[0]
        matrix = confusion(labels.numpy(), found.to(torch.uint8).cpu().numpy(), len(names))
        total += matrix
        each.append({name: figures["dice"] for name, figures in scores(matrix, names).items()})
    return {
        "names": list(names),
        "confusion": total.tolist(),
        "classes": scores(total, names),
        "dice_of_each_part": each,
        "mean_dice_of_parts": {name: _mean([part[name] for part in each]) for name in names},
    }


def _mean(values: Sequence[float | None]) -> float | None:
    defined = [value for value in values if value is not None]
    return sum(defined) / len(defined) if defined else None
