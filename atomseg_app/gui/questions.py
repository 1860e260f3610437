"""Dialogs for decisions: a plain question with named answers. Asking changes nothing."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QDialog, QDialogButtonBox, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from atomseg_app.gui.rows import IconLabel
from atomseg_app.gui.theme import Theme


class Question(QDialog):
    """A question with one button an answer, the first one being the default; Escape is the last."""

    def __init__(self, parent: QWidget, theme: Theme, title: str, text: str, answers: tuple[str, ...]) -> None:
        super().__init__(parent)
        self.setObjectName("dialog.question")
        self.setWindowTitle("AtomSeg")
        self.setWindowModality(Qt.WindowModality.WindowModal)
        self.answer = answers[-1]
        heading = QLabel(title, wordWrap=True)
        heading.setProperty("role", "heading")
        body = QLabel(text, wordWrap=True)
        body.setTextFormat(Qt.TextFormat.PlainText)
        body.setMinimumWidth(52 * self.fontMetrics().averageCharWidth())
        body.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        buttons = QDialogButtonBox()
        self.buttons: dict[str, QPushButton] = {}
        for number, answer in enumerate(answers):
            role = QDialogButtonBox.ButtonRole.AcceptRole if number == 0 else QDialogButtonBox.ButtonRole.ActionRole
            if number and answer == answers[-1]:
                role = QDialogButtonBox.ButtonRole.RejectRole
            button = QPushButton(answer)
            button.setObjectName(f"answer.{answer}")
            button.setDefault(number == 0)
            button.clicked.connect(lambda _=False, chosen=answer: self._choose(chosen))
            buttons.addButton(button, role)
            self.buttons[answer] = button
        words = QVBoxLayout()
        words.setSpacing(8)
        words.addWidget(heading)
        words.addWidget(body)
        top = QHBoxLayout()
        top.setSpacing(14)
        top.addWidget(IconLabel(theme.icon("mdi6.help-circle-outline", "accent"), 2.0), 0, Qt.AlignmentFlag.AlignTop)
        top.addLayout(words, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 18, 20, 14)
        layout.setSpacing(16)
        layout.addLayout(top)
        layout.addWidget(buttons)

    def _choose(self, answer: str) -> None:
        self.answer = answer
        self.accept()


def ask(parent: QWidget, theme: Theme, title: str, text: str, *answers: str) -> str:
    """Ask and return the answer; the last one (usually Cancel) if the dialog is dismissed."""
    question = Question(parent, theme, title, text, answers)
    question.exec()
    question.deleteLater()
    return question.answer
