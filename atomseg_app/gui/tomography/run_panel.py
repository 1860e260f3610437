"""A step made from operations: one is chosen, its form, button, progress, cancel, stop, result and notes are shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QShowEvent
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from atomseg_app.data import Data
from atomseg_app.gui.actions import Action, ActionRegistry
from atomseg_app.gui.forms import ParameterForm
from atomseg_app.gui.sections import ActionButton, muted
from atomseg_app.gui.tomography.computing import Computing
from atomseg_app.gui.tomography.model import TomoModel
from atomseg_app.operations import Operation, Parameters

_REFRESH_MS = 100

Inputs = Callable[[Operation], tuple[Data, ...] | None]
"""What an operation is given beside, or instead of, what is shown; None for just that. Raises UserError."""


def action_id(operation: Operation) -> str:
    """Id of the action that runs an operation."""
    return f"tomography.{operation.name}"


def run_action(
    operation: Operation, run: Callable[[], object], why_not: Callable[[], str], *, icon: str, shortcut: str = "",
    section: str = "", toolbar: bool = False,
) -> Action:  # fmt: skip
    """The action that runs an operation with the values of its form; what is in brackets is left to the form."""
    tip = re.sub(r" \([^)]*\)", "", operation.description)
    return Action(
        action_id(operation), operation.title, run, tip, "Tomography", shortcut, icon, why_not,
        section=section, toolbar=toolbar, label=operation.title if toolbar else "",
    )  # fmt: skip


class RunPanel(QWidget):
    """Forms made from parameter models, each when it is first shown; Enter in one runs it. ``chosen`` tells which."""

    chosen = Signal(str)
    form_made = Signal(str)

    def __init__(
        self, name: str, operations: Sequence[Operation], model: TomoModel, computing: Computing,
        actions: ActionRegistry, *, can_stop: bool = False, inputs: Inputs | None = None,
    ) -> None:  # fmt: skip
        super().__init__()
        self._inputs = inputs
        self._model, self._computing, self._actions = model, computing, actions
        self.operations = {operation.name: operation for operation in operations}
        self.forms: dict[str, ParameterForm] = {}
        self.buttons: dict[str, ActionButton] = {}
        self.choice = QComboBox()
        self.choice.setAccessibleName(name)
        self.choice.setToolTip(f"What to do: {name.lower()}.")
        for operation in operations:
            self.choice.addItem(operation.title, operation.name)
        self.choice.setVisible(len(operations) > 1)
        self.description = muted()
        self.bar = QProgressBar()
        self.bar.setAccessibleName(f"Progress of: {name}")
        self.bar.setRange(0, 1000)
        self.doing = muted()
        self.doing.setProperty("role", "small")
        self.cancel = QPushButton("Cancel")
        self.cancel.setAccessibleName(f"Cancel: {name}")
        self.cancel.setToolTip("Give this up; what was there before stays as it is.")
        self.cancel.clicked.connect(lambda _checked: computing.cancel(self.operation().name))
        self.stop = QPushButton("Stop and keep")
        self.stop.setAccessibleName(f"Stop and keep: {name}")
        self.stop.setToolTip("End after this iteration and keep what there is by then.")
        self.stop.clicked.connect(lambda _checked: computing.stop(self.operation().name))
        self.stop.setVisible(can_stop)
        self.result = muted()
        self.result.setAccessibleName(f"Result of: {name}")
        self._arrange()
        self._timer = QTimer(self, interval=_REFRESH_MS)
        self._timer.timeout.connect(self._show_progress)
        self.choice.currentIndexChanged.connect(self._on_choice)
        for signal in (computing.changed, model.current_changed, model.changed):
            signal.connect(self.refresh)
        if operations:
            self._on_choice()

    def operation(self) -> Operation:
        """The one that is chosen."""
        return self.operations[self.choice.currentData()]

    def choose(self, name: str) -> None:
        """Take an operation."""
        self.choice.setCurrentIndex(self.choice.findData(name))

    def form(self, name: str) -> ParameterForm:
        """The form of an operation, made when first asked for."""
        if name not in self.forms:
            form = ParameterForm(self.operations[name].parameters)
            self.forms[name] = form
            self.buttons[name] = ActionButton(self._actions.qaction(action_id(self.operations[name])), primary=True)
            self._inside.addWidget(form)
            self._inside.addWidget(self.buttons[name])
            self.form_made.emit(name)
        return self.forms[name]

    def parameters(self, name: str) -> Parameters:
        """What the form of an operation says. Raises UserError."""
        return self.form(name).parameters()

    def run(self, name: str) -> None:
        """Run an operation with the values of its form. Raises UserError."""
        self.choose(name)
        given = None if self._inputs is None else self._inputs(self.operations[name])
        self._computing.run(self.operations[name], self.parameters(name), given)

    def why_not(self, name: str) -> str:
        """Why an operation cannot run now, or nothing."""
        return "It is running." if name in self._computing.jobs else ""

    def show_result(self, text: str) -> None:
        """Show what came out, under the form."""
        self.result.setText(text)
        self.result.setVisible(bool(text))

    def refresh(self) -> None:
        """Show what is chosen and whether it runs."""
        if not self.operations or not self.isVisible():
            return
        name = self.operation().name
        running = name in self._computing.jobs
        self.form(name)
        for known, form in self.forms.items():
            form.setVisible(known == name)
            self.buttons[known].setVisible(known == name and not running)
        self.running.setVisible(running)
        if running and not self._timer.isActive():
            self._timer.start()
        self._show_progress()

    def showEvent(self, event: QShowEvent) -> None:
        """Show what came while the section was folded."""
        super().showEvent(event)
        self.refresh()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Enter runs what is chosen."""
        if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self.operations:
            self._actions.trigger(action_id(self.operation()))
        else:
            super().keyPressEvent(event)

    def _on_choice(self) -> None:
        self.description.setText(self.operation().description)
        self.show_result("")
        self.refresh()
        self.chosen.emit(self.operation().name)

    def _show_progress(self) -> None:
        job = self._computing.jobs.get(self.operation().name)
        if job is None:
            self._timer.stop()
            return
        self.bar.setValue(round(job.fraction * 1000))
        eta = job.eta_s()
        left = "" if eta is None else f" · {eta:.0f} s left"
        self.bar.setFormat("Waiting" if job.state == "queued" else f"{job.elapsed_s():.0f} s{left}")
        self.doing.setText(job.message)
        self.stop.setEnabled(not job.stopping.is_set())

    def _arrange(self) -> None:
        self.running = QWidget()
        inside = QVBoxLayout(self.running)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(4)
        inside.addWidget(self.bar)
        inside.addWidget(self.doing)
        row = QHBoxLayout()
        row.addWidget(self.cancel)
        row.addWidget(self.stop)
        row.addStretch(1)
        inside.addLayout(row)
        self.running.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addWidget(self.choice)
        layout.addWidget(self.description)
        self._inside = QVBoxLayout()
        self._inside.setContentsMargins(0, 0, 0, 0)
        self._inside.setSpacing(8)
        layout.addLayout(self._inside)
        layout.addWidget(self.running)
        layout.addWidget(self.result)
        self.result.hide()


def angles_needed(model: TomoModel, known: Callable[[], bool]) -> str:
    """Why nothing can be computed from the series that is shown, or nothing."""
    if model.series() is None:
        return "Open a tilt series first." if not model.entries else "Show a tilt series first."
    return "" if known() else "Give the tilt angles first (step 1)."
