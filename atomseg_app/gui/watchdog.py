"""Watches the window's event loop: how long it was kept from answering, and by what."""

from __future__ import annotations

import logging
import sys
import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass

from PySide6.QtCore import QObject, Qt, QTimer

_BEAT_MS = 10
_SAMPLE_S = 0.05
_LOG_OVER_S = 0.2

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Stall:
    """A time in which no event was answered, and the window's stack within it ("" where none could be taken)."""

    seconds: float
    stack: str


class StallWatchdog(QObject):
    """A heartbeat in the event loop; what delays it delays the user. Use it in the window's thread.

    ``longest_s`` is the longest delay, ``stalls`` are those over 0.2 s, which are logged, too. ``counts`` may leave
    out stalls by their stack, since a test that computes between two event loops stalls nobody.
    """

    def __init__(self, counts: Callable[[str], bool] = lambda stack: True, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.longest_s = 0.0
        self.stalls: list[Stall] = []
        self._counts = counts
        self._window_thread = threading.get_ident()
        self._timer = QTimer(self)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self._beat)
        self._last_s = 0.0
        self._stack = ""
        self._stopped = threading.Event()
        self._sampler: threading.Thread | None = None

    def start(self) -> None:
        """Begin watching."""
        self.reset()
        self._stopped.clear()
        self._sampler = threading.Thread(target=self._sample, name="stall watchdog", daemon=True)
        self._sampler.start()
        self._timer.start(_BEAT_MS)

    def stop(self) -> None:
        """Take the last delay into account and stop watching."""
        if self._sampler is None:
            return
        self._beat()
        self._timer.stop()
        self._stopped.set()
        self._sampler.join()
        self._sampler = None

    def reset(self) -> None:
        """Forget what was seen so far."""
        self.longest_s, self.stalls = 0.0, []
        self._last_s, self._stack = time.perf_counter(), ""

    def _beat(self) -> None:
        now = time.perf_counter()
        delay = now - self._last_s - _BEAT_MS / 1e3
        stack, self._stack, self._last_s = self._stack, "", now
        if delay < min(self.longest_s, _LOG_OVER_S) or not self._counts(stack):
            return
        self.longest_s = max(self.longest_s, delay)
        if delay > _LOG_OVER_S:
            self.stalls.append(Stall(delay, stack))
            _log.warning("the window did not answer for %.0f ms\n%s", 1e3 * delay, stack)

    def _sample(self) -> None:
        """Look at the window's stack once in each stall, from a thread of its own."""
        while not self._stopped.wait(_SAMPLE_S):
            late = time.perf_counter() - self._last_s > _LOG_OVER_S / 2
            if late and not self._stack:
                frame = sys._current_frames().get(self._window_thread)
                self._stack = "".join(traceback.format_stack(frame)) if frame else ""
