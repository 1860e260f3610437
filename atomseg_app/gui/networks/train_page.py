"""Train a network of one's own: settings, curves while it learns, stop, pause, discard, continue."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from atomseg_app.errors import UserError
from atomseg_app.gui.context import Context
from atomseg_app.gui.forms import ParameterForm
from atomseg_app.gui.networks.curves import Curves
from atomseg_app.gui.networks.training_run import TrainingRun
from atomseg_app.gui.questions import ask
from atomseg_app.gui.sections import muted
from atomseg_app.gui.settings import DEVICE
from atomseg_app.networks.column_settings import LASTING
from atomseg_app.networks.training_log import Entry, validations

_NEW = "A new network"
_FORM_WIDTH_PX = 330


class TrainPage(QWidget):
    """Everything is done by the run; this shows it. ``lasting`` settings are kept when a run is continued."""

    lasting: ClassVar[tuple[str, ...]] = LASTING
    begin: ClassVar[str] = "Start"
    idle: ClassVar[str] = "Ready. A run of ten minutes shows whether a network learns; a good one takes hours."

    def __init__(self, context: Context, run: TrainingRun, minutes: float = 10.0) -> None:
        super().__init__()
        self._context, self.run, self._minutes = context, run, minutes
        self._best = self._rate = ""
        self._make()
        self._arrange()
        run.changed.connect(self.refresh)
        run.logged.connect(self._show_log)
        run.interrupted_changed.connect(self._fill_runs)
        self._fill_runs()
        self.refresh()

    # -- doing

    def start(self) -> None:
        """Start the training that is set, or continue the one that is chosen."""
        resumed = self.chosen()
        try:
            settings = self.form.parameters()
            if resumed:
                changed = {name: getattr(self.run.settings(resumed), name) for name in self.lasting}
                settings = settings.model_copy(update={**changed, "name": resumed})
            self._best = self._rate = ""
            if not resumed:
                self.curves.show_log([])
            self.run.start(settings, resume=bool(resumed))
            self.stop_button.setFocus()  # the button that was pressed is out of use, and Qt would go on to a next step
        except UserError as problem:
            self._context.notify.error("The training cannot start", problem)

    def stop(self) -> None:
        """Stop and keep the best network so far; that of an interrupted run where one is chosen."""
        if self.run.running:
            self.run.end("keep")
        elif self.chosen():
            self.run.keep(self.chosen())

    def pause(self) -> None:
        """Stop; the run can be continued."""
        self.run.end("pause")

    def discard(self) -> None:
        """Stop and remove the run, after asking."""
        name = self.run.name if self.run.running else self.chosen()
        text = "Its checkpoint, its curves and what it has learnt are removed. This cannot be undone."
        if ask(self, self._context.theme, f"Discard the training of {name}?", text, "Discard", "Cancel") != "Discard":
            return
        if self.run.running:
            self.run.end("discard")
        else:
            self.run.discard(name)

    def why_not_start(self) -> str:
        """Why no training can be started, beside one that runs."""
        return ""

    def chosen(self) -> str:
        """Name of the interrupted run that is chosen; empty for a new network."""
        return str(self.runs.currentData() or "")

    # -- showing

    def refresh(self) -> None:
        """Show where the run stands and what can be done with it."""
        job, resumed = self.run.job, self.chosen()
        running = job is not None
        self.form.setEnabled(not running)
        self.runs.setEnabled(not running)
        self.bar.setVisible(running)
        if job is not None:
            self.bar.setValue(round(1000 * job.fraction))
            eta = self.run.eta_s()
            left = f", {duration(eta)} left" if eta is not None else ""
            self.bar.setFormat("Waiting" if job.state == "queued" else f"{duration(job.elapsed_s())}{left}")
        best = "" if "best" in self.run.message else self._best
        told = " · ".join(part.rstrip(".") for part in (self.run.message, best, self._rate) if part)
        self.state.setText(told or self.idle)
        busy = "A network is being trained."
        nothing = "No training is running."
        self.start_button.setText("Continue" if resumed and not running else self.begin)
        again = "Continue the interrupted training."
        fresh = "Train with these settings; you can go on working meanwhile."
        _enable(self.start_button, busy if running else self.why_not_start(), again if resumed else fresh)
        _enable(self.stop_button, "" if running or resumed else nothing,
                "Stop and keep the best network so far as your model.")  # fmt: skip
        _enable(self.pause_button, "" if running else nothing, "Stop; the training can be continued later.")
        _enable(self.discard_button, "" if running or resumed else nothing, "Stop and remove what was learnt.")

    def _show_log(self, entries: list[Entry]) -> None:
        self.curves.show_log(entries)
        found = validations(entries)
        if found:
            step, figures = min(found, key=lambda each: each[1]["loss"])
            self._best = f"best loss {figures['loss']:.3g} at step {step:,}"
        rates = [entry["learning_rate"] for entry in entries if "learning_rate" in entry]
        self._rate = f"learning rate {rates[-1]:.2g}" if rates else ""
        self.refresh()

    def _fill_runs(self) -> None:
        before = self.chosen()
        blocker = QSignalBlocker(self.runs)
        self.runs.clear()
        self.runs.addItem(_NEW, "")
        for name, step in self.run.interrupted.items():
            if not (self.run.running and name == self.run.name):
                self.runs.addItem(f"{name}, interrupted at step {step:,}", name)
        self.runs.setCurrentIndex(max(0, self.runs.findData(before)))
        blocker.unblock()
        self.refresh()

    def _take_run(self) -> None:
        """Show the settings and curves of the run that was chosen."""
        name = self.chosen()
        self._best = self._rate = self.run.message = ""
        if name:
            try:
                self.form.set_values(self.run.settings(name).model_dump())
            except UserError as problem:
                self._context.notify.error(f"{name} cannot be continued", problem)
            self.run.show_log(name)
        else:
            self.curves.show_log([])
        self.refresh()

    def _make(self) -> None:
        self.runs = QComboBox()
        self.runs.setObjectName("networks.runs")
        self.runs.setAccessibleName("Training to start or to continue")
        self.runs.setToolTip("A new network, or a training that was interrupted.")
        self.runs.currentIndexChanged.connect(lambda _index: self._take_run())
        self.form = ParameterForm(self.run.model)
        self.form.set_values({"device": self._context.settings.get(DEVICE), "minutes": self._minutes})
        self.start_button = _button(self.begin, "networks.start", self.start)
        self.start_button.setProperty("role", "primary")
        self.stop_button = _button("Stop, keep best", "networks.stop", self.stop)
        self.pause_button = _button("Pause", "networks.pause", self.pause)
        self.discard_button = _button("Discard…", "networks.discard", self.discard)
        self.curves = Curves()
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Progress of the training")
        self.bar.setRange(0, 1000)
        self.state = muted()
        self.state.setObjectName("networks.state")
        self.state.setAccessibleName("State of the training")

    def _arrange(self) -> None:
        scroll = QScrollArea()
        scroll.setWidgetResizable(True)
        scroll.setFrameShape(QScrollArea.Shape.NoFrame)
        scroll.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        scroll.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        holder = QWidget()
        above = QVBoxLayout(holder)
        above.setContentsMargins(0, 0, 4, 0)
        above.addWidget(self.form)
        above.addStretch(1)
        scroll.setWidget(holder)
        left = QVBoxLayout()
        label = QLabel("Training")
        label.setBuddy(self.runs)
        left.addWidget(label)
        left.addWidget(self.runs)
        left.addWidget(scroll, 1)
        side = QWidget()
        side.setLayout(left)
        side.setFixedWidth(_FORM_WIDTH_PX)
        left.setContentsMargins(0, 0, 0, 0)
        buttons = QHBoxLayout()
        for button in (self.discard_button, self.pause_button, self.stop_button, self.start_button):
            buttons.addWidget(button)
        right = QVBoxLayout()
        right.addWidget(self.curves, 1)
        right.addWidget(self.bar)
        right.addWidget(self.state)
        right.addLayout(buttons)
        layout = QHBoxLayout(self)
        layout.addWidget(side)
        layout.addLayout(right, 1)


def duration(seconds: float) -> str:
    """A time in words as short as sensible."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _enable(button: QPushButton, why_not: str, tip: str) -> None:
    button.setEnabled(not why_not)
    button.setToolTip(why_not or tip)


def _button(text: str, name: str, callback: Callable[[], None]) -> QPushButton:
    button = QPushButton(text)
    button.setObjectName(name)
    button.setAutoDefault(False)
    button.clicked.connect(lambda _checked: callback())
    return button
