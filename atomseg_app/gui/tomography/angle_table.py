"""The views of a series as a table: thumbnail, use or not, angle, shifts and rotation, each editable and undoable."""

from __future__ import annotations

from typing import Any

import numpy as np
from PySide6.QtCore import (
    QAbstractTableModel,
    QModelIndex,
    QPersistentModelIndex,
    QSignalBlocker,
    QSize,
    Qt,
    QTimer,
    Signal,
)
from PySide6.QtGui import QColor, QImage, QPixmap
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from atomseg_app.data import Array, TiltSeries
from atomseg_app.gui.alive import while_alive
from atomseg_app.gui.background import Background
from atomseg_app.gui.contrast import Contrast, auto_limits
from atomseg_app.gui.image_pyramid import overview_step, read_tile, whole
from atomseg_app.gui.tomography.model import TomoModel, alignment_of

Index = QModelIndex | QPersistentModelIndex

THUMBNAIL_PX = 36
USE, VIEW, ANGLE, SHIFT_X, SHIFT_Y, ROTATION = range(6)
_TITLES = ("Use", "View", "Tilt °", "Across px", "Along px", "Turn °")
_TIPS = (
    "Whether the view is reconstructed from. Excluded views stay in the series.",
    "Number of the view, from 1, and its picture.",
    "Tilt angle in degrees. Type another one.",
    "Shift across the tilt axis in px, as alignment found it. Type another one.",
    "Shift along the tilt axis in px, as alignment found it. Type another one.",
    "Rotation of this view in the plane in degrees, beyond that of the axis. Type another one.",
)
_NAMES = {SHIFT_X: "shift_x_px", SHIFT_Y: "shift_y_px", ROTATION: "rotation_deg"}
_TOGETHER_MS = 60


def thumbnail(values: Array) -> QImage:
    """A view (y, x) as a small grey picture."""
    step = max(1, max(values.shape) // (2 * THUMBNAIL_PX))
    step = max(step, overview_step(values.shape))
    small = read_tile(values, whole(values.shape), step).values
    finite = small[np.isfinite(small)]
    low, high = auto_limits(finite)
    colours = np.ascontiguousarray(Contrast(low, high).colours(small))
    height, width = colours.shape
    picture = QImage(colours.data, width, height, 4 * width, QImage.Format.Format_RGB32).copy()
    return picture.scaled(
        THUMBNAIL_PX, THUMBNAIL_PX, Qt.AspectRatioMode.KeepAspectRatio, Qt.TransformationMode.SmoothTransformation
    )


class AngleTableModel(QAbstractTableModel):
    """One row a view. Edits are told (``used_edited``, ``angle_edited``, ``shift_edited``), not made here."""

    used_edited = Signal(int, bool)
    angle_edited = Signal(int, float)
    shift_edited = Signal(int, str, float)
    refused = Signal(str)

    def __init__(self, model: TomoModel) -> None:
        super().__init__()
        self._model = model
        self._pictures: dict[int, QPixmap] = {}
        self._pictured: object = None
        self._rows = 0
        self._fresh: set[int] = set()
        self._showing = QTimer(self, singleShot=True, interval=_TOGETHER_MS)
        self._showing.timeout.connect(self._show_fresh)
        self._background = Background()

    def refresh(self) -> None:
        """Show the series of the model."""
        series = self._model.series()
        rows = 0 if series is None else len(series.values)
        values = None if series is None else series.values
        if rows != self._rows or values is not self._pictured:
            self.beginResetModel()
            self._rows, self._pictured, self._pictures = rows, values, {}
            self.endResetModel()
        elif rows:
            self.dataChanged.emit(self.index(0, 0), self.index(rows - 1, ROTATION))

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own default
        """Number of views."""
        return 0 if parent.isValid() else self._rows

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own default
        """Number of columns."""
        return 0 if parent.isValid() else len(_TITLES)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Titles with units."""
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return _TITLES[section]
        if orientation == Qt.Orientation.Horizontal and role == Qt.ItemDataRole.ToolTipRole:
            return _TIPS[section]
        return None

    def flags(self, index: Index) -> Qt.ItemFlag:
        """What can be edited."""
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if index.column() == USE:
            return flags | Qt.ItemFlag.ItemIsUserCheckable
        return flags if index.column() == VIEW else flags | Qt.ItemFlag.ItemIsEditable

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """What a cell shows."""
        series = self._model.series()
        if series is None or index.row() >= len(series.values):
            return None
        view, column = index.row(), index.column()
        if role == Qt.ItemDataRole.CheckStateRole and column == USE:
            return Qt.CheckState.Unchecked if view in series.excluded else Qt.CheckState.Checked
        if role == Qt.ItemDataRole.DecorationRole and column == VIEW:
            return self._picture(series, view)
        if role == Qt.ItemDataRole.ForegroundRole and view in series.excluded:
            return QColor(128, 128, 128)
        if role == Qt.ItemDataRole.ToolTipRole:
            return _TIPS[column]
        if role == Qt.ItemDataRole.TextAlignmentRole and column >= ANGLE:
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        if role in (Qt.ItemDataRole.DisplayRole, Qt.ItemDataRole.EditRole):
            return self._text(series, view, column)
        return None

    def setData(self, index: Index, value: Any, role: int = Qt.ItemDataRole.EditRole) -> bool:
        """Tell of an edit; what is no number is refused in a sentence."""
        view, column = index.row(), index.column()
        if column == USE and role == Qt.ItemDataRole.CheckStateRole:
            self.used_edited.emit(view, Qt.CheckState(value) == Qt.CheckState.Checked)
            return True
        if role != Qt.ItemDataRole.EditRole or column < ANGLE:
            return False
        text = str(value).strip().rstrip("°").replace(",", ".").replace("\N{MINUS SIGN}", "-")
        try:
            number = float(text)
        except ValueError:
            self.refused.emit(f"View {view + 1}: {str(value)!r} is no number.")
            return False
        if text == self._text(self._model.series(), view, column):
            return False
        if column == ANGLE:
            self.angle_edited.emit(view, number)
        else:
            self.shift_edited.emit(view, _NAMES[column], number)
        return True

    @staticmethod
    def _text(series: TiltSeries | None, view: int, column: int) -> str:
        if series is None or column == USE:
            return ""
        if column == VIEW:
            return str(view + 1)
        if column == ANGLE:
            angle = series.tilt_deg[view]
            return f"{angle:.3f}".rstrip("0").rstrip(".") if np.isfinite(angle) else "?"
        return f"{getattr(alignment_of(series), _NAMES[column])[view]:.2f}"

    def _picture(self, series: TiltSeries, view: int) -> QPixmap | None:
        """Thumbnail of a view, read in the background when it first comes into sight."""
        if view in self._pictures:
            return self._pictures[view]
        self._pictures[view] = QPixmap()
        values = series.values

        def show(picture: QImage) -> None:
            if values is self._pictured:
                self._pictures[view] = QPixmap.fromImage(picture)
                self._fresh.add(view)
                if not self._showing.isActive():
                    self._showing.start()

        self._background.run(lambda: thumbnail(values[view]), while_alive(self, show))
        return self._pictures[view]

    def _show_fresh(self) -> None:
        """Draw the thumbnails that came: together, since a table measures its columns again each time."""
        fresh = [view for view in self._fresh if view < self._rows]
        self._fresh.clear()
        if fresh:
            first, last = self.index(min(fresh), VIEW), self.index(max(fresh), VIEW)
            self.dataChanged.emit(first, last, [Qt.ItemDataRole.DecorationRole])


class AngleTable(QTableView):
    """Shows the views of the series; the row chosen is the view shown."""

    def __init__(self, model: TomoModel) -> None:
        super().__init__()
        self.setObjectName("tomography.angles")
        self.setAccessibleName("Views and their angles")
        self._model = model
        self.rows = AngleTableModel(model)
        self.setModel(self.rows)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setIconSize(QSize(THUMBNAIL_PX, THUMBNAIL_PX))
        self.setShowGrid(False)
        self.setAlternatingRowColors(True)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(THUMBNAIL_PX + 6)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(VIEW, QHeaderView.ResizeMode.Fixed)  # measuring it would have every thumbnail made
        header.setStretchLastSection(True)
        self.selectionModel().currentRowChanged.connect(self._on_row)
        for signal in (model.current_changed, model.changed):
            signal.connect(self.rows.refresh)
            signal.connect(self._show_columns)
        self._show_columns()
        for signal in (model.current_changed, model.place_changed):
            signal.connect(self._follow)

    def chosen(self) -> list[int]:
        """Views whose rows are selected; the one shown if none is."""
        rows = sorted({index.row() for index in self.selectionModel().selectedRows()})
        return rows or ([self._model.view] if self._model.series() is not None else [])

    def _show_columns(self) -> None:
        """Shifts are shown once there are any."""
        series = self._model.series()
        aligned = series is not None and series.alignment is not None
        turned = aligned and series is not None and any(alignment_of(series).rotation_deg)
        for column, shown in ((SHIFT_X, aligned), (SHIFT_Y, aligned), (ROTATION, turned)):
            self.setColumnHidden(column, not shown)
        self.setColumnWidth(VIEW, THUMBNAIL_PX + self.fontMetrics().horizontalAdvance("00000") + 16)

    def _on_row(self, index: QModelIndex) -> None:
        if index.isValid():
            self._model.show_view(index.row())

    def _follow(self) -> None:
        """Keep the row of the view that is shown current."""
        series = self._model.series()
        if series is None or self.currentIndex().row() == self._model.view:
            return
        blocker = QSignalBlocker(self.selectionModel())
        self.selectRow(self._model.view)
        blocker.unblock()
        self.scrollTo(self.rows.index(self._model.view, ANGLE))
        self.viewport().update()
