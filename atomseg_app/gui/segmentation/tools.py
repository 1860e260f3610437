"""What the left button does in a slice: brush, eraser, fill, polygon, lasso, ball, threshold brush, and single voxels
from which connected parts are looked for.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PySide6.QtCore import QPointF, QRect, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPolygonF

from atomseg_app.gui.canvas import Pointer, Tool
from atomseg_app.gui.segmentation import masks
from atomseg_app.gui.segmentation.model import SegModel
from atomseg_app.gui.segmentation.painter import Painter
from atomseg_app.gui.view_geometry import ViewGeometry
from atomseg_app.gui.volumes.slice_pane import SlicePane
from atomseg_app.label_classes import IGNORE

Point = tuple[float, float]
Seeded = Callable[[tuple[int, int, int]], object]

_CLOSE_PX = 8.0


class PaintTool(Tool):
    """Base of the tools that paint in one pane. Shift erases. A stroke stays in the slice in which it began."""

    name = "paint"

    def __init__(self, pane: SlicePane, painter: Painter, model: SegModel) -> None:
        self.pane, self.painter, self.model = pane, painter, model
        self.index = 0

    def colour(self) -> QColor:
        """Colour of the class that is painted."""
        entry = self.model.entry
        found = None if entry is None else entry.class_named(self.model.chosen)
        return QColor("#ffffff" if found is None else found.colour)

    def begin(self, pointer: Pointer, what: str) -> bool:
        """Begin a stroke in the slice that is shown."""
        self.index = self.pane.index
        return self.painter.begin("Erase" if pointer.shift else what, erase=pointer.shift)

    def cancel(self) -> None:
        """Take the stroke back."""
        self.painter.cancel()


class BrushTool(PaintTool):
    """Round brush; the threshold brush paints only grey levels in its range, the eraser takes classes away."""

    cursor = Qt.CursorShape.CrossCursor

    def __init__(
        self, pane: SlicePane, painter: Painter, model: SegModel, *, erase: bool = False, grey: bool = False
    ) -> None:  # fmt: skip
        super().__init__(pane, painter, model)
        self.erase, self.grey = erase, grey
        self.title = "Eraser" if erase else "Threshold brush" if grey else "Brush"
        does = "takes classes away" if erase else "paints grey levels in the range" if grey else "paints"
        self.hint = f"Drag {does}; Shift and drag erases. [ and ] change the size. Right click moves the cross-hair."
        self.last: Point | None = None
        self._at: QPointF | None = None

    def press(self, pointer: Pointer) -> None:
        """Begin a stroke with one dab."""
        self.index = self.pane.index
        erase = self.erase or pointer.shift
        if self.painter.begin("Erase" if erase else "Paint", erase=erase):
            self.last = (pointer.y_px, pointer.x_px)
            self._dab(self.last, self.last)
        self.hover(pointer)

    def drag(self, pointer: Pointer) -> None:
        """Go on."""
        if self.last is not None:
            here = (pointer.y_px, pointer.x_px)
            self._dab(self.last, here)
            self.last = here
        self.hover(pointer)

    def release(self, pointer: Pointer) -> None:
        """One undo step."""
        self.last = None
        self.painter.end()

    def cancel(self) -> None:
        """Take the stroke back."""
        self.last = None
        super().cancel()

    def hover(self, pointer: Pointer | None) -> None:
        """Draw the ring where the pointer is now, and no longer where it was."""
        before, self._at = self._at, None if pointer is None else pointer.at
        for place in (before, self._at):
            if place is not None:
                self.pane.update(self._around(place))

    def paint(self, painter: QPainter, geometry: ViewGeometry) -> None:
        """The ring."""
        if self._at is None:
            return
        across, down = self._radii(geometry)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for colour, width in ((QColor(0, 0, 0, 170), 3.0), (QColor("#ffffff") if self.erase else self.colour(), 1.5)):
            painter.setPen(QPen(colour, width))
            painter.drawEllipse(self._at, across, down)
        painter.restore()

    def _dab(self, start: Point, end: Point) -> None:
        self.painter.stamp(self.pane.plane, self.index, start, end, grey=self.grey)

    def _radii(self, geometry: ViewGeometry) -> tuple[float, float]:
        """Half axes of the brush on the screen."""
        aspect, plane = self.painter.aspect(), self.pane.plane
        radius, (across, down) = self.painter.brush.radius_px, geometry.scale
        return radius / aspect[plane.across] * across, radius / aspect[plane.down] * down

    def _around(self, place: QPointF) -> QRect:
        across, down = self._radii(self.pane.geometry_now)
        box = QRectF(place.x() - across, place.y() - down, 2 * across, 2 * down)
        return box.adjusted(-4, -4, 4, 4).toAlignedRect()


class BallTool(BrushTool):
    """A ball through the slices."""

    def __init__(self, pane: SlicePane, painter: Painter, model: SegModel) -> None:
        super().__init__(pane, painter, model)
        self.title = "3D ball"
        self.hint = "Drag paints balls through the slices; Shift and drag erases. [ and ] change the size."

    def _dab(self, start: Point, end: Point) -> None:
        """Balls along the way, a third of the radius apart."""
        length = float(np.hypot(end[0] - start[0], end[1] - start[1]))
        count = max(1, int(np.ceil(length / max(1.0, self.painter.brush.radius_px / 3))))
        for step in range(1, count + 1):
            share = step / count
            centre = [0.0, 0.0, 0.0]
            centre[self.pane.plane.cut] = self.index
            centre[self.pane.plane.down] = start[0] + share * (end[0] - start[0])
            centre[self.pane.plane.across] = start[1] + share * (end[1] - start[1])
            self.painter.ball((centre[0], centre[1], centre[2]))


class FillTool(PaintTool):
    """Fills the connected part of the slice that has the class under the pointer."""

    title = "Fill"
    hint = "Click fills the connected part of this slice that has the class under the pointer; Shift empties it."
    cursor = Qt.CursorShape.PointingHandCursor

    def press(self, pointer: Pointer) -> None:
        """Fill."""
        store = self.model.store()
        row, column = round(pointer.y_px), round(pointer.x_px)
        if store is None:
            return
        plane = self.pane.plane.of(store.values, self.pane.index)
        if not (0 <= row < plane.shape[0] and 0 <= column < plane.shape[1]):
            return
        if self.begin(pointer, "Fill"):
            mask = masks.flooded(plane == plane[row, column], (row, column))
            self.painter.fill(self.pane.plane, self.index, (0, 0, *plane.shape), mask)
            self.painter.end()


class OutlineTool(PaintTool):
    """Base of lasso and polygon: corners (down, across), filled when closed."""

    cursor = Qt.CursorShape.CrossCursor

    def __init__(self, pane: SlicePane, painter: Painter, model: SegModel) -> None:
        super().__init__(pane, painter, model)
        self.corners: list[Point] = []
        self._erase = False
        self._at: Point | None = None

    def cancel(self) -> None:
        """Forget the outline."""
        self.corners = []
        super().cancel()
        self.pane.update()

    def close(self) -> None:
        """Fill what is enclosed."""
        corners, self.corners = self.corners, []
        shape = self.pane.shape
        if len(corners) >= 3 and shape is not None and self.painter.begin(self.title, erase=self._erase):
            window, mask = masks.polygon(corners, shape)
            self.painter.fill(self.pane.plane, self.index, window, mask)
            self.painter.end()
        self.pane.update()

    def paint(self, painter: QPainter, geometry: ViewGeometry) -> None:
        """The outline so far."""
        if not self.corners:
            return
        points = [geometry.point(x, y) for y, x in self.corners]
        if self._at is not None:
            points.append(geometry.point(self._at[1], self._at[0]))
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for colour, width in ((QColor(0, 0, 0, 170), 3.2), (self.colour(), 1.6)):
            painter.setPen(QPen(colour, width))
            painter.drawPolyline(QPolygonF(points))
        painter.restore()


class LassoTool(OutlineTool):
    """Drag round a part."""

    title = "Lasso"
    hint = "Drag round a part; what is enclosed is painted when you let go. Shift empties it, Esc gives up."

    def press(self, pointer: Pointer) -> None:
        """Begin."""
        self.index, self._erase = self.pane.index, pointer.shift
        self.corners = [(pointer.y_px, pointer.x_px)]

    def drag(self, pointer: Pointer) -> None:
        """One more corner."""
        if self.corners:
            self.corners.append((pointer.y_px, pointer.x_px))

    def release(self, pointer: Pointer) -> None:
        """Close it."""
        self.close()


class PolygonTool(OutlineTool):
    """Click corner after corner."""

    title = "Polygon"
    hint = "Click corner after corner; Enter, a double-click or a click on the first one closes it. Esc gives up."

    def press(self, pointer: Pointer) -> None:
        """One more corner, or the first again."""
        if not self.corners:
            self.index, self._erase = self.pane.index, pointer.shift
        first = None if not self.corners else self.pane.geometry_now.point(self.corners[0][1], self.corners[0][0])
        near = [c for c in self.corners[-1:] if c == (pointer.y_px, pointer.x_px)]
        if (
            first is not None and (first - pointer.at).manhattanLength() < _CLOSE_PX and len(self.corners) >= 3
        ) or near:
            self.close()
        else:
            self.corners.append((pointer.y_px, pointer.x_px))

    def hover(self, pointer: Pointer | None) -> None:
        """The edge to the pointer."""
        self._at = None if pointer is None else (pointer.y_px, pointer.x_px)
        if self.corners:
            self.pane.update()

    def finish(self) -> bool:
        """Enter closes it."""
        begun = bool(self.corners)
        self.close()
        return begun


class SeedTool(PaintTool):
    """Click a voxel (z, y, x) from which something is looked for in the compute process."""

    cursor = Qt.CursorShape.PointingHandCursor

    def __init__(
        self, pane: SlicePane, painter: Painter, model: SegModel, title: str, hint: str, seeded: Seeded
    ) -> None:  # fmt: skip
        super().__init__(pane, painter, model)
        self.title, self.hint, self._seeded = title, hint, seeded

    def press(self, pointer: Pointer) -> None:
        """Take the voxel."""
        row, column, shape = round(pointer.y_px), round(pointer.x_px), self.pane.shape
        if shape is not None and 0 <= row < shape[0] and 0 <= column < shape[1]:
            seed = [0, 0, 0]
            seed[self.pane.plane.cut] = self.pane.index
            seed[self.pane.plane.down], seed[self.pane.plane.across] = row, column
            self._seeded((seed[0], seed[1], seed[2]))


def class_under(model: SegModel, seed: tuple[int, int, int]) -> int:
    """Value of what is drawn at a voxel: what was painted, else the result; ``IGNORE`` for nothing."""
    entry, result = model.entry, model.result()
    if entry is not None and entry.store is not None and model.shown.painted and entry.store.values[seed] != IGNORE:
        return int(entry.store.values[seed])
    return IGNORE if result is None else int(result.labels.values[seed])
