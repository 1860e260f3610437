"""What the tab has computed elsewhere: connected parts, slices between slices, networks, measurements."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import numpy as np

from atomseg_app.data import Data, Image, Labels, Volume
from atomseg_app.errors import UserError
from atomseg_app.gui.context import Context
from atomseg_app.gui.operation_jobs import OperationJobs
from atomseg_app.gui.segmentation.label_store import Box
from atomseg_app.gui.segmentation.model import SegModel
from atomseg_app.gui.segmentation.painter import Painter
from atomseg_app.gui.segmentation.tools import class_under
from atomseg_app.io.live_arrays import file_of
from atomseg_app.jobs.job import Job
from atomseg_app.jobs.tasks import Task, TaskResult
from atomseg_app.label_classes import IGNORE

CLEANING = {
    "smooth": "Smooth", "dilate": "Grow by a voxel", "erode": "Shrink by a voxel", "holes": "Fill holes",
    "specks": "Remove specks",
}  # fmt: skip
"""What can be done to the voxels of the chosen class in the whole volume, and how that is called."""


class Computing(OperationJobs):
    """Jobs of the tab. One edit at a time: while it is computed, nobody else may paint what it starts from."""

    def __init__(self, context: Context, model: SegModel, painter: Painter) -> None:
        super().__init__(context)
        self._model, self._painter = model, painter
        self.editing: Job | None = None

    # -- edits that are looked for in the volume

    def grow(self, seed: tuple[int, int, int]) -> None:
        """Label what is connected to a voxel and of like grey level."""
        volume, view = self._model.volume(), self._painter.brush
        if volume is None:
            return
        asked = {"seed": list(seed), "tolerance": view.tolerance}
        self._edit("grow", asked, (volume,), "Grow", "Grow a region")

    def pick(self, seed: tuple[int, int, int]) -> None:
        """Give the connected part at a voxel the chosen class."""
        entry, result = self._model.entry, self._model.result()
        value = class_under(self._model, seed)
        painted = None if entry is None or not self._model.shown.painted else entry.annotation()
        if painted is not None and painted.values[seed] != IGNORE:
            labels = painted
        elif result is not None and value != IGNORE:
            labels = result.labels
        else:
            raise UserError("Nothing is labelled there; click a part that has a class.")
        self._edit("component", {"seed": list(seed)}, (labels,), "Take part as", "Take a connected part")

    def interpolate(self) -> None:
        """Label the slices between labelled ones with the chosen class."""
        labels = self._labels("Paint the class in two slices first, some slices apart.")
        if len(self._entry_slices(labels)) < 2:
            raise UserError("Paint the class in two slices first, some slices apart; those between are filled in.")
        self._edit("between", {"value": self._model.chosen}, (labels,), "Interpolate", "Interpolate between slices")

    def clean(self, how: str) -> None:
        """Smooth, grow, shrink, fill or thin out the chosen class in the whole volume."""
        labels = self._labels("Nothing is painted yet.")
        self._edit(how, {"value": self._model.chosen}, (labels,), CLEANING[how], CLEANING[how])

    def cancel_edit(self) -> None:
        """Give up the edit that is being computed."""
        if self.editing is not None:
            self._context.jobs.cancel(self.editing.id)

    def _edit(self, how: str, asked: dict[str, Any], inputs: tuple[Data, ...], text: str, title: str) -> None:
        if self.editing is not None:
            raise UserError(f"{self.editing.title} is being computed; wait for it, or cancel it in the list of jobs.")
        entry_id, chosen = self._model.current_id, self._model.chosen
        frozen = tuple(_frozen(item) for item in inputs)

        def done(result: TaskResult) -> None:
            if self._model.current_id != entry_id:
                self._context.notify.warn(f"{title}: another volume is shown now, so the result is not used.")
                return
            self._take(result, chosen, text)

        def ended() -> None:
            self.editing = None
            self.changed.emit()

        task = Task("edit-labels", {"how": how, **asked}, frozen)
        self.editing = self.task(task, title, done, ended)
        self.changed.emit()

    def _take(self, result: TaskResult, chosen: int, text: str) -> None:
        """Paint the masks that came: those of what becomes the class, and of what loses it."""
        told: dict[str, Any] = result.value
        if told.get("note"):
            self._context.notify.info(told["note"])
        before = self._model.chosen
        self._model.choose(chosen)
        for erase, item, start in zip(told["erase"], result.items, told["starts"], strict=True):
            mask = cast(Volume, item).values.astype(bool)
            z, y, x = (int(place) for place in start)
            depth, height, width = mask.shape
            if self._painter.begin(text, erase=erase):
                self._painter.fill_box(Box((z, y, x), (z + depth, y + height, x + width)), mask)
                self._painter.end()
        self._model.choose(before)

    def _labels(self, problem: str) -> Labels:
        entry = self._model.entry
        labels = None if entry is None else entry.annotation()
        if labels is None or entry is None or not entry.painted:
            raise UserError(problem)
        return labels

    def _entry_slices(self, labels: Labels) -> list[int]:
        entry = self._model.entry
        assert entry is not None
        assert entry.store is not None
        return [int(z) for z in entry.store.painted_slices() if (labels.values[z] == self._model.chosen).any()]

    # -- files and surfaces

    def make_surface(self, values: Any, level: float, take: Callable[[Any, Any], object]) -> None:
        """A mesh of values (z, y, x) at a level: ``take(vertices, faces)``."""

        def done(result: TaskResult) -> None:
            vertices, faces = (cast(Image, item).values for item in result.items)
            take(vertices, faces)

        task = Task("make-surface", {"level": level}, (Volume(values, (None,) * 3),))
        self.task(task, "Make a surface", done)


def _frozen(item: Data) -> Data:
    """Labels as they are now; those of a large volume lie in a file, and are looked at where they are."""
    if not isinstance(item, Labels) or file_of(item.values) is not None:
        return item
    return replace(item, values=np.array(item.values))
