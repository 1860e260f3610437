"""Asks what to film, into which kind of file, and how fast it plays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QComboBox, QDialog, QDialogButtonBox, QFormLayout, QSpinBox, QVBoxLayout, QWidget

from atomseg_app.gui.sections import muted
from atomseg_app.gui.volumes.film import Scenario
from atomseg_app.io.movies import MOVIE_FORMATS


class MovieDialog(QDialog):
    """``begun(scenario, path, frames per second)`` when the film is to be made, as a job; the dialog is gone then."""

    begun = Signal(object, object, int)

    def __init__(self, parent: QWidget, scenarios: Sequence[Scenario]) -> None:
        super().__init__(parent)
        self.setObjectName("dialog.movie")
        self.setWindowTitle("Save movie")
        self.scenarios = list(scenarios)
        self.what = QComboBox()
        self.what.setAccessibleName("What to film")
        self.what.setToolTip("What runs through in the movie; drawn as it is shown now.")
        for scenario in self.scenarios:
            self.what.addItem(f"{scenario.title} ({scenario.frames} frames)")
        self.form = QComboBox()
        self.form.setAccessibleName("Kind of file")
        self.form.setToolTip(
            "MP4 for talks and the web; a GIF plays anywhere; PNG files keep every grey level for any video program."
        )
        for ending, title in MOVIE_FORMATS.items():
            self.form.addItem(title, ending)
        self.rate = QSpinBox()
        self.rate.setAccessibleName("Frames per second")
        self.rate.setToolTip("How fast the movie plays; PNG files have no speed.")
        self.rate.setRange(1, 50)
        self.rate.setValue(12)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel)
        self.buttons.rejected.connect(self.reject)
        rows = QFormLayout()
        rows.addRow("Film", self.what)
        rows.addRow("Write", self.form)
        rows.addRow("Frames per second", self.rate)
        layout = QVBoxLayout(self)
        layout.setSpacing(12)
        layout.addLayout(rows)
        layout.addWidget(muted("It is made while you go on working; the list of jobs shows how far it is."))
        layout.addWidget(self.buttons)

    @property
    def ending(self) -> str:
        """Extension of the kind of file that is chosen."""
        return str(self.form.currentData())

    def start(self, path: Path) -> None:
        """Have it filmed into a file; its extension is the one of the kind that is chosen."""
        scenario, rate = self.scenarios[self.what.currentIndex()], self.rate.value()
        self.accept()
        self.begun.emit(scenario, path, rate)
