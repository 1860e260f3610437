"""Errors of the result against a reference: how many, where the next one is, and how they lie along z."""

from __future__ import annotations

from typing import cast

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QLineF, QRectF, QSignalBlocker, QSize, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QComboBox, QFormLayout, QGridLayout, QLabel, QSizePolicy, QVBoxLayout, QWidget

from atomseg_app.data import Image
from atomseg_app.errors import UserError
from atomseg_app.gui.actions import ActionRegistry
from atomseg_app.gui.sections import ActionButton, muted
from atomseg_app.gui.segmentation.computing import Computing
from atomseg_app.gui.segmentation.model import SegModel
from atomseg_app.gui.segmentation.overlay import ERROR_COLOURS, ERROR_TITLES
from atomseg_app.gui.segmentation.result_panel import ActionBox
from atomseg_app.jobs.job import Job
from atomseg_app.jobs.tasks import Task, TaskResult
from atomseg_app.segmentation.error_codes import MISSED, TOO_MUCH

_PAINTED = -1
Counts = npt.NDArray[np.int64]


class ErrorsPanel(QWidget):
    """The reference is another result or what was painted; the class is the one that is chosen for painting."""

    changed = Signal()

    def __init__(self, model: SegModel, computing: Computing, actions: ActionRegistry) -> None:
        super().__init__()
        self._model, self._computing = model, computing
        self.reference = QComboBox()
        self.reference.setAccessibleName("Reference")
        self.reference.setToolTip("What the result is compared with; where nothing is labelled in it nothing counts.")
        self.switch = ActionBox(actions, "segmentation.show_errors")
        self.legend = QLabel()
        self.legend.setTextFormat(Qt.TextFormat.RichText)
        self.legend.setWordWrap(True)
        self.told = muted()
        self.told.setAccessibleName("Errors of the class that is chosen")
        self.profile = ErrorProfile()
        self.places: Counts = np.empty((0, 5), np.int64)
        self.at = -1
        self._of: tuple[object, ...] = ()
        self._job: Job | None = None
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.addRow("Compare with", self.reference)
        buttons = QGridLayout()
        buttons.setSpacing(6)
        for index, name in enumerate(("previous_error", "next_error", "report", "save_errors")):
            buttons.addWidget(ActionButton(actions.qaction(f"segmentation.{name}")), index // 2, index % 2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(8)
        layout.addLayout(form)
        for widget in (self.switch, self.legend, self.told):
            layout.addWidget(widget)
        layout.addLayout(buttons)
        layout.addWidget(self.profile)
        self.legend.setText("<br>".join(
            f'<span style="color:{colour}">&#9632;</span> {ERROR_TITLES[code]}'
            for code, colour in ERROR_COLOURS.items()
        ))  # fmt: skip
        self.reference.currentIndexChanged.connect(
            lambda _index: model.show(reference=int(self.reference.currentData()), errors=True)
        )
        for signal in (model.current_changed, model.layers_changed, model.chosen_changed):
            signal.connect(self.refresh)
        model.place_changed.connect(lambda: self.profile.show_slice(model.place[0]))
        self.profile.chosen.connect(lambda z: model.show_place((z, *model.place[1:])))
        self.refresh()

    def refresh(self) -> None:
        """Show what can be compared, and look for errors while they are shown."""
        entry, shown = self._model.entry, self._model.shown
        blocker = QSignalBlocker(self.reference)
        self.reference.clear()
        self.reference.addItem("Painted labels", _PAINTED)
        for index, each in enumerate(() if entry is None else entry.results):
            if index != shown.result:
                self.reference.addItem(each.name, index)
        self.reference.setCurrentIndex(max(0, self.reference.findData(shown.reference)))
        blocker.unblock()
        judged = self._model.result() is not None
        self.reference.setEnabled(judged)
        self.reference.setToolTip(
            "What the result is compared with; where nothing is labelled in it nothing counts."
            if judged
            else "Segment the volume, or show a result, first."
        )
        self.switch.follow()
        for widget in (self.legend, self.told, self.profile):
            widget.setVisible(shown.errors)
        if shown.errors:
            self._look()

    def step(self, by: int) -> None:
        """Put the cross-hair on the next error, from the largest on; or the one before. Raises UserError for none."""
        if not len(self.places):
            raise UserError("No errors were found." if self._job is None else "The errors are being looked for.")
        self.at = (self.at + by) % len(self.places)
        z, y, x, size, code = (int(value) for value in self.places[self.at])
        self._model.show_place((z, y, x))
        what = "too much" if code == TOO_MUCH else "missed"
        which = f"Error {self.at + 1:,} of {len(self.places):,}"
        self.told.setText(f"{which}: {size:,} voxels {what} at z {z}, y {y}, x {x}.")

    def why_not(self) -> str:
        """Why there is no next error."""
        if not self._model.shown.errors:
            return "Show the errors first."
        return "" if len(self.places) else "No errors were found."

    def _look(self) -> None:
        """Have the errors listed, unless they are."""
        result, reference, value = self._model.result(), self._model.reference(), self._model.chosen
        entry = self._model.entry
        if result is None or reference is None or entry is None:
            return
        painted = entry.store if reference.values is getattr(entry.store, "values", None) else None
        version = tuple(entry.store.counts) if painted is not None and entry.store is not None else ()
        wanted = (result, reference.values.ctypes.data, version, value)
        if self._job is not None or wanted == self._of:
            return
        self._of = wanted

        def done(found: TaskResult) -> None:
            places, profile = (cast(Image, item).values for item in found.items)
            self.places, self.at = places, -1
            self.profile.show_counts(profile, self._model.place[0])
            right, much, missed = (int(count) for count in profile.sum(1))
            dice = 2 * right / (2 * right + much + missed) if right + much + missed else float("nan")
            self.told.setText(
                f"{entry.class_name(value)}: Dice {dice:.3f}; {much:,} voxels too much, {missed:,} missed, "
                f"in {int(found.value):,} places."
            )
            self.changed.emit()

        def ended() -> None:
            self._job = None
            if self._model.shown.errors:
                self._look()

        task = Task("find-errors", {"value": value}, (result.labels, reference))
        self._job = self._computing.task(task, f"Find errors of {entry.class_name(value)}", done, ended)


class ErrorProfile(QWidget):
    """Voxels too much (above the line) and missed (below) in each slice along z. ``chosen(z)`` on a click."""

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("segmentation.profile")
        self.setAccessibleName("Errors along z")
        self.setToolTip("Voxels too much (up, orange) and missed (down, blue) in each slice along z. Click shows it.")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.counts: Counts = np.zeros((3, 0), np.int64)
        self._slice = 0

    def sizeHint(self) -> QSize:
        """Wide and low."""
        return QSize(280, 110)

    def show_counts(self, counts: Counts, z: int) -> None:
        """Draw counts (3, slices) of voxels right, too much and missed."""
        self.counts, self._slice = counts, z
        self.update()

    def show_slice(self, z: int) -> None:
        """Mark the slice that is shown."""
        self._slice = z
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Show the slice under the pointer."""
        slices = self.counts.shape[1]
        if slices:
            area = self._area()
            z = int((event.position().x() - area.left()) / area.width() * slices)
            self.chosen.emit(min(max(z, 0), slices - 1))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Bars, the line between them, the slice that is shown, and the largest count."""
        painter = QPainter(self)
        palette, area = self.palette(), self._area()
        painter.fillRect(self.rect(), palette.base())
        painter.setPen(QPen(palette.mid().color(), 1))
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        slices = self.counts.shape[1]
        if slices:
            self._paint_bars(painter, area, slices)
        painter.setPen(palette.text().color())
        painter.drawText(self.rect().adjusted(6, 0, -6, -3), Qt.AlignmentFlag.AlignBottom | Qt.AlignmentFlag.AlignRight,
                         f"z 0 … {max(0, slices - 1)}")  # fmt: skip
        painter.end()

    def _paint_bars(self, painter: QPainter, area: QRectF, slices: int) -> None:
        most = max(1, int(self.counts[1:].max(initial=0)))
        width, middle, half = area.width() / slices, area.center().y(), area.height() / 2
        for z in range(slices):
            left = area.left() + z * width
            for row, code, sign in ((1, TOO_MUCH, -1), (2, MISSED, 1)):
                height = half * float(self.counts[row, z]) / most
                top = middle - height if sign < 0 else middle
                painter.fillRect(QRectF(left, top, max(width, 1.0), height), QColor(ERROR_COLOURS[code]))
        ink = self.palette().text().color()
        painter.setPen(QPen(ink, 1))
        painter.drawLine(QLineF(area.left(), middle, area.right(), middle))
        x = area.left() + (self._slice + 0.5) * width
        painter.setPen(QPen(ink, 1, Qt.PenStyle.DashLine))
        painter.drawLine(QLineF(x, area.top(), x, area.bottom()))
        place, side = self.rect().adjusted(6, 0, -6, -3), Qt.AlignmentFlag.AlignBottom | Qt.AlignmentFlag.AlignLeft
        painter.drawText(place, side, f"at most {most:,} voxels a slice")

    def _area(self) -> QRectF:
        below = self.fontMetrics().height() + 6
        return QRectF(self.rect()).adjusted(6, 6, -6, -below)
