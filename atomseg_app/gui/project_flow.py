"""Asks what a project command needs to know (save first? where? what is missing?), then lets the session do it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QObject
from PySide6.QtWidgets import QDialog, QFileDialog, QWidget

from atomseg_app.gui.background import Background
from atomseg_app.gui.context import Context
from atomseg_app.gui.project_dialogs import LocateDialog, RecoveryDialog
from atomseg_app.gui.questions import ask
from atomseg_app.gui.session import Session, missing_files
from atomseg_app.gui.settings import LAST_FOLDER
from atomseg_app.io import journal, projects
from atomseg_app.io.journal import Recoverable
from atomseg_app.io.projects import Project

_FILTER = f"AtomSeg project (*{projects.EXTENSION})"


class ProjectFlow(QObject):
    """New, open, save, recover: the questions of each, on behalf of one window."""

    def __init__(self, window: QWidget, context: Context, session: Session, background: Background) -> None:
        super().__init__(window)
        self._window, self._context, self._session, self._background = window, context, session, background

    def new(self) -> None:
        """An empty session, after asking about unsaved work."""
        self.settle(self._session.close_all)

    def open(self) -> None:
        """Ask for a project file and open it."""
        folder = self._context.settings.get(LAST_FOLDER)
        path, _ = QFileDialog.getOpenFileName(self._window, "Open project", folder, _FILTER)
        if path:
            self.open_path(path)

    def open_path(self, path: str) -> None:
        """Open a project file, after asking about unsaved work."""
        self.settle(lambda: self._session.load(Path(path), self._complete))

    def save(self, then: Callable[[], object] | None = None) -> None:
        """Save to the project's file; asks where if there is none or it is read-only."""
        if self._session.path is None or self._session.read_only:
            self.save_as(then)
        else:
            self._session.save(self._session.path, then or self._tell_saved)

    def save_as(self, then: Callable[[], object] | None = None) -> None:
        """Ask where, and save there."""
        start = self._session.path or Path(self._context.settings.get(LAST_FOLDER)) / f"project{projects.EXTENSION}"
        chosen, _ = QFileDialog.getSaveFileName(self._window, "Save project", str(start), _FILTER)
        if chosen:
            path = Path(chosen)
            if path.suffix.lower() != projects.EXTENSION:
                path = path.with_name(path.name + projects.EXTENSION)
            self._session.save(path, then or self._tell_saved)

    def settle(self, then: Callable[[], object]) -> None:
        """Go on with ``then`` once unsaved work is saved or given up; not at all if the user cancels."""
        if not self._session.dirty:
            then()
            return
        name = self._session.path.stem if self._session.path else "this session"
        answer = ask(
            self._window, self._context.theme, f"Save the changes of {name}?",
            "Changes that are not saved are lost.", "Save", "Don't save", "Cancel",
        )  # fmt: skip
        if answer == "Save":
            self.save(then)
        elif answer == "Don't save":
            then()

    def offer_recovery(self) -> None:
        """Look for work that a crash left behind, and offer it."""
        self._background.run(journal.list_recoverable, self._offer)

    def _offer(self, sessions: list[Recoverable]) -> None:
        if not sessions:
            return
        dialog = RecoveryDialog(self._window, sessions)
        dialog.exec()
        chosen, discarded = dialog.chosen(), list(dialog.discarded)
        dialog.deleteLater()
        for path in discarded:
            self._background.run(lambda path=path: journal.discard(path))  # type: ignore[misc]
        if chosen is not None:
            self._background.run(
                lambda: journal.recover(chosen.path), lambda project: self._recover(project, chosen.path), self._failed
            )

    def _recover(self, project: Project, copy: Path) -> None:
        def show(complete: Project) -> None:
            self._session.show(complete, recovered=True)
            self._background.run(lambda: journal.discard(copy))  # after the new journal, which the same thread writes
            self._context.notify.info("Your work was recovered. Save it to keep it.")

        self._complete(project, show)

    def _complete(self, project: Project, show: Callable[[Project], object] | None = None) -> None:
        """Find what is missing, read the files, and show the project."""
        if missing_files(project):
            dialog = LocateDialog(self._window, project)
            dialog.exec()
            accepted, project = dialog.result() == QDialog.DialogCode.Accepted, dialog.project
            dialog.deleteLater()
            if not accepted:
                return
        self._session.read_files(project, show or self._session.show)

    def _failed(self, problem: Exception) -> None:
        self._context.notify.error("The work could not be recovered", problem)

    def _tell_saved(self) -> None:
        if self._session.path is not None:
            self._context.notify.info(f"Saved {self._session.path.name}")
