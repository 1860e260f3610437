"""One movie as a job of the list: frames drawn in the window's thread, a few ahead of the thread that writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from threading import Event

from PySide6.QtCore import QObject, QTimer, Signal
from PySide6.QtGui import QImage

from atomseg_app.errors import Cancelled, UserError
from atomseg_app.gui.alive import while_alive
from atomseg_app.gui.background import Background
from atomseg_app.gui.figure_export import pixels
from atomseg_app.io.movies import Frame, write_movie
from atomseg_app.jobs.engine import JobEngine

_AHEAD = 6
"""Frames that are drawn before the one that is being written."""
_LOOK_MS = 20


class GivenUp(UserError):  # noqa: N818 - not an error: the user asked for it
    """The movie that is being written is not wanted any more."""


@dataclass(frozen=True)
class Scenario:
    """What can be filmed: ``frames`` pictures, each drawn by ``draw(number)``, which leaves what is shown as it is and
    raises UserError where it cannot be drawn any more.
    """

    title: str
    frames: int
    draw: Callable[[int], QImage]


class Film(QObject):
    """Films while the window goes on working. ``written`` carries the path of the file, or of the first of several;
    ``failed`` what went wrong. Cancelled in the list of jobs, or by the window that closes, it leaves no file.
    """

    written = Signal(object)
    failed = Signal(object)

    def __init__(self, parent: QObject, jobs: JobEngine, scenario: Scenario, path: Path, per_second: int) -> None:
        super().__init__(parent)
        self._jobs, self._scenario = jobs, scenario
        self._frames: Queue[Frame | None] = Queue(_AHEAD)
        self._drawn = 0
        self._given_up = Event()
        self._background = Background()
        self._timer = QTimer(self, interval=0)
        self._timer.timeout.connect(self._next)
        told = {"film": scenario.title, "frames": scenario.frames, "per_second": per_second, "path": str(path)}
        self.job = jobs.adopt(f"Film {path.name}", told, self._give_up)
        self._background.run(
            lambda: write_movie(path, self._taken(), per_second),
            while_alive(self, self._done), while_alive(self, self._on_failed),
        )  # fmt: skip
        self._timer.start()

    def _give_up(self) -> None:
        """Called by the list of jobs; half a file is gone when this returns."""
        self._given_up.set()
        self._timer.stop()
        self._background.close()
        self.deleteLater()

    def _taken(self) -> Iterator[Frame]:
        """Frames as they are drawn; called on the thread that writes. Raises GivenUp when the movie is given up."""
        while True:
            if self._given_up.is_set():
                raise GivenUp
            try:
                frame = self._frames.get(timeout=_LOOK_MS / 1000)
            except Empty:
                continue
            if frame is None:
                return
            yield frame

    def _next(self) -> None:
        """Draw one more frame, if there is room for it."""
        if self._frames.full():
            self._timer.setInterval(_LOOK_MS)
            return
        self._timer.setInterval(0)
        if self._drawn == self._scenario.frames:
            self._frames.put_nowait(None)
            self._timer.stop()
            self._jobs.progressed(self.job, 1.0, "writing")
            return
        try:
            self._frames.put_nowait(pixels(self._scenario.draw(self._drawn)))
        except UserError as problem:
            self._give_up()
            self._on_failed(problem)
            return
        self._drawn += 1
        share = self._drawn / self._scenario.frames
        self._jobs.progressed(self.job, share, f"frame {self._drawn:,} of {self._scenario.frames:,}")

    def _done(self, path: Path) -> None:
        self._jobs.ended(self.job)
        self.written.emit(path)
        self.deleteLater()

    def _on_failed(self, problem: Exception) -> None:
        self._timer.stop()
        self._jobs.ended(self.job, Cancelled() if isinstance(problem, GivenUp) else problem)
        self.failed.emit(problem)
        self.deleteLater()
