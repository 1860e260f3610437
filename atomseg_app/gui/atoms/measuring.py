"""Measures lattice, strain, intensities, defects as jobs, and puts what comes back into the model as undo steps."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PySide6.QtCore import Signal

from atomseg_app.atoms import defect_operations, physics_operations
from atomseg_app.data import Columns, Data, ImageSeries, Source
from atomseg_app.errors import UserError
from atomseg_app.gui.atoms.edits import ChangeEntry
from atomseg_app.gui.atoms.measured_edits import input_of, with_measured
from atomseg_app.gui.atoms.model import AtomsModel, new_entry
from atomseg_app.gui.context import Context
from atomseg_app.gui.entry_edits import OpenEntry
from atomseg_app.gui.operation_jobs import OperationJobs
from atomseg_app.jobs.job import Job
from atomseg_app.jobs.tasks import TaskResult
from atomseg_app.operations import Operation, Parameters

LATTICE_OPERATIONS = (
    physics_operations.MEASURE_LATTICE, physics_operations.MEASURE_STRAIN, physics_operations.MEASURE_POLARISATION,
    physics_operations.GEOMETRIC_PHASE,
)  # fmt: skip
INTENSITY_OPERATIONS = (
    defect_operations.MEASURE_INTENSITIES, defect_operations.COUNT_ATOMS, defect_operations.FIND_DEFECTS,
)  # fmt: skip


@dataclass(frozen=True)
class Shown:
    """What is shown when a result comes: the quantity that colours, and the vectors drawn as arrows; "" as it is."""

    quantity: str = ""
    vectors: str = ""


SHOWN = {
    "measure-lattice": Shown("sublattice"),
    "measure-strain": Shown("strain_xx"),
    "measure-polarisation": Shown("polar_px", "polar"),
    "measure-intensities": Shown("fit_intensity"),
    "count-atoms": Shown("atoms"),
    "find-defects": Shown("intensity_ratio"),
}
"""By operation; the rest can be chosen under *Show*."""


class Measuring(OperationJobs):
    """Jobs that measure. ``measured(name, result)`` comes once a result is in place."""

    measured = Signal(str, object)

    def __init__(self, context: Context, model: AtomsModel) -> None:
        super().__init__(context)
        self._model = model

    def why_not(self, operation: Operation) -> str:
        """Why an operation cannot be run now, or nothing."""
        columns = self._model.columns()
        if columns is None:
            return "Open an image first."
        if operation.name in self.jobs:
            return f"{operation.title} is running."
        if "columns" in operation.inputs and not len(columns):
            return "Find columns first."
        return ""

    def run(self, operation: Operation, parameters: Parameters) -> Job:
        """Run an operation on the frame that is shown. Raises UserError if it cannot be run now."""
        reason = self.why_not(operation)
        entry, image = self._model.entry, self._model.image()
        if reason or entry is None or image is None:
            raise UserError(reason or "Open an image first.")
        entry_id, frame = self._model.current_id, self._model.frame
        columns = input_of(entry, frame)
        inputs: tuple[Data, ...] = tuple(image if kind == "image" else columns for kind in operation.inputs)

        def done(result: TaskResult) -> None:
            item = result.items[0]
            if isinstance(item, Columns):
                self._take_columns(operation, entry_id, frame, columns, item)
            elif isinstance(item, ImageSeries):
                self._take_maps(operation, item)

        return self.submit(operation, parameters, inputs, f"{operation.title} in {entry.title}", done)

    def _take_columns(
        self, operation: Operation, entry_id: int, frame: int, asked: Columns, result: Columns
    ) -> None:  # fmt: skip
        """Put a result in place. One of columns that were edited meanwhile is not theirs, and is given up."""
        entry = self._model.entries.get(entry_id)
        if entry is None:
            return
        if not _same_places(asked, entry.of_frame(frame)):
            self._context.notify.warn(
                f"{operation.title}: the columns were changed while it ran, so its result is not shown; run it again."
            )
            return
        columns = with_measured(entry, frame, result)
        self._context.undo.push(ChangeEntry(self._model, entry_id, operation.title, replace(entry, columns=columns)))
        self.measured.emit(operation.name, result)

    def _take_maps(self, operation: Operation, maps: ImageSeries) -> None:
        """Open maps as a series beside their image."""
        source = Source(dataset=f"{operation.title} of {maps.source.name}")
        self._context.undo.push(OpenEntry(self._model, new_entry(replace(maps, source=source)), operation.title))
        self.measured.emit(operation.name, maps)


def _same_places(asked: Columns, now: Columns) -> bool:
    """Whether columns are still those of a while ago, where they were."""
    names = ["column_id", "x_px", "y_px"]
    return len(asked) == len(now) and all(np.array_equal(asked.table[name], now.table[name]) for name in names)
