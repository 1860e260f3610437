"""Jobs of a workspace: operations, one of each at a time, and other tasks; their failures are told here."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QObject, Signal

from atomseg_app.data import Array, Data
from atomseg_app.errors import UserError
from atomseg_app.gui.context import Context
from atomseg_app.jobs.job import Job
from atomseg_app.jobs.tasks import Task, TaskResult
from atomseg_app.operations import Operation, Parameters


class OperationJobs(QObject):
    """``changed`` when a job begins or ends, ``previewed(operation, name, array)`` while one runs."""

    changed = Signal()
    previewed = Signal(str, str, object)

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context
        self.jobs: dict[str, Job] = {}

    def submit(
        self, operation: Operation, parameters: Parameters, inputs: tuple[Data, ...], title: str,
        done: Callable[[TaskResult], object],
    ) -> Job:  # fmt: skip
        """Run an operation. Raises UserError where it runs already."""
        if operation.name in self.jobs:
            raise UserError(f"{operation.title} is running; wait for it, or cancel it.")

        def finished(result: TaskResult) -> None:
            self._ended(operation.name)
            done(result)

        def failed(stopped: Job) -> None:
            self._ended(operation.name)
            if stopped.state == "failed":
                heading = f"{operation.title} failed"
                self._context.notify.error(heading, UserError(stopped.error), stopped.report_text())

        def preview(name: str, array: Array) -> None:
            self._keep_preview(operation.name, name, array)
            self.previewed.emit(operation.name, name, array)

        values = parameters.model_dump(mode="json")
        task = Task("operation", {"operation": operation.name, "parameters": values}, inputs)
        job = self._context.jobs.submit(task, title, finished, failed, preview)
        self.jobs[operation.name] = job
        self.changed.emit()
        return job

    def task(
        self, task: Task, title: str, done: Callable[[TaskResult], object], on_end: Callable[[], object] | None = None
    ) -> Job:  # fmt: skip
        """Run another task (saving, meshing) and tell of its failure."""

        def finished(result: TaskResult) -> None:
            done(result)
            if on_end is not None:
                on_end()

        def failed(stopped: Job) -> None:
            if on_end is not None:
                on_end()
            if stopped.state == "failed":
                self._context.notify.error(f"{title}: failed", UserError(stopped.error), stopped.report_text())

        return self._context.jobs.submit(task, title, finished, failed)

    def cancel(self, operation: str) -> None:
        """Stop an operation; what was there before stays."""
        job = self.jobs.get(operation)
        if job is not None:
            self._context.jobs.cancel(job.id)

    def stop(self, operation: str) -> None:
        """Ask an iteration to end with what it has."""
        job = self.jobs.get(operation)
        if job is not None:
            self._context.jobs.stop(job.id)
            self.changed.emit()

    def _keep_preview(self, operation: str, name: str, array: Array) -> None:
        """A preview came; it is told of after this."""

    def _ended(self, operation: str) -> None:
        self.jobs.pop(operation, None)
        self.changed.emit()
