"""One job as the window shows it: state, progress, times, log, and the report a user can copy. No Qt here."""

from __future__ import annotations

import json
import platform
import threading
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from atomseg_app import __version__
from atomseg_app.data import Columns, Data
from atomseg_app.jobs.tasks import Task

State = Literal["queued", "running", "done", "failed", "cancelled"]

_LOG_LINES = 2000
_ETA_FRACTION, _ETA_AFTER_S = 0.05, 3.0


def _describe(item: Data) -> str:
    if isinstance(item, Columns):
        return f"{len(item)} columns of {item.source.name!r}"
    return f"{item.kind} {item.source.name!r}, shape {item.shape}, {item.values.dtype}"


class Job:
    """State of one submitted task, changed only by the engine in the window's thread.

    ``error`` is the sentence for the user, ``details`` the traceback behind it; ``started`` is the time of day it
    began, None while it is queued; ``versions`` are those of the compute process.
    """

    def __init__(self, job_id: int, title: str, task: Task) -> None:
        self.id = job_id
        self.title = title
        self.state: State = "queued"
        self.fraction = 0.0
        self.message = ""
        self.device = ""
        self.log: list[str] = []
        self.error = ""
        self.details = ""
        self.started: datetime | None = None
        self.versions: Mapping[str, str] = {}
        self.cancelling = threading.Event()
        self.stopping = threading.Event()
        # The task itself is not kept: its arrays would live as long as the list of jobs.
        self._asked = json.dumps({"task": task.name, **task.arguments}, default=str, ensure_ascii=False)
        self._inputs = [_describe(item) for item in task.inputs]
        self._began_s: float | None = None
        self._ended_s: float | None = None

    @property
    def finished(self) -> bool:
        """Whether it is done, failed or cancelled."""
        return self.state in ("done", "failed", "cancelled")

    def begin(self) -> None:
        """Set it running."""
        self.state, self.started, self._began_s = "running", datetime.now().astimezone(), time.monotonic()

    def end(self, state: State) -> None:
        """Set its last state."""
        self.state, self._ended_s = state, time.monotonic()

    def add_line(self, text: str) -> None:
        """Add a line to the log, of which the last 2000 are kept."""
        self.log.append(f"{datetime.now():%H:%M:%S}  {text}")
        del self.log[:-_LOG_LINES]

    def elapsed_s(self) -> float:
        """Time since it began, or that it took; 0 while it is queued."""
        if self._began_s is None:
            return 0.0
        return (time.monotonic() if self._ended_s is None else self._ended_s) - self._began_s

    def eta_s(self) -> float | None:
        """Expected time left, once 5 % are done or 3 s have passed; None where nothing can be said."""
        elapsed = self.elapsed_s()
        if self.state != "running" or self.fraction <= 0:
            return None
        if self.fraction < _ETA_FRACTION and elapsed < _ETA_AFTER_S:
            return None
        return elapsed * (1 - self.fraction) / self.fraction

    def report_text(self) -> str:
        """All that a developer needs to understand the job: versions, what was asked, what happened."""
        versions = {"AtomSeg": __version__, "Python": platform.python_version(), **self.versions}
        lines = [
            f"{self.title}: {self.state}" + (f" after {self.elapsed_s():.2f} s" if self.started else ""),
            *([self.error] if self.error else []),
            "",
            f"versions  {', '.join(f'{name} {version}' for name, version in versions.items())}",
            f"system    {platform.platform()}",
            f"device    {self.device or 'not known'}",
            f"started   {self.started.isoformat(timespec='seconds') if self.started else 'not yet'}",
            f"task      {self._asked}",
            *(f"input     {text}" for text in self._inputs),
            "",
            "log",
            *(f"  {line}" for line in self.log or ["(empty)"]),
        ]
        if self.details:
            lines += ["", "details", *(f"  {line}" for line in self.details.splitlines())]
        return "\n".join(lines) + "\n"
