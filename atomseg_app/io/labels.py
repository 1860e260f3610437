"""Labels of volumes as files: read from any format of volumes, written with the names of their classes.

Class names are in the JSON beside a file that this program wrote, and in NRRD also in the file, where 3D Slicer looks
for them.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from atomseg_app.data import Array, ArrayData, ImageSeries, Labels, Volume
from atomseg_app.errors import UserError
from atomseg_app.io import files
from atomseg_app.io.history_files import history_path, write_history_of
from atomseg_app.io.volume_writer import write_volume
from atomseg_app.label_classes import IGNORE, LabelClass, numbered
from atomseg_app.operations import Report

CLASSES = "classes"
"""Name in a volume's metadata of the classes that its file names."""
_MAX_BYTES = 1 << 20


def read_labels(
    path: str | Path,
    dataset: str | None = None,
    report: Report | None = None,
    like: ArrayData | None = None,
) -> Labels:
    """Labels (z, y, x) of a file of whole numbers from 0 to 255, with names of classes where they are told.

    With ``like``, the volume that they are of, another shape is refused, and its voxel size is taken where the file has
    none. Raises UserError for values that are no labels, naming both shapes where they differ; FileError for damage.
    """
    path, report = Path(path), report or Report()
    item = files.read(path, dataset, report)
    if not isinstance(item, Volume | ImageSeries):
        raise UserError(f"{path.name} holds data of kind {item.kind}, not the labels of a volume (z, y, x).")
    if like is not None and item.shape != like.shape:
        mine, other = (" x ".join(map(str, each)) for each in (item.shape, like.shape))
        raise UserError(
            f"{path.name} has {mine} voxels (z, y, x), but the volume has {other}; labels are of its shape."
        )
    values = as_label_values(item.values, path.name)
    sizes = item.pixel_size_nm if isinstance(item, Volume) else (None, *item.pixel_size_nm)
    if like is not None and sizes == (None, None, None) and len(like.pixel_size_nm) == 3:
        sizes = like.pixel_size_nm
    named = told_classes(path, item.shape) or _of_metadata(item.metadata)
    found = {int(value) for value in np.flatnonzero(_present(values))} - {IGNORE}
    missing = numbered(sorted(found - {each.value for each in named}))
    metadata = {name: value for name, value in item.metadata.items() if name != CLASSES}
    return Labels(values, sizes, item.source, metadata, item.history, (*named, *missing))


def as_label_values(values: Array, name: str) -> npt.NDArray[np.uint8]:
    """Values as uint8, the array itself where it is. Raises UserError for what is no whole number from 0 to 255."""
    if values.dtype == np.uint8:
        return values
    if values.dtype.kind not in "biuf":
        raise UserError(f"{name} holds {values.dtype} values, which are no labels.")
    result = np.empty(values.shape, np.uint8)
    for number, plane in enumerate(values):
        whole = np.asarray(plane)
        low, high = whole.min(initial=0), whole.max(initial=0)
        if not (low >= 0 and high <= IGNORE):  # also where one is no number
            raise UserError(
                f"{name} holds values from {low} to {high} in slice {number}; labels go from 0 to {IGNORE}."
            )
        result[number] = whole
        if whole.dtype.kind == "f" and (result[number] != whole).any():
            raise UserError(f"{name} holds values between the whole numbers in slice {number}; labels have none.")
    return result


def write_labels(path: str | Path, labels: Labels, report: Report | None = None) -> None:
    """Write labels in the format of the name's extension, and the JSON with their classes and history beside them.

    MRC knows no unsigned bytes: there they are 16-bit. Raises UserError, FileError, Cancelled as writing a volume does.
    """
    write_volume(path, as_volume(labels), report)
    write_history_of(path, labels)


def as_volume(labels: Labels) -> Volume:
    """The numbers of labels as a volume, with their classes in its metadata for writers that can name them."""
    classes = [each.to_json() for each in labels.classes]
    return Volume(
        labels.values, labels.pixel_size_nm, labels.source, {**labels.metadata, CLASSES: classes}, labels.history
    )


def told_classes(path: Path, shape: Sequence[int]) -> tuple[LabelClass, ...]:
    """Classes that the JSON beside a file names, where it is of this file and shape; none where it is damaged."""
    beside = history_path(path)
    try:
        if not beside.is_file() or beside.stat().st_size > _MAX_BYTES:
            return ()
        told = json.loads(beside.read_text(encoding="utf-8"))
        if told.get("kind") != "labels" or told.get("result") != path.name or told.get("shape") != list(shape):
            return ()
        return _of_metadata(told)
    except (OSError, ValueError, RecursionError, AttributeError):
        return ()


def with_ignored(labels: Labels, value: int) -> Labels:
    """Labels whose voxels of ``value`` are ignored. Raises UserError where 255 already stands for a class."""
    if value == IGNORE:
        return labels
    if (labels.values == IGNORE).any():
        raise UserError(f"The labels have voxels of the value {IGNORE}, which stands for unpainted; give them another.")
    values = np.where(labels.values == value, np.uint8(IGNORE), labels.values)
    return replace(labels, values=values, classes=tuple(each for each in labels.classes if each.value != value))


def _of_metadata(told: Mapping[str, Any]) -> tuple[LabelClass, ...]:
    """Classes in a dictionary; none where they are damaged or name a value or name twice."""
    try:
        classes = tuple(LabelClass.from_json(each) for each in told.get(CLASSES, ()))
    except (UserError, KeyError, TypeError, ValueError, AttributeError):
        return ()
    twice = len({each.value for each in classes}) < len(classes) or len({each.name for each in classes}) < len(classes)
    return () if twice else classes


def _present(values: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    """Which of the 256 values occur."""
    present = np.zeros(256, bool)
    for plane in values:
        present |= np.bincount(plane.ravel(), minlength=256) > 0
    return present
