"""Plot of nearest-neighbour distances: mean and standard deviation; a click on a bar selects its columns."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPalette, QPen, QShowEvent
from PySide6.QtWidgets import QSizePolicy, QToolTip, QVBoxLayout, QWidget

from atomseg_app.gui.color_bar import round_ticks
from atomseg_app.gui.plain_plot import plain_plot

_MOST_BINS = 60
_HEADROOM = 1.08  # of the axis above the highest bar
_SPREAD_ALPHA = 45


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

    def moments(self) -> tuple[float, float]:
        """Mean and sample standard deviation; NaN where there are too few distances."""
        known = self.values[np.isfinite(self.values)]
        mean = float(known.mean()) if len(known) else math.nan
        return mean, float(known.std(ddof=1)) if len(known) > 1 else math.nan

    def summary(self) -> str:
        """Mean and standard deviation in words."""
        mean, deviation = self.moments()
        if not math.isfinite(mean):
            return "No column has a neighbour."
        digits = 4 if self.unit == "nm" else 3
        spread = f" ± {deviation:.{digits}f}" if math.isfinite(deviation) else ""
        count = int(np.isfinite(self.values).sum())
        return f"{mean:.{digits}f}{spread} {self.unit}  (mean ± s.d., n = {count})"


def distances_of(values: npt.NDArray[np.float64], unit: str, least_bins: int = 1) -> Distances:
    """Histogram of distances, its bins chosen from their spread (Freedman & Diaconis, 1981), ``least_bins`` at least:
    that spread is too wide a measure for values that lie in two heaps.
    """
    known = values[np.isfinite(values)]
    if not len(known):
        return Distances(values, unit, np.array([0.0, 1.0]), np.zeros(1, np.intp))
    low, high = float(known.min()), float(known.max())
    quarters = np.percentile(known, (25, 75))
    width = 2 * (quarters[1] - quarters[0]) / len(known) ** (1 / 3)
    bins = int(np.clip(np.ceil((high - low) / width), least_bins, _MOST_BINS)) if width > 0 else 1
    if high - low < 1e-9 * (abs(high) or 1):
        low, high = low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1)
    counts, edges = np.histogram(known, bins, (low, high))
    return Distances(values, unit, edges, counts)


class _Plot:
    """Bars, their mean as a line, and a band of one standard deviation to either side, drawn by pyqtgraph."""

    def __init__(self, parent: QWidget) -> None:
        self.widget = plain_plot(parent)
        import pyqtgraph  # see plain_plot

        item = self.widget.getPlotItem()
        self.view = item.getViewBox()
        self.below, self.beside = item.getAxis("bottom"), item.getAxis("left")
        self.band = pyqtgraph.LinearRegionItem(movable=False)
        self.bars = pyqtgraph.BarGraphItem(x0=[], x1=[], height=[])
        self.mean = pyqtgraph.InfiniteLine()
        for layer, part in enumerate((self.band, self.bars, self.mean)):
            part.setZValue(layer)
            item.addItem(part, ignoreBounds=True)

    def show(self, distances: Distances) -> None:
        """Show other distances."""
        edges, counts = distances.edges, distances.counts
        self.bars.setOpts(x0=edges[:-1], x1=edges[1:], height=counts)
        mean, deviation = distances.moments()
        self.mean.setValue(mean)
        self.band.setVisible(math.isfinite(deviation))
        if math.isfinite(deviation):
            self.band.setRegion((mean - deviation, mean + deviation))
        top = _HEADROOM * float(counts.max())
        self.view.setRange(xRange=(edges[0], edges[-1]), yRange=(0.0, top), padding=0.0)
        self.below.setLabel("Nearest neighbour", units=distances.unit)
        self.beside.setLabel("Columns")
        self.beside.setTicks([[tick for tick in round_ticks(0.0, top, 3) if tick[0] == round(tick[0])]])

    def style(self, palette: QPalette, font: QFont) -> None:
        """Take the colours and the text size of the look; bars are coloured by :meth:`colour_bars`."""
        self.widget.setBackground(palette.base().color())
        for axis in (self.below, self.beside):
            axis.setTickFont(font)
            axis.label.setFont(font)
            axis.setPen(palette.mid().color())
            axis.setTextPen(palette.text().color())
        accent = palette.link().color()
        self.mean.setPen(QPen(accent, 0, Qt.PenStyle.DashLine))
        shade = QColor(accent)
        shade.setAlpha(_SPREAD_ALPHA)
        self.band.setBrush(shade)
        for line in self.band.lines:
            line.setPen(QPen(Qt.PenStyle.NoPen))

    def colour_bars(self, palette: QPalette, count: int, active: int) -> None:
        """Colour ``count`` bars, one of them as the active one."""
        brushes = [palette.link() if index == active else palette.placeholderText() for index in range(count)]
        self.bars.setOpts(brushes=brushes, pen=QPen(palette.base().color(), 0))


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
        self._plot: _Plot | None = None
        self._inside = QVBoxLayout(self)
        self._inside.setContentsMargins(1, 1, 1, 1)  # room for the frame

    def sizeHint(self) -> QSize:
        """Wide and low."""
        return QSize(240, 10 * self.fontMetrics().height())

    def set_distances(self, distances: Distances | None) -> None:
        """Show other distances."""
        self.distances, self._bar = distances, -1
        self._show()

    def bar_at(self, point: QPointF) -> int:
        """Bar under a place in the widget, or -1."""
        if self._plot is None or self.distances is None:
            return -1
        scene = self._plot.widget.mapToScene(self._plot.widget.mapFrom(self, point.toPoint()))
        if not self._plot.view.sceneBoundingRect().contains(scene):
            return -1
        value = self._plot.view.mapSceneToView(scene).x()
        bar = int(np.searchsorted(self.distances.edges, value, "right")) - 1
        return bar if 0 <= bar < len(self.distances.counts) else -1

    def bar_rect(self, index: int) -> QRectF:
        """Where a bar is drawn."""
        if self._plot is None or self.distances is None:
            return QRectF()
        low, high = self.distances.edges[index : index + 2]
        bar = QRectF(low, 0.0, high - low, float(self.distances.counts[index]))
        drawn = self._plot.widget.mapFromScene(self._plot.view.mapViewToScene(bar).boundingRect()).boundingRect()
        return QRectF(drawn).translated(QPointF(self._plot.widget.pos()))

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the frame, and what to do while there are no distances."""
        painter = QPainter(self)
        palette = self.palette()
        painter.fillRect(self.rect(), palette.base())
        if self.distances is None or not self.distances.counts.any():
            painter.setPen(palette.placeholderText().color())
            text = "Find columns to see\nthe distances between them"
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, text)
        painter.setPen(QPen(palette.link().color() if self.hasFocus() else palette.mid().color(), 1))
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def showEvent(self, event: QShowEvent) -> None:
        """Draw what came while the section was folded."""
        super().showEvent(event)
        self._show()

    def changeEvent(self, event: QEvent) -> None:
        """Follow the look and the size of the text."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self.updateGeometry()
            self._restyle()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Tell what the bar under the pointer counts."""
        bar = self.bar_at(event.position())
        self._take(bar)
        if self.distances is not None and bar >= 0 and self.distances.counts[bar]:
            low, high = self.distances.edges[bar : bar + 2]
            text = (
                f"{low:.4g} to {high:.4g} {self.distances.unit}: {self.distances.counts[bar]} columns. Click to select."
            )
            QToolTip.showText(event.globalPosition().toPoint(), text, self)

    def leaveEvent(self, event: QEvent) -> None:
        """No bar is under the pointer."""
        self._take(-1)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Select the columns of a bar."""
        self._choose(self.bar_at(event.position()))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Take the next bar, or select the columns of this one."""
        count = 0 if self.distances is None else len(self.distances.counts)
        if count and event.key() in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            self._take((self._bar + (1 if event.key() == Qt.Key.Key_Right else -1)) % count)
        elif count and event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
            self._choose(self._bar)
        else:
            super().keyPressEvent(event)

    def _choose(self, bar: int) -> None:
        if self.distances is not None and bar >= 0:
            self.rows_chosen.emit(self.distances.rows_of(bar))

    def _take(self, bar: int) -> None:
        """Make a bar the active one."""
        if bar != self._bar and self._plot is not None and self.distances is not None:
            self._bar = bar
            self._plot.colour_bars(self.palette(), len(self.distances.counts), bar)

    def _show(self) -> None:
        drawable = self.distances is not None and bool(self.distances.counts.any())
        if self._plot is not None:
            self._plot.widget.setVisible(drawable)
        if self.distances is not None and drawable and self.isVisible():
            if self._plot is None:
                self._plot = _Plot(self)
                self._inside.addWidget(self._plot.widget)
            self._plot.show(self.distances)
            self._restyle()
        self.update()

    def _restyle(self) -> None:
        if self._plot is not None and self.distances is not None:
            self._plot.style(self.palette(), self.font())
            self._plot.colour_bars(self.palette(), len(self.distances.counts), self._bar)
