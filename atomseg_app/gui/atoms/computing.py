"""Finds and fits columns as jobs, and puts what comes back into the model as steps that can be undone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QObject, Signal

from atomseg_app.atoms.operations import FIND_COLUMNS, REFIT_COLUMNS, FindColumns
from atomseg_app.data import Columns, Image
from atomseg_app.errors import UserError
from atomseg_app.gui.atoms import edits
from atomseg_app.gui.atoms.edits import ChangeEntry
from atomseg_app.gui.atoms.model import AtomsModel, Entry
from atomseg_app.gui.context import Context
from atomseg_app.gui.undo import Command
from atomseg_app.jobs.job import Job
from atomseg_app.jobs.tasks import Task, TaskResult

_LOCAL_SHARE = 0.25  # a fit of columns within less than this of the image sees only their surroundings
_MARGIN_SIGMA = 12.0


class Computing(QObject):
    """Jobs of the tab. ``changed`` when one begins or ends; ``found(count, seconds)`` after *Find columns* in the
    entry that is shown.
    """

    changed = Signal()
    found = Signal(int, float)

    def __init__(self, context: Context, model: AtomsModel) -> None:
        super().__init__()
        self._context, self._model = context, model
        self.finding: Job | None = None

    # -- jobs

    def find(self, parameters: FindColumns) -> Job:
        """Find the columns of the frame that is shown; those that were there are replaced."""
        entry_id, frame, image, _ = self._shown()

        def done(result: TaskResult) -> None:
            self._take_found(entry_id, frame, parameters, result, job)

        title = f"{FIND_COLUMNS.title} in {self._model.entries[entry_id].title}"
        job = self._submit(FIND_COLUMNS.name, parameters.model_dump(mode="json"), (image,), title, done)
        self.finding = job
        self.changed.emit()
        return job

    def refit(self, ids: Sequence[int], parameters: dict[str, Any], continues: Command | None = None) -> Job | None:
        """Fit columns again, from where they are; ``continues`` is the edit that this completes."""
        entry_id, _, image, columns = self._shown()
        wanted = np.intersect1d(np.asarray(ids, np.int64), columns.table["column_id"])
        if not len(wanted):
            return None
        part, offset = surroundings(image, columns, wanted)
        sub_image, sub_columns = _cut(image, columns, part)
        values = {**parameters, "column_ids": tuple(int(i) for i in wanted)}

        def done(result: TaskResult) -> None:
            entry = self._model.entries.get(entry_id)
            if entry is not None:
                ids = unmoved(columns, entry.columns, wanted)
                self._take_fit(entry_id, entry, _shifted(result.items[0], offset), ids, continues)

        count = f"{len(wanted)} column{'' if len(wanted) == 1 else 's'}"
        return self._submit(REFIT_COLUMNS.name, values, (sub_image, sub_columns), f"Fit {count} again", done)

    def cancel(self) -> None:
        """Stop finding."""
        if self.finding is not None:
            self._context.jobs.cancel(self.finding.id)

    # -- edits

    def add(self, x_px: float, y_px: float, parameters: dict[str, Any]) -> None:
        """Add a column near a position and fit it."""
        entry_id, frame, image, _ = self._shown()
        entry = self._model.entries[entry_id]
        columns, column_id = edits.added(entry.columns, image, x_px, y_px, frame)
        command = self._push(entry_id, "Add column", replace(entry, columns=columns))
        self._model.select([column_id])
        self.refit([column_id], parameters, command)

    def move(self, column_id: int, x_px: float, y_px: float, parameters: dict[str, Any]) -> None:
        """Put a column somewhere else and fit it there."""
        entry_id, _, image, _ = self._shown()
        entry = self._model.entries[entry_id]
        x_px = min(max(x_px, 0.0), image.shape[1] - 1.0)
        y_px = min(max(y_px, 0.0), image.shape[0] - 1.0)
        columns = edits.moved(entry.columns, column_id, x_px, y_px)
        command = self._push(entry_id, "Move column", replace(entry, columns=columns))
        self._model.select([column_id])
        self.refit([column_id], parameters, command)

    def delete(self, ids: Sequence[int]) -> None:
        """Delete columns."""
        entry = self._model.entry
        if entry is not None and len(ids):
            text = "Delete column" if len(ids) == 1 else f"Delete {len(ids)} columns"
            self._push(self._model.current_id, text, replace(entry, columns=edits.without(entry.columns, ids)))

    def calibrate(self, size_y_nm: float | None, size_x_nm: float | None) -> None:
        """Give the image that is shown another pixel size."""
        entry = self._model.entry
        if entry is not None:
            self._push(self._model.current_id, "Calibrate", edits.recalibrated(entry, size_y_nm, size_x_nm))

    # -- results

    def _take_found(
        self, entry_id: int, frame: int, parameters: FindColumns, result: TaskResult, job: Job
    ) -> None:  # fmt: skip
        entry = self._model.entries.get(entry_id)
        found = result.items[0]
        if entry is None or not isinstance(found, Columns):
            return
        if entry.frames > 1 and found.history:
            found = _of_frame(found, frame)
        columns = edits.with_found(entry.columns, found, frame, parameters.region_px)
        # Calibrated while the job ran: what the user says now counts.
        columns = replace(columns, pixel_size_nm=entry.data.pixel_size_nm[-2:])
        self._push(entry_id, "Find columns", replace(entry, columns=columns))
        if entry_id == self._model.current_id:
            self.found.emit(len(found), job.elapsed_s())

    def _take_fit(
        self, entry_id: int, entry: Entry, fitted: Columns, ids: list[int], continues: Command | None
    ) -> None:  # fmt: skip
        if not ids:  # deleted or taken back meanwhile
            return
        columns = edits.with_fit(entry.columns, fitted, ids, edited=continues is not None)
        if continues is None:
            columns = replace(columns, history=(*columns.history, *fitted.history[-1:]))
        self._push(entry_id, "Fit again", replace(entry, columns=columns), continues)

    def _push(self, entry_id: int, text: str, after: Entry, continues: Command | None = None) -> Command:
        command = ChangeEntry(self._model, entry_id, text, after, continues)
        self._context.undo.push(command)
        return command

    def _shown(self) -> tuple[int, int, Image, Columns]:
        """What is shown. Raises UserError if that is nothing."""
        image, columns = self._model.image(), self._model.columns()
        if image is None or columns is None:
            raise UserError("No image is open; open one first.")
        return self._model.current_id, self._model.frame, image, columns

    def _submit(
        self, operation: str, parameters: dict[str, Any], inputs: tuple[Any, ...], title: str,
        done: Callable[[TaskResult], None],
    ) -> Job:  # fmt: skip
        def finished(result: TaskResult) -> None:
            self._ended(job)
            done(result)

        def failed(stopped: Job) -> None:
            self._ended(stopped)
            if stopped.state == "failed":
                self._context.notify.error(f"{title}: failed", UserError(stopped.error), stopped.report_text())

        task = Task("operation", {"operation": operation, "parameters": parameters}, inputs)
        job = self._context.jobs.submit(task, title, finished, failed)
        return job

    def _ended(self, job: Job) -> None:
        if job is self.finding:
            self.finding = None
        self.changed.emit()


def surroundings(
    image: Image, columns: Columns, ids: npt.ArrayLike
) -> tuple[tuple[int, int, int, int], tuple[int, int]]:
    """Window that a fit of some columns needs: all of the image, or a part if they lie close together; its corner."""
    height, width = image.shape
    rows = _rows(columns, ids)
    x, y = columns.table["x_px"][rows], columns.table["y_px"][rows]
    margin = max(48.0, _MARGIN_SIGMA * edits.typical_sigma_px(columns))
    left, right = max(0, int(x.min() - margin)), min(width, int(x.max() + margin) + 1)
    top, bottom = max(0, int(y.min() - margin)), min(height, int(y.max() + margin) + 1)
    if (right - left) * (bottom - top) > _LOCAL_SHARE * width * height:
        left, top, right, bottom = 0, 0, width, height
    return (left, top, right, bottom), (left, top)


def unmoved(before: Columns, after: Columns, ids: npt.NDArray[np.int64]) -> list[int]:
    """Those of some columns that are still where they were: the result of a fit is theirs."""
    places = {int(row["column_id"]): (row["x_px"], row["y_px"]) for row in before.table[_rows(before, ids)]}
    return [
        int(row["column_id"])
        for row in after.table[_rows(after, ids)]
        if places.get(int(row["column_id"])) == (row["x_px"], row["y_px"])
    ]


def _rows(columns: Columns, ids: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    return np.isin(columns.table["column_id"], ids)


def _cut(image: Image, columns: Columns, part: tuple[int, int, int, int]) -> tuple[Image, Columns]:
    """A part of an image with the columns in it, in coordinates of the part."""
    left, top, right, bottom = part
    table = columns.table
    inside = (table["x_px"] >= left) & (table["x_px"] < right) & (table["y_px"] >= top) & (table["y_px"] < bottom)
    table = table[inside].copy()
    table["x_px"] -= left
    table["y_px"] -= top
    sub_image = replace(image, values=image.values[top:bottom, left:right])
    return sub_image, replace(columns, table=table, image_shape=(bottom - top, right - left))


def _of_frame(found: Columns, frame: int) -> Columns:
    """What was found in a series, its notes telling the frame: the history is that of all frames."""
    *before, last = found.history
    notes = tuple(f"Frame {frame + 1}: {note}" for note in last.notes)
    return replace(found, history=(*before, replace(last, notes=notes)))


def _shifted(fitted: Any, offset: tuple[int, int]) -> Columns:
    """Columns of a part in coordinates of the image."""
    table = fitted.table.copy()
    table["x_px"] += offset[0]
    table["y_px"] += offset[1]
    result: Columns = replace(fitted, table=table)
    return result
