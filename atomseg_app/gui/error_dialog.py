"""The one dialog for what went wrong: a plain sentence, what to do, details to copy; repeats are counted."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PySide6.QtCore import Qt, QUrl
from PySide6.QtGui import QDesktopServices, QGuiApplication
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from atomseg_app import __version__, places

_MAX_PROBLEMS = 50


@dataclass
class _Problem:
    title: str
    text: str
    details: str
    count: int = 1

    def report(self) -> str:
        times = f" ({self.count} times)" if self.count > 1 else ""
        return "\n".join(part for part in (f"{self.title}{times}", self.text, self.details) if part)


class ErrorDialog(QDialog):
    """Shows the newest problem; earlier ones stay in the details. It does not block the window."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("dialog.error")
        self.setWindowTitle("AtomSeg")
        self._problems: list[_Problem] = []
        self._heading = QLabel(wordWrap=True)
        self._heading.setProperty("role", "heading")
        self._text = QLabel(wordWrap=True)
        self._text.setTextFormat(Qt.TextFormat.PlainText)
        self._text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self._text.setMinimumWidth(62 * self.fontMetrics().averageCharWidth())
        self._count = QLabel()
        self._count.setProperty("role", "small")
        self._details = QPlainTextEdit(readOnly=True)
        self._details.setAccessibleName("Details")
        self._details.setMinimumHeight(160)
        self._details.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._details.hide()
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        self._more = QPushButton("Details")
        self._more.setCheckable(True)
        self._more.setToolTip("Show the technical details.")
        self._more.toggled.connect(self._toggle_details)
        copy = QPushButton("Copy")
        copy.setToolTip("Copy the message and its details to the clipboard.")
        copy.clicked.connect(lambda: QGuiApplication.clipboard().setText(self.report()))
        log = QPushButton("Open log folder")
        log.setToolTip("Show the folder that holds the log.")
        log.clicked.connect(lambda: QDesktopServices.openUrl(QUrl.fromLocalFile(str(places.log_folder()))))
        for button in (self._more, copy, log):
            button.setAutoDefault(False)
            buttons.addButton(button, QDialogButtonBox.ButtonRole.ActionRole)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 18, 20, 14)
        layout.setSpacing(10)
        for widget in (self._heading, self._text, self._count, self._details, buttons):
            layout.addWidget(widget)

    def add(self, title: str, text: str, details: str) -> None:
        """Show a problem; one that is already listed is counted."""
        for problem in self._problems:
            if (problem.title, problem.text) == (title, text):
                problem.count += 1
                break
        else:
            problem = _Problem(title, text, details)
            self._problems.append(problem)
            del self._problems[:-_MAX_PROBLEMS]
        self._show(problem)

    def report(self) -> str:
        """Everything listed, as text; the home folder is written as ~."""
        text = f"AtomSeg {__version__}\n\n" + "\n\n".join(problem.report() for problem in self._problems)
        return text.replace(str(Path.home()), "~")

    def _show(self, problem: _Problem) -> None:
        self._heading.setText(problem.title)
        self._text.setText(problem.text)
        others = sum(other.count for other in self._problems) - problem.count
        parts = [f"Happened {problem.count} times." if problem.count > 1 else ""]
        parts.append(f"{others} earlier problem{'s' if others > 1 else ''} in the details." if others else "")
        self._count.setText(" ".join(part for part in parts if part))
        self._count.setVisible(bool(self._count.text()))
        self._details.setPlainText(self.report())
        self.adjustSize()

    def _toggle_details(self, shown: bool) -> None:
        self._details.setVisible(shown)
        self.adjustSize()
