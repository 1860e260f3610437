"""Watches the window's event loop: how long it was kept from answering, and by what."""

from __future__ import annotations

import faulthandler
import logging
import tempfile
import threading
import time
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
        self._sampled = (0.0, "")  # the beat after which a stack was taken, and the stack
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
        self._last_s = time.perf_counter()

    def _beat(self) -> None:
        now = time.perf_counter()
        delay = now - self._last_s - _BEAT_MS / 1e3
        (beat_s, stack), last_s, self._last_s = self._sampled, self._last_s, now
        stack = stack if beat_s == last_s else ""  # else it was taken in a delay before this one
        if delay < min(self.longest_s, _LOG_OVER_S) or not self._counts(stack):
            return
        self.longest_s = max(self.longest_s, delay)
        if delay > _LOG_OVER_S:
            self.stalls.append(Stall(delay, stack))
            _log.warning("the window did not answer for %.0f ms\n%s", 1e3 * delay, stack)

    def _sample(self) -> None:
        """Look at the window's stack once in each stall, from a thread of its own."""
        while not self._stopped.wait(_SAMPLE_S):
            beat_s = self._last_s
            if time.perf_counter() - beat_s > _LOG_OVER_S / 2 and self._sampled[0] != beat_s:
                self._sampled = (beat_s, _stack_of(self._window_thread))


def _stack_of(thread: int) -> str:
    """Stack of a thread, its innermost call first.

    The interpreter writes it: a frame held by another thread keeps widgets alive, which then end in that thread.
    """
    with tempfile.TemporaryFile() as file:
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        text = file.read().decode("utf-8", "replace")
    blocks = [block.partition("\n") for block in text.split("\n\n")]
    return next((stack for head, _, stack in blocks if f"{thread:x}" in head), "")
