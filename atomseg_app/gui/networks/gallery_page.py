"""What networks are trained on: simulated pictures as thumbnails, with their true columns on demand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from PySide6.QtCore import QSize, Qt, Signal
from PySide6.QtGui import QColor, QIcon, QImage, QPainter, QPen, QPixmap
from PySide6.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QListView,
    QListWidget,
    QListWidgetItem,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from atomseg_app.data import Columns, Image
from atomseg_app.errors import UserError
from atomseg_app.gui.context import Context
from atomseg_app.gui.contrast import Contrast
from atomseg_app.gui.forms import ParameterForm
from atomseg_app.gui.sections import muted
from atomseg_app.jobs.job import Job
from atomseg_app.jobs.tasks import Task, TaskResult
from atomseg_app.operations import Parameters, parameter

THUMBNAIL_PX = 176
SURE_SNR = 4.0
"""Signal-to-noise from which a column is taught as there."""

_INK = "#ffb000"  # seen on every grey, and by colour-blind eyes
_INDEX = Qt.ItemDataRole.UserRole + 10


class SimulatePictures(Parameters):
    """Which pictures are shown."""

    preset: Literal["default", "hard"] = parameter(
        "default", "Default: what networks are trained on. Hard: what they are judged on, of crystals never trained on."
    )
    count: int = parameter(12, "Number of pictures.", ge=1, le=200)
    seed: int = parameter(1, "Random numbers; the same seed, the same pictures.", ge=0, le=10**9)
    size_px: int = parameter(160, "Side of the pictures.", unit="px", ge=64, le=512)


class GalleryPage(QWidget):
    """``opened(image, columns)`` when a picture is to be looked at in the tab."""

    opened = Signal(object, object)

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context
        self.pictures: list[tuple[Image, Columns]] = []
        self.job: Job | None = None
        self._build()
        self._refresh()

    def simulate(self) -> None:
        """Simulate pictures as a job and show them."""
        if self.job is not None:
            return
        try:
            asked = self.form.parameters()
        except UserError as problem:
            self._context.notify.error("Pictures cannot be simulated", problem)
            return
        task = Task("simulate", asked.model_dump(mode="json"))
        self.job = self._context.jobs.submit(task, "Simulate pictures", self._take, self._failed)
        self._refresh()

    def another(self) -> None:
        """Simulate those of the next seed."""
        field = self.form.fields["seed"]
        try:
            self.form.set_values({"seed": int(field.value()) + 1})
        except UserError:
            self.form.set_values({"seed": 1})
        self.simulate()

    def open_current(self) -> None:
        """Open the picture that is chosen, with its truth."""
        item = self.list.currentItem()
        if item is not None:
            self.opened.emit(*self.pictures[item.data(_INDEX)])

    def _take(self, result: TaskResult) -> None:
        self.job = None
        items = iter(result.items)
        self.pictures = [
            (image, columns) for image, columns in zip(items, items, strict=True)
            if isinstance(image, Image) and isinstance(columns, Columns)
        ]  # fmt: skip
        self.list.clear()
        for index, (image, columns) in enumerate(self.pictures):
            item = QListWidgetItem(caption(image, columns))
            item.setData(_INDEX, index)
            item.setToolTip(details(image, columns))
            self.list.addItem(item)
        self._draw()
        self.list.setCurrentRow(0)
        self._refresh()

    def _failed(self, job: Job) -> None:
        self.job = None
        if job.state == "failed":
            self._context.notify.error("Pictures were not simulated", UserError(job.error), job.report_text())
        self._refresh()

    def _draw(self) -> None:
        """Paint every thumbnail."""
        ratio = self.devicePixelRatioF()
        for row in range(self.list.count()):
            item = self.list.item(row)
            image, columns = self.pictures[item.data(_INDEX)]
            shown = columns if self.truth.isChecked() else None
            item.setIcon(QIcon(thumbnail(image, shown, round(THUMBNAIL_PX * ratio))))

    def _refresh(self) -> None:
        busy = self.job is not None
        for button in (self.button, self.next_button):
            button.setEnabled(not busy)
        self.button.setToolTip("Wait for the pictures." if busy else "Simulate pictures with these settings.")
        self.next_button.setToolTip(
            "Wait for the pictures." if busy else "Simulate other pictures, from the next seed."
        )
        chosen = self.list.currentItem() is not None
        self.open_button.setEnabled(chosen)
        self.open_button.setToolTip(
            "Open this picture and its true columns in the tab." if chosen else "Choose a picture first."
        )
        words = "Simulating…" if busy else (
            "Simulate some pictures to see what networks learn from." if not self.pictures
            else f"{len(self.pictures)} pictures. Full circles: columns that are to be found; dotted ones: weaker, "
                 "asked of no network. Enter opens a picture."
        )  # fmt: skip
        self.state.setText(words)

    def _build(self) -> None:
        self.form = ParameterForm(SimulatePictures)
        self.form.setMaximumWidth(300)
        self.button = _button("Simulate", "networks.simulate", self.simulate)
        self.button.setProperty("role", "primary")
        self.next_button = _button("Others", "networks.others", self.another)
        self.open_button = _button("Open in the tab", "networks.open", self.open_current)
        self.truth = QCheckBox("Show true columns")
        self.truth.setObjectName("networks.truth")
        self.truth.setChecked(True)
        self.truth.setToolTip("Draw the columns that each picture is known to have.")
        self.truth.toggled.connect(self._draw)
        self.list = QListWidget()
        self.list.setObjectName("networks.gallery")
        self.list.setAccessibleName("Simulated pictures")
        self.list.setViewMode(QListView.ViewMode.IconMode)
        self.list.setResizeMode(QListView.ResizeMode.Adjust)
        self.list.setMovement(QListView.Movement.Static)
        self.list.setWordWrap(True)
        self.list.setSpacing(6)
        self.list.setIconSize(QSize(THUMBNAIL_PX, THUMBNAIL_PX))
        self.list.itemActivated.connect(lambda _item: self.open_current())
        self.list.currentRowChanged.connect(lambda _row: self._refresh())
        self.state = muted()
        left = QVBoxLayout()
        left.addWidget(self.form)
        left.addWidget(self.button)
        left.addWidget(self.next_button)
        left.addWidget(self.truth)
        left.addStretch(1)
        left.addWidget(self.open_button)
        row = QHBoxLayout()
        row.addLayout(left)
        row.addWidget(self.list, 1)
        layout = QVBoxLayout(self)
        layout.addLayout(row, 1)
        layout.addWidget(self.state)


def caption(image: Image, columns: Columns) -> str:
    """What a picture shows, in three short lines."""
    facts = image.metadata
    dark = " dark" if facts["dark"] else ""
    return (
        f"{facts['structure']}\n{facts['pm_per_px']:.3g} pm/px · {facts['dose_counts']:.3g} counts\n"
        f"{len(columns)}{dark} column{'' if len(columns) == 1 else 's'}"
    )


def details(image: Image, columns: Columns) -> str:
    """All that is known of a picture."""
    facts = image.metadata
    sure = int((columns.table["snr"] >= SURE_SNR).sum())
    coarse = "" if facts["coarse"] == 1 else f"\nTaken in pixels {facts['coarse']} times as large"
    return (
        f"{facts['structure']}\nPixel {facts['pm_per_px']:.4g} pm, columns {facts['sigma_px']:.3g} px wide (rms)\n"
        f"{facts['dose_counts']:.4g} counts at a typical column's peak\n"
        f"{len(columns)} columns, {sure} of signal-to-noise {SURE_SNR:g} and more{coarse}"
    )


def thumbnail(image: Image, columns: Columns | None, side: int) -> QPixmap:
    """A picture of ``side`` pixels, its true columns circled."""
    values = np.ascontiguousarray(image.values, np.float32)
    low, high = np.percentile(values, (0.5, 99.5))
    colours = np.ascontiguousarray(replace(Contrast(), low=float(low), high=float(high)).colours(values))
    height, width = values.shape
    picture = QImage(colours.tobytes(), width, height, 4 * width, QImage.Format.Format_RGB32)
    pixmap = QPixmap.fromImage(picture.scaled(side, side, mode=Qt.TransformationMode.SmoothTransformation))
    if columns is None or not len(columns):
        return pixmap
    painter = QPainter(pixmap)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    scale = side / width
    radius = max(2.0, 1.5 * float(np.median(columns.table["sigma_px"])) * scale)
    for sure, style in ((True, Qt.PenStyle.SolidLine), (False, Qt.PenStyle.DotLine)):
        painter.setPen(QPen(QColor(_INK), max(1.0, side / 160), style))
        for row in columns.table[(columns.table["snr"] >= SURE_SNR) == sure]:
            x, y = (float(row["x_px"]) + 0.5) * scale, (float(row["y_px"]) + 0.5) * scale
            painter.drawEllipse(round(x - radius), round(y - radius), round(2 * radius), round(2 * radius))
    painter.end()
    return pixmap


def _button(text: str, name: str, callback: Any) -> QPushButton:
    button = QPushButton(text)
    button.setObjectName(name)
    button.setAutoDefault(False)
    button.clicked.connect(lambda _checked: callback())
    return button
