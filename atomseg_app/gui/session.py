"""The session: everything open in the tabs, as a project file, and as a journal for recovery. Does, never asks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, QTimer, Signal

from atomseg_app.data import Data
from atomseg_app.errors import FileError
from atomseg_app.gui.background import Background
from atomseg_app.gui.context import Context
from atomseg_app.gui.settings import AUTOSAVE_S
from atomseg_app.gui.tab import Tab
from atomseg_app.io import journal, projects
from atomseg_app.io.project_lock import ProjectLock, lock_project
from atomseg_app.io.projects import FileReference, Project, TabState
from atomseg_app.jobs.job import Job
from atomseg_app.jobs.tasks import Task, TaskResult

JOURNAL_EDITS = 20


class Session(QObject):
    """What is open, where it is saved, and whether it differs from that. ``changed``: title or dirtiness may differ."""

    changed = Signal()

    def __init__(self, context: Context, tabs: Mapping[str, Tab], background: Background) -> None:
        super().__init__()
        self._context, self._tabs, self._background = context, tabs, background
        self.path: Path | None = None
        self.read_only = False
        self.saving = False
        self._schema = projects.SCHEMA
        self._touched = False  # changed beyond the undo stack since the last save
        self._touches = 0
        self._lock: ProjectLock | None = None
        self._journal = journal.Journal()
        self._journaled: tuple[int, int] = (0, 0)
        context.undo.changed.connect(self._on_edit)
        for tab in tabs.values():
            tab.changed.connect(self.touch)
        self._timer = QTimer(self, interval=1000 * context.settings.get(AUTOSAVE_S))
        self._timer.timeout.connect(self.write_journal)
        self._timer.start()
        context.settings.changed.connect(self._on_setting)

    @property
    def dirty(self) -> bool:
        """Whether something would be lost if the session ended now."""
        return self._touched or not self._context.undo.is_clean()

    @property
    def empty(self) -> bool:
        """Whether nothing is open."""
        return all(tab.is_empty() for tab in self._tabs.values())

    def title(self) -> str:
        """Name of the project with a star if it differs from its file."""
        name = self.path.stem if self.path else "Untitled"
        return f"{name}{'*' if self.dirty else ''}{' (read-only)' if self.read_only else ''}"

    def touch(self) -> None:
        """Something changed that is no undo step."""
        self._touched = True
        self._touches += 1
        self._on_edit()

    def item_opened(self) -> None:
        """A file was opened: a change of a saved project, but nothing to lose in a new one."""
        if self.path is not None:
            self.touch()
        self.changed.emit()

    def snapshot(self) -> Project:
        """Everything open, as data objects that never change: no copies, quick."""
        tabs = {}
        for name, tab in self._tabs.items():
            state, items = tab.save_state()
            tabs[name] = TabState(state, items)
        return Project(tabs, self.path, self.read_only, schema=self._schema)

    def save(
        self, path: Path, on_saved: Callable[[], object] | None = None, on_failed: Callable[[], object] | None = None
    ) -> None:
        """Write the project in the background. A failure is told, and leaves the old file and the session alone."""
        project, state = self.snapshot(), self._state()
        self.saving = True

        def write() -> ProjectLock | None:
            lock = None if path == self.path and self._lock is not None else lock_project(path)
            if lock is not None and not lock.held:
                raise FileError(f"{path} is open in another window ({lock.owner}); save under another name.")
            try:
                projects.save_project(path, project)
            except FileError:
                if lock is not None:
                    lock.release()
                raise
            return lock

        def saved(lock: ProjectLock | None) -> None:
            self.saving = False
            if lock is not None:
                self._release()
                self._lock = lock
            self.path, self.read_only, self._schema = path, False, projects.SCHEMA
            if self._state() == state:  # nothing was edited while it was written
                self._set_clean()
            self._context.settings.add_recent(str(path))
            self.changed.emit()
            if on_saved is not None:
                on_saved()

        def failed(problem: Exception) -> None:
            self.saving = False
            self._context.notify.error("The project could not be saved", problem)
            if on_failed is not None:
                on_failed()

        self._background.run(write, saved, failed)

    def close_all(self) -> None:
        """Back to an empty, unnamed session."""
        for tab in self._tabs.values():
            tab.clear()
        self._release()
        self.path, self.read_only, self._schema = None, False, projects.SCHEMA
        self._context.undo.clear()
        self._set_clean()
        self.changed.emit()

    def load(self, path: Path, on_loaded: Callable[[Project], object]) -> None:
        """Read a project file in the background; a failure is told and changes nothing."""

        def failed(problem: Exception) -> None:
            self._context.notify.error("The project could not be opened", problem)

        self._background.run(lambda: projects.load_project(path), on_loaded, failed)

    def read_files(self, project: Project, on_read: Callable[[Project], object]) -> None:
        """Read the images that a project refers to, as jobs; what cannot be read stays a reference."""
        wanted = projects.references(project)
        found: dict[tuple[Path, str], Data | str] = {}

        def one_more(reference: FileReference, outcome: Data | str) -> None:
            found[reference.path, reference.dataset] = outcome
            if len(found) == len(wanted):
                on_read(projects.open_references(project, read))

        def read(path: Path, dataset: str | None) -> Data:
            outcome = found[path, dataset or ""]
            if isinstance(outcome, str):
                raise FileError(outcome)
            return outcome

        def submit(reference: FileReference) -> None:
            def done(result: TaskResult) -> None:
                one_more(reference, result.items[0])

            def failed(job: Job) -> None:
                one_more(reference, job.error or f"Opening {reference.path.name} was cancelled.")

            task = Task("open", {"path": str(reference.path), "dataset": reference.dataset or None})
            self._context.jobs.submit(task, f"Open {reference.path.name}", done, failed)

        for reference in wanted:
            submit(reference)
        if not wanted:
            on_read(project)

    def show(self, project: Project, *, recovered: bool = False) -> None:
        """Replace what is open by a project whose files were read. A recovered one counts as not saved."""
        self.close_all()
        for name, tab in self._tabs.items():
            state = project.tabs.get(name, TabState())
            items: list[Any] = [item for item in state.items if not isinstance(item, FileReference)]
            if tab.built or items or state.state:
                tab.build()
                tab.restore_state(dict(state.state), items)
        self._context.undo.clear()
        self._set_clean()
        self.path, self._schema, self.read_only = project.path, project.schema, project.read_only
        if self.path is not None and not self.read_only:
            self._take_lock(self.path)
        lost = [i for tab in project.tabs.values() for i in tab.items if isinstance(i, FileReference)]
        if lost:  # saving over the file would forget them
            self.read_only = True
            names = ", ".join(dict.fromkeys(reference.path.name for reference in lost))
            self._context.notify.warn(f"Opened for reading only, since these images are missing: {names}.")
        if project.message:
            self._context.notify.warn(project.message)
        if self.path is not None and not recovered:
            self._context.settings.add_recent(str(self.path))
        if recovered:
            self.touch()
            self.write_journal()
        self.changed.emit()

    def write_journal(self) -> None:
        """Keep a recovery copy in the background, if there is anything new to lose."""
        state = self._state()
        if not self.dirty or state == self._journaled:
            return
        self._journaled = state
        project = self.snapshot()
        self._background.run(lambda: self._journal.write(project))

    def end(self) -> None:
        """The window closes for good: no recovery is wanted, and the project is free for others."""
        self._timer.stop()
        self._journal.discard()
        self._release()

    def _state(self) -> tuple[int, int]:
        return self._context.undo.edits, self._touches

    def _set_clean(self) -> None:
        self._touched = False
        self._context.undo.set_clean()
        self._journaled = self._state()
        self._background.run(self._journal.discard)

    def _on_edit(self) -> None:
        edits = sum(self._state()) - sum(self._journaled)
        if edits >= JOURNAL_EDITS:
            self.write_journal()
        self.changed.emit()

    def _on_setting(self, key: str) -> None:
        if key == AUTOSAVE_S.key:
            self._timer.setInterval(1000 * self._context.settings.get(AUTOSAVE_S))

    def _take_lock(self, path: Path) -> None:
        try:
            lock = lock_project(path)
        except FileError as problem:
            self.read_only = True
            self._context.notify.warn(f"Opened for reading only: {problem}")
            return
        if lock.held:
            self._lock = lock
        else:
            self.read_only = True
            self._context.notify.warn(
                f"{path.name} is open in another window ({lock.owner}), so it is open for reading only here. "
                "Save it under another name to go on."
            )

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()
            self._lock = None


def missing_files(project: Project) -> list[FileReference]:
    """Images whose files are not where they are looked for."""
    return [reference for reference in projects.references(project) if reference.missing]
