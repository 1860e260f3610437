"""The view of one projection: tilt axis and sinogram row drawn over it, wheel through the views, aligned or raw."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
from PySide6.QtCore import QEvent, QObject, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPen, QWheelEvent

from atomseg_app.data import TiltSeries
from atomseg_app.gui.canvas import Pointer, Tool
from atomseg_app.gui.image_view import ImageView
from atomseg_app.gui.theme import Theme
from atomseg_app.gui.tomography.model import TomoModel
from atomseg_app.gui.tomography.placing import axis_line, on_screen, to_aligned
from atomseg_app.gui.view_geometry import ViewGeometry

_ONE_STEP_S = 1.0
"""Arrow keys pressed within this time of each other are one step to undo."""
_AXIS, _ROW = QColor(255, 176, 0), QColor(100, 190, 255)


class RowTool(Tool):
    """Click or drag: the row along the axis whose sinogram is shown."""

    title = "Look"
    hint = "Wheel: next view. Ctrl+wheel zooms, Space or middle button pans. Click: sinogram of that row."
    cursor = Qt.CursorShape.CrossCursor

    def __init__(self, model: TomoModel) -> None:
        self._model = model

    def press(self, pointer: Pointer) -> None:
        """Take the row under the pointer."""
        series = self._model.series()
        if series is not None:
            self._model.show_row(round(pointer.y_px if series.tilt_axis == "y" else pointer.x_px))

    def drag(self, pointer: Pointer) -> None:
        """Follow the pointer."""
        self.press(pointer)


class ShiftTool(Tool):
    """Drag: moves the view against the others; arrow keys move it by a pixel, with Shift by a tenth."""

    title = "Shift the view"
    hint = "Drag the view into place, or use the arrow keys: 1 px, with Shift 0.1 px. Every move can be undone."
    cursor = Qt.CursorShape.SizeAllCursor

    def __init__(self, on_moved: Callable[[float, float, object], None]) -> None:
        self._on_moved = on_moved
        self._from: Pointer | None = None
        self._drag: object = None
        self._keys: object = None
        self._key_s = 0.0

    def press(self, pointer: Pointer) -> None:
        """Take hold of the view."""
        self._from, self._drag = pointer, object()

    def drag(self, pointer: Pointer) -> None:
        """Move it with the pointer."""
        if self._from is not None:
            self._on_moved(pointer.x_px - self._from.x_px, pointer.y_px - self._from.y_px, self._drag)
            self._from = pointer

    def release(self, pointer: Pointer) -> None:
        """Let go."""
        self._from = None

    def cancel(self) -> None:
        """Forget the drag."""
        self._from = None

    def key(self, event: QKeyEvent) -> bool:
        """Arrow keys; whether the key meant something."""
        steps = {
            Qt.Key.Key_Left: (-1, 0), Qt.Key.Key_Right: (1, 0), Qt.Key.Key_Up: (0, -1), Qt.Key.Key_Down: (0, 1),
        }  # fmt: skip
        step = steps.get(Qt.Key(event.key()))
        if step is None:
            return False
        size = 0.1 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1.0
        if time.monotonic() - self._key_s > _ONE_STEP_S:
            self._keys = object()
        self._key_s = time.monotonic()
        self._on_moved(step[0] * size, step[1] * size, self._keys)
        return True


class ProjectionView(ImageView):
    """Shows the model's view. ``wheel_turned(steps)`` asks for another one."""

    wheel_turned = Signal(int)

    def __init__(self, model: TomoModel, theme: Theme) -> None:
        super().__init__(theme)
        self.setObjectName("tomography.projection")
        self.canvas.setAccessibleName("Projection")
        self.canvas.setAccessibleDescription("Page Up and Page Down show other views; plus and minus zoom.")
        self._model = model
        self.aligned = False
        self._shown: tuple[int, object] | None = None
        self._turned = 0.0
        self.canvas.layers[0] = self._paint_placed
        self.add_layer(self._paint_marks)
        self.canvas.installEventFilter(self)
        for signal in (model.current_changed, model.place_changed, model.changed):
            signal.connect(self.refresh)

    def set_aligned(self, aligned: bool) -> None:
        """Draw views where the alignment puts them, or as they were recorded."""
        self.aligned = aligned
        self.canvas.update()

    def refresh(self) -> None:
        """Show the view of the model."""
        series = self._model.series()
        image = self._model.image()
        if series is None or image is None:
            if self.image is not None:
                self.set_image(None)
            self._shown = None
            return
        same = self._shown is not None and self._shown[0] == self._model.current_id
        if not same or self._shown is None or self._shown[1] != (self._model.view, id(series.values)):
            self.set_image(image, keep_view=same)
            self._shown = (self._model.current_id, (self._model.view, id(series.values)))
        elif self.image is not None and self.image.pixel_size_nm != image.pixel_size_nm:
            self.set_calibration(image)
        self.canvas.update()

    def value_at(self, x_px: float, y_px: float) -> float | None:
        """Value of the recorded pixel that is drawn at a position."""
        series = self._model.series()
        if self.aligned and series is not None:
            place = to_aligned(series, self._model.view).inverted()[0].map(QPointF(x_px, y_px))
            x_px, y_px = place.x(), place.y()
        return super().value_at(x_px, y_px)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The wheel without Ctrl turns through the views; arrow keys go to a tool that wants them."""
        if isinstance(event, QWheelEvent) and not event.modifiers() & Qt.KeyboardModifier.ControlModifier:
            self._turned += event.angleDelta().y() / 120
            steps = int(self._turned)
            self._turned -= steps
            if steps:
                self.wheel_turned.emit(-steps)
            return True
        if isinstance(event, QKeyEvent) and event.type() == QEvent.Type.KeyPress:
            tool = self.canvas.tool()
            if isinstance(tool, ShiftTool) and tool.key(event):
                return True
        return super().eventFilter(watched, event)

    def _paint_placed(self, painter: QPainter, geometry: ViewGeometry, device_scale: float) -> None:
        series = self._model.series()
        if not self.aligned or series is None or series.alignment is None:
            self.layer.paint(painter, geometry, device_scale)
            return
        painter.save()
        painter.setTransform(on_screen(to_aligned(series, self._model.view), geometry), True)
        self.layer.paint(painter, geometry, device_scale)
        painter.restore()

    def _paint_marks(self, painter: QPainter, geometry: ViewGeometry, device_scale: float) -> None:
        series = self._model.series()
        if series is None or self.image is None:
            return
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        start, end = axis_line(series, self._model.view, aligned=self.aligned)
        ends = [geometry.point(point.x(), point.y()) for point in (start, end)]
        for colour, width in ((QColor(0, 0, 0, 150), 3.0), (_AXIS, 1.4)):
            painter.setPen(QPen(colour, width, Qt.PenStyle.DashLine))
            painter.drawLine(*ends)
        inside = self.canvas.plot_size()
        at = QPointF(max(ends[0].x(), inside.left()) + 6, max(ends[0].y(), inside.top()) + 18)
        self._label(painter, "tilt axis", _AXIS, at)
        row = self._model.row
        height, width_px = series.shape[-2:]
        line = (
            (geometry.point(-0.5, row), geometry.point(width_px - 0.5, row))
            if series.tilt_axis == "y"
            else (geometry.point(row, -0.5), geometry.point(row, height - 0.5))
        )
        painter.setPen(QPen(_ROW, 1.2, Qt.PenStyle.DotLine))
        painter.drawLine(*line)
        self._excluded_mark(painter, series, geometry)
        painter.restore()

    def _excluded_mark(self, painter: QPainter, series: TiltSeries, geometry: ViewGeometry) -> None:
        if self._model.view not in series.excluded:
            return
        area = self.canvas.picture_rect()
        painter.setPen(QPen(QColor(230, 80, 60), 2))
        painter.drawRect(area.adjusted(1, 1, -1, -1))
        self._label(painter, "excluded", QColor(255, 150, 130), area.topLeft() + QPointF(8, 20))

    @staticmethod
    def _label(painter: QPainter, text: str, colour: QColor, at: QPointF) -> None:
        metrics = painter.fontMetrics()
        plate = QRectF(
            at.x() - 4, at.y() - metrics.ascent() - 2, metrics.horizontalAdvance(text) + 8, metrics.height() + 4
        )
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(0, 0, 0, 150))
        painter.drawRoundedRect(plate, 4, 4)
        painter.setPen(colour)
        painter.drawText(at, text)


def angle_text(tilt_deg: float) -> str:
    """An angle as shown."""
    if not np.isfinite(tilt_deg):
        return "angle unknown"
    text = f"{round(tilt_deg, 2) + 0.0:.2f}".rstrip("0").rstrip(".")
    return text.replace("-", "\N{MINUS SIGN}") + "°"
