"""Movies: the views of a series, a sweep through the slices, or a turn of the volume in 3D; as GIF or as PNG files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
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

from atomseg_app.errors import FileError, UserError
from atomseg_app.gui.alive import while_alive
from atomseg_app.gui.background import Background
from atomseg_app.gui.figure_export import pixels
from atomseg_app.io.atomic_write import atomic_path

Frame = npt.NDArray[np.uint8]
FORMATS = {"gif": "Animated GIF", "png": "PNG files, one a frame"}


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
        self._frames: list[Frame] = []
        self._running: Scenario | None = None
        self._background = Background()
        self.what = QComboBox()
        self.what.setAccessibleName("What to film")
        self.what.setToolTip("What runs through in the movie; drawn as it is shown now.")
        for scenario in self.scenarios:
            self.what.addItem(f"{scenario.title} ({scenario.frames} frames)")
        self.form = QComboBox()
        self.form.setAccessibleName("Kind of file")
        self.form.setToolTip("A GIF plays anywhere; PNG files keep every grey level and go into any video program.")
        for key, title in FORMATS.items():
            self.form.addItem(title, key)
        self.rate = QSpinBox()
        self.rate.setAccessibleName("Frames per second")
        self.rate.setToolTip("How fast a GIF plays.")
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

    def start(self, path: Path) -> None:
        """Film into a file."""
        self.path, self._frames = path, []
        self._running = self.scenarios[self.what.currentIndex()]
        self.bar.setRange(0, self._running.frames)
        self.bar.show()
        for widget in (self.what, self.form, self.rate, self.buttons.button(QDialogButtonBox.StandardButton.Save)):
            widget.setEnabled(False)
        self._timer.start()

    def reject(self) -> None:
        """Give it up: what was filmed is forgotten, nothing is written."""
        self._stop()
        super().reject()

    def _stop(self) -> None:
        self._timer.stop()
        if self._running is not None:
            self._running.restore()
            self._running = None

    def _next(self) -> None:
        if self._running is None or self.path is None:
            return
        number = len(self._frames)
        if number < self._running.frames:
            self._frames.append(pixels(self._running.draw(number)))
            self.bar.setValue(number + 1)
            self.state.setText(f"Frame {number + 1} of {self._running.frames}")
            return
        self._stop()
        self.state.setText("Writing…")
        frames, path, form, rate = self._frames, self.path, self.form.currentData(), self.rate.value()

        def write() -> Path:
            return write_gif(frames, path, rate) if form == "gif" else write_pngs(frames, path)

        self._background.run(write, while_alive(self, self._done), while_alive(self, self._on_failed))

    def _done(self, path: Path) -> None:
        self.written.emit(path)
        self.accept()

    def _on_failed(self, problem: Exception) -> None:
        self.failed.emit(problem)
        super().reject()


def same_size(frames: Sequence[Frame]) -> list[Frame]:
    """Frames (y, x, 3) cut to the size that all of them have."""
    height, width = min(frame.shape[0] for frame in frames), min(frame.shape[1] for frame in frames)
    return [frame[:height, :width] for frame in frames]


def write_gif(frames: Sequence[Frame], path: Path, per_second: int) -> Path:
    """Write an endless GIF, whole or not at all. Raises FileError."""
    from PIL import Image

    if not frames:
        raise UserError("A movie needs frames.")
    pictures = [Image.fromarray(frame).convert("P", palette=Image.Palette.ADAPTIVE) for frame in same_size(frames)]
    try:
        with atomic_path(path) as temporary:
            pictures[0].save(
                temporary, format="GIF", save_all=True, append_images=pictures[1:], duration=round(1000 / per_second),
                loop=0,
            )  # fmt: skip
    except OSError as problem:
        raise FileError(f"{path} could not be written: {problem.strerror or problem}.") from None
    return path


def write_pngs(frames: Sequence[Frame], path: Path) -> Path:
    """Write NAME_0001.png and so on beside each other, each whole or not at all; the first one's path."""
    from PIL import Image

    paths = [path.with_name(f"{path.stem}_{number:04d}.png") for number in range(1, len(frames) + 1)]
    for frame, place in zip(frames, paths, strict=True):
        with atomic_path(place) as temporary:
            Image.fromarray(frame).save(temporary, format="PNG")
    return paths[0]
