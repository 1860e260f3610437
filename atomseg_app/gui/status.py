"""What the status bar always says: which device computes, and how many jobs are waiting or running."""

from __future__ import annotations

import logging
from typing import Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QLabel, QProgressBar, QPushButton, QStatusBar

from atomseg_app.gui.fields import choice_title
from atomseg_app.gui.settings import DEVICE, Settings
from atomseg_app.jobs.engine import JobEngine
from atomseg_app.jobs.job import Job
from atomseg_app.jobs.tasks import Task, TaskResult

_log = logging.getLogger(__name__)


class Devices(QObject):
    """The devices of the compute process, once it has told them. ``changed`` comes when something is new."""

    changed = Signal()

    def __init__(self, jobs: JobEngine, settings: Settings) -> None:
        super().__init__()
        self._jobs = jobs
        self._settings = settings
        self.found: list[dict[str, Any]] = []
        self.job: Job | None = None
        self.last_used = ""
        settings.changed.connect(self._on_setting)
        jobs.job_finished.connect(self._on_finished)

    def look(self) -> None:
        """Ask the compute process."""
        self.job = self._jobs.submit(Task("devices"), "Look for devices", self._take)

    def usable(self) -> list[dict[str, Any]]:
        """Devices that can compute, the best last."""
        return [device for device in self.found if device["usable"]]

    def text(self) -> str:
        """The device in use: the wish, or what "auto" comes to."""
        wish = self._settings.get(DEVICE)
        if wish == "auto":
            best = self.usable()[-1]["name"] if self.usable() else ""
            return self.last_used or best or "looking…"
        named = [device["name"] for device in self.usable() if device["kind"] == wish]
        return named[0] if named else choice_title(wish)

    def warning(self) -> str:
        """Why the device in use is not the one that could be expected; empty if it is."""
        wish = self._settings.get(DEVICE)
        broken = [f"{device['name']}: {device['why_not']}" for device in self.found if not device["usable"]]
        if self.found and wish != "auto" and wish not in [device["kind"] for device in self.usable()]:
            return f"{choice_title(wish)} was chosen in the preferences but cannot be used here."
        return f"Cannot be used: {'; '.join(broken)}" if broken else ""

    def _take(self, result: TaskResult) -> None:
        self.found = list(result.value)
        _log.info("devices: %s", self.found)
        self.changed.emit()

    def _on_setting(self, key: str) -> None:
        if key == DEVICE.key:
            self.last_used = ""
            self.changed.emit()

    def _on_finished(self, job: Job) -> None:
        if job.state == "done" and job.title != "Look for devices" and job.device not in ("", "cpu"):
            self.last_used = job.device
            self.changed.emit()


class StatusBadges(QObject):
    """Device and jobs at the right end of the status bar; the jobs badge opens the panel."""

    clicked = Signal()

    def __init__(self, bar: QStatusBar, jobs: JobEngine, devices: Devices) -> None:
        super().__init__(bar)
        self._jobs = jobs
        self._devices = devices
        self.progress = QProgressBar(textVisible=False)
        self.progress.setAccessibleName("Progress of the running job")
        self.progress.setMaximumWidth(110)
        self.progress.setProperty("role", "thin")
        self.jobs_button = QPushButton()
        self.jobs_button.setProperty("role", "flat")
        self.jobs_button.setToolTip("Show or hide the jobs panel.")
        self.jobs_button.clicked.connect(self.clicked)
        self.device = QLabel()
        self.device.setProperty("role", "badge")
        bar.setContentsMargins(8, 0, 8, 0)
        for widget in (self.progress, self.jobs_button, self.device):
            bar.addPermanentWidget(widget)
        for signal in (jobs.job_added, jobs.job_changed, jobs.job_finished):
            signal.connect(self._update_jobs)
        devices.changed.connect(self._update_device)
        self._update_jobs()
        self._update_device()

    def _update_jobs(self) -> None:
        active = self._jobs.active()
        self.progress.setVisible(bool(active))
        if active:
            self.progress.setValue(round(100 * active[0].fraction))
        title = "No jobs" if not active else active[0].title if len(active) == 1 else f"{len(active)} jobs"
        self.jobs_button.setText(title)
        self.jobs_button.setAccessibleName(f"Jobs: {title}")

    def _update_device(self) -> None:
        warning = self._devices.warning()
        text = f"Device: {self._devices.text()}"
        self.device.setText(text)
        self.device.setAccessibleName(text)
        self.device.setToolTip(warning or "Where computations run; the preferences can change it.")
        self.device.setProperty("state", "warning" if warning else "")
        self.device.style().polish(self.device)
