"""Histogram of nearest-neighbour distances: mean and standard deviation; a click on a bar selects its columns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from atomseg_app.gui.color_bar import round_ticks

_MOST_BINS = 60
_LEFT, _TOP, _RIGHT = 8.0, 6.0, 8.0


@dataclass(frozen=True, eq=False)
class Distances:
    """Nearest-neighbour distance of each column (n,), NaN where there is none, in ``unit``; and its histogram."""

    values: npt.NDArray[np.float64]
    unit: str
    edges: npt.NDArray[np.float64]
    counts: npt.NDArray[np.intp]

    def rows_of(self, bin_index: int) -> npt.NDArray[np.intp]:
        """Columns of a bar."""
        low, high = self.edges[bin_index], self.edges[bin_index + 1]
        last = bin_index == len(self.counts) - 1
        return np.flatnonzero((self.values >= low) & ((self.values <= high) if last else (self.values < high)))

    def summary(self) -> str:
        """Mean and standard deviation in words."""
        known = self.values[np.isfinite(self.values)]
        if not len(known):
            return "No column has a neighbour."
        digits = 4 if self.unit == "nm" else 3
        spread = f" ± {known.std(ddof=1):.{digits}f}" if len(known) > 1 else ""
        return f"{known.mean():.{digits}f}{spread} {self.unit}  (mean ± s.d., n = {len(known)})"


def distances_of(values: npt.NDArray[np.float64], unit: str) -> Distances:
    """Histogram of distances, its bins chosen from their spread (Freedman & Diaconis, 1981)."""
    known = values[np.isfinite(values)]
    if not len(known):
        return Distances(values, unit, np.array([0.0, 1.0]), np.zeros(1, np.intp))
    low, high = float(known.min()), float(known.max())
    quarters = np.percentile(known, (25, 75))
    width = 2 * (quarters[1] - quarters[0]) / len(known) ** (1 / 3)
    bins = int(np.clip(np.ceil((high - low) / width), 1, _MOST_BINS)) if width > 0 else 1
    if high - low < 1e-9 * (abs(high) or 1):
        low, high = low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1)
    counts, edges = np.histogram(known, bins, (low, high))
    return Distances(values, unit, edges, counts)


class DistanceHistogram(QWidget):
    """``rows_chosen`` carries the rows of the bar that was clicked."""

    rows_chosen = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("atoms.neighbours")
        self.setAccessibleName("Histogram of nearest-neighbour distances")
        self.setAccessibleDescription("Left and right choose a bar, Enter selects its columns.")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setMouseTracking(True)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.distances: Distances | None = None
        self._bar = -1

    def sizeHint(self) -> QSize:
        """Wide and low."""
        return QSize(240, 8 * self.fontMetrics().height())

    def set_distances(self, distances: Distances | None) -> None:
        """Show other distances."""
        self.distances, self._bar = distances, -1
        self.update()

    def bar_at(self, point: QPointF) -> int:
        """Bar under a place in the widget, or -1."""
        if self.distances is None:
            return -1
        area = self._area()
        share = (point.x() - area.left()) / max(1.0, area.width())
        return int(share * len(self.distances.counts)) if 0 <= share < 1 else -1

    def bar_rect(self, index: int) -> QRectF:
        """Where a bar is drawn."""
        if self.distances is None:
            return QRectF()
        area, counts = self._area(), self.distances.counts
        width = area.width() / len(counts)
        height = area.height() * counts[index] / max(1, counts.max())
        return QRectF(area.left() + index * width, area.bottom() - height, max(1.0, width - 1), height)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw bars and the axis with its unit."""
        painter = QPainter(self)
        palette = self.palette()
        painter.fillRect(self.rect(), palette.base())
        frame = palette.link().color() if self.hasFocus() else palette.mid().color()
        painter.setPen(QPen(frame, 1))
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        if self.distances is None or not self.distances.counts.any():
            painter.setPen(palette.placeholderText().color())
            painter.drawText(
                self.rect(), Qt.AlignmentFlag.AlignCenter, "Find columns to see\nthe distances between them"
            )
            painter.end()
            return
        for index in range(len(self.distances.counts)):
            active = index == self._bar
            painter.fillRect(self.bar_rect(index), palette.link() if active else palette.placeholderText())
        self._paint_axis(painter)
        painter.end()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Tell what the bar under the pointer counts."""
        bar = self.bar_at(event.position())
        if bar != self._bar:
            self._bar = bar
            self.update()
        if self.distances is not None and bar >= 0 and self.distances.counts[bar]:
            low, high = self.distances.edges[bar : bar + 2]
            text = (
                f"{low:.4g} to {high:.4g} {self.distances.unit}: {self.distances.counts[bar]} columns. Click to select."
            )
            QToolTip.showText(event.globalPosition().toPoint(), text, self)

    def leaveEvent(self, event: QEvent) -> None:
        """No bar is under the pointer."""
        self._bar = -1
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Select the columns of a bar."""
        self._choose(self.bar_at(event.position()))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Take the next bar, or select the columns of this one."""
        count = 0 if self.distances is None else len(self.distances.counts)
        if count and event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            self._bar = (self._bar + (1 if event.key() == Qt.Key.Key_Right else -1)) % count
            self.update()
        elif count and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._choose(self._bar)
        else:
            super().keyPressEvent(event)

    def _choose(self, bar: int) -> None:
        if self.distances is not None and bar >= 0:
            self.rows_chosen.emit(self.distances.rows_of(bar))

    def _area(self) -> QRectF:
        below = 2 * self.fontMetrics().height() + 4
        return QRectF(_LEFT, _TOP, self.width() - _LEFT - _RIGHT, self.height() - _TOP - below)

    def _paint_axis(self, painter: QPainter) -> None:
        if self.distances is None:
            return
        area, metrics = self._area(), self.fontMetrics()
        low, high = float(self.distances.edges[0]), float(self.distances.edges[-1])
        painter.setPen(QPen(self.palette().text().color(), 1))
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        end = -1e9
        for value, text in round_ticks(low, high, 4):
            x = area.left() + (value - low) / (high - low) * area.width()
            painter.drawLine(QPointF(x, area.bottom()), QPointF(x, area.bottom() + 3))
            width = metrics.horizontalAdvance(text)
            left = min(max(x - width / 2, 2.0), self.width() - width - 2.0)
            if left > end:
                painter.drawText(QPointF(left, area.bottom() + metrics.ascent() + 3), text)
                end = left + width + 6
        title = f"nearest neighbour ({self.distances.unit})"
        place = QRectF(0, self.height() - metrics.height() - 2, self.width(), metrics.height())
        painter.drawText(place, Qt.AlignmentFlag.AlignCenter, title)
