"""A small plot of a few curves: residuals over iterations, shifts over views, Fourier shell correlation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from atomseg_app.gui.scale_bar import round_length
from atomseg_app.gui.value_text import value_text

Floats = npt.NDArray[np.float64]
STYLES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine, Qt.PenStyle.DotLine, Qt.PenStyle.DashDotLine)
LIGHT = ("#0b5fa5", "#b3540a", "#1b7a3d", "#7a3fa0")
DARK = ("#6fb3ff", "#ffb066", "#7fd69a", "#cfa3f0")


@dataclass(frozen=True, eq=False)
class Curve:
    """Points of one line. ``level`` draws it thin: a threshold, not a measurement."""

    name: str
    x: Floats
    y: Floats
    level: bool = False


class CurveView(QWidget):
    """Shows curves over one axis; ``clicked`` carries the place along it."""

    clicked = Signal(float)

    def __init__(self, name: str, x_title: str, y_title: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setObjectName(f"plot.{name.lower().replace(' ', '_')}")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        self.x_title, self.y_title = x_title, y_title
        self.curves: list[Curve] = []
        self.mark: float | None = None
        self.logarithmic = False

    def sizeHint(self) -> QSize:
        """Low enough for a step's panel."""
        return QSize(250, 10 * self.fontMetrics().height())

    def minimumSizeHint(self) -> QSize:
        """Axes with a few values."""
        return QSize(160, 10 * self.fontMetrics().height())

    def set_curves(self, curves: Sequence[Curve], *, mark: float | None = None) -> None:
        """Show other curves; ``mark`` is a place along x to point out."""
        self.curves = [curve for curve in curves if len(curve.x) and np.isfinite(curve.y).any()]
        self.mark = mark
        self.update()

    def set_mark(self, mark: float | None) -> None:
        """Point out another place along x."""
        if mark != self.mark:
            self.mark = mark
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw frame, axes, curves and names."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        palette = self.palette()
        painter.fillRect(self.rect(), palette.base())
        painter.setPen(QPen(palette.mid().color(), 1))
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        if not self.curves:
            painter.setPen(palette.placeholderText().color())
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, f"{self.y_title or 'Nothing'}: nothing yet")
            painter.end()
            return
        area, span = self._area(), self._span()
        self._paint_axes(painter, area, span)
        dark = palette.base().color().lightness() < 128
        colours = DARK if dark else LIGHT
        painter.save()
        painter.setClipRect(area.adjusted(-1, -1, 1, 1))
        if self.mark is not None:
            place = self._at(area, span, self.mark, span[2]).x()
            painter.setPen(QPen(palette.placeholderText().color(), 1, Qt.PenStyle.DotLine))
            painter.drawLine(QPointF(place, area.top()), QPointF(place, area.bottom()))
        for index, curve in enumerate(self.curves):
            pen = QPen(QColor(colours[index % len(colours)]), 1.0 if curve.level else 1.8, STYLES[index % len(STYLES)])
            painter.setPen(pen)
            self._paint_curve(painter, area, span, curve)
        painter.restore()
        self._paint_names(painter, area, colours)
        painter.end()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Tell which place was clicked."""
        if self.curves and event.button() == Qt.MouseButton.LeftButton:
            self.clicked.emit(self._place(event.position().x()))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Read the curves at the pointer."""
        if not self.curves:
            return
        place = self._place(event.position().x())
        lines = [f"{self.x_title} {value_text(place, 4)}"]
        for curve in self.curves:
            nearest = int(np.argmin(np.abs(curve.x - place)))
            lines.append(f"{curve.name}: {value_text(float(curve.y[nearest]), 4)}")
        QToolTip.showText(event.globalPosition().toPoint(), "\n".join(lines), self)

    def _place(self, x: float) -> float:
        area, span = self._area(), self._span()
        return float(span[0] + (x - area.left()) / max(1.0, area.width()) * (span[1] - span[0]))

    def _area(self) -> QRectF:
        metrics = self.fontMetrics()
        left = 2.0 * metrics.averageCharWidth() + metrics.horizontalAdvance("0.000") + 4
        return QRectF(left, metrics.height() * 1.4, self.width() - left - 10, self.height() - metrics.height() * 3.6)

    def _span(self) -> tuple[float, float, float, float]:
        """Range of x and y; of y logarithms where that is how it is drawn."""
        x = np.concatenate([curve.x for curve in self.curves])
        y = np.concatenate([self._drawn(curve.y) for curve in self.curves])
        y = y[np.isfinite(y)]
        low, high = (float(y.min()), float(y.max())) if len(y) else (0.0, 1.0)
        margin = 0.06 * (high - low) or max(abs(high) * 0.1, 0.5)
        left, right = float(x.min()), float(x.max())
        return left, right if right > left else left + 1.0, low - margin, high + margin

    def _drawn(self, y: Floats) -> Floats:
        if not self.logarithmic:
            return y
        with np.errstate(divide="ignore", invalid="ignore"):
            logarithm: Floats = np.log10(np.where(y > 0, y, np.nan))
        return logarithm

    @staticmethod
    def _at(area: QRectF, span: tuple[float, float, float, float], x: float, y: float) -> QPointF:
        across, down = (x - span[0]) / (span[1] - span[0]), (y - span[2]) / (span[3] - span[2])
        return QPointF(area.left() + across * area.width(), area.bottom() - down * area.height())

    def _paint_curve(
        self, painter: QPainter, area: QRectF, span: tuple[float, float, float, float], curve: Curve
    ) -> None:  # fmt: skip
        piece: list[QPointF] = []
        for x, y in zip(curve.x, self._drawn(curve.y), strict=True):
            if np.isfinite(y):
                piece.append(self._at(area, span, float(x), float(y)))
                continue
            painter.drawPolyline(QPolygonF(piece))
            piece = []
        painter.drawPolyline(QPolygonF(piece))
        if len(curve.x) == 1 and piece:
            painter.drawEllipse(piece[0], 2.5, 2.5)

    def _paint_axes(self, painter: QPainter, area: QRectF, span: tuple[float, float, float, float]) -> None:
        palette, metrics = self.palette(), painter.fontMetrics()
        painter.setPen(QPen(palette.mid().color(), 1))
        painter.drawRect(area)
        painter.setPen(palette.text().color())
        for value in ticks(span[0], span[1], max(2, int(area.width() // (metrics.horizontalAdvance("-00.0") + 14)))):
            place = self._at(area, span, value, span[2])
            text = value_text(value, 4)
            width = metrics.horizontalAdvance(text)
            painter.drawLine(place, place + QPointF(0, 3))
            painter.drawText(QPointF(place.x() - width / 2, place.y() + metrics.height()), text)
        for value in ticks(span[2], span[3], max(2, int(area.height() // (1.6 * metrics.height())))):
            place = self._at(area, span, span[0], value)
            text = value_text(10**value, 3) if self.logarithmic else value_text(value, 3)
            width = metrics.horizontalAdvance(text)
            painter.drawLine(place, place - QPointF(3, 0))
            painter.drawText(QPointF(place.x() - width - 5, place.y() + metrics.ascent() / 2 - 1), text)
        painter.setPen(palette.placeholderText().color())
        title = metrics.elidedText(self.x_title, Qt.TextElideMode.ElideRight, round(area.width()))
        bottom = QRectF(area.left(), self.height() - metrics.height() - 3, area.width(), metrics.height() + 2)
        painter.drawText(bottom, Qt.AlignmentFlag.AlignCenter, title)
        painter.drawText(QPointF(6, metrics.ascent() + 3), self.y_title)

    def _paint_names(self, painter: QPainter, area: QRectF, colours: Sequence[str]) -> None:
        """Names of several curves at the upper right, in their colours."""
        if len(self.curves) < 2:
            return
        metrics = painter.fontMetrics()
        right = area.right()
        for index in reversed(range(len(self.curves))):
            name = self.curves[index].name
            width = metrics.horizontalAdvance(name)
            painter.setPen(QPen(QColor(colours[index % len(colours)]), 1.8, STYLES[index % len(STYLES)]))
            painter.drawText(QPointF(right - width, metrics.ascent() + 3), name)
            middle = metrics.height() / 2 + 2
            painter.drawLine(QPointF(right - width - 20, middle), QPointF(right - width - 5, middle))
            right -= width + 32


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round values within a range, at most so many."""
    step = round_length((high - low) / max(1, most))
    while int((high - low) / step) > most:
        step *= 2 if round(step / 10 ** np.floor(np.log10(step))) != 2 else 2.5
    first = int(np.ceil(low / step - 1e-9))
    return [round(step * index, 12) for index in range(first, int(np.floor(high / step + 1e-9)) + 1)]
