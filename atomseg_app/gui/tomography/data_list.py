"""The series and volumes that are open."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from atomseg_app.data import TiltSeries, Volume
from atomseg_app.gui.rows import TwoLineDelegate
from atomseg_app.gui.scale_bar import length_text
from atomseg_app.gui.theme import Theme
from atomseg_app.gui.tomography.model import Entry, TomoModel, angles_known
from atomseg_app.gui.tomography.projection_view import angle_text

_ID = Qt.ItemDataRole.UserRole


class DataList(QWidget):
    """List of entries; the row chosen is the one shown."""

    def __init__(self, model: TomoModel, theme: Theme) -> None:
        super().__init__()
        self._model, self._theme = model, theme
        self.list = QListWidget()
        self.list.setItemDelegate(TwoLineDelegate(self.list))
        self.list.setObjectName("tomography.data")
        self.list.setAccessibleName("Open series and volumes")
        self.list.setUniformItemSizes(True)
        self.list.setSpacing(1)
        self.list.currentItemChanged.connect(self._on_chosen)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.list)
        for signal in (model.entries_changed, model.current_changed, model.changed):
            signal.connect(self.refresh)

    def refresh(self) -> None:
        """Show the entries of the model."""
        blocker = QSignalBlocker(self.list)
        if [self.list.item(row).data(_ID) for row in range(self.list.count())] != list(self._model.entries):
            self.list.clear()
            for entry_id in self._model.entries:
                item = QListWidgetItem()
                item.setData(_ID, entry_id)
                self.list.addItem(item)
        for row, (entry_id, entry) in enumerate(self._model.entries.items()):
            item = self.list.item(row)
            item.setText(entry.title)
            item.setData(TwoLineDelegate.SECOND_LINE, describe(entry))
            volume = isinstance(entry.data, Volume)
            item.setIcon(self._theme.icon("mdi6.cube-outline" if volume else "mdi6.rotate-3d-variant"))
            item.setToolTip(f"{entry.data.source.path or entry.title}\n{describe(entry)}")
            if entry_id == self._model.current_id:
                self.list.setCurrentItem(item)
        blocker.unblock()

    def _on_chosen(self, item: QListWidgetItem | None) -> None:
        if item is not None and item.data(_ID) != self._model.current_id:
            self._model.show_entry(item.data(_ID))


def describe(entry: Entry) -> str:
    """Size, angles and calibration in a line."""
    data = entry.data
    if isinstance(data, TiltSeries):
        views, height, width = data.shape
        size = f"{views} × {width} × {height} px"
        return f"{size} · {angles_line(data)} · {size_text(data.pixel_size_nm)}"
    depth, height, width = data.shape
    return f"{width} × {height} × {depth} voxels · {size_text(data.pixel_size_nm)}"


def angles_line(series: TiltSeries) -> str:
    """Range of the angles of the views that are used."""
    if not angles_known(series):
        return "angles unknown"
    angles = np.asarray(series.tilt_deg, float)[series.used]
    return f"{angle_text(float(angles.min()))} … {angle_text(float(angles.max()))}"


def size_text(sizes_nm: tuple[float | None, ...]) -> str:
    """Size of a pixel or voxel."""
    known = [size for size in sizes_nm if size is not None]
    if len(known) < len(sizes_nm):
        return "not calibrated"
    if max(known) - min(known) < 1e-6 * max(known):
        return f"{length_text(known[0], 4)}/px"
    return " × ".join(length_text(size, 4) for size in reversed(known))
