"""Three linked slices through a volume with one contrast, a read-out in nm, and room for the 3D view."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtGui import QColor, QImage
from PySide6.QtWidgets import QGridLayout, QHBoxLayout, QLabel, QSpinBox, QVBoxLayout, QWidget

from atomseg_app.data import Array, Volume
from atomseg_app.gui.alive import while_alive
from atomseg_app.gui.background import Background
from atomseg_app.gui.canvas import Pointer
from atomseg_app.gui.contrast import Contrast
from atomseg_app.gui.contrast_bar import ContrastBar
from atomseg_app.gui.image_view import Readout
from atomseg_app.gui.scale_bar import length_text
from atomseg_app.gui.theme import Theme
from atomseg_app.gui.value_text import value_text
from atomseg_app.gui.volumes.model import VolumeModel, Zyx
from atomseg_app.gui.volumes.slice_pane import AT_ONCE_BYTES, AXES, PLANES, XY, XZ, YZ, SlicePane

_SAMPLES = 1 << 19
_PLACES = {XY.name: (0, 0), YZ.name: (0, 1), XZ.name: (1, 0), "3D": (1, 1)}
_NOTHING = 1e-4  # of the range of values: a limit this small is zero


def sample_of(values: Array) -> npt.NDArray[np.float32]:
    """Some finite voxels spread over a volume (z, y, x), for histogram and limits."""
    stride = max(1, round((values.size / _SAMPLES) ** (1 / 3)))
    taken = np.asarray(values[::stride, :: stride | 1, :: max(1, stride - 1) | 1], np.float32).ravel()
    finite: npt.NDArray[np.float32] = taken[np.isfinite(taken)]
    return finite


class SlicesView(QWidget):
    """Shows the volume of the model. ``contrast_changed`` carries the new :class:`Contrast`, ``widened`` the part
    (XY, XZ, YZ, 3D) that has all the room, empty where all share it. ``describe`` names what else is at a voxel;
    ``cut_over`` has what is drawn over a pane show the same slice as that.
    """

    contrast_changed = Signal(object)
    widened = Signal(str)

    def __init__(self, model: VolumeModel[Any], theme: Theme, fourth: QWidget) -> None:
        super().__init__()
        self.setObjectName("volumes.slices")
        self._model, self._theme = model, theme
        self.panes = {plane.name: SlicePane(plane) for plane in PLANES}
        self.contrast_bar = ContrastBar()
        self.contrast = Contrast()
        self.readout = Readout("Position and value under the cursor")
        self.fourth = fourth
        self.wide = ""
        self.describe: Callable[[Zyx], str] | None = None
        self.cut_over: Callable[[SlicePane], object] | None = None
        self._volume: Volume | None = None
        self._background = Background()
        self._linking = False
        self._arrange()
        self._connect()

    def refresh(self) -> None:
        """Show the volume of the model."""
        volume = self._model.volume()
        if volume is not None and (self._volume is None or volume.values is not self._volume.values):
            same = self._volume is not None and self._volume.shape == volume.shape
            for pane in self.panes.values():
                pane.show_volume(volume, keep_view=same)
            self._take_sample(volume)
            self._link(self.panes["XY"])
        elif volume is not None and volume is not self._volume:
            for pane in self.panes.values():
                pane.show_volume(volume)
            self._link(self.panes["XY"])
        self._volume = volume
        if volume is not None:
            self._show_place()

    def set_contrast(self, contrast: Contrast) -> None:
        """Put limits and colours in force in all slices."""
        self.contrast = contrast
        self.contrast_bar.show_contrast(contrast)
        for pane in self.panes.values():
            pane.layer.set_contrast(contrast)
        self.contrast_changed.emit(contrast)

    def widen(self, name: str) -> None:
        """Give one part (XY, XZ, YZ, 3D) all the room, or share it between the four again (empty)."""
        self.wide = name
        for part, widget in self._parts().items():
            widget.setVisible(self.wide in ("", part))
            row, column = _PLACES[part]
            if self.wide in ("", part):  # an empty row or column would keep its share of the room
                self._grid.setRowStretch(1 - row, int(not self.wide))
                self._grid.setColumnStretch(1 - column, int(not self.wide))
                self._grid.setRowStretch(row, 1)
                self._grid.setColumnStretch(column, 1)
        self._link(self.panes["XY"])
        self.widened.emit(name)

    def fit(self) -> None:
        """The whole volume in every slice."""
        for pane in self.panes.values():
            pane.fit()
        self._link(self.panes["XY"])

    def zoom(self, factor: float) -> None:
        """Zoom all slices."""
        self.panes["XY"].zoom(factor)

    def picture_of(self, name: str, index: int, draw: Callable[[SlicePane], QImage]) -> QImage:
        """What a pane would show of another slice; on the screen it stays where it is."""
        pane = self.panes[name]
        before = pane.place
        place = list(before)
        place[pane.plane.cut] = index
        try:
            self._put(pane, (place[0], place[1], place[2]))
            return draw(pane)
        finally:
            self._put(pane, before)

    def _put(self, pane: SlicePane, place: Zyx) -> None:
        pane.show_now(place)
        if self.cut_over is not None:
            self.cut_over(pane)

    def set_smooth(self, smooth: bool) -> None:
        """Draw enlarged voxels smoothly or as squares."""
        for pane in self.panes.values():
            pane.layer.smooth = smooth
            pane.update()

    @property
    def smooth(self) -> bool:
        """Whether enlarged voxels are drawn smoothly."""
        return self.panes["XY"].layer.smooth

    # -- inside

    def _parts(self) -> dict[str, QWidget]:
        return {**self.panes, "3D": self.fourth}

    def _take_sample(self, volume: Volume) -> None:
        def take(sample: npt.NDArray[np.float32]) -> None:
            if self._volume is not volume:
                return
            self.contrast_bar.set_sample(sample)
            low, high = self.contrast_bar.automatic()
            low = 0.0 if abs(low) < _NOTHING * (high - low) else low
            self.set_contrast(replace(self.contrast, low=low, high=high))

        self._volume = volume
        if volume.values.nbytes <= AT_ONCE_BYTES:
            take(sample_of(volume.values))
        else:
            self._background.run(lambda: sample_of(volume.values), while_alive(self, take))

    def _show_place(self) -> None:
        place = self._model.place
        for pane in self.panes.values():
            pane.show_place(place)
        for axis, box in enumerate(self._boxes):
            blocker = QSignalBlocker(box)
            if self._volume is not None:
                box.setRange(0, self._volume.shape[axis] - 1)
            box.setValue(place[axis])
            blocker.unblock()

    def _on_pointed(self, pane: SlicePane, down: float, across: float) -> None:
        place = [float(p) for p in self._model.place]
        place[pane.plane.down], place[pane.plane.across] = down, across
        self._model.show_place((place[0], place[1], place[2]))

    def _on_stepped(self, pane: SlicePane, steps: int) -> None:
        place = [float(p) for p in self._model.place]
        place[pane.plane.cut] += steps
        self._model.show_place((place[0], place[1], place[2]))

    def _on_double_click(self, name: str) -> None:
        self.widen("" if self.wide == name else name)

    def _on_box(self, axis: int, value: int) -> None:
        place = [float(p) for p in self._model.place]
        place[axis] = value
        self._model.show_place((place[0], place[1], place[2]))

    def _link(self, source: SlicePane) -> None:
        """The same scale in all slices, and the same middle along the axes that two of them share."""
        if self._linking or self._volume is None:
            return
        self._linking = True
        geometry = source.geometry_now
        per_nm = geometry.zoom / _shorter(self._volume, source)
        middle = {source.plane.across: geometry.x, source.plane.down: geometry.y}
        if source.fitted:
            self._fit_together(self._volume)
        for pane in self.panes.values():
            if pane is source or source.fitted:
                continue
            now = pane.geometry_now
            x, y = middle.get(pane.plane.across, now.x), middle.get(pane.plane.down, now.y)
            pane.set_geometry_now(replace(now, x=x, y=y, zoom=per_nm * _shorter(self._volume, pane)))
        self._linking = False

    def _fit_together(self, volume: Volume) -> None:
        """The whole of every slice, all at the scale of the one with least room."""
        fitting = {
            name: pane.geometry_now.fitted(pane.shape) for name, pane in self.panes.items() if pane.shape is not None
        }
        scales = [
            geometry.zoom / _shorter(volume, self.panes[name])
            for name, geometry in fitting.items()
            if self.wide in ("", name)
        ]
        if not scales:
            return
        for name, geometry in fitting.items():
            pane = self.panes[name]
            pane.set_geometry_now(replace(geometry, zoom=min(scales) * _shorter(volume, pane)), fitted=True)

    def _on_hover(self, pane: SlicePane, pointer: Pointer | None) -> None:
        if pointer is None or self._volume is None:
            self.readout.setText(pane.tool().hint if pointer is not None else "")
            return
        place = [float(p) for p in self._model.place]
        place[pane.plane.down], place[pane.plane.across] = pointer.y_px, pointer.x_px
        parts = ["   ".join(f"{name} {place[axis]:.1f}" for axis, name in ((2, "x"), (1, "y"), (0, "z"))) + " px"]
        sizes = self._volume.pixel_size_nm
        if None not in sizes:
            parts.append(
                "   ".join(f"{name} {length_text(place[axis] * float(sizes[axis] or 0), 4)}"
                           for axis, name in ((2, "x"), (1, "y"), (0, "z")))
            )  # fmt: skip
        value = pane.value_at(pointer.y_px, pointer.x_px)
        parts.append("outside the volume" if value is None else f"value {value_text(value)}")
        if value is not None and self.describe is not None:
            z, y, x = (round(p) for p in place)
            parts.append(self.describe((z, y, x)))
        self.readout.setText("   ·   ".join(parts))

    def _on_theme(self) -> None:
        colours = self._theme.colours
        for pane in self.panes.values():
            pane.paper, pane.ink = QColor(colours.window), QColor(colours.text)
            pane.focus_colour = QColor(colours.focus)
            pane.update()

    def _arrange(self) -> None:
        grid = QGridLayout()
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(2)
        self._grid = grid
        for part, widget in self._parts().items():
            grid.addWidget(widget, *_PLACES[part])
        for line in (0, 1):
            grid.setRowStretch(line, 1)
            grid.setColumnStretch(line, 1)
        self._boxes = [QSpinBox() for _ in AXES]
        bar = QHBoxLayout()
        bar.setContentsMargins(8, 2, 8, 2)
        bar.addWidget(self.readout, 1)
        for axis in (2, 1, 0):
            box = self._boxes[axis]
            box.setAccessibleName(f"Position of the cross-hair along {AXES[axis]}")
            box.setToolTip(f"Position of the cross-hair along {AXES[axis]} in voxels, from 0.")
            box.valueChanged.connect(partial(self._on_box, axis))
            name = QLabel(AXES[axis])
            name.setContentsMargins(8, 0, 4, 0)
            bar.addWidget(name)
            bar.addWidget(box)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(grid, 1)
        layout.addLayout(bar)
        layout.addWidget(self.contrast_bar)

    def _connect(self) -> None:
        for pane in self.panes.values():
            pane.pointed.connect(partial(self._on_pointed, pane))
            pane.stepped.connect(partial(self._on_stepped, pane))
            pane.hovered.connect(partial(self._on_hover, pane))
            pane.view_changed.connect(partial(self._link, pane))
            pane.widened.connect(partial(self._on_double_click, pane.plane.name))
        self.contrast_bar.changed.connect(self.set_contrast)
        self._theme.changed.connect(self._on_theme)
        self._on_theme()
        for signal in (self._model.current_changed, self._model.place_changed, self._model.changed):
            signal.connect(self.refresh)


def _shorter(volume: Volume, pane: SlicePane) -> float:
    """The shorter side of a pixel of a slice in nm, which is what its zoom counts; 1 where sizes are unknown."""
    sizes = volume.pixel_size_nm[pane.plane.down], volume.pixel_size_nm[pane.plane.across]
    down, across = sizes
    return 1.0 if down is None or across is None or None in volume.pixel_size_nm else min(down, across)
