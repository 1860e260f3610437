"""Histogram of an image's values with two limits that can be dragged, or moved with the arrow keys."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QWidget

_BINS = 200
_GRAB_PX = 9.0
_PAD_PX = 7.0
_KEY_SHARE = 0.01


class Histogram(QWidget):
    """``limits_changed(low, high)`` while the user moves a limit. Tab takes the next limit, arrow keys move it."""

    limits_changed = Signal(float, float)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("view.histogram")
        self.setAccessibleName("Histogram of the image's values")
        self.setAccessibleDescription("Left and right move the limit that has the focus, up and down take the other.")
        self.setToolTip("How often each value occurs. Drag the two limits: darkest and brightest value shown.")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.limits = (0.0, 1.0)
        self._range = (0.0, 1.0)
        self._counts: npt.NDArray[np.float64] = np.zeros(_BINS)
        self._active = 0
        self._dragging = False

    def sizeHint(self) -> QSize:
        """A flat strip."""
        return QSize(320, 46)

    def set_sample(self, sample: npt.NDArray[np.float32]) -> None:
        """Show the distribution of some values (n,)."""
        low, high = (float(sample.min()), float(sample.max())) if len(sample) else (0.0, 1.0)
        if high <= low:
            low, high = low - 0.5, high + 0.5
        if len(sample) and high - low >= 2 and (sample == np.rint(sample)).all():
            # Bins of whole numbers hold equally many of them: other bins would draw a comb.
            width = np.ceil((high - low + 1) / _BINS)
            low, high = low - 0.5, low - 0.5 + width * np.ceil((high - low + 1) / width)
            bins = round((high - low) / width)
        else:
            bins = _BINS
        self._range = (low, high)
        self._counts = np.histogram(sample, bins, (low, high))[0].astype(float)
        self.update()

    def set_limits(self, low: float, high: float) -> None:
        """Show other limits, without telling of it."""
        self.limits = (low, high)
        self.update()

    def x_of(self, value: float) -> float:
        """Where a value lies in the widget."""
        low, high = self._shown()
        return _PAD_PX + (value - low) / (high - low) * (self.width() - 2 * _PAD_PX)

    def value_at(self, x: float) -> float:
        """Value at a place in the widget."""
        low, high = self._shown()
        return low + (x - _PAD_PX) / max(1.0, self.width() - 2 * _PAD_PX) * (high - low)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw bars (square root of the counts, so that rare values are seen), and the limits."""
        painter = QPainter(self)
        palette = self.palette()
        painter.fillRect(self.rect(), palette.base())
        self._paint_bars(painter)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        accent = palette.link().color()
        shade = QColor(palette.window().color())
        shade.setAlpha(170)
        left, right = self.x_of(self.limits[0]), self.x_of(self.limits[1])
        painter.fillRect(QRectF(0, 0, max(0.0, left), self.height()), shade)
        painter.fillRect(QRectF(right, 0, max(0.0, self.width() - right), self.height()), shade)
        for index, x in enumerate((left, right)):
            focused = self.hasFocus() and index == self._active
            painter.setPen(QPen(accent, 2.5 if focused else 1.5))
            painter.drawLine(QPointF(x, 0), QPointF(x, self.height()))
            size = 7.0 if focused else 5.5
            painter.setBrush(accent)
            foot = self.height()
            painter.drawPolygon(
                QPolygonF([QPointF(x - size, foot), QPointF(x + size, foot), QPointF(x, foot - 1.4 * size)])
            )
        painter.setPen(QPen(palette.link().color() if self.hasFocus() else palette.mid().color(), 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take the limit that is nearest."""
        if event.button() == Qt.MouseButton.LeftButton:
            distances = [abs(self.x_of(limit) - event.position().x()) for limit in self.limits]
            self._active = int(np.argmin(distances))
            self._dragging = True
            self._drag_to(event.position().x())

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag the limit that was taken."""
        x = event.position().x()
        if self._dragging:
            self._drag_to(x)
        near = min(abs(self.x_of(limit) - x) for limit in self.limits) <= _GRAB_PX
        self.setCursor(Qt.CursorShape.SplitHCursor if near or self._dragging else Qt.CursorShape.ArrowCursor)

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Let go."""
        self._dragging = False

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Move a limit by a hundredth of the range, a tenth of that with Shift."""
        key = event.key()
        if key in (Qt.Key.Key_Up, Qt.Key.Key_Down):
            self._active = 1 - self._active
            self.update()
        elif key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            low, high = self._range
            step = (high - low) * _KEY_SHARE * (0.1 if event.modifiers() & Qt.KeyboardModifier.ShiftModifier else 1)
            self._move(self.limits[self._active] + (step if key == Qt.Key.Key_Right else -step))
        else:
            super().keyPressEvent(event)

    def _paint_bars(self, painter: QPainter) -> None:
        heights = np.sqrt(self._counts)
        top = float(heights.max())
        if top <= 0:
            return
        low, high = self._range
        edges = [self.x_of(value) for value in np.linspace(low, high, len(self._counts) + 1)]
        room = self.height() - 4
        colour = self.palette().placeholderText().color()
        for index in np.flatnonzero(heights):
            height = max(1.0, heights[index] / top * room)
            width = max(1.0, edges[index + 1] - edges[index])
            painter.fillRect(QRectF(edges[index], self.height() - height, width, height), colour)

    def _shown(self) -> tuple[float, float]:
        """Range drawn: that of the values, and of limits beyond them."""
        low, high = min(self._range[0], self.limits[0]), max(self._range[1], self.limits[1])
        return low, high if high > low else low + 1.0

    def _drag_to(self, x: float) -> None:
        x = min(max(x, _PAD_PX), self.width() - _PAD_PX)
        self._move(self.value_at(x))

    def _move(self, value: float) -> None:
        """Put the active limit at a value, on its side of the other one."""
        low, high = self.limits
        least = (self._range[1] - self._range[0]) * 1e-3
        self.limits = (min(value, high - least), high) if self._active == 0 else (low, max(value, low + least))
        self.update()
        self.limits_changed.emit(*self.limits)
