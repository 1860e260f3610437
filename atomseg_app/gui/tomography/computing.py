"""Runs operations on what is shown as jobs, and puts what comes back into the model as steps that can be undone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from PySide6.QtCore import Signal

from atomseg_app.data import Array, Data, Image, TiltSeries, Volume
from atomseg_app.errors import UserError
from atomseg_app.gui.context import Context
from atomseg_app.gui.entry_edits import OpenEntries, OpenEntry
from atomseg_app.gui.operation_jobs import OperationJobs
from atomseg_app.gui.tomography.edits import ChangeEntry
from atomseg_app.gui.tomography.model import Curve, Entry, TomoModel, with_data
from atomseg_app.jobs.job import Job
from atomseg_app.jobs.tasks import TaskResult
from atomseg_app.operations import Operation, Parameters

STEPS = "alignment_steps"
"""Metadata of a series that was aligned: what each step found, and the R-factor before and after it."""


class Computing(OperationJobs):
    """Jobs of the tab. ``finished(operation, entry id, result)`` comes after the result is in place."""

    finished = Signal(str, int, object)

    def __init__(self, context: Context, model: TomoModel) -> None:
        super().__init__(context)
        self._model = model
        self.curves: dict[str, dict[str, Curve]] = {}

    def run(self, operation: Operation, parameters: Parameters, inputs: tuple[Data, ...] | None = None) -> Job:
        """Run an operation on the series or volume that is shown. Raises UserError where that is of another kind."""
        entry, entry_id = self._model.entry, self._model.current_id
        if entry is None:
            raise UserError("Nothing is open; open a tilt series first.")
        given: tuple[Data, ...] = inputs if inputs is not None else (entry.data,)

        def done(result: TaskResult) -> None:
            self._take(operation, entry_id, entry, result)

        job = self.submit(operation, parameters, given, f"{operation.title}: {entry.title}", done)
        self.curves[operation.name] = {}
        return job

    def _keep_preview(self, operation: str, name: str, array: Array) -> None:
        if array.ndim == 1:
            self.curves[operation][name] = np.asarray(array, float)

    # -- results

    def _take(self, operation: Operation, entry_id: int, before: Entry, result: TaskResult) -> None:
        item = result.items[0] if result.items else None
        if isinstance(item, Volume):
            beside = dict(zip(result.value or (), result.items[1:], strict=False))
            self._open_volume(operation, entry_id, before, item, beside)
        elif isinstance(item, TiltSeries):
            self._change_series(operation, entry_id, before, item)
        for note in item.history[-1].notes if item is not None and item.history else ():
            self._context.notify.info(note)
        self.finished.emit(operation.name, entry_id, result)

    def _open_volume(
        self, operation: Operation, entry_id: int, before: Entry, volume: Volume, beside: Mapping[str, Data]
    ) -> None:  # fmt: skip
        """Open a volume, and volumes that came beside it under its name."""
        parameters: Mapping[str, Any] = volume.history[-1].parameters if volume.history else {}
        how = str(parameters.get("algorithm", ""))
        how = {
            "fsc": f"halves, {how}", "compare-volumes": "difference",
            "fill-wedge": f"filled {parameters.get('method')}",
        }.get(operation.name, how)  # fmt: skip
        base = before.title
        known = {entry.title for entry in self._model.entries.values()}
        name = f"{base}, {how}"
        count = 2
        while name in known:
            name, count = f"{base}, {how} ({count})", count + 1
        origin = entry_id if isinstance(before.data, TiltSeries) else before.origin
        entry = Entry(volume, name, origin, dict(self.curves.get(operation.name, {})))
        further = [Entry(one, f"{name}, {what}", origin) for what, one in beside.items() if isinstance(one, Volume)]
        if further:
            self._context.undo.push(OpenEntries(self._model, [entry, *further], operation.title))
        else:
            self._context.undo.push(OpenEntry(self._model, entry, operation.title))

    def _change_series(self, operation: Operation, entry_id: int, before: Entry, series: TiltSeries) -> None:
        now = self._model.entries.get(entry_id)
        if now is None or not isinstance(now.data, TiltSeries) or not isinstance(before.data, TiltSeries):
            return
        data = series
        if series.alignment != before.data.alignment and series.shape == now.data.shape:
            data = aligned_as(now.data, before.data, series)
        after = with_data(now, data)
        self._context.undo.push(ChangeEntry(self._model, entry_id, operation.title, after))


def aligned_as(now: TiltSeries, before: TiltSeries, result: TiltSeries) -> TiltSeries:
    """The series as it is now with the alignment of a result; its images stay those of the file.

    Angles are the result's where it changed them; views that it excluded are excluded.
    """
    refined = result.tilt_deg != before.tilt_deg or result.euler_deg != before.euler_deg
    excluded = tuple(sorted({*now.excluded, *(set(result.excluded) - set(before.excluded))}))
    return replace(
        now,
        alignment=result.alignment,
        tilt_deg=result.tilt_deg if refined else now.tilt_deg,
        euler_deg=result.euler_deg if refined else now.euler_deg,
        excluded=excluded,
        history=result.history,
        metadata={**now.metadata, **{key: result.metadata[key] for key in (STEPS,) if key in result.metadata}},
    )


def as_image(array: Array) -> Image:
    """A preview as an image."""
    return Image(np.asarray(array, np.float32), (None, None))
