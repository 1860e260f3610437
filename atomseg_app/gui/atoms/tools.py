"""What the left button does in the picture: select and move, add, delete, lasso, region, distance, calibrate."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPolygonF

from atomseg_app.gui.atoms.markers import MarkerLayer
from atomseg_app.gui.atoms.model import AtomsModel
from atomseg_app.gui.canvas import Canvas, Pointer, Tool
from atomseg_app.gui.view_geometry import ViewGeometry

_DRAG_FROM_PX = 4.0
Move = Callable[[int, float, float], object]
Place = Callable[[float, float], object]


class ColumnTool(Tool):
    """Base of the tools that know the columns under the pointer."""

    def __init__(self, canvas: Canvas, model: AtomsModel, markers: MarkerLayer) -> None:
        self.canvas, self.model, self.markers = canvas, model, markers

    def row_at(self, pointer: Pointer) -> int:
        """Row of the column under the pointer, or -1."""
        return self.markers.nearest(self.canvas.geometry_now, pointer.at)

    def id_of(self, row: int) -> int:
        """Id of the column in a row."""
        columns = self.model.columns()
        return -1 if columns is None else int(columns.table["column_id"][row])

    def hover(self, pointer: Pointer | None) -> None:
        """Mark the column under the pointer."""
        row = -1 if pointer is None else self.row_at(pointer)
        if row != self.markers.hovered:
            self.markers.hovered = row
            self.markers.changed.emit()

    def select_inside(self, inside: npt.NDArray[np.bool_], pointer: Pointer) -> None:
        """Select rows; with Shift added to what is selected, with Ctrl taken away from it."""
        columns = self.model.columns()
        if columns is None:
            return
        ids = columns.table["column_id"][inside]
        if pointer.shift:
            ids = np.union1d(self.model.selection, ids)
        elif pointer.control:
            ids = np.setdiff1d(self.model.selection, ids)
        self.model.select(ids)


class SelectTool(ColumnTool):
    """Click selects, a drag from a marker moves it, a drag from elsewhere selects a rectangle."""

    title = "Select and move"
    hint = "Click selects, dragging a column moves it; drag elsewhere for a rectangle. Shift adds."

    def __init__(self, canvas: Canvas, model: AtomsModel, markers: MarkerLayer, on_moved: Move) -> None:
        super().__init__(canvas, model, markers)
        self._on_moved = on_moved
        self._start: Pointer | None = None
        self._now: Pointer | None = None
        self._row = -1

    def press(self, pointer: Pointer) -> None:
        """Remember where."""
        self._start, self._now = pointer, None
        self._row = self.row_at(pointer)

    def drag(self, pointer: Pointer) -> None:
        """Show the column where it would go, or the rectangle."""
        if self._start is None:
            return
        if self._now is None and (pointer.at - self._start.at).manhattanLength() < _DRAG_FROM_PX:
            return
        self._now = pointer
        if self._row >= 0:
            self.markers.preview = (self._row, *self._target(pointer))

    def release(self, pointer: Pointer) -> None:
        """Select or move."""
        start, now, row = self._start, self._now, self._row
        self.cancel()
        if start is None:
            return
        if now is None:
            self._click(row, pointer)
        elif row >= 0:
            self._start = start
            target = self._target(pointer)
            column_id, self._row, self._start = self.id_of(row), -1, None
            self._on_moved(column_id, *target)
        else:
            xy = self.markers.xy_px
            left, right = sorted((start.x_px, pointer.x_px))
            top, bottom = sorted((start.y_px, pointer.y_px))
            inside = (xy[:, 0] >= left) & (xy[:, 0] <= right) & (xy[:, 1] >= top) & (xy[:, 1] <= bottom)
            self.select_inside(inside, pointer)

    def cancel(self) -> None:
        """Nothing was moved."""
        self._start = self._now = None
        self.markers.preview = None

    def paint(self, painter: QPainter, geometry: ViewGeometry) -> None:
        """Draw the rectangle."""
        if self._start is not None and self._now is not None and self._row < 0:
            _paint_outline(painter, QPolygonF(QRectF(self._start.at, self._now.at)))

    def _target(self, pointer: Pointer) -> tuple[float, float]:
        """Where the column goes: it keeps its distance to the pointer that took it."""
        start = self._start or pointer
        x, y = self.markers.xy_px[self._row]
        return float(x + pointer.x_px - start.x_px), float(y + pointer.y_px - start.y_px)

    def _click(self, row: int, pointer: Pointer) -> None:
        inside = np.zeros(len(self.markers.xy_px), bool)
        if row >= 0:
            inside[row] = True
            if pointer.shift and self.id_of(row) in self.model.selection:
                pointer = Pointer(pointer.x_px, pointer.y_px, pointer.at, control=True)
        self.select_inside(inside, pointer)


class AddTool(ColumnTool):
    """Click adds a column."""

    title = "Add"
    hint = "Click where a column is missing: it is fitted to the image at once."
    cursor = Qt.CursorShape.CrossCursor

    def __init__(self, canvas: Canvas, model: AtomsModel, markers: MarkerLayer, on_added: Place) -> None:
        super().__init__(canvas, model, markers)
        self._on_added = on_added

    def release(self, pointer: Pointer) -> None:
        """Add one here."""
        image = self.model.image()
        if image is not None and 0 <= pointer.x_px + 0.5 < image.shape[1] and 0 <= pointer.y_px + 0.5 < image.shape[0]:
            self._on_added(pointer.x_px, pointer.y_px)


class DeleteTool(ColumnTool):
    """Click deletes a column."""

    title = "Delete"
    hint = "Click a column to delete it."
    cursor = Qt.CursorShape.PointingHandCursor

    def __init__(
        self, canvas: Canvas, model: AtomsModel, markers: MarkerLayer, on_deleted: Callable[[list[int]], object]
    ) -> None:
        super().__init__(canvas, model, markers)
        self._on_deleted = on_deleted

    def release(self, pointer: Pointer) -> None:
        """Delete the column under the pointer."""
        row = self.row_at(pointer)
        if row >= 0:
            self._on_deleted([self.id_of(row)])


class LassoTool(ColumnTool):
    """A line drawn round columns selects them."""

    title = "Lasso"
    hint = "Draw a line round columns to select them. Shift adds, Ctrl takes away."
    cursor = Qt.CursorShape.CrossCursor

    def __init__(self, canvas: Canvas, model: AtomsModel, markers: MarkerLayer) -> None:
        super().__init__(canvas, model, markers)
        self._line: list[tuple[float, float]] = []

    def press(self, pointer: Pointer) -> None:
        """Begin the line."""
        self._line = [(pointer.x_px, pointer.y_px)]

    def drag(self, pointer: Pointer) -> None:
        """Go on with it, in steps that can be seen."""
        x, y = self._line[-1] if self._line else (pointer.x_px, pointer.y_px)
        if self._line and np.hypot(pointer.x_px - x, pointer.y_px - y) * self.canvas.geometry_now.zoom >= 2:
            self._line.append((pointer.x_px, pointer.y_px))

    def release(self, pointer: Pointer) -> None:
        """Close it and select what lies inside."""
        line, self._line = self._line, []
        self.select_inside(points_inside(self.markers.xy_px, np.array(line)), pointer)

    def cancel(self) -> None:
        """Forget the line."""
        self._line = []

    def paint(self, painter: QPainter, geometry: ViewGeometry) -> None:
        """Draw the line, closed."""
        if len(self._line) > 1:
            _paint_outline(painter, QPolygonF([geometry.point(*point) for point in self._line]))


class RegionTool(ColumnTool):
    """A rectangle to search; a click takes it away."""

    title = "Region"
    hint = "Drag a rectangle: only this part is searched. Click to search the whole image."
    cursor = Qt.CursorShape.CrossCursor

    def __init__(self, canvas: Canvas, model: AtomsModel, markers: MarkerLayer) -> None:
        super().__init__(canvas, model, markers)
        self._start: Pointer | None = None
        self._now: Pointer | None = None

    def press(self, pointer: Pointer) -> None:
        """Take a corner."""
        self._start, self._now = pointer, None

    def drag(self, pointer: Pointer) -> None:
        """Draw the rectangle."""
        self._now = pointer

    def release(self, pointer: Pointer) -> None:
        """Keep it, cut at the borders of the image."""
        start, image = self._start, self.model.image()
        self.cancel()
        if start is None or image is None:
            return
        height, width = image.shape
        left, right = sorted((start.x_px, pointer.x_px))
        top, bottom = sorted((start.y_px, pointer.y_px))
        region = (
            max(0, round(left + 0.5)), max(0, round(top + 0.5)),
            min(width, round(right + 0.5)), min(height, round(bottom + 0.5)),
        )  # fmt: skip
        self.model.set_region(region if region[2] - region[0] >= 8 and region[3] - region[1] >= 8 else None)

    def cancel(self) -> None:
        """Forget the rectangle that is being drawn."""
        self._start = self._now = None

    def paint(self, painter: QPainter, geometry: ViewGeometry) -> None:
        """Draw it."""
        if self._start is not None and self._now is not None:
            _paint_outline(painter, QPolygonF(QRectF(self._start.at, self._now.at)))


class LineTool(ColumnTool):
    """Two places, clicked or dragged; ``on_line(x1, y1, x2, y2)``. With ``snap`` they are those of columns."""

    cursor = Qt.CursorShape.CrossCursor

    def __init__(
        self, canvas: Canvas, model: AtomsModel, markers: MarkerLayer, *, title: str, hint: str, snap: bool,
        on_line: Callable[[tuple[float, float], tuple[float, float], tuple[int, int]], object],
    ) -> None:  # fmt: skip
        super().__init__(canvas, model, markers)
        self.title, self.hint = title, hint
        self._snap, self._on_line = snap, on_line
        self._ends: list[tuple[float, float, int]] = []
        self._free: tuple[float, float, int] | None = None
        self.text = ""

    def press(self, pointer: Pointer) -> None:
        """Take the first end, or the second."""
        if len(self._ends) != 1:
            self._ends, self.text = [], ""
            self._ends.append(self._end(pointer))
            self._free = None

    def drag(self, pointer: Pointer) -> None:
        """Draw the line to the pointer."""
        self._free = self._end(pointer)

    def hover(self, pointer: Pointer | None) -> None:
        """Draw the line to the pointer while the second end is awaited."""
        super().hover(pointer)
        if len(self._ends) == 1 and pointer is not None:
            self._free = self._end(pointer)
            self.canvas.update()

    def release(self, pointer: Pointer) -> None:
        """Take the second end, unless this was the click for the first."""
        if len(self._ends) != 1:  # given up meanwhile
            return
        end, first = self._end(pointer), self._ends[0]
        if np.hypot(end[0] - first[0], end[1] - first[1]) * self.canvas.geometry_now.zoom < _DRAG_FROM_PX:
            return
        self._ends = [first, end]
        self._free = None
        self._on_line(first[:2], end[:2], (first[2], end[2]))

    def cancel(self) -> None:
        """Forget the line."""
        self._ends, self._free, self.text = [], None, ""

    def paint(self, painter: QPainter, geometry: ViewGeometry) -> None:
        """Draw the line with its length."""
        ends = [*self._ends, self._free] if self._free is not None and len(self._ends) == 1 else self._ends
        points = [geometry.point(end[0], end[1]) for end in ends if end is not None]
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for colour, width in ((QColor(0, 0, 0, 180), 4.0), (QColor("#ffb000"), 1.8)):
            painter.setPen(QPen(colour, width))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            if len(points) == 2:
                painter.drawLine(points[0], points[1])
            for point in points:
                painter.drawEllipse(point, 4, 4)
        if len(points) == 2 and self.text:
            _paint_label(painter, (points[0] + points[1]) / 2, self.text)

    def _end(self, pointer: Pointer) -> tuple[float, float, int]:
        row = self.row_at(pointer) if self._snap else -1
        if row >= 0:
            x, y = self.markers.xy_px[row]
            return float(x), float(y), row
        return pointer.x_px, pointer.y_px, -1


def points_inside(xy: npt.NDArray[np.float64], polygon: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Which points (n, 2) lie inside a closed polygon (m, 2): an odd number of its edges is crossed (even-odd rule)."""
    inside = np.zeros(len(xy), bool)
    if len(polygon) < 3 or not len(xy):
        return inside
    x, y = xy[:, 0], xy[:, 1]
    for (x1, y1), (x2, y2) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y1 != y2:
            crosses = (y1 > y) != (y2 > y)
            inside ^= crosses & (x < x1 + (y - y1) / (y2 - y1) * (x2 - x1))
    return inside


def _paint_outline(painter: QPainter, polygon: QPolygonF) -> None:
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setBrush(QColor(255, 255, 255, 30))
    painter.setPen(QPen(QColor(0, 0, 0, 180), 2.5))
    painter.drawPolygon(polygon)
    painter.setBrush(Qt.BrushStyle.NoBrush)
    painter.setPen(QPen(QColor("#ffffff"), 1.2, Qt.PenStyle.DashLine))
    painter.drawPolygon(polygon)


def _paint_label(painter: QPainter, at: QPointF, text: str) -> None:
    metrics = painter.fontMetrics()
    width, height = metrics.horizontalAdvance(text) + 14, metrics.height() + 6
    plate = QRectF(at.x() - width / 2, at.y() - height - 8, width, height)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(0, 0, 0, 190))
    painter.drawRoundedRect(plate, 4, 4)
    painter.setPen(QColor("#ffffff"))
    painter.drawText(plate, Qt.AlignmentFlag.AlignCenter, text)
