"""Surfaces in 3D, of the classes or of the errors: which, how opaque; made in the compute process when they change."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from html import escape
from typing import Any, cast

from PySide6.QtCore import QSignalBlocker, Qt, QTimer
from PySide6.QtWidgets import QCheckBox, QGridLayout, QLabel, QSlider, QVBoxLayout, QWidget

from atomseg_app.data import Image, Labels
from atomseg_app.gui.sections import muted
from atomseg_app.gui.segmentation.computing import Computing
from atomseg_app.gui.segmentation.model import Entry, SegModel
from atomseg_app.gui.volumes.legend import Legend, mark_text
from atomseg_app.gui.volumes.part import Part
from atomseg_app.gui.volumes.shrinking import step_for
from atomseg_app.gui.volumes.volume3d import MOST_IN_SOFTWARE, Volume3D
from atomseg_app.jobs.job import Job
from atomseg_app.jobs.tasks import Task, TaskResult
from atomseg_app.label_classes import LabelClass
from atomseg_app.segmentation.error_codes import RIGHT
from atomseg_app.segmentation.error_map import ERROR_CLASSES

MOST_VOXELS = 256**3
"""Surfaces of more are made at a lower resolution: millions of triangles keep a graphics card busy."""
_OPAQUE, _CLEAR, _FAINT = 100, 35, 25
_REST_MS = 1500


@dataclass(frozen=True, eq=False)
class _Subject:
    """What surfaces are made of: ``key`` tells subjects apart, ``inputs`` and ``errors_of`` go to the job."""

    key: tuple[object, ...]
    inputs: tuple[Labels, ...]
    classes: tuple[LabelClass, ...]
    opacity: dict[int, int]
    errors_of: int | None = None
    painted: bool = False

    def is_like(self, other: _Subject | None) -> bool:
        """Whether the other one is of the same voxels."""
        return other is not None and len(self.key) == len(other.key) and all(
            one is another or (isinstance(one, int) and one == another)
            for one, another in zip(self.key, other.key, strict=True)
        )  # fmt: skip


class SurfacesPanel(QWidget):
    """Surfaces of the result, or of what was painted, a slider of opacity a class. While errors are shown in the
    slices, the 3D view shows theirs: what is too much, what is missed, and faintly what is right.
    """

    def __init__(self, model: SegModel, computing: Computing, view: Volume3D) -> None:
        super().__init__()
        self._model, self._computing, self._view = model, computing, view
        self.on = QCheckBox("Surfaces of the classes")
        self.on.setObjectName("segmentation.surfaces")
        self.on.setToolTip("Draw the surface of each class of the result in place of the grey levels.")
        self.note = muted("Surfaces of the result, else of what was painted. Drag a slider to see through a class.")
        self.opacity: dict[tuple[bool, int], int] = {}
        self._rows = QWidget()
        self._grid = QGridLayout(self._rows)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setColumnStretch(1, 1)
        self._meshes: dict[int, tuple[Any, Any]] = {}
        self._of: _Subject | None = None
        self._filled: list[tuple[LabelClass, int]] = []
        self._job: Job | None = None
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        for widget in (self.on, self._rows, self.note):
            layout.addWidget(widget)
        self._wait = QTimer(self, singleShot=True, interval=200)
        self._wait.timeout.connect(self._make)
        self.on.toggled.connect(lambda _on: self.refresh())
        for signal in (model.current_changed, model.layers_changed, model.chosen_changed):
            signal.connect(self.refresh)
        model.painted.connect(self._on_painted)
        view.ready.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the classes that are there, and make surfaces again if there are other labels."""
        subject, shown = self._subject(), self._wanted()
        self._fill_rows(subject)
        self.on.setEnabled(subject is not None or self.on.isChecked())
        self.on.setToolTip(
            "Draw the surface of each class of the result in place of the grey levels."
            if subject is not None
            else "Segment the volume, or paint some slices, first."
        )
        self._rows.setVisible(shown)
        self._view.set_legend(self._legend(subject) if shown else Legend())
        if not shown or self._view.drawn is None:
            if self._view.parts:
                self._view.set_parts(())
        elif subject is None or not subject.is_like(self._of):
            self._wait.start(200)
        else:
            self._show()

    # -- inside

    def _wanted(self) -> bool:
        return self.on.isChecked() or (self._model.shown.errors and self._model.result() is not None)

    def _subject(self) -> _Subject | None:
        """The errors that are shown, else the result, else what was painted."""
        model, entry, result = self._model, self._model.entry, self._model.result()
        if entry is None:
            return None
        reference = model.reference() if model.shown.errors else None
        if result is not None and reference is not None:
            painted = entry.store is not None and reference.values is entry.store.values
            key = (result, entry.store if painted else reference, model.chosen)
            faint = {each.value: _FAINT if each.value == RIGHT else _OPAQUE for each in ERROR_CLASSES}
            return _Subject(key, (result.labels, reference), ERROR_CLASSES[1:], faint, model.chosen, painted)
        classes = tuple(each for each in entry.classes if each.value)
        opacity = {each.value: _OPAQUE if each is entry.classes[-1] else _CLEAR for each in classes}
        if result is not None:
            return _Subject((result,), (result.labels,), classes, opacity)
        labels = entry.annotation() if entry.painted else None
        return None if labels is None else _Subject((entry.store,), (labels,), classes, opacity, painted=True)

    def _opacity(self, subject: _Subject, value: int) -> int:
        return self.opacity.get((subject.errors_of is not None, value), subject.opacity[value])

    def _on_painted(self, _box: object) -> None:
        """Surfaces of what is painted grow old with every stroke; they are made again when it rests."""
        subject = self._subject() if self._wanted() else None
        if subject is not None and subject.painted:
            self._of = None
            self._wait.start(_REST_MS)
        elif not self.on.isEnabled():
            self.refresh()

    def _on_opacity(self, value: int, percent: int) -> None:
        subject = self._subject()
        if subject is not None:
            self.opacity[subject.errors_of is not None, value] = percent
            self._filled = [(each, self._opacity(subject, each.value)) for each in subject.classes]
            self._view.set_legend(self._legend(subject) if self._wanted() else Legend())
            self._show()

    def _fill_rows(self, subject: _Subject | None) -> None:
        """A slider a class, made again only where there are other classes."""
        rows = [] if subject is None else [(each, self._opacity(subject, each.value)) for each in subject.classes]
        if rows == self._filled:
            return
        self._filled = rows
        for index in reversed(range(self._grid.count())):
            item = self._grid.takeAt(index)
            widget = None if item is None else item.widget()
            if widget is not None:
                widget.hide()
                widget.deleteLater()
        for row, each in enumerate(() if subject is None else subject.classes):
            assert subject is not None
            slider = QSlider(Qt.Orientation.Horizontal)
            slider.setRange(0, 100)
            blocker = QSignalBlocker(slider)
            slider.setValue(self._opacity(subject, each.value))
            blocker.unblock()
            slider.setAccessibleName(f"Opacity of the surface of {each.name}")
            slider.setToolTip(f"How opaque the surface of {each.name} is drawn in 3D; at the left it is hidden.")
            slider.valueChanged.connect(partial(self._on_opacity, each.value))
            mark = QLabel(f"{mark_text(each.colour)} {escape(each.name)}", textFormat=Qt.TextFormat.RichText)
            mark.setBuddy(slider)
            self._grid.addWidget(mark, row, 0)
            self._grid.addWidget(slider, row, 1)

    def _make(self) -> None:
        """Have the surfaces made; what is asked for while one job runs is made after it."""
        entry, subject = self._model.entry, self._subject()
        if not self._wanted() or self._job is not None or entry is None:
            return
        if subject is None:
            self._view.set_parts(())
            self.note.setText("Nothing is labelled yet: segment the volume, or paint some slices.")
            return
        software = self._view.facts is not None and self._view.facts.software
        step = step_for(subject.inputs[0].shape, 4096, MOST_IN_SOFTWARE if software else MOST_VOXELS)
        self.note.setText("Making the surfaces…")

        def done(result: TaskResult) -> None:
            arrays = [cast(Image, item).values for item in result.items]
            self._meshes = dict(zip(result.value, zip(arrays[::2], arrays[1::2], strict=True), strict=True))
            self._of = subject
            triangles = sum(len(faces) for faces in arrays[1::2])
            coarse = f", at 1/{step} of the resolution" if step > 1 else ""
            self.note.setText(f"{triangles:,} triangles{coarse}.")
            self._show()

        def ended() -> None:
            self._job = None
            now = self._subject()
            if self._wanted() and now is not None and not now.is_like(self._of):
                self._wait.start(200)

        arguments = {"values": [each.value for each in subject.classes], "step": step, "errors_of": subject.errors_of}
        title = "Surfaces of the errors" if subject.errors_of is not None else f"Surfaces of {entry.title}"
        task = Task("label-surfaces", arguments, subject.inputs)
        self._job = self._computing.task(task, title, done, ended)

    def _show(self) -> None:
        """Give the surfaces to the 3D view, in their colours and opacities."""
        entry, subject = self._model.entry, self._subject()
        if entry is None or subject is None or not self._wanted() or not subject.is_like(self._of):
            return
        hidden = entry.hidden if subject.errors_of is None else frozenset()
        self._view.set_parts([
            Part(*self._meshes[each.value], each.colour, self._opacity(subject, each.value) / 100)
            for each in subject.classes
            if each.value in self._meshes and each.value not in hidden
        ])  # fmt: skip

    def _legend(self, subject: _Subject | None) -> Legend:
        """Classes, or kinds of errors, whose surfaces are not hidden."""
        entry: Entry | None = self._model.entry
        if subject is None or entry is None:
            return Legend()
        of_errors = subject.errors_of is not None
        seen = [
            each for each in reversed(subject.classes)
            if self._opacity(subject, each.value) and (of_errors or each.value not in entry.hidden)
        ]  # fmt: skip
        title = "" if subject.errors_of is None else f"Errors of {entry.class_name(subject.errors_of)}"
        return Legend(title, tuple((each.colour, each.name) for each in seen))
