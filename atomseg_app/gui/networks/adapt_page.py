"""Adapt a network to the image that is open: how it did before and after, then keep it or discard it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QTextBrowser, QVBoxLayout, QWidget

from atomseg_app.atoms.adapt_settings import AdaptColumns
from atomseg_app.data import Columns, Image
from atomseg_app.errors import UserError
from atomseg_app.gui.alive import while_alive
from atomseg_app.gui.background import Background
from atomseg_app.gui.context import Context
from atomseg_app.gui.forms import ParameterForm
from atomseg_app.gui.sections import muted
from atomseg_app.gui.settings import DEVICE
from atomseg_app.jobs.job import Job
from atomseg_app.jobs.tasks import Task, TaskResult
from atomseg_app.networks.card import user_folder
from atomseg_app.networks.run_folder import runs_folder

Shown = tuple[Image, Columns | None]

_FORM_WIDTH_PX = 330
_ROWS = (
    ("Columns found in this image", "columns", "{:d}"),
    ("Look-alikes: F1", "look_alike_f1", "{:.4f}"),
    ("Look-alikes: loss", "look_alike_loss", "{:.4f}"),
    ("Other pictures: F1", "default_f1", "{:.4f}"),
    ("Other pictures: loss", "default_loss", "{:.4f}"),
)


class AdaptPage(QWidget):
    """``kept(name)`` when an adapted network has come into the list. ``shown`` gives the open image and its columns."""

    kept = Signal(str)

    def __init__(self, context: Context, background: Background, shown: Callable[[], Shown | None]) -> None:
        super().__init__()
        self._context, self._background, self._shown = context, background, shown
        self.job: Job | None = None
        self.result: Mapping[str, Any] | None = None
        self._name = ""
        self._build()
        self.refresh()

    # -- doing

    def start(self) -> None:
        """Adapt the network of the form to the image that is open."""
        shown = self._shown()
        try:
            settings = self.form.parameters()
            assert isinstance(settings, AdaptColumns)
            if shown is None:
                raise UserError("No image is open to adapt to; open one first.")
            if (user_folder() / f"{settings.name}.json").exists():
                raise UserError(f"You have a network {settings.name!r} already; choose another name.")
            self._clear()
        except UserError as problem:
            self._context.notify.error("The network cannot be adapted", problem)
            return
        image, columns = shown
        self._name, self.result = settings.name, None
        arguments = {"settings": settings.model_dump(mode="json"), "folder": str(self._folder())}
        inputs = (image,) if columns is None else (image, columns)
        task = Task("adapt-network", arguments, inputs)
        title = f"Adapt a network to {image.source.name}"
        self.job = self._context.jobs.submit(task, title, self._done, self._failed)
        self.refresh()

    def stop(self) -> None:
        """Stop; nothing is saved."""
        if self.job is not None:
            self._context.jobs.cancel(self.job.id)

    def keep(self) -> None:
        """Put the adapted network into the list."""
        name, folder = self._name, self._folder()

        def move() -> None:
            shelf = user_folder()
            shelf.mkdir(parents=True, exist_ok=True)
            if (shelf / f"{name}.json").exists():
                raise UserError(f"You have a network {name!r} already; delete it first.")
            for ending in ("safetensors", "json"):  # the card last: without it there is no model
                os.replace(folder / f"{name}.{ending}", shelf / f"{name}.{ending}")
            shutil.rmtree(folder, ignore_errors=True)

        def moved(_: object) -> None:
            self.result = None
            self.refresh(f"{name} is in the list of networks.")
            self.kept.emit(name)

        def failed(problem: Exception) -> None:
            told = problem if isinstance(problem, UserError) else UserError(str(problem))
            self._context.notify.error(f"{name} was not kept", told)

        self._background.run(move, while_alive(self, moved), failed)

    def discard(self) -> None:
        """Forget the adapted network."""
        self.result = None
        self._clear()
        self.refresh(f"{self._name} was discarded.")

    # -- showing

    def refresh(self, message: str = "") -> None:
        """Show where the work stands and what can be done."""
        job, result = self.job, self.result
        self.bar.setVisible(job is not None)
        self.form.setEnabled(job is None)
        if job is not None:
            self.bar.setValue(round(1000 * job.fraction))
            message = message or job.message
        if result is not None:
            message = message or str(result["verdict"])
            self.table.setHtml(comparison_html(result))
        elif job is not None or not message:
            self.table.setHtml("")
        self.state.setText(message or "From the columns and the noise of the open image, look-alikes are simulated.")
        better = result is not None and bool(result["saved"])
        self.start_button.setEnabled(job is None)
        self.stop_button.setEnabled(job is not None)
        for button in (self.keep_button, self.discard_button):
            button.setEnabled(better)
        why_not = "" if better else "There is no adapted network to keep."
        self.keep_button.setToolTip(why_not or "Put it into the list of networks.")
        self.discard_button.setToolTip(why_not or "Forget it; the network it came from stays as it is.")

    def _done(self, result: TaskResult) -> None:
        self.job, self.result = None, result.value
        self.refresh()

    def _failed(self, job: Job) -> None:
        self.job = None
        if job.state == "failed":
            self._context.notify.error(f"{job.title}: failed", UserError(str(job.error)), job.report_text())
        self._clear()
        self.refresh(str(job.error) if job.state == "failed" else "Stopped; nothing was saved.")

    def _changed(self, job: Job) -> None:
        if self.job is not None and job.id == self.job.id:
            self.refresh()

    def _folder(self) -> Path:
        return runs_folder() / f"adapted-{self._name}"

    def _clear(self) -> None:
        """Remove what an earlier run left to be kept."""
        if self._name:
            shutil.rmtree(self._folder(), ignore_errors=True)

    def _build(self) -> None:
        self.form = ParameterForm(AdaptColumns)
        self.form.set_values({"device": self._context.settings.get(DEVICE)})
        self.form.setFixedWidth(_FORM_WIDTH_PX)
        self.table = QTextBrowser()
        self.table.setObjectName("networks.adapt.comparison")
        self.table.setAccessibleName("Before and after adapting")
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Progress of adapting")
        self.bar.setRange(0, 1000)
        self.state = muted()
        self.state.setObjectName("networks.adapt.state")
        self.state.setAccessibleName("State of adapting")
        self.start_button = self._button("Adapt to this image", "start", self.start)
        self.start_button.setProperty("role", "primary")
        self.start_button.setToolTip("Simulate look-alikes of the open image and train on them for some minutes.")
        self.stop_button = self._button("Stop", "stop", self.stop)
        self.stop_button.setToolTip("Stop; nothing is saved.")
        self.keep_button = self._button("Keep", "keep", self.keep)
        self.discard_button = self._button("Discard", "discard", self.discard)
        buttons = QHBoxLayout()
        for button in (self.discard_button, self.keep_button, self.stop_button, self.start_button):
            buttons.addWidget(button)
        left, right = QVBoxLayout(), QVBoxLayout()
        left.addWidget(self.form)
        left.addStretch(1)
        right.addWidget(self.table, 1)
        right.addWidget(self.bar)
        right.addWidget(self.state)
        right.addLayout(buttons)
        layout = QHBoxLayout(self)
        layout.addLayout(left)
        layout.addLayout(right, 1)
        self._context.jobs.job_changed.connect(self._changed)

    def _button(self, text: str, name: str, callback: Callable[[], None]) -> QPushButton:
        button = QPushButton(text)
        button.setObjectName(f"networks.adapt.{name}")
        button.setAutoDefault(False)
        button.clicked.connect(lambda _checked: callback())
        return button


def comparison_html(result: Mapping[str, Any]) -> str:
    """Before and after as a table."""
    rows = "".join(
        f"<tr><td>{escape(title)}</td>"
        + "".join(f'<td align="right">{form.format(result[when][key])}</td>' for when in ("before", "after"))
        + "</tr>"
        for title, key, form in _ROWS
    )
    return f'<table cellpadding="4"><tr><th></th><th>before</th><th>after</th></tr>{rows}</table>'
