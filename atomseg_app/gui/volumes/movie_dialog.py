"""Movies: the views of a series, a sweep through the slices, or a turn of the volume in 3D.

Frames are drawn in the window's thread, a few ahead of the thread that writes them, so that memory stays small.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, Queue
from threading import Event

from PySide6.QtCore import QTimer, Signal
from PySide6.QtGui import QImage
from PySide6.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QFormLayout,
    QLabel,
    QProgressBar,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from atomseg_app.errors import UserError
from atomseg_app.gui.alive import while_alive
from atomseg_app.gui.background import Background
from atomseg_app.gui.figure_export import pixels
from atomseg_app.io.movies import MOVIE_FORMATS, Frame, write_movie

_AHEAD = 6
"""Frames that are drawn before the one that is being written."""
_LOOK_MS = 20


class GivenUp(UserError):  # noqa: N818 - not an error: the user asked for it
    """The movie that is being written is not wanted any more."""


@dataclass(frozen=True)
class Scenario:
    """What can be filmed: ``frames`` pictures, each drawn by ``draw(number)``; ``restore`` shows what was shown."""

    title: str
    frames: int
    draw: Callable[[int], QImage]
    restore: Callable[[], object]


class MovieDialog(QDialog):
    """Asks what to film and how fast, films it frame by frame while the window goes on working, and writes it.

    ``written`` carries the path of the file, or of the first of several; ``failed`` what went wrong.
    """

    written = Signal(object)
    failed = Signal(object)

    def __init__(self, parent: QWidget, scenarios: Sequence[Scenario]) -> None:
        super().__init__(parent)
        self.setObjectName("dialog.movie")
        self.setWindowTitle("Save movie")
        self.scenarios = list(scenarios)
        self.path: Path | None = None
        self._frames: Queue[Frame | None] = Queue(_AHEAD)
        self._drawn = 0
        self._given_up = Event()
        self._running: Scenario | None = None
        self._background = Background()
        self.what = QComboBox()
        self.what.setAccessibleName("What to film")
        self.what.setToolTip("What runs through in the movie; drawn as it is shown now.")
        for scenario in self.scenarios:
            self.what.addItem(f"{scenario.title} ({scenario.frames} frames)")
        self.form = QComboBox()
        self.form.setAccessibleName("Kind of file")
        self.form.setToolTip(
            "MP4 for talks and the web; a GIF plays anywhere; PNG files keep every grey level for any video program."
        )
        for ending, title in MOVIE_FORMATS.items():
            self.form.addItem(title, ending)
        self.rate = QSpinBox()
        self.rate.setAccessibleName("Frames per second")
        self.rate.setToolTip("How fast the movie plays; PNG files have no speed.")
        self.rate.setRange(1, 50)
        self.rate.setValue(12)
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Progress of the movie")
        self.bar.hide()
        self.state = QLabel()
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Save | QDialogButtonBox.StandardButton.Cancel)
        self.buttons.rejected.connect(self.reject)
        rows = QFormLayout()
        rows.addRow("Film", self.what)
        rows.addRow("Write", self.form)
        rows.addRow("Frames per second", self.rate)
        layout = QVBoxLayout(self)
        layout.setSpacing(12)
        layout.addLayout(rows)
        for widget in (self.bar, self.state, self.buttons):
            layout.addWidget(widget)
        self._timer = QTimer(self, interval=0)
        self._timer.timeout.connect(self._next)

    @property
    def ending(self) -> str:
        """Extension of the kind of file that is chosen."""
        return str(self.form.currentData())

    def start(self, path: Path) -> None:
        """Film into a file; its extension is the one of the kind that is chosen."""
        self.path, self._drawn = path, 0
        self._running = self.scenarios[self.what.currentIndex()]
        self.bar.setRange(0, self._running.frames)
        self.bar.show()
        for widget in (self.what, self.form, self.rate, self.buttons.button(QDialogButtonBox.StandardButton.Save)):
            widget.setEnabled(False)
        rate = self.rate.value()
        self._background.run(
            lambda: write_movie(path, self._taken(), rate),
            while_alive(self, self._done), while_alive(self, self._on_failed),
        )  # fmt: skip
        self._timer.start()

    def reject(self) -> None:
        """Give it up: what was filmed is forgotten, nothing is written."""
        self._given_up.set()
        self._stop()
        self._background.close()  # half a file is gone before this is
        super().reject()

    def _stop(self) -> None:
        self._timer.stop()
        if self._running is not None:
            self._running.restore()
            self._running = None

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
        if self._running is None:
            return
        if self._frames.full():
            self._timer.setInterval(_LOOK_MS)
            return
        self._timer.setInterval(0)
        if self._drawn < self._running.frames:
            try:
                self._frames.put_nowait(pixels(self._running.draw(self._drawn)))
            except UserError as problem:
                self._given_up.set()
                self._on_failed(problem)
                return
            self._drawn += 1
            self.bar.setValue(self._drawn)
            self.state.setText(f"Frame {self._drawn} of {self._running.frames}")
            return
        self._frames.put_nowait(None)
        self._stop()
        self.state.setText("Writing…")

    def _done(self, path: Path) -> None:
        self.written.emit(path)
        self.accept()

    def _on_failed(self, problem: Exception) -> None:
        self._stop()
        if not isinstance(problem, GivenUp):
            self.failed.emit(problem)
        super().reject()
