"""Long work in a terminal: its progress on stderr, and Ctrl-C as a polite cancel (twice: at once).

Where work can end early with what it has by then, the first Ctrl-C asks for that, the second cancels.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from types import FrameType

from atomseg_app.operations import Report

_EVERY_S = 0.2  # on a terminal
_PLAIN_EVERY_S = 30.0  # in a log file


@contextlib.contextmanager
def interruptible(*, keeps: bool = False) -> Iterator[Report]:
    """Report that writes progress and is cancelled by Ctrl-C or SIGTERM; one more Ctrl-C raises KeyboardInterrupt.

    With ``keeps``, the first Ctrl-C stops the work and keeps what there is. Only the first process of ``torchrun``
    writes.
    """
    stopping, cancelled = threading.Event(), threading.Event()
    line = _Line(quiet=os.environ.get("RANK", "0") != "0")

    def stop(number: int, frame: FrameType | None) -> None:
        if cancelled.is_set():
            raise KeyboardInterrupt
        if keeps and number == signal.SIGINT and not stopping.is_set():
            stopping.set()
            line.log("info", "stopping after this iteration; what there is by then is kept. Ctrl-C again cancels.")
        else:
            cancelled.set()

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield Report(line.progress, line.log, cancelled=cancelled.is_set, stopping=stopping.is_set)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        line.end()


class _Line:
    """One line that is written over and over on a terminal; a line now and then elsewhere."""

    def __init__(self, *, quiet: bool) -> None:
        self._quiet = quiet
        self._terminal = sys.stderr.isatty()
        self._began = self._last = time.monotonic()
        self._width = 0

    def progress(self, fraction: float, message: str) -> None:
        """Show a fraction with the time that is left."""
        now = time.monotonic()
        if self._quiet or now - self._last < (_EVERY_S if self._terminal else _PLAIN_EVERY_S):
            return
        self._last = now
        elapsed = now - self._began
        left = f", {_duration(elapsed * (1 - fraction) / fraction)} left" if fraction > 0 and elapsed > 3 else ""
        self._write(f"{100 * fraction:5.1f} %  {message}{left}")

    def log(self, level: str, text: str) -> None:
        """Show a line that stays."""
        if not self._quiet:
            self.end()
            sys.stderr.write(f"atomseg: {text}\n")
            sys.stderr.flush()

    def end(self) -> None:
        """Go to a new line."""
        if self._width:
            sys.stderr.write("\n")
            self._width = 0

    def _write(self, text: str) -> None:
        if self._terminal:
            sys.stderr.write("\r" + text.ljust(self._width))
            self._width = len(text)
        else:
            sys.stderr.write(text + "\n")
        sys.stderr.flush()


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
