"""An instant guess of the slice that is shown, by a random forest taught what was painted so far."""

from __future__ import annotations

from typing import cast

import numpy as np
from PySide6.QtCore import QObject, QTimer, Signal

from atomseg_app.data import Image, Labels, Volume
from atomseg_app.gui.segmentation.computing import Computing
from atomseg_app.gui.segmentation.model import SegModel
from atomseg_app.gui.segmentation.overlay import Overlays
from atomseg_app.gui.volumes.slice_pane import PLANES
from atomseg_app.jobs.job import Job
from atomseg_app.jobs.tasks import Task, TaskResult
from atomseg_app.label_classes import IGNORE

_WAIT_MS = 350
_MOST_TAUGHT = 8
_REACH = 2  # slices on either side that features look at


class Preview(QObject):
    """While on, the slice across the painted direction is guessed again after every stroke and step.

    Only the painted slices nearest to the one shown go to the compute process. ``changed`` when it is switched.
    """

    changed = Signal()

    def __init__(self, model: SegModel, computing: Computing, overlays: Overlays) -> None:
        super().__init__(overlays)
        self._model, self._computing, self._overlays = model, computing, overlays
        self.on = False
        self.told = ""
        self._job: Job | None = None
        self._again = False
        self._timer = QTimer(self, singleShot=True, interval=_WAIT_MS)
        self._timer.timeout.connect(self._ask)
        for signal in (model.painted, model.place_changed, model.current_changed):
            signal.connect(lambda *_: self.on and self._timer.start())

    def switch(self, on: bool) -> None:
        """Begin or end guessing."""
        self.on = on
        if on:
            self._ask()
        else:
            self._overlays.show_preview("", -1, None)
        self.changed.emit()

    def why_not(self) -> str:
        """Why nothing can be guessed."""
        entry = self._model.entry
        classes = 0 if entry is None or entry.store is None else int(np.count_nonzero(entry.store.counts[:IGNORE]))
        return "" if classes >= 2 else "Paint at least two classes in a slice first."

    def _ask(self) -> None:
        entry, place = self._model.entry, self._model.place
        if not self.on or entry is None or entry.store is None or self.why_not():
            return
        if self._job is not None:
            self._again = True
            return
        axis = entry.store.painted_axis()
        plane, index = PLANES[axis], place[axis]
        painted = np.flatnonzero(entry.store.labelled[axis])
        near = painted[np.argsort(np.abs(painted - index), kind="stable")[:_MOST_TAUGHT]]
        values, labels, at = cut_out(entry.data.values, entry.store.values, axis, np.sort(near), index)
        inputs = (Volume(values, (None,) * 3), Labels(labels, (None,) * 3, classes=entry.classes))

        def done(result: TaskResult) -> None:
            if self.on:
                self._overlays.show_preview(plane.name, index, cast(Image, result.items[0]).values)

        def ended() -> None:
            self._job = None
            if self._again:
                self._again = False
                self._ask()

        task = Task("preview-labels", {"index": at}, inputs)
        self._job = self._computing.task(task, "Preview of the slice", done, ended)


def cut_out(
    values: np.ndarray[tuple[int, ...], np.dtype[np.generic]],
    labels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]],
    axis: int,
    taught: np.ndarray[tuple[int, ...], np.dtype[np.intp]],
    shown: int,
) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.generic]], np.ndarray[tuple[int, ...], np.dtype[np.uint8]], int]:
    """Slices across ``axis``, each with its neighbours, one block after the other: values, labels of those taught, and
    the index of the slice shown, which comes last.
    """
    last = values.shape[axis] - 1
    wanted = np.concatenate([np.clip(np.arange(i - _REACH, i + _REACH + 1), 0, last) for i in (*taught, shown)])
    picked = np.ascontiguousarray(np.take(values, wanted, axis).swapaxes(0, axis) if axis else values[wanted])
    size = 2 * _REACH + 1
    of_taught = np.full(picked.shape, IGNORE, np.uint8)
    for number, index in enumerate(taught):
        plane = np.take(labels, int(index), axis)
        of_taught[number * size + _REACH] = plane if axis < 2 else plane.T
    return picked, of_taught, len(taught) * size + _REACH
