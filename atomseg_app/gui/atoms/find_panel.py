"""The step *Find columns*: parameters, the button, what is running, what came out, and its notes."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QAction, QKeyEvent
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from atomseg_app.atoms.operations import FIND_COLUMNS, REFIT_COLUMNS, FindColumns
from atomseg_app.gui.atoms.computing import Computing
from atomseg_app.gui.atoms.model import AtomsModel
from atomseg_app.gui.forms import ParameterForm
from atomseg_app.gui.sections import ActionButton, muted
from atomseg_app.gui.settings import DEVICE, Settings

_REFRESH_MS = 100
_NOTED = (FIND_COLUMNS.name, REFIT_COLUMNS.name)


class FindPanel(QWidget):
    """Form of :class:`FindColumns`; Enter in it is the button."""

    def __init__(self, model: AtomsModel, computing: Computing, settings: Settings, action: QAction) -> None:
        super().__init__()
        self._model, self._computing, self._action = model, computing, action
        self.form = ParameterForm(FindColumns)
        self.form.set_values({"device": settings.get(DEVICE)})
        self.button = ActionButton(action, primary=True)
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Progress of finding columns")
        self.bar.setRange(0, 1000)
        self.stop = QPushButton("Cancel")
        self.stop.setToolTip("Stop finding columns; those that were there stay.")
        self.stop.setAccessibleName("Cancel finding columns")
        self.stop.clicked.connect(lambda _checked: computing.cancel())
        self.running = QWidget()
        row = QHBoxLayout(self.running)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.bar, 1)
        row.addWidget(self.stop)
        self.result = muted()
        self.result.setAccessibleName("Result of finding columns")
        self.notes = muted()
        self.notes.setProperty("role", "small")
        self.notes.setAccessibleName("Notes on the columns")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(self.form)
        layout.addWidget(self.button)
        layout.addWidget(self.running)
        layout.addWidget(self.result)
        layout.addWidget(self.notes)
        self.result.hide()
        self.notes.hide()
        self._timer = QTimer(self, interval=_REFRESH_MS)
        self._timer.timeout.connect(self.refresh)
        computing.changed.connect(self.refresh)
        computing.found.connect(self._show_found)
        model.current_changed.connect(self.result.hide)
        model.current_changed.connect(self._show_notes)
        model.columns_changed.connect(self._show_notes)
        model.selection_changed.connect(self._show_region)
        self.form.changed.connect(self._take_region)
        self.refresh()

    def parameters(self) -> FindColumns:
        """What the form says. Raises UserError."""
        parameters = self.form.parameters()
        assert isinstance(parameters, FindColumns)
        return parameters

    def values(self) -> dict[str, Any]:
        """Values of the form for saving: of fields that are valid."""
        return self.parameters().model_dump(mode="json")

    def refresh(self) -> None:
        """Show whether the job runs and how far it is."""
        job = self._computing.finding
        self.running.setVisible(job is not None)
        self.button.setVisible(job is None)
        if job is None:
            self._timer.stop()
            return
        if not self._timer.isActive():
            self._timer.start()
        self.bar.setValue(round(job.fraction * 1000))
        self.bar.setFormat("Waiting" if job.state == "queued" else f"{job.elapsed_s():.0f} s")
        self.bar.setToolTip(job.message)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter finds."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._action.trigger()
        else:
            super().keyPressEvent(event)

    def _show_found(self, count: int, seconds: float) -> None:
        words = f"{count:,} column{'' if count == 1 else 's'} in {seconds:.1f} s." if count else (
            "No column was found. Try the other polarity, or a larger number of false alarms.")  # fmt: skip
        self.result.setText(words)
        self.result.show()

    def _show_notes(self) -> None:
        """Show what was noted when the columns were found, or fitted again."""
        entry = self._model.entry
        last = None if entry is None or not entry.columns.history else entry.columns.history[-1]
        told = last.notes if last is not None and last.operation in _NOTED else ()
        self.notes.setText("\n".join(told))
        self.notes.setVisible(bool(told))

    def _show_region(self) -> None:
        if self.form.fields["region_px"].value() != self._model.region_px:
            self.form.set_values({"region_px": self._model.region_px})

    def _take_region(self) -> None:
        """A region typed in the form is drawn; one that is not valid yet is left alone."""
        from atomseg_app.errors import UserError

        try:
            region = self.form.fields["region_px"].value()
        except UserError:
            return
        if region != self._model.region_px:
            self._model.set_region(region)
