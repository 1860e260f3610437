"""Surfaces of the classes in 3D: which, how opaque; made in the compute process when the result changes."""

from __future__ import annotations

from functools import partial
from typing import cast

from PySide6.QtCore import QSignalBlocker, Qt, QTimer
from PySide6.QtWidgets import QCheckBox, QGridLayout, QLabel, QSlider, QVBoxLayout, QWidget

from atomseg_app.data import Image, Labels
from atomseg_app.gui.sections import muted
from atomseg_app.gui.segmentation.computing import Computing
from atomseg_app.gui.segmentation.model import SegModel
from atomseg_app.gui.volumes.part import Part
from atomseg_app.gui.volumes.volume3d import MOST_IN_SOFTWARE, Volume3D, step_for
from atomseg_app.jobs.job import Job
from atomseg_app.jobs.tasks import Task, TaskResult

MOST_VOXELS = 256**3
"""Surfaces of more are made at a lower resolution: millions of triangles keep a graphics card busy."""
_OPAQUE, _CLEAR = 100, 35
_REST_MS = 1500


class SurfacesPanel(QWidget):
    """Shows the surfaces of the result, or of what was painted, in the 3D view; a slider of opacity a class."""

    def __init__(self, model: SegModel, computing: Computing, view: Volume3D) -> None:
        super().__init__()
        self._model, self._computing, self._view = model, computing, view
        self.on = QCheckBox("Surfaces of the classes")
        self.on.setObjectName("segmentation.surfaces")
        self.on.setToolTip("Draw the surface of each class of the result in place of the grey levels.")
        self.note = muted("Surfaces of the result, else of what was painted. Drag a slider to see through a class.")
        self.opacity: dict[int, int] = {}
        self._rows = QWidget()
        self._grid = QGridLayout(self._rows)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setColumnStretch(1, 1)
        self._meshes: dict[int, tuple[object, object]] = {}
        self._of: object = None
        self._job: Job | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        for widget in (self.on, self._rows, self.note):
            layout.addWidget(widget)
        self._wait = QTimer(self, singleShot=True, interval=200)
        self._wait.timeout.connect(self._make)
        self.on.toggled.connect(self._on_toggled)
        for signal in (model.current_changed, model.layers_changed):
            signal.connect(self.refresh)
        model.painted.connect(self._on_painted)
        self.refresh()

    def refresh(self) -> None:
        """Show the classes that are there, and make surfaces again if there are other labels."""
        entry = self._model.entry
        wanted = [] if entry is None else [each for each in entry.classes if each.value]
        for index in reversed(range(self._grid.count())):
            item = self._grid.takeAt(index)
            widget = None if item is None else item.widget()
            if widget is not None:
                widget.deleteLater()
        for row, each in enumerate(wanted):
            slider = QSlider(Qt.Orientation.Horizontal)
            slider.setRange(0, 100)
            blocker = QSignalBlocker(slider)
            slider.setValue(self._opacity(each.value))
            blocker.unblock()
            slider.setAccessibleName(f"Opacity of the surface of {each.name}")
            slider.setToolTip(f"How opaque the surface of {each.name} is drawn in 3D; at the left it is hidden.")
            slider.valueChanged.connect(partial(self._on_opacity, each.value))
            mark = QLabel(each.name)
            mark.setStyleSheet(f"border-left: 10px solid {each.colour}; padding-left: 6px;")
            self._grid.addWidget(mark, row, 0)
            self._grid.addWidget(slider, row, 1)
        self._rows.setVisible(self.on.isChecked())
        if self.on.isChecked():
            if self._labels() is not self._of:
                self._wait.start()
            else:
                self._show()
        elif self._view.parts:
            self._view.set_parts(())

    def _labels(self) -> object:
        """What surfaces are made of: the result, else the voxels that were painted."""
        result, entry = self._model.result(), self._model.entry
        return result if result is not None else None if entry is None or not entry.painted else entry.store

    def _source(self) -> Labels | None:
        result = self._model.result()
        return None if result is None else result.labels

    def _opacity(self, value: int) -> int:
        entry = self._model.entry
        last = entry is not None and bool(entry.classes) and value == entry.classes[-1].value
        return self.opacity.get(value, _OPAQUE if last else _CLEAR)

    def _on_toggled(self, on: bool) -> None:
        self._of = None if on else self._of
        self.refresh()

    def _on_painted(self, _box: object) -> None:
        """Surfaces of what is painted grow old with every stroke; they are made again when it rests."""
        if self.on.isChecked() and self._source() is None:
            self._of = None
            self._wait.start(_REST_MS)

    def _on_opacity(self, value: int, percent: int) -> None:
        self.opacity[value] = percent
        self._show()

    def _make(self) -> None:
        """Have the surfaces made; what is asked for while one job runs is made after it."""
        entry, source = self._model.entry, self._labels()
        labels = self._source() or (None if entry is None else entry.annotation())
        if entry is None or source is None or labels is None or self._job is not None:
            if source is None:
                self._view.set_parts(())
                self.note.setText("Nothing is labelled yet: segment the volume, or paint some slices.")
            return
        values = [each.value for each in entry.classes if each.value]
        software = self._view.facts is not None and self._view.facts.software
        step = step_for(labels.shape, 4096, MOST_IN_SOFTWARE if software else MOST_VOXELS)
        self.note.setText("Making the surfaces…")

        def done(result: TaskResult) -> None:
            arrays = [cast(Image, item).values for item in result.items]
            self._meshes = dict(zip(result.value, zip(arrays[::2], arrays[1::2], strict=True), strict=True))
            self._of = source
            triangles = sum(len(faces) for faces in arrays[1::2])
            coarse = f", at 1/{step} of the resolution" if step > 1 else ""
            self.note.setText(f"{triangles:,} triangles{coarse}.")
            self._show()

        def ended() -> None:
            self._job = None
            if self.on.isChecked() and self._labels() is not self._of:
                self._wait.start()

        task = Task("label-surfaces", {"values": values, "step": step}, (labels,))
        self._job = self._computing.task(task, f"Surfaces of {entry.title}", done, ended)

    def _show(self) -> None:
        """Give the surfaces to the 3D view, in the colours and opacities of their classes."""
        entry = self._model.entry
        if entry is None or not self.on.isChecked() or self._of is not self._labels():
            return
        self._view.set_parts([
            Part(*self._meshes[each.value], each.colour, self._opacity(each.value) / 100)  # type: ignore[arg-type]
            for each in entry.classes
            if each.value in self._meshes and each.value not in entry.hidden
        ])  # fmt: skip
