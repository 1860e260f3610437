"""A training in the window: its job, what is to become of it when it stops, and its log as it grows."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal

from PySide6.QtCore import QObject, QTimer, Signal

from atomseg_app.errors import UserError
from atomseg_app.gui.alive import while_alive
from atomseg_app.gui.background import Background
from atomseg_app.gui.context import Context
from atomseg_app.jobs.job import Job
from atomseg_app.jobs.tasks import Task, TaskResult
from atomseg_app.networks.card import user_folder
from atomseg_app.networks.column_settings import TrainColumns
from atomseg_app.networks.run_folder import can_go_on, runs_folder, settings_of, unfinished
from atomseg_app.networks.training_log import Entry, read_log
from atomseg_app.operations import Parameters

KIND = "columns"
Ending = Literal["pause", "keep", "discard"]

_POLL_MS = 700


class TrainingRun(QObject):
    """One training at a time, of a network for columns; other kinds say in what their tasks differ.

    ``changed`` comes when its state does, ``logged(entries)`` when its log grew.

    ``finished(name)`` when its network is in the list, ``interrupted_changed`` when there are other runs to go on with.
    """

    model: ClassVar[type[Parameters]] = TrainColumns

    changed = Signal()
    logged = Signal(object)
    finished = Signal(str)
    interrupted_changed = Signal()

    def __init__(self, context: Context, background: Background, parent: QObject) -> None:
        super().__init__(parent)
        self._context, self._background = context, background
        self.job: Job | None = None
        self.name = ""
        self.message = ""
        self.interrupted: dict[str, int] = {}
        self._ending: Ending = "pause"
        self._began: float | None = None
        self._lines = 0
        self._timer = QTimer(self, interval=_POLL_MS)
        self._timer.timeout.connect(self._poll)

    # -- asking

    @property
    def running(self) -> bool:
        """Whether a network is being trained, or saved."""
        return self.job is not None

    def folder(self, name: str) -> Path:
        """Where the run of a model lies."""
        return runs_folder() / name

    def settings(self, name: str) -> Any:
        """What an interrupted run was begun with. Raises UserError."""
        return settings_of(self.folder(name), self.model)

    def interrupted_runs(self) -> list[Path]:
        """Folders of runs that can be continued; looked for off the window's thread."""
        return unfinished()

    def train_task(self, settings: Any, folder: Path, *, resume: bool) -> Task:
        """What trains. May raise UserError."""
        arguments = {
            "kind": KIND, "settings": settings.model_dump(mode="json"), "folder": str(folder),
            "shelf": str(user_folder()), "resume": resume,
        }  # fmt: skip
        return Task("train", arguments)

    def keep_task(self, folder: Path) -> Task:
        """What saves the best network of a run that was stopped."""
        return Task("keep-network", {"kind": KIND, "folder": str(folder), "shelf": str(user_folder())})

    def eta_s(self) -> float | None:
        """Time left, from what was done since this job began; None where nothing can be said."""
        job = self.job
        if job is None or job.state != "running" or job.fraction <= 0:
            return None
        if self._began is None:
            self._began = job.fraction
        done, elapsed = job.fraction - self._began, job.elapsed_s()
        return elapsed * (1 - job.fraction) / done if done > 0 and elapsed > 3 else None

    # -- doing

    def start(self, settings: Any, *, resume: bool) -> None:
        """Train. Raises UserError where the name is taken or a run of that name waits to be continued."""
        folder = self.folder(settings.name)
        if (user_folder() / f"{settings.name}.json").exists():
            raise UserError(f"You have a network {settings.name!r} already; choose another name.")
        if not resume and can_go_on(folder):
            raise UserError(f"A training of {settings.name!r} was interrupted; continue it, or discard it first.")
        task = self.train_task(settings, folder, resume=resume)
        self.name, self._ending, self._began, self._lines = settings.name, "pause", None, 0
        self.message = "Waiting for the compute process…"
        self._submit(task, f"Train {settings.name}", self._trained, self._stopped)
        self._timer.start()

    def end(self, ending: Ending) -> None:
        """Stop: keep the best network, keep the run to continue it later, or discard everything."""
        if self.job is not None and self.job.title.startswith("Train"):
            self._ending = ending
            self.message = "Stopping…"
            self._context.jobs.cancel(self.job.id)
            self.changed.emit()

    def keep(self, name: str) -> None:
        """Save the best network of an interrupted run, which then is done."""
        self.name, self.message = name, "Saving the best network…"
        self._submit(self.keep_task(self.folder(name)), f"Keep {name}", self._trained, self._stopped)

    def discard(self, name: str) -> None:
        """Remove an interrupted run."""
        folder = self.folder(name)

        def remove() -> None:
            if folder.is_dir():
                shutil.rmtree(folder)

        def failed(problem: Exception) -> None:
            self._context.notify.error(f"{name} was not discarded", UserError(str(problem)))

        self._background.run(remove, while_alive(self, lambda _: self.look()), failed)

    def look(self) -> None:
        """Look for interrupted runs."""

        def find() -> dict[str, int]:
            runs = self.interrupted_runs()
            return {run.name: max((entry["step"] for entry in read_log(run)), default=0) for run in runs}

        def take(found: dict[str, int]) -> None:
            self.interrupted = found
            self.interrupted_changed.emit()

        self._background.run(find, while_alive(self, take))

    def show_log(self, name: str) -> None:
        """Tell what the log of a run holds."""
        folder = self.folder(name)
        self._background.run(lambda: read_log(folder), while_alive(self, self._take_log))

    # -- inside

    def _submit(
        self, task: Task, title: str, done: Callable[[TaskResult], None], failed: Callable[[Job], None]
    ) -> None:
        self.job = self._context.jobs.submit(task, title, done, failed)
        self.changed.emit()

    def _trained(self, result: TaskResult) -> None:
        name = self.name
        self._poll()
        self._end("")
        self.message = f"{name} is ready and in the list of networks."
        self.discard(name)  # what it was made from; its card tells how
        self.changed.emit()
        self.finished.emit(name)

    def _stopped(self, job: Job) -> None:
        name, ending = self.name, self._ending
        trained = job.title.startswith("Train")
        self._poll()
        if job.state == "failed":
            again = " It can be continued from its last checkpoint." if can_go_on(self.folder(name)) else ""
            self._end(f"{job.error}{again}")
            self._context.notify.error(f"{job.title}: failed", UserError(f"{job.error}{again}"), job.report_text())
        elif trained and ending == "keep":
            self._end("")
            self.keep(name)
            return
        elif trained and ending == "discard":
            self._end(f"{name} was discarded.")
            self.discard(name)
            return
        else:
            self._end(f"{name} is paused; it can be continued at any time.")
        self.look()

    def _end(self, message: str) -> None:
        self._timer.stop()
        self.job, self.message = None, message
        self.changed.emit()

    def _poll(self) -> None:
        self.show_log(self.name)
        if self.job is not None and self.job.message:
            self.message = self.job.message
        self.changed.emit()

    def _take_log(self, entries: list[Entry]) -> None:
        if len(entries) != self._lines:
            self._lines = len(entries)
            self.logged.emit(entries)
