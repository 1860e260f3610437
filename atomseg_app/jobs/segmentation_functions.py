"""The functions behind the tasks of the segmentation tab; heavy libraries are imported where they are used."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from atomseg_app.data import Columns, Labels, Volume
from atomseg_app.errors import UserError
from atomseg_app.io import files
from atomseg_app.jobs.tasks import Task, TaskResult
from atomseg_app.label_classes import IGNORE, numbered
from atomseg_app.operations import Report
from atomseg_app.segmentation.settings import TrainSegmentation

_CHECKPOINT_S = 20.0


def edit_labels(task: Task, report: Report) -> TaskResult:
    """An edit ``how`` of labels: masks to paint as items; ``starts`` (z, y, x) and ``erase`` of each as value."""
    from atomseg_app.segmentation.editing import edited

    arrays = [item.values for item in task.inputs if not isinstance(item, Columns)]
    parts = edited(task.arguments["how"], task.arguments, arrays, report)
    told = {"starts": [list(part.start) for part in parts], "erase": [part.erase for part in parts]}
    return TaskResult(told, tuple(Volume(part.mask.astype(np.uint8), (None,) * 3) for part in parts))


def open_labels(task: Task, report: Report) -> TaskResult:
    """Labels of the file ``path``."""
    volume = files.read(task.arguments["path"], None, report)
    if isinstance(volume, Labels):
        return TaskResult(items=(volume,))
    if not isinstance(volume, Volume):
        raise UserError(f"{task.arguments['path']} holds a {volume.kind.replace('-', ' ')}, not labels (z, y, x).")
    return TaskResult(items=(as_labels(volume),))


def as_labels(volume: Volume) -> Labels:
    """Whole numbers from 0 to 255 as labels with numbered classes. Raises UserError for other values."""
    values = volume.values
    if values.dtype.kind not in "iub" and not all(bool((plane == np.round(plane)).all()) for plane in values):
        raise UserError(
            f"{volume.source.name} holds {values.dtype} values between the whole numbers; labels have none."
        )
    low, high = int(values.min()), int(values.max())
    if low < 0 or high > IGNORE:
        raise UserError(f"{volume.source.name} holds values from {low} to {high}; labels go from 0 to {IGNORE}.")
    taken = np.asarray(values, np.uint8)
    known = np.flatnonzero(np.bincount(taken.ravel(), minlength=IGNORE + 1))
    return Labels(
        taken, volume.pixel_size_nm, volume.source, dict(volume.metadata), volume.history,
        classes=numbered([int(value) for value in known]),
    )  # fmt: skip


def save_labels(task: Task, report: Report) -> TaskResult:
    """Write labels to ``path``, in the format of its extension; the value is the path."""
    from atomseg_app.io.volume_writer import write_volume

    (labels,) = task.inputs
    assert isinstance(labels, Labels)
    volume = Volume(labels.values, labels.pixel_size_nm, labels.source, dict(labels.metadata), labels.history)
    write_volume(task.arguments["path"], volume, report)
    return TaskResult(str(task.arguments["path"]))


def train(task: Task, report: Report) -> TaskResult:
    """Train a network on a volume and its labels with ``settings`` in ``folder``; the value is the card's path."""
    from atomseg_app.segmentation.training import train_segmentation

    volume, labels = task.inputs
    assert isinstance(volume, Volume)
    assert isinstance(labels, Labels)
    asked = task.arguments
    model = train_segmentation(
        volume, labels, TrainSegmentation.model_validate(asked["settings"]), Path(asked["folder"]), report,
        shelf=Path(asked["shelf"]), resume=asked["resume"], checkpoint_s=_CHECKPOINT_S,
    )  # fmt: skip
    return TaskResult(str(model.card_path))


def keep(task: Task, report: Report) -> TaskResult:
    """Save the best network so far of the run in ``folder`` to ``shelf``; the value is the card's path."""
    from atomseg_app.segmentation.training import keep_segmentation

    model = keep_segmentation(Path(task.arguments["folder"]), report, shelf=Path(task.arguments["shelf"]))
    return TaskResult(str(model.card_path))
