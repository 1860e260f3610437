"""A step with several operations: one is chosen, its form, button, progress, result and notes are shown."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QKeyEvent, QShowEvent
from PySide6.QtWidgets import (
    QComboBox,
    QCompleter,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from atomseg_app.gui.actions import ActionRegistry
from atomseg_app.gui.atoms.measured_edits import input_of
from atomseg_app.gui.atoms.measuring import Measuring
from atomseg_app.gui.atoms.model import AtomsModel
from atomseg_app.gui.atoms.summaries import notes, summary
from atomseg_app.gui.fields import Field
from atomseg_app.gui.forms import ParameterForm
from atomseg_app.gui.sections import ActionButton, muted
from atomseg_app.operations import Operation, Parameters

_REFRESH_MS = 100
_EMPTY = {"reflection_1": "the strongest", "reflection_2": "the next strongest", "library": "none"}
_INTENSITIES = ("integrated_intensity", "fit_intensity", "cell_intensity", "amplitude")
_REGIONS = {"measure-strain": "the whole grain"}


def action_of(operation: Operation) -> str:
    """Id of the action that runs an operation."""
    return f"atoms.{operation.name}"


class OperationsPanel(QWidget):
    """Forms made from the parameter models, each when it is first shown; Enter in one runs it."""

    def __init__(
        self, name: str, operations: Sequence[Operation], model: AtomsModel, measuring: Measuring,
        actions: ActionRegistry,
    ) -> None:  # fmt: skip
        super().__init__()
        self._model, self._measuring, self._actions = model, measuring, actions
        self.operations = {operation.name: operation for operation in operations}
        self.choice = QComboBox()
        self.choice.setAccessibleName(name)
        self.choice.setToolTip("What is measured of the columns, or of the image.")
        self.description = muted()
        self.forms: dict[str, ParameterForm] = {}
        self.buttons: dict[str, ActionButton] = {}
        for operation in operations:
            self.choice.addItem(operation.title, operation.name)
        self.bar = QProgressBar()
        self.bar.setAccessibleName(f"Progress of: {name}")
        self.bar.setRange(0, 1000)
        self.stop = QPushButton("Cancel")
        self.stop.setAccessibleName(f"Cancel: {name}")
        self.stop.setToolTip("Stop this measurement; what was measured before stays.")
        self.stop.clicked.connect(lambda _checked: measuring.cancel(self.operation()))
        self.result = muted()
        self.result.setAccessibleName(f"Result of: {name}")
        self.notes = muted()
        self.notes.setProperty("role", "small")
        self.notes.setAccessibleName(f"Notes on: {name}")
        self._arrange()
        self._timer = QTimer(self, interval=_REFRESH_MS)
        self._timer.timeout.connect(self._show_progress)
        self.choice.currentIndexChanged.connect(self._on_choice)
        for signal in (measuring.changed, model.columns_changed, model.current_changed, model.frame_changed):
            signal.connect(self.refresh)
        model.selection_changed.connect(self._tell_regions)
        self._on_choice()

    def operation(self) -> Operation:
        """The one that is chosen."""
        return self.operations[self.choice.currentData()]

    def choose(self, name: str) -> None:
        """Take an operation."""
        self.choice.setCurrentIndex(self.choice.findData(name))

    def form(self, name: str) -> ParameterForm:
        """The form of an operation."""
        if name not in self.forms:
            operation = self.operations[name]
            self.forms[name] = self._form_of(operation)
            self.buttons[name] = ActionButton(self._actions.qaction(action_of(operation)), primary=True)
            self._inside.addWidget(self.forms[name])
            self._inside.addWidget(self.buttons[name])
            self._tell_regions()
        return self.forms[name]

    def parameters(self, name: str) -> Parameters:
        """What the form of an operation says. Raises UserError."""
        return self.form(name).parameters()

    def refresh(self) -> None:
        """Show what is chosen, whether it runs, and what it gave for the image that is shown."""
        if not self.isVisible():  # a folded section: drawn when it is shown
            return
        chosen = self.operation()
        running = chosen.name in self._measuring.jobs
        self.form(chosen.name)
        for name, form in self.forms.items():
            form.setVisible(name == chosen.name)
            self.buttons[name].setVisible(name == chosen.name and not running)
        self.running.setVisible(running)
        entry = self._model.entry
        columns = None if entry is None else input_of(entry, self._model.frame)
        for label, lines in ((self.result, summary(chosen.name, columns)), (self.notes, notes(chosen.name, columns))):
            label.setText("\n".join(lines))
            label.setVisible(bool(lines))
        if running and not self._timer.isActive():
            self._timer.start()
        self._show_progress()

    def showEvent(self, event: QShowEvent) -> None:
        """Show what came while the section was folded."""
        super().showEvent(event)
        self.refresh()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter runs what is chosen."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._actions.trigger(action_of(self.operation()))
        else:
            super().keyPressEvent(event)

    def _on_choice(self) -> None:
        self.description.setText(self.operation().description)
        self.refresh()

    def _show_progress(self) -> None:
        job = self._measuring.jobs.get(self.operation().name)
        if job is None:
            self._timer.stop()
            return
        self.bar.setValue(round(job.fraction * 1000))
        self.bar.setFormat("Waiting" if job.state == "queued" else f"{job.elapsed_s():.0f} s")
        self.bar.setToolTip(job.message)

    def _form_of(self, operation: Operation) -> ParameterForm:
        form = ParameterForm(operation.parameters)
        for name, field in form.fields.items():
            edit = field.focusProxy()
            empty = _REGIONS.get(operation.name, "") if name.startswith("region") else _EMPTY.get(name, "")
            if empty and isinstance(edit, QLineEdit):
                edit.setPlaceholderText(empty)
            if name == "quantity" and isinstance(edit, QLineEdit):
                edit.setCompleter(_completer(edit))
            if name == "region_px":
                field.row.addWidget(self._region_button(field))
            elif name == "library":
                field.row.addWidget(self._file_button(field))
        return form

    def _region_button(self, field: Field) -> QToolButton:
        """Takes over the rectangle that was drawn with the tool *Region to search*."""
        button = QToolButton()
        button.setObjectName("button.take_region")
        button.setText("Take")
        button.setAccessibleName("Take the region drawn in the picture")
        button.clicked.connect(lambda _checked: field.set_value(self._model.region_px))
        return button

    def _file_button(self, field: Field) -> QToolButton:
        button = QToolButton()
        button.setText("…")
        button.setAccessibleName("Choose the file of the library")
        button.setToolTip("Choose a text file with simulated intensities of columns of 1, 2, 3 ... atoms.")

        def ask(_checked: bool) -> None:
            path, _ = QFileDialog.getOpenFileName(
                self, "Library of intensities", "", "Text (*.txt *.csv *.dat);;All (*)"
            )
            if path:
                field.set_value(path)

        button.clicked.connect(ask)
        return button

    def _tell_regions(self) -> None:
        """Whether there is a region to take, and how to draw one."""
        drawn = self._model.region_px is not None
        tip = "Take the rectangle drawn in the picture with the tool Region to search."
        for button in self.findChildren(QToolButton, "button.take_region"):
            button.setEnabled(drawn)
            button.setToolTip(tip if drawn else f"{tip}\nNot now: no rectangle is drawn.")

    def _arrange(self) -> None:
        self.running = QWidget()
        row = QHBoxLayout(self.running)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.bar, 1)
        row.addWidget(self.stop)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(self.choice)
        layout.addWidget(self.description)
        self._inside = QVBoxLayout()
        self._inside.setContentsMargins(0, 0, 0, 0)
        self._inside.setSpacing(8)
        layout.addLayout(self._inside)
        for widget in (self.running, self.result, self.notes):
            layout.addWidget(widget)
        self._tell_regions()


def _completer(edit: QLineEdit) -> QCompleter:
    """Offers the intensities that a table can carry while one is typed."""
    completer = QCompleter(list(_INTENSITIES), edit)
    completer.setFilterMode(Qt.MatchFlag.MatchContains)
    return completer
