"""A step made from operations: one is chosen, its form, button, progress, cancel, stop, result and notes are shown."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from PySide6.QtCore import Qt, QTimer, Signal
from PySide6.QtGui import QKeyEvent, QShowEvent
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QProgressBar, QPushButton, QVBoxLayout, QWidget

from atomseg_app.gui.actions import Action, ActionRegistry
from atomseg_app.gui.forms import ParameterForm
from atomseg_app.gui.sections import ActionButton, muted
from atomseg_app.jobs.job import Job
from atomseg_app.operations import Operation, Parameters

_REFRESH_MS = 100


class Runs(Protocol):
    """What runs the operations of a panel, one at a time each. ``changed`` when one begins or ends."""

    changed: Any
    jobs: dict[str, Job]

    def cancel(self, operation: str) -> None:
        """Give an operation up."""

    def stop(self, operation: str) -> None:
        """Ask an operation to end early with what it has."""


def run_action(
    workspace: str, operation: Operation, run: Callable[[], object], why_not: Callable[[], str], *, menu: str,
    icon: str, shortcut: str = "", section: str = "", toolbar: bool = False,
) -> Action:  # fmt: skip
    """The action that runs an operation with the values of its form; what is in brackets is left to the form."""
    tip = re.sub(r" \([^)]*\)", "", operation.description)
    return Action(
        f"{workspace}.{operation.name}", operation.title, run, tip, menu, shortcut, icon, why_not,
        section=section, toolbar=toolbar, label=operation.title if toolbar else "",
    )  # fmt: skip


class RunPanel(QWidget):
    """Forms made from parameter models, each when it is first shown; Enter in one runs it. ``chosen`` tells which.

    The operations' actions are those of ``workspace``; the panel is drawn again on each of ``signals``.
    """

    chosen = Signal(str)
    form_made = Signal(str)

    def __init__(
        self, workspace: str, name: str, operations: Sequence[Operation], runs: Runs, actions: ActionRegistry, *,
        signals: Iterable[Any] = (), can_stop: bool = False, tip: str = "",
    ) -> None:  # fmt: skip
        super().__init__()
        self.workspace, self._runs, self._actions = workspace, runs, actions
        self.operations = {operation.name: operation for operation in operations}
        self.forms: dict[str, ParameterForm] = {}
        self.buttons: dict[str, ActionButton] = {}
        self.choice = QComboBox()
        self.choice.setAccessibleName(name)
        self.choice.setToolTip(tip or f"What to do: {name.lower()}.")
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
        self.cancel.clicked.connect(lambda _checked: runs.cancel(self.operation().name))
        self.stop = QPushButton("Stop and keep")
        self.stop.setAccessibleName(f"Stop and keep: {name}")
        self.stop.setToolTip("End after this iteration and keep what there is by then.")
        self.stop.clicked.connect(lambda _checked: runs.stop(self.operation().name))
        self.stop.setVisible(can_stop)
        self.result = muted()
        self.result.setAccessibleName(f"Result of: {name}")
        self._arrange()
        self._timer = QTimer(self, interval=_REFRESH_MS)
        self._timer.timeout.connect(self._show_progress)
        self.choice.currentIndexChanged.connect(self._on_choice)
        for signal in (runs.changed, *signals):
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
            form = self._form_of(self.operations[name])
            self.forms[name] = form
            self.buttons[name] = ActionButton(self._actions.qaction(self.action_id(name)), primary=True)
            self._inside.addWidget(form)
            self._inside.addWidget(self.buttons[name])
            self.form_made.emit(name)
        return self.forms[name]

    def parameters(self, name: str) -> Parameters:
        """What the form of an operation says. Raises UserError."""
        return self.form(name).parameters()

    def action_id(self, name: str) -> str:
        """Id of the action that runs an operation."""
        return f"{self.workspace}.{name}"

    def show_result(self, text: str) -> None:
        """Show what came out, under the form."""
        self.result.setText(text)
        self.result.setVisible(bool(text))

    def refresh(self) -> None:
        """Show what is chosen and whether it runs."""
        if not self.operations or not self.isVisible():
            return
        name = self.operation().name
        running = name in self._runs.jobs
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
            self._actions.trigger(self.action_id(self.operation().name))
        else:
            super().keyPressEvent(event)

    def _form_of(self, operation: Operation) -> ParameterForm:
        return ParameterForm(operation.parameters)

    def _on_choice(self) -> None:
        self.description.setText(self.operation().description)
        self.show_result("")
        self.refresh()
        self.chosen.emit(self.operation().name)

    def _show_progress(self) -> None:
        job = self._runs.jobs.get(self.operation().name)
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
