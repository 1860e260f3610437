"""The plot of columns: bars or points, what is selected among them, and choosing by click, rectangle or keys."""

from __future__ import annotations

from typing import Any

import numpy as np
from PySide6.QtCore import QEvent, QPoint, QPointF, QRect, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QFont, QImage, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPalette, QPen
from PySide6.QtWidgets import QRubberBand, QSizePolicy, QToolTip, QVBoxLayout, QWidget

from atomseg_app.gui.atoms.plot_data import PlotData, Rows
from atomseg_app.gui.plain_plot import plain_plot
from atomseg_app.gui.value_text import value_text

_PAD = 0.04  # of the range of the values, beyond them
_HEADROOM = 1.08
_LEAST_DRAG_PX = 4
_POINT_PX, _CHOSEN_PX = 6, 8


class _Parts:
    """The items of pyqtgraph that draw a :class:`PlotData`."""

    def __init__(self, parent: QWidget) -> None:
        self.widget = plain_plot(parent)
        import pyqtgraph  # see plain_plot

        item = self.widget.getPlotItem()
        self.view = item.getViewBox()
        self.axes = {name: item.getAxis(name) for name in ("bottom", "left")}
        self.bars = pyqtgraph.BarGraphItem(x0=[], x1=[], height=[])
        self.chosen_bars = pyqtgraph.BarGraphItem(x0=[], x1=[], height=[])
        self.points = pyqtgraph.ScatterPlotItem(size=_POINT_PX, symbol="o")
        self.chosen = pyqtgraph.ScatterPlotItem(size=_CHOSEN_PX, symbol="s")
        for layer, part in enumerate((self.bars, self.chosen_bars, self.points, self.chosen)):
            part.setZValue(layer)
            item.addItem(part, ignoreBounds=True)

    def show(self, data: PlotData) -> None:
        """Draw other values; what is selected is drawn by :meth:`show_chosen`."""
        self.axes["bottom"].setLabel(data.x_title[0], units=data.x_title[1] or None)
        self.axes["left"].setLabel(data.y_title[0], units=data.y_title[1] or None)
        if data.bars is not None:
            edges, counts = data.bars.edges, data.bars.counts
            self.bars.setOpts(x0=edges[:-1], x1=edges[1:], height=counts)
            self.points.setData([], [])
            top = _HEADROOM * max(float(counts.max(initial=0)), 1.0)
            self.view.setRange(xRange=(edges[0], edges[-1]), yRange=(0.0, top), padding=0.0)
        elif data.y is not None:
            self.bars.setOpts(x0=[], x1=[], height=[])
            self.points.setData(data.x, data.y)
            self.view.setRange(xRange=_range(data.x), yRange=_range(data.y), padding=_PAD)

    def show_chosen(self, data: PlotData, selected: Rows) -> None:
        """Draw which of the values are selected."""
        among = np.isin(data.rows, selected)
        if data.bars is not None:
            counts = np.histogram(data.x[among], data.bars.edges)[0]
            self.chosen_bars.setOpts(x0=data.bars.edges[:-1], x1=data.bars.edges[1:], height=counts)
            self.chosen.setData([], [])
        elif data.y is not None:
            self.chosen_bars.setOpts(x0=[], x1=[], height=[])
            self.chosen.setData(data.x[among], data.y[among])

    def style(self, palette: QPalette, font: QFont) -> None:
        """Take the colours and the text size of the look."""
        self.widget.setBackground(palette.base().color())
        for axis in self.axes.values():
            axis.setTickFont(font)
            axis.label.setFont(font)
            axis.setPen(palette.mid().color())
            axis.setTextPen(palette.text().color())
        faint, accent, base = palette.placeholderText().color(), palette.link().color(), palette.base().color()
        self.bars.setOpts(brush=faint, pen=QPen(base, 0))
        self.chosen_bars.setOpts(brush=accent, pen=QPen(base, 0))
        see_through = QColor(faint)
        see_through.setAlpha(150)
        self.points.setBrush(see_through)
        self.points.setPen(None)
        self.chosen.setBrush(accent)
        self.chosen.setPen(QPen(base, 1))


class PlotView(QWidget):
    """``rows_chosen(rows, add)``: columns under a click or in a rectangle; ``add`` to those selected, with Shift."""

    rows_chosen = Signal(object, bool)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("atoms.plot")
        self.setAccessibleName("Plot of the columns")
        self.setAccessibleDescription(
            "Click or drag to select columns. Left and right take the next bar or point, Enter selects it."
        )
        self.setToolTip("Click a bar or point, or drag a rectangle, to select its columns; with Shift to add them.")
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.data: PlotData | None = None
        self._selected: Rows = np.empty(0, np.intp)
        self._active = -1
        self._from: QPoint | None = None
        self._parts: _Parts | None = None
        self._band = QRubberBand(QRubberBand.Shape.Rectangle, self)
        self._inside = QVBoxLayout(self)
        self._inside.setContentsMargins(1, 1, 1, 1)  # room for the frame

    def sizeHint(self) -> QSize:
        """Wide and low."""
        return QSize(420, 14 * self.fontMetrics().height())

    def minimumSizeHint(self) -> QSize:
        """Axes with a few values."""
        return QSize(160, 8 * self.fontMetrics().height())

    def show_data(self, data: PlotData | None, selected: Rows) -> None:
        """Show other values."""
        self.data, self._selected, self._active = data, selected, -1
        drawable = data is not None and len(data.x) > 0
        if drawable and self._parts is None:
            self._parts = _Parts(self)
            self._inside.addWidget(self._parts.widget)
            self._parts.style(self.palette(), self.font())
            self._band.raise_()
        if self._parts is not None:
            self._parts.widget.setVisible(drawable)
            if data is not None and drawable:
                self._parts.show(data)
                self._parts.show_chosen(data, selected)
        self.update()

    def show_selected(self, selected: Rows) -> None:
        """Show which columns are selected."""
        self._selected = selected
        if self._parts is not None and self.data is not None and len(self.data.x):
            self._parts.show_chosen(self.data, selected)

    def place_of(self, x: float, y: float) -> QPoint:
        """Where a value lies in the widget."""
        assert self._parts is not None
        scene = self._parts.view.mapViewToScene(QPointF(x, y))
        place: QPoint = self._parts.widget.mapFromScene(scene)
        return QPoint(place + self._parts.widget.pos())

    def value_at(self, point: QPoint) -> tuple[float, float]:
        """Value at a place in the widget."""
        assert self._parts is not None
        scene = self._parts.widget.mapToScene(point - self._parts.widget.pos())
        value = self._parts.view.mapSceneToView(scene)
        return float(value.x()), float(value.y())

    def picture(self, scale: float) -> QImage:
        """The plot black on white, ``scale`` pixels for one of the screen."""
        assert self._parts is not None
        paper = QPalette(QColor("#ffffff"))
        for role, colour in (
            (QPalette.ColorRole.Base, "#ffffff"), (QPalette.ColorRole.Text, "#000000"),
            (QPalette.ColorRole.Mid, "#444444"), (QPalette.ColorRole.PlaceholderText, "#7d8794"),
            (QPalette.ColorRole.Link, "#1b6ac9"),
        ):  # fmt: skip
            paper.setColor(role, QColor(colour))
        widget = self._parts.widget
        picture = QImage(
            round(widget.width() * scale), round(widget.height() * scale), QImage.Format.Format_RGB32
        )  # fmt: skip
        picture.fill(QColor("#ffffff"))
        self._parts.style(paper, self.font())
        painter = QPainter(picture)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        widget.render(painter, QRectF(picture.rect()), widget.viewport().rect())
        painter.end()
        self._parts.style(self.palette(), self.font())
        return picture

    # -- events

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the frame, and what is missing while there is nothing to plot."""
        painter = QPainter(self)
        palette = self.palette()
        painter.fillRect(self.rect(), palette.base())
        if self.data is None or not len(self.data.x):
            painter.setPen(palette.placeholderText().color())
            text = "Find columns to plot them" if self.data is None else self.data.summary()
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap, text)
        painter.setPen(QPen(palette.link().color() if self.hasFocus() else palette.mid().color(), 1))
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def changeEvent(self, event: QEvent) -> None:
        """Follow the look and the size of the text."""
        super().changeEvent(event)
        changes = (QEvent.Type.PaletteChange, QEvent.Type.FontChange, QEvent.Type.StyleChange)
        if event.type() in changes and self._parts is not None:
            self._parts.style(self.palette(), self.font())

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin a rectangle, or a click."""
        if event.button() == Qt.MouseButton.LeftButton and self._parts is not None and self.data is not None:
            self._from = event.position().toPoint()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Draw the rectangle."""
        if self._from is not None:
            self._band.setGeometry(QRect(self._from, event.position().toPoint()).normalized())
            self._band.show()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Select what is in the rectangle, or under the pointer."""
        if self._from is None or self.data is None or event.button() != Qt.MouseButton.LeftButton:
            return
        start, end = self._from, event.position().toPoint()
        self._from = None
        self._band.hide()
        add = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if (end - start).manhattanLength() < _LEAST_DRAG_PX:
            self.rows_chosen.emit(self._rows_at(end), add)
            return
        (x0, y0), (x1, y1) = self.value_at(start), self.value_at(end)
        rows = self.data.rows_within(min(x0, x1), max(x0, x1), min(y0, y1), max(y0, y1))
        self.rows_chosen.emit(rows, add)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Take the next bar or point and tell what it is; Enter selects it; Escape gives a rectangle up."""
        key = event.key()
        add = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if key == Qt.Key.Key_Escape and self._from is not None:
            self._from = None
            self._band.hide()
        elif key in (Qt.Key.Key_Left, Qt.Key.Key_Right) and self._count():
            step = 1 if key == Qt.Key.Key_Right else -1
            self._active = (self._active + step) % self._count() if self._active >= 0 or step > 0 else self._count() - 1
            place, text = self._describe(self._active)
            QToolTip.showText(self.mapToGlobal(place), text, self)
            self.setAccessibleDescription(text)
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter) and self._active >= 0:
            self.rows_chosen.emit(self._rows_of(self._active), add)
        else:
            super().keyPressEvent(event)

    # -- bars and points in order

    def _count(self) -> int:
        if self.data is None:
            return 0
        return len(self.data.x) if self.data.bars is None else len(self.data.bars.counts)

    def _rows_of(self, number: int) -> Rows:
        """Rows of a bar, or of a point in the order of x."""
        assert self.data is not None
        if self.data.bars is not None:
            return self.data.bar_rows(number)
        return self.data.rows[np.argsort(self.data.x, kind="stable")[number : number + 1]]

    def _rows_at(self, point: QPoint) -> Rows:
        """Rows of the bar or point at a place in the widget."""
        assert self.data is not None
        x, y = self.value_at(point)
        if self.data.bars is not None:
            bar = int(np.searchsorted(self.data.bars.edges, x, "right")) - 1
            return self.data.bar_rows(bar) if 0 <= bar < len(self.data.bars.counts) else self.data.rows[:0]
        assert self._parts is not None
        (left, right), (low, high) = self._parts.view.viewRange()
        found = self.data.point_at(x, y, right - left, high - low)
        return self.data.rows[found : found + 1] if found >= 0 else self.data.rows[:0]

    def _describe(self, number: int) -> tuple[QPoint, str]:
        """Where a bar or point lies, and what it is."""
        assert self.data is not None
        unit = self.data.x_title[1]
        if self.data.bars is not None:
            low, high = self.data.bars.edges[number : number + 2]
            count = int(self.data.bars.counts[number])
            text = f"{value_text(low, 4)} to {value_text(high, 4)} {unit}: {count} columns"
            return self.place_of((low + high) / 2, count), f"{text}. Enter selects them."
        assert self.data.y is not None
        place = int(np.argsort(self.data.x, kind="stable")[number])
        x, y = float(self.data.x[place]), float(self.data.y[place])
        text = f"{value_text(x, 4)} {unit}, {value_text(y, 4)} {self.data.y_title[1]}"
        return self.place_of(x, y), f"{text}. Enter selects this column."


def _range(values: np.ndarray[Any, np.dtype[np.float64]]) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    return (low, high) if high > low else (low - 0.5 * (abs(low) or 1), high + 0.5 * (abs(high) or 1))
