"""One of the three slices through a volume: picture, scale bar, cross-hair that can be dragged, wheel through it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPen, QWheelEvent
from PySide6.QtWidgets import QSizePolicy

from atomseg_app.data import Array, Volume
from atomseg_app.gui.alive import while_alive
from atomseg_app.gui.background import Background
from atomseg_app.gui.canvas import Canvas, Pointer, Tool
from atomseg_app.gui.image_layer import ImageLayer
from atomseg_app.gui.scale_bar import length_text, paint_scale_bar
from atomseg_app.gui.view_geometry import ViewGeometry, aspect_of

AT_ONCE_BYTES = 128 << 20
"""Slices of volumes up to this size are taken in the window's thread; of larger ones, which may be on the disk, not."""


@dataclass(frozen=True)
class Plane:
    """A direction of slicing: the axis of the volume that is cut, and those drawn down and across; its colour."""

    name: str
    cut: int
    down: int
    across: int
    colour: str

    def of(self, volume: Array, index: int) -> Array:
        """Slice (down, across) of values (z, y, x)."""
        plane = volume[(slice(None),) * self.cut + (index,)]
        order = [axis for axis in range(3) if axis != self.cut]
        return plane if order == [self.down, self.across] else plane.T


XY = Plane("XY", 0, 1, 2, "#64beff")
XZ = Plane("XZ", 1, 0, 2, "#ffb000")
YZ = Plane("YZ", 2, 1, 0, "#7ddc8c")
PLANES = (XY, XZ, YZ)
AXES = "zyx"


class CrossTool(Tool):
    """Click or drag: the cross-hair follows, and with it the other slices."""

    title = "Cross-hair"
    hint = "Click or drag moves the cross-hair. Wheel: next slice; Ctrl+wheel zooms; Space or middle button pans."
    cursor = Qt.CursorShape.CrossCursor

    def __init__(self, pane: SlicePane) -> None:
        self._pane = pane

    def press(self, pointer: Pointer) -> None:
        self._pane.pointed.emit(pointer.y_px, pointer.x_px)

    def drag(self, pointer: Pointer) -> None:
        self._pane.pointed.emit(pointer.y_px, pointer.x_px)


class SlicePane(Canvas):
    """``pointed(down, across)`` in voxels, ``stepped(slices)`` by the wheel or keys, ``widened`` by a double-click."""

    pointed = Signal(float, float)
    stepped = Signal(int)
    widened = Signal()

    def __init__(self, plane: Plane) -> None:
        super().__init__()
        self.plane = plane
        self.setObjectName(f"volumes.slice.{plane.name.lower()}")
        self.setAccessibleName(f"{plane.name} slice")
        self.setAccessibleDescription("Page Up and Page Down show other slices; arrow keys pan, plus and minus zoom.")
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Ignored)
        self.layer = ImageLayer()
        self.layer.changed.connect(self.update)
        self.layer.ready.connect(self.update)
        self.layers = [self.layer.paint, self._paint_marks]
        self.volume: Volume | None = None
        self.index = 0
        self.place = (0, 0, 0)
        self.show_cross = True
        self._turned = 0.0
        self._wanted: int | None = None
        self._reading = False
        self._drop = False  # what is being read: something else was shown at once meanwhile
        self._background = Background()
        self.set_tool(CrossTool(self))

    def show_volume(self, volume: Volume | None, *, keep_view: bool = False) -> None:
        """Show another volume, or none."""
        self.volume = volume
        self.index = -1
        if volume is None:
            self.set_shape(None, (1.0, 1.0))
            self.layer.set_values(None)
            return
        shape = volume.shape[self.plane.down], volume.shape[self.plane.across]
        sizes = volume.pixel_size_nm[self.plane.down], volume.pixel_size_nm[self.plane.across]
        self.set_shape(shape, aspect_of(sizes), keep_view=keep_view)

    def show_place(self, place: tuple[int, int, int]) -> None:
        """Show the slice through a voxel (z, y, x), and the cross-hair there."""
        self.place = place
        if self.volume is None:
            return
        index = place[self.plane.cut]
        if index != self.index:
            self.index = index
            if self.volume.values.nbytes <= AT_ONCE_BYTES:
                self.layer.set_values(self.slice_of(self.volume, index))
            else:
                self._want(index)
        self.update()

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Next slice; with Ctrl zoom."""
        if event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            super().wheelEvent(event)
            return
        self._turned += event.angleDelta().y() / 120
        steps = int(self._turned)
        self._turned -= steps
        if steps:
            self.stepped.emit(steps)
        event.accept()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Page keys turn through the slices."""
        if event.key() in (Qt.Key.Key_PageUp, Qt.Key.Key_PageDown):
            self.stepped.emit(1 if event.key() == Qt.Key.Key_PageUp else -1)
        else:
            super().keyPressEvent(event)

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Give this slice all the room, or share it again; to a tool that edits it is one more press."""
        if isinstance(self.tool(), CrossTool):
            self.widened.emit()
        else:
            self.mousePressEvent(event)

    def value_at(self, down: float, across: float) -> float | None:
        """Value at a place of the slice that is shown."""
        values, row, column = self.layer.values, round(down), round(across)
        if values is None or not (0 <= row < values.shape[0] and 0 <= column < values.shape[1]):
            return None
        return float(values[row, column])

    def slice_of(self, volume: Volume, index: int) -> Array:
        """Slice (down, across) that is shown of a volume."""
        return self.plane.of(volume.values, index)

    def set_plane(self, plane: Plane) -> None:
        """Cut in another direction."""
        self.plane = plane
        self.setAccessibleName(f"{plane.name} slice")
        self.show_volume(self.volume)

    def show_now(self, place: tuple[int, int, int]) -> None:
        """Show the slice through a voxel at once, also of a large volume (a movie waits for each of its frames)."""
        self.place = place
        if self.volume is None:
            return
        index = place[self.plane.cut]
        if index != self.index or self._reading:
            self.index = index
            self._wanted, self._drop = None, self._reading
            self.layer.set_values(self.slice_of(self.volume, index))
        self.update()

    def _want(self, index: int) -> None:
        self._wanted = index
        if not self._reading:
            self._read_next()

    def _read_next(self) -> None:
        """Read the slice that was asked for last; those asked for before it are of no use any more."""
        if self._wanted is None or self.volume is None:
            return
        volume, index = self.volume, self._wanted
        self._wanted, self._reading = None, True

        def take(values: Array) -> None:
            self._reading = False
            if volume is self.volume and not self._drop:
                self.layer.set_values(values)
            self._drop = False
            self._read_next()

        self._background.run(lambda: np.array(self.plane.of(volume.values, index), np.float32), while_alive(self, take))

    def _paint_marks(self, painter: QPainter, geometry: ViewGeometry, device_scale: float) -> None:
        if self.volume is None:
            return
        area = self.picture_rect()
        painter.save()
        if self.show_cross:
            self._paint_cross(painter, geometry, area)
        paint_scale_bar(painter, geometry, area, self.volume.pixel_size_nm[self.plane.across], self.pixel_font())
        self._paint_title(painter, area)
        painter.restore()

    def _paint_cross(self, painter: QPainter, geometry: ViewGeometry, area: QRectF) -> None:
        """Lines where the other two slices cut this one, each in its colour, with a gap round the place itself."""
        centre = geometry.point(self.place[self.plane.across], self.place[self.plane.down])
        gap = 7.0
        by_cut = {plane.cut: QColor(plane.colour) for plane in PLANES}
        for axis, start, end in (
            (self.plane.down, QPointF(area.left(), centre.y()), QPointF(centre.x() - gap, centre.y())),
            (self.plane.down, QPointF(centre.x() + gap, centre.y()), QPointF(area.right(), centre.y())),
            (self.plane.across, QPointF(centre.x(), area.top()), QPointF(centre.x(), centre.y() - gap)),
            (self.plane.across, QPointF(centre.x(), centre.y() + gap), QPointF(centre.x(), area.bottom())),
        ):
            for colour, width in ((QColor(0, 0, 0, 120), 2.6), (by_cut[axis], 1.1)):
                painter.setPen(QPen(colour, width))
                painter.drawLine(start, end)

    def _paint_title(self, painter: QPainter, area: QRectF) -> None:
        """Which slice this is, on a plate so that it reads on any picture."""
        size = None if self.volume is None else self.volume.pixel_size_nm[self.plane.cut]
        where = f"{self.plane.name}   {AXES[self.plane.cut]} {self.index}"
        length = "" if size is None else f" · {length_text(self.index * size, 4)}"
        metrics, room = painter.fontMetrics(), round(area.width() - 24)
        texts = (where + length, where, self.plane.name)
        text = next((each for each in texts if metrics.horizontalAdvance(each) <= room), self.plane.name)
        plate = QRectF(area.left() + 8, area.top() + 8, metrics.horizontalAdvance(text) + 14, metrics.height() + 6)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(0, 0, 0, 150))
        painter.drawRoundedRect(plate, 4, 4)
        painter.setPen(QColor(self.plane.colour))
        painter.drawText(plate, Qt.AlignmentFlag.AlignCenter, text)
