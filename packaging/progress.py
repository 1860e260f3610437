"""What set-up says while it works: lines on standard error, and a dialog where it was started without a terminal."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import sys
import time
from typing import IO


class Progress:
    """One line that renews itself on a terminal, otherwise a line now and then; in a dialog as well if wanted."""

    def __init__(
        self, stream: IO[str] | None = None, *, seconds_between_lines: float = 5.0, in_dialog: bool = False
    ) -> None:
        self._stream = stream or sys.stderr
        self._live = self._stream.isatty()
        self._pause_s = seconds_between_lines
        self._in_dialog = in_dialog and shutil.which("zenity") is not None
        self._dialog: subprocess.Popen[str] | None = None
        self._start = self._last = time.monotonic()

    def say(self, text: str) -> None:
        """A line that stays."""
        self._show(text)
        self._write(text, end="\n")

    def step(self, text: str) -> None:
        """Where set-up is now; replaced by the next one."""
        now = time.monotonic()
        minutes, seconds = divmod(int(now - self._start), 60)
        text = f"  [{minutes}:{seconds:02d}] {text}"
        self._show(text)
        if self._live:
            self._write(text, end="")
        elif now - self._last >= self._pause_s:
            self._last = now
            self._write(text, end="\n")

    def close(self) -> None:
        """Take the dialog away."""
        if self._dialog is not None:
            self._dialog.terminate()
            self._dialog.communicate()

    def _write(self, text: str, end: str) -> None:
        if self._live:
            width = shutil.get_terminal_size().columns - 1
            text = "\r" + (text if end else text[:width]).ljust(width)
        self._stream.write(text + end)
        self._stream.flush()

    def _show(self, text: str) -> None:
        if not self._in_dialog:
            return
        if self._dialog is None:
            command = ["zenity", "--progress", "--pulsate", "--no-cancel", "--width=500", "--title=AtomSeg", "--text="]
            self._dialog = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True
            )
        assert self._dialog.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # the user has closed the dialog; set-up goes on
            self._dialog.stdin.write(f"# Setting AtomSeg up\\n{text.strip()}\n")
            self._dialog.stdin.flush()
