"""Agreement of classes from one confusion matrix: Dice, IoU, precision, recall, error of the volume fraction."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from atomseg_app.data import Array
from atomseg_app.label_classes import IGNORE

Confusion = npt.NDArray[np.int64]


def confusion(truth: Array, found: Array, classes: int) -> Confusion:
    """Voxels (classes, classes) of each true class, row, that were found to be each class, column.

    Where the truth is ``IGNORE`` nothing is counted.
    """
    known = truth != IGNORE
    pairs = truth[known].astype(np.int64) * classes + found[known]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


def scores(matrix: Confusion, names: Sequence[str]) -> dict[str, dict[str, float | None]]:
    """Per class ``dice``, ``iou``, ``precision``, ``recall``, ``volume_fraction_error`` (of all voxels), ``voxels``.

    None where a figure is not defined: a class that neither truth nor answer has agrees in nothing and fails in
    nothing.
    """
    total = int(matrix.sum())
    result: dict[str, dict[str, float | None]] = {}
    for index, name in enumerate(names):
        hit, true, found = (int(n) for n in (matrix[index, index], matrix[index].sum(), matrix[:, index].sum()))
        result[name] = {
            "dice": _share(2 * hit, true + found),
            "iou": _share(hit, true + found - hit),
            "precision": _share(hit, found),
            "recall": _share(hit, true),
            "volume_fraction_error": None if not total else (found - true) / total,
            "voxels": float(true),
        }
    return result


def mean_dice(table: Mapping[str, Mapping[str, float | None]]) -> float:
    """Mean Dice of the classes but the first, those that have one; NaN where none has."""
    found = [d for name in list(table)[1:] if (d := table[name]["dice"]) is not None]
    return sum(found) / len(found) if found else math.nan


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
