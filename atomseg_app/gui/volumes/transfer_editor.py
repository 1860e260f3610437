"""Editable opacity over the values of a volume: points that are dragged, added by double-click, removed by Delete."""

from __future__ import annotations

import itertools

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

Points = tuple[tuple[float, float], ...]
"""(place, opacity), both 0..1: place from the low to the high limit of the contrast; ascending, the ends at 0 and 1."""

DEFAULT: Points = ((0.0, 0.0), (0.25, 0.0), (0.6, 0.12), (1.0, 0.6))
_GRAB_PX, _PAD_PX, _KEY_STEP = 9.0, 8.0, 0.02


def opacity_at(points: Points, places: npt.ArrayLike) -> npt.NDArray[np.float64]:
    """Opacity at places 0..1, straight between the points."""
    x, y = zip(*points, strict=True)
    result: npt.NDArray[np.float64] = np.interp(np.asarray(places, float), x, y)
    return result


class TransferEditor(QWidget):
    """``changed(points)`` while the user edits."""

    changed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("volumes.transfer")
        self.setAccessibleName("Opacity over the values")
        self.setAccessibleDescription(
            "Tab-like keys < and > take the next point, arrow keys move it, Delete removes it."
        )
        self.setToolTip(
            "How opaque each value is, from the low to the high limit of the contrast.\n"
            "Drag points; double-click adds one, Delete removes it."
        )
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.points: Points = DEFAULT
        self.active = 2
        self._counts: npt.NDArray[np.float64] = np.zeros(1)
        self._dragging = False

    def sizeHint(self) -> QSize:
        """A low strip."""
        return QSize(240, 7 * self.fontMetrics().height())

    def set_points(self, points: Points) -> None:
        """Show other points, without telling of it."""
        self.points = points
        self.active = min(self.active, len(points) - 1)
        self.update()

    def set_counts(self, counts: npt.NDArray[np.float64]) -> None:
        """Show how often values occur, from the low to the high limit."""
        self._counts = np.sqrt(counts)
        self.update()

    def at(self, place: float, opacity: float) -> QPointF:
        """Where a point lies in the widget."""
        width, height = self.width() - 2 * _PAD_PX, self.height() - 2 * _PAD_PX
        return QPointF(_PAD_PX + place * width, _PAD_PX + (1 - opacity) * height)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw histogram, line and points."""
        painter = QPainter(self)
        palette = self.palette()
        painter.fillRect(self.rect(), palette.base())
        top = float(self._counts.max(initial=0)) or 1.0
        bar = (self.width() - 2 * _PAD_PX) / len(self._counts)
        faint = QColor(palette.placeholderText().color())
        faint.setAlpha(110)
        for index, count in enumerate(self._counts):
            height = count / top * (self.height() - 2 * _PAD_PX)
            painter.fillRect(
                QRectF(_PAD_PX + index * bar, self.height() - _PAD_PX - height, max(bar, 1.0), height), faint
            )
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        accent = palette.link().color()
        painter.setPen(QPen(accent, 1.8))
        places = [self.at(*point) for point in self.points]
        for start, end in itertools.pairwise(places):
            painter.drawLine(start, end)
        for index, place in enumerate(places):
            chosen = index == self.active and self.hasFocus()
            painter.setBrush(palette.base() if not chosen else accent)
            painter.drawEllipse(place, 5.0 if chosen else 4.0, 5.0 if chosen else 4.0)
        painter.setPen(QPen(accent if self.hasFocus() else palette.mid().color(), 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take the point under the pointer."""
        found = self._near(event.position())
        if found is not None:
            self.active, self._dragging = found, True
            self.update()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag it."""
        if self._dragging:
            self._move_to(*self._value(event.position()))

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Let go."""
        self._dragging = False

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Add a point."""
        if self._near(event.position()) is None:
            point = self._value(event.position())
            points = sorted([*self.points, point])
            self.active = points.index(point)
            self._tell(tuple(points))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Move or remove the active point."""
        key, (place, opacity) = event.key(), self.points[self.active]
        if key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            if 0 < self.active < len(self.points) - 1:
                self._tell(self.points[: self.active] + self.points[self.active + 1 :])
        elif key in (Qt.Key.Key_Less, Qt.Key.Key_Comma, Qt.Key.Key_Greater, Qt.Key.Key_Period):
            step = -1 if key in (Qt.Key.Key_Less, Qt.Key.Key_Comma) else 1
            self.active = (self.active + step) % len(self.points)
            self.update()
        elif key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            self._move_to(place + (_KEY_STEP if key == Qt.Key.Key_Right else -_KEY_STEP), opacity)
        elif key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self._move_to(place, opacity + (_KEY_STEP if key == Qt.Key.Key_Up else -_KEY_STEP))
        else:
            super().keyPressEvent(event)

    def _near(self, position: QPointF) -> int | None:
        distances = [(place - position).manhattanLength() for place in (self.at(*point) for point in self.points)]
        best = int(np.argmin(distances))
        return best if distances[best] <= 2 * _GRAB_PX else None

    def _value(self, position: QPointF) -> tuple[float, float]:
        place = (position.x() - _PAD_PX) / max(1.0, self.width() - 2 * _PAD_PX)
        opacity = 1 - (position.y() - _PAD_PX) / max(1.0, self.height() - 2 * _PAD_PX)
        return min(max(place, 0.0), 1.0), min(max(opacity, 0.0), 1.0)

    def _move_to(self, place: float, opacity: float) -> None:
        """Put the active point somewhere, between its neighbours; the ends stay at their limits."""
        index, last = self.active, len(self.points) - 1
        if index in (0, last):
            place = float(index == last)
        else:
            place = min(max(place, self.points[index - 1][0] + 1e-3), self.points[index + 1][0] - 1e-3)
        points = list(self.points)
        points[index] = (place, min(max(opacity, 0.0), 1.0))
        self._tell(tuple(points))

    def _tell(self, points: Points) -> None:
        self.set_points(points)
        self.changed.emit(points)
