"""Asks for a list of tilt angles as text."""

from __future__ import annotations

from PySide6.QtWidgets import QDialog, QDialogButtonBox, QLabel, QPlainTextEdit, QVBoxLayout, QWidget

from atomseg_app.errors import UserError
from atomseg_app.tomography.angle_lists import parse_angles


class PasteDialog(QDialog):
    """``angles`` are those of the text once the dialog was accepted; it tells at once what is wrong with the text."""

    def __init__(self, parent: QWidget, count: int, text: str) -> None:
        super().__init__(parent)
        self.setObjectName("dialog.paste_angles")
        self.setWindowTitle("Paste tilt angles")
        self.angles: tuple[float, ...] = ()
        self._count = count
        ask = QLabel(f"One angle in degrees for each of the {count} views, in the order of the file.", wordWrap=True)
        self.text = QPlainTextEdit(text)
        self.text.setAccessibleName("Tilt angles")
        self.text.setPlaceholderText("-60\n-58\n-56\n…")
        self.text.setMinimumSize(360, 220)
        self.state = QLabel(wordWrap=True)
        self.state.setAccessibleName("What the list holds")
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel)
        self.buttons.accepted.connect(self.accept)
        self.buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setSpacing(10)
        for widget in (ask, self.text, self.state, self.buttons):
            layout.addWidget(widget)
        self.text.textChanged.connect(self._read)
        self._read()

    def _read(self) -> None:
        """Tell what the text is; OK needs as many angles as there are views."""
        problem = ""
        self.angles = ()
        try:
            self.angles = parse_angles(self.text.toPlainText())
        except UserError as error:
            problem = str(error)
        if not problem and len(self.angles) != self._count:
            problem = f"These are {len(self.angles)} angles, but the series has {self._count} images."
        ok = self.buttons.button(QDialogButtonBox.StandardButton.Ok)
        ok.setEnabled(not problem)
        ok.setToolTip("" if not problem else f"Not now: {problem}")
        self.state.setText(problem or f"{len(self.angles)} angles, {min(self.angles):g}° to {max(self.angles):g}°.")
