"""What a running task tells the window, sent at a bounded rate however often the task reports."""

from __future__ import annotations

import contextlib
import threading
from collections import deque
from typing import Any

import numpy as np

from atomseg_app.data import Array
from atomseg_app.errors import UserError
from atomseg_app.jobs.arrays import Segments
from atomseg_app.jobs.transport import Channel
from atomseg_app.operations import Report

_INTERVAL_S = 0.02
_PREVIEW_INTERVALS = 5  # previews go every fifth time
_LOG_LINES = 500


class Outbox:
    """Keeps the latest progress, the latest preview of each name and the log lines, and sends them 50 times a second.

    A thread sends, so that the last word before a long silent step reaches the user, too.
    """

    def __init__(
        self, channel: Channel, segments: Segments, job: int, cancel: threading.Event, stop: threading.Event
    ) -> None:  # fmt: skip
        self._channel, self._segments, self._job = channel, segments, job
        self._progress: dict[str, Any] | None = None
        self._previews: dict[str, Array] = {}
        self._lines: deque[tuple[str, str]] = deque(maxlen=_LOG_LINES)
        self._dropped = 0
        self._lock = threading.Lock()
        self._news, self._closed = threading.Event(), threading.Event()
        self.report = Report(self._on_progress, self._on_log, self._on_preview, cancel.is_set, stop.is_set)
        self._thread = threading.Thread(target=self._run, name="outbox", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Send what is left and stop. Nothing of the job is sent after this."""
        self._closed.set()
        self._news.set()
        self._thread.join()

    def _on_progress(self, fraction: float, message: str) -> None:
        self._progress = {"fraction": fraction, "message": message, "device": self.report.facts.device}
        self._news.set()

    def _on_log(self, level: str, text: str) -> None:
        with self._lock:
            self._dropped += len(self._lines) == _LOG_LINES
            self._lines.append((level, text))
        self._news.set()

    def _on_preview(self, name: str, array: Array) -> None:
        kept = np.array(array)  # a copy: the task goes on working in its array
        with self._lock:
            self._previews[name] = kept
        self._news.set()

    def _run(self) -> None:
        beat = 0
        with contextlib.suppress(OSError):  # the window is gone, and this process goes with it
            while not self._closed.is_set():
                self._news.wait()
                self._news.clear()
                self._send(previews=beat % _PREVIEW_INTERVALS == 0)
                beat += 1
                self._closed.wait(_INTERVAL_S)
                if self._previews:
                    self._news.set()
            self._send(previews=True)

    def _send(self, *, previews: bool) -> None:
        with self._lock:
            progress, self._progress = self._progress, None
            lines, dropped = list(self._lines), self._dropped
            self._lines.clear()
            self._dropped = 0
            arrays = {}
            if previews:
                arrays, self._previews = self._previews, {}
        if progress is not None:
            self._channel.send("progress", job=self._job, **progress)
        if dropped:
            lines.insert(0, ("warning", f"{dropped} earlier lines were dropped"))
        if lines:
            self._channel.send("log", job=self._job, lines=lines)
        for name, array in arrays.items():
            try:
                reference = self._segments.write(array)
            except UserError as problem:  # no room: the job itself needs no preview
                self._channel.send("log", job=self._job, lines=[("warning", f"No preview: {problem}")])
                continue
            self._channel.send("preview", job=self._job, name=name, array=reference)
