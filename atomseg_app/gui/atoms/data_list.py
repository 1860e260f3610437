"""The images that are open, with their number of columns, and the slider through the frames of a series."""

from __future__ import annotations

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QSlider,
    QSpinBox,
    QWidget,
)

from atomseg_app.data import TiltSeries, Volume
from atomseg_app.gui.atoms.map_layers import layer_of
from atomseg_app.gui.atoms.model import AtomsModel, Entry
from atomseg_app.gui.entry_list import EntryList
from atomseg_app.gui.theme import Theme

_ICONS = {
    "image": "mdi6.image-outline", "image-series": "mdi6.filmstrip", "tilt-series": "mdi6.rotate-3d-variant",
    "volume": "mdi6.cube-outline",
}  # fmt: skip


class DataList(EntryList):
    """List of entries; the row chosen is the one shown."""

    def __init__(self, model: AtomsModel, theme: Theme) -> None:
        super().__init__(model, theme, "Open images", describe, _icon_of, [model.columns_changed])
        self.list.setObjectName("atoms.images")


class FrameBar(QWidget):
    """Slider and number of the frame; hidden for single images."""

    def __init__(self, model: AtomsModel) -> None:
        super().__init__()
        self.setObjectName("atoms.frames")
        self._model = model
        self.label = QLabel("Frame")
        self.slider = QSlider(Qt.Orientation.Horizontal)
        self.slider.setAccessibleName("Frame")
        self.slider.setToolTip("Frame of the series that is shown.")
        self.number = QSpinBox()
        self.number.setAccessibleName("Number of the frame")
        self.number.setToolTip("Number of the frame, from 1.")
        self.detail = QLabel()
        self.detail.setProperty("role", "muted")
        self.slider.valueChanged.connect(model.show_frame)
        self.number.valueChanged.connect(lambda number: model.show_frame(number - 1))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(8, 2, 8, 2)
        layout.addWidget(self.label)
        layout.addWidget(self.slider, 1)
        layout.addWidget(self.number)
        layout.addWidget(self.detail)
        for signal in (model.current_changed, model.frame_changed):
            signal.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the frame of the model."""
        entry = self._model.entry
        self.setVisible(entry is not None and entry.frames > 1)
        if entry is None:
            return
        blockers = [QSignalBlocker(self.slider), QSignalBlocker(self.number)]
        self.label.setText("Slice" if isinstance(entry.data, Volume) else "Frame")
        self.slider.setRange(0, entry.frames - 1)
        self.slider.setValue(self._model.frame)
        self.number.setRange(1, entry.frames)
        self.number.setValue(self._model.frame + 1)
        layer = layer_of(entry.data.metadata, self._model.frame)
        if layer is not None:
            self.label.setText("Map")
        name = "" if layer is None else f"   {layer.title}"
        tilt = f"   {entry.data.tilt_deg[self._model.frame]:g}°" if isinstance(entry.data, TiltSeries) else ""
        self.detail.setText(f"of {entry.frames}{tilt}{name}")
        for blocker in blockers:
            blocker.unblock()


def describe(entry: Entry) -> str:
    """Size, calibration and number of columns in a line."""
    height, width = entry.data.shape[-2:]
    frames = f"{entry.frames} × " if entry.frames > 1 else ""
    size_y, size_x = entry.data.pixel_size_nm[-2:]
    if size_x is None or size_y is None:
        scale = "not calibrated"
    elif abs(size_x - size_y) < 1e-6 * size_x:
        scale = f"{size_x * 1000:.4g} pm/px"
    else:
        scale = f"{size_x * 1000:.4g} × {size_y * 1000:.4g} pm/px"
    count = len(entry.columns)
    found = f" · {count} column{'' if count == 1 else 's'}" if count else ""
    return f"{frames}{width} × {height} px · {scale}{found}"


def _icon_of(entry: Entry) -> str:
    return _ICONS.get(entry.data.kind, _ICONS["image"])
