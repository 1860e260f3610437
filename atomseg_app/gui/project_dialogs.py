"""Dialogs of projects: find moved files again, and choose what to recover after a crash."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QFileDialog,
    QHeaderView,
    QLabel,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from atomseg_app.gui.session import missing_files
from atomseg_app.io import projects
from atomseg_app.io.journal import Recoverable
from atomseg_app.io.projects import Project


class LocateDialog(QDialog):
    """Lists the missing files of a project; finding one finds those that moved with it."""

    def __init__(self, parent: QWidget, project: Project) -> None:
        super().__init__(parent)
        self.setObjectName("dialog.locate")
        self.setWindowTitle("Missing files")
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.project = project
        self.heading = _heading("")
        self.list = _list(["File", "Was in"])
        self.list.setAccessibleName("Missing files")
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.locate_button = QPushButton("Locate…")
        self.locate_button.setToolTip("Say where the selected file is now; others that moved with it are found, too.")
        self.locate_button.clicked.connect(self._ask)
        skip = QPushButton("Open without them")
        skip.setToolTip("Open what is there, for reading only, so that nothing of the project is lost.")
        buttons.addButton(self.locate_button, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.addButton(skip, QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        _lay_out(self, self.heading, self.list, buttons)
        self.locate_button.setDefault(True)  # a button has to be in its dialog for this
        self._fill()

    def found(self, old: Path, new: Path) -> None:
        """The file ``old`` is now ``new``; done when nothing is missing any more."""
        self.project = projects.relocate(self.project, old, new)
        self._fill()
        if not missing_files(self.project):
            self.accept()

    def _fill(self) -> None:
        missing = missing_files(self.project)
        what = "file" if len(missing) == 1 else "files"
        self.heading.setText(f"{len(missing)} {what} of this project cannot be found")
        self.list.clear()
        for reference in missing:
            row = QTreeWidgetItem(self.list, [reference.path.name, str(reference.path.parent)])
            row.setData(0, Qt.ItemDataRole.UserRole, reference.path)
        _select_first(self.list)

    def _ask(self) -> None:
        row = self.list.currentItem()
        if row is None:
            return
        old: Path = row.data(0, Qt.ItemDataRole.UserRole)
        new, _ = QFileDialog.getOpenFileName(self, f"Where is {old.name}?", "", f"{old.name} (*{old.suffix});;All (*)")
        if new:
            self.found(old, Path(new))


class RecoveryDialog(QDialog):
    """Sessions that ended without being saved, with their time and content."""

    def __init__(self, parent: QWidget, sessions: Sequence[Recoverable]) -> None:
        super().__init__(parent)
        self.setObjectName("dialog.recovery")
        self.setWindowTitle("Recover unsaved work")
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.discarded: list[Path] = []
        self.list = _list(["When", "Content"])
        self.list.setAccessibleName("Sessions to recover")
        for session in sessions:
            row = QTreeWidgetItem(self.list, [time_text(session.saved), session.problem or session.contents])
            row.setData(0, Qt.ItemDataRole.UserRole, session)
        _select_first(self.list)
        self.list.currentItemChanged.connect(self._update)
        buttons = QDialogButtonBox()
        self.recover_button = QPushButton("Recover")
        self.discard_button = QPushButton("Discard")
        self.discard_button.setToolTip("Delete the selected recovery copy.")
        self.discard_button.clicked.connect(self._discard)
        later = QPushButton("Later")
        later.setToolTip("Keep the copies and ask again at the next start.")
        buttons.addButton(self.recover_button, QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.addButton(self.discard_button, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.addButton(later, QDialogButtonBox.ButtonRole.RejectRole)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        heading = _heading("AtomSeg ended unexpectedly. This work was not saved:")
        _lay_out(self, heading, self.list, buttons)
        self.recover_button.setDefault(True)
        self._update()

    def chosen(self) -> Recoverable | None:
        """The session to recover; None if the user decides later."""
        row = self.list.currentItem()
        if self.result() != QDialog.DialogCode.Accepted or row is None:
            return None
        session: Recoverable = row.data(0, Qt.ItemDataRole.UserRole)
        return session

    def _discard(self) -> None:
        row = self.list.currentItem()
        if row is not None:
            self.discarded.append(row.data(0, Qt.ItemDataRole.UserRole).path)
            self.list.takeTopLevelItem(self.list.indexOfTopLevelItem(row))
        if not self.list.topLevelItemCount():
            self.reject()

    def _update(self) -> None:
        row = self.list.currentItem()
        problem = row.data(0, Qt.ItemDataRole.UserRole).problem if row is not None else "nothing is selected"
        self.recover_button.setEnabled(not problem)
        self.recover_button.setToolTip(problem or "Open the selected work again.")
        self.discard_button.setEnabled(row is not None)


def time_text(saved: str) -> str:
    """Time of a recovery copy in the user's zone ("2026-03-01 14:05:33")."""
    return f"{datetime.fromisoformat(saved).astimezone():%Y-%m-%d %H:%M:%S}" if saved else "unknown"


def _heading(text: str) -> QLabel:
    label = QLabel(text)
    label.setWordWrap(True)
    label.setProperty("role", "heading")
    return label


def _list(headers: list[str]) -> QTreeWidget:
    tree = QTreeWidget()
    tree.ensurePolished()  # rows are measured when they are added
    tree.setRootIsDecorated(False)
    tree.setAlternatingRowColors(True)
    tree.setHeaderLabels(headers)
    tree.setMinimumSize(560, 180)
    tree.header().setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
    return tree


def _select_first(tree: QTreeWidget) -> None:
    first = tree.topLevelItem(0)
    if first is not None:
        tree.setCurrentItem(first)


def _lay_out(dialog: QDialog, *widgets: QWidget) -> None:
    layout = QVBoxLayout(dialog)
    layout.setContentsMargins(20, 18, 20, 14)
    layout.setSpacing(12)
    for widget in widgets:
        layout.addWidget(widget)
