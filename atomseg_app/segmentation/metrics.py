"""How well labels agree with a reference: one confusion matrix a slice, and distances between surfaces.

Dice, IoU, precision, recall and specificity after Taha and Hanbury, BMC Med. Imaging 15 (2015) 29. A figure that is not
defined, because a class is absent, is None: "n/a", never 0 or 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atomseg_app.data import Array, Labels
from atomseg_app.errors import UserError
from atomseg_app.label_classes import IGNORE, LabelClass, numbered
from atomseg_app.operations import Report
from atomseg_app.segmentation.surface_distance import Distances, surface_distances

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class ClassScore:
    """Agreement on one class; ``of_slices`` is the mean of the Dice of those slices along z where it is defined.

    Shares are of all voxels that the reference labels; their error is that of the labels minus that of the reference.
    ``hd95`` and ``mean_distance`` are between surfaces, in the unit of the comparison.
    """

    value: int
    name: str
    voxels: int
    reference_voxels: int
    dice: float | None
    iou: float | None
    precision: float | None
    recall: float | None
    specificity: float | None
    volume_fraction: float | None
    volume_fraction_error: float | None
    hd95: float | None
    mean_distance: float | None
    of_slices: float | None


@dataclass(frozen=True)
class Comparison:
    """Scores by class, the confusion matrix (true class, found class; a last column for voxels found to be none of
    them), and by slice the Dice and HD95 (slices, classes), NaN where not defined. ``unit`` is "nm" or "px".
    """

    scores: tuple[ClassScore, ...]
    matrix: Counts
    slice_dice: npt.NDArray[np.float64]
    slice_hd95: npt.NDArray[np.float64]
    unit: str


def compare(labels: Labels, reference: Labels, report: Report | None = None) -> Comparison:
    """Compare labels with a reference of the same shape; where the reference is ignored nothing counts.

    Lengths are in nm where the voxel size of either is known on all axes, else in px, which needs no cubic voxels to be
    told. Raises UserError naming both shapes where they differ, and for two voxel sizes that disagree.
    """
    report = report or Report()
    check_same_shape(labels, reference)
    classes = joined_classes(labels, reference)
    sizes = _voxel_size(labels, reference)
    by_slice = confusion_by_slice(
        labels.values, reference.values, [each.value for each in classes], report.part(0, 0.3)
    )
    matrix = by_slice.sum(axis=0)
    distances: list[Distances | None] = []
    slice_hd95 = np.full((len(labels.values), len(classes)), np.nan)
    spacing = sizes or (1.0, 1.0, 1.0)
    for column, each in enumerate(classes):
        part = report.part(0.3 + 0.7 * column / len(classes), 0.3 + 0.7 * (column + 1) / len(classes))
        part.progress(0, f"distances of {each.name}")
        distances.append(surface_distances(labels.values, reference.values, each.value, spacing))
        slice_hd95[:, column] = _hd95_of_slices(labels.values, reference.values, each.value, spacing, part)
    slice_dice = np.array([[_or_nan(_dice(one, k)) for k in range(len(classes))] for one in by_slice])
    scores = tuple(_score(matrix, k, each, distances[k], slice_dice[:, k]) for k, each in enumerate(classes))
    return Comparison(scores, matrix, slice_dice.reshape(-1, len(classes)), slice_hd95, "nm" if sizes else "px")


def check_same_shape(labels: Labels, reference: Labels) -> None:
    """Raise UserError naming both shapes where they differ."""
    if labels.shape != reference.shape:
        one, other = (" x ".join(map(str, each.shape)) for each in (labels, reference))
        raise UserError(
            f"The labels have {one} voxels (z, y, x), but the reference has {other}; compare labels of one volume."
        )


def joined_classes(labels: Labels, reference: Labels) -> tuple[LabelClass, ...]:
    """The classes of both by value, named as the reference does; values that neither names are numbered.

    Raises UserError where no voxel of the reference is labelled.
    """
    named = {each.value: each for each in (*labels.classes, *reference.classes)}
    found = {int(v) for item in (labels, reference) for v in np.unique(item.values)} - {IGNORE}
    if not found or (reference.values == IGNORE).all():
        raise UserError("The reference has no labelled voxel; there is nothing to compare with.")
    missing = {each.value: each for each in numbered(sorted(found - set(named)))}
    return tuple(each for _, each in sorted({**named, **missing}.items()))


def confusion_by_slice(found: Array, truth: Array, values: Sequence[int], report: Report) -> Counts:
    """Counts (slice, true class, found class) for class ``values``; the last column is of voxels found to be none."""
    place = np.full(256, len(values), np.int64)
    place[list(values)] = np.arange(len(values))
    width = len(values) + 1
    counts = np.zeros((len(truth), width, width), np.int64)
    for number, (one, true) in enumerate(zip(found, truth, strict=True)):
        report.progress(number / len(truth), "comparing")
        pairs = np.bincount(true.ravel().astype(np.int64) * 256 + one.ravel(), minlength=65536).reshape(256, 256)
        rows, columns = np.nonzero(pairs)
        np.add.at(counts[number], (place[rows], place[columns]), pairs[rows, columns])
    return counts[:, :-1]


def _voxel_size(labels: Labels, reference: Labels) -> tuple[float, float, float] | None:
    """Voxel size (z, y, x) in nm that both or one of them has, None if none has."""
    known = [
        (float(z), float(y), float(x))
        for z, y, x in (labels.pixel_size_nm, reference.pixel_size_nm)
        if z is not None and y is not None and x is not None
    ]
    if len(known) == 2 and not np.allclose(known[0], known[1], rtol=1e-3):
        raise UserError(
            f"The labels have voxels of {known[0]} nm (z, y, x), but the reference of {known[1]} nm; "
            "correct one of them."
        )
    return known[0] if known else None


def _score(
    matrix: Counts, k: int, each: LabelClass, distances: Distances | None, slice_dice: npt.NDArray[np.float64]
) -> ClassScore:
    hit, found, true, total = matrix[k, k], matrix[:, k].sum(), matrix[k].sum(), matrix.sum()
    defined = slice_dice[np.isfinite(slice_dice)]
    return ClassScore(
        each.value, each.name, int(found), int(true),
        dice=_dice(matrix, k),
        iou=_share(hit, found + true - hit),
        precision=_share(hit, found),
        recall=_share(hit, true),
        specificity=_share(total - found - true + hit, total - true),
        volume_fraction=_share(found, total),
        volume_fraction_error=_share(found - true, total),
        hd95=distances.hd95 if distances else None,
        mean_distance=distances.mean if distances else None,
        of_slices=float(defined.mean()) if defined.size else None,
    )  # fmt: skip


def _dice(matrix: Counts, k: int) -> float | None:
    return _share(2 * matrix[k, k], matrix[:, k].sum() + matrix[k].sum())


def _share(part: int, whole: int) -> float | None:
    return float(part) / float(whole) if whole else None


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value


def _hd95_of_slices(
    found: Array, truth: Array, value: int, spacing: Sequence[float], report: Report
) -> npt.NDArray[np.float64]:
    result = np.full(len(found), np.nan)
    for number in range(len(found)):
        report.progress(number / len(found))
        here = surface_distances(found[number], truth[number], value, spacing[1:])
        if here is not None:
            result[number] = here.hd95
    return result
