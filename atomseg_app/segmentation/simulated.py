"""Simulated tomograms to learn from, made once and kept beside the run, so that it can be continued."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from atomseg_app.data import Labels, Volume
from atomseg_app.errors import FileError
from atomseg_app.io.atomic_write import atomic_open
from atomseg_app.operations import Report
from atomseg_app.segmentation.settings import TrainSegmentation
from atomseg_app.segmentation.training import Lessons, lessons_of_many
from atomseg_app.simulate.catalyst import catalyst
from atomseg_app.simulate.catalyst_preset import CATALYST_CLASSES, CATALYST_VERSION

FOLDER = "volumes"
SHAPE_ZYX = (128, 128, 128)

_APART = 10_000  # between the seeds of runs, so that no two share a volume
_JUDGE = 5_000  # where the seeds of the volumes that judge begin


def seeds(seed: int, volumes: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Seeds of the volumes that a run of a seed is taught, and of those that judge it."""
    first = _APART * (seed + 1)
    return tuple(range(first, first + volumes)), tuple(range(first + _JUDGE, first + _JUDGE + max(2, volumes // 8)))


def simulated_lessons(kind: str, volumes: int, settings: TrainSegmentation, folder: Path, report: Report) -> Lessons:
    """Lessons of so many simulated volumes; those already in the folder are not made again.

    ``kind`` is "catalyst". Raises FileError where the folder cannot be written or holds damaged volumes, Cancelled.
    """
    taught, judged = seeds(settings.seed, volumes)
    total = len(taught) + len(judged)
    pairs = _made(taught, folder / FOLDER, report.part(0, len(taught) / total))
    others = _made(judged, folder / FOLDER, report.part(len(taught) / total, 1))
    return lessons_of_many(pairs, others, settings, f"{kind} {CATALYST_VERSION}", (*taught, *judged))


def _made(wanted: Sequence[int], folder: Path, report: Report) -> Iterator[tuple[Volume, Labels]]:
    for number, seed in enumerate(wanted):
        report.progress(number / len(wanted), f"Simulating tomogram {number + 1} of {len(wanted)}")
        path = folder / f"catalyst_{CATALYST_VERSION}_{seed}.npy"
        if not path.exists():
            volume, labels = catalyst(seed, SHAPE_ZYX)
            with atomic_open(path) as stream:
                np.save(stream, np.stack([volume.values, labels.values]), allow_pickle=False)
        try:
            values, truth = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as problem:
            raise FileError(f"{path} is damaged ({problem}); remove it, and it is made again.") from None
        yield Volume(values), Labels(np.asarray(truth), classes=CATALYST_CLASSES)
