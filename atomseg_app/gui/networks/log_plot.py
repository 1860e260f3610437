"""A plot that grows while a network learns: frame, words while it is empty, axes and legend in the window's look."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

_LEGEND_COLUMNS = 3
_RIGHT_PX = 16


class LogPlot(QWidget):
    """Base of the curves of a training, drawn by pyqtgraph, which is read when there is something to draw.

    What follows it gives the words (``title`` of the vertical axis, ``hint`` while there is nothing), says whether it
    ``filled``, adds its lines in :meth:`_made`, and gives them pens in :meth:`_colour`.
    """

    title = ""
    hint = ""

    def __init__(self, name: str, accessible_name: str, size: QSize) -> None:
        super().__init__()
        self.setObjectName(name)
        self.setAccessibleName(accessible_name)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._size = size
        self._inside = QVBoxLayout(self)
        self._inside.setContentsMargins(1, 1, 1, 1)
        self._plot: Any = None
        self._legend: Any = None

    def sizeHint(self) -> QSize:
        """Wider than high."""
        return self._size

    @property
    def filled(self) -> bool:
        """Whether there is something to draw."""
        raise NotImplementedError

    def paintEvent(self, event: QPaintEvent) -> None:
        """The frame, and what comes here while there is nothing."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), self.palette().base())
        if not self.filled:
            painter.setPen(self.palette().placeholderText().color())
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, self.hint)
        painter.setPen(QPen(self.palette().mid().color(), 1))
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def changeEvent(self, event: QEvent) -> None:
        """Follow the look and the size of the text."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._restyle()

    def show_steps(self, last: float) -> None:
        """Draw the steps from 0 to the last one, so that plots below each other have the same axis."""
        if self._plot is not None:
            self._plot.getPlotItem().setXRange(0, max(1.0, float(last)), padding=0.02)

    def _show_plot(self, shown: bool) -> None:
        """Have the plot there before lines are set, if it is to be shown."""
        if shown and self._plot is None:
            self._make()
        if self._plot is not None:
            self._plot.setVisible(shown)

    def _make(self) -> None:
        import pyqtgraph  # reading it would cost the first frame of the window 0.3 s

        self._plot = pyqtgraph.PlotWidget(self)
        self._plot.setAccessibleName(self.accessibleName())
        item = self._plot.getPlotItem()
        item.setMenuEnabled(False)
        item.hideButtons()
        item.layout.setContentsMargins(1, 1, _RIGHT_PX, 1)  # half of the last number is beyond the axis
        item.setLabel("bottom", "Step")
        item.setLabel("left", self.title)
        for name in ("bottom", "left"):
            item.getAxis(name).enableAutoSIPrefix(False)
        # Above the lines, in the place of a title: within a low plot it would hide them.
        self._legend = item.legend = pyqtgraph.LegendItem(colCount=_LEGEND_COLUMNS, verSpacing=0)
        item.layout.removeItem(item.titleLabel)
        item.layout.addItem(self._legend, 0, 1)
        self._made(item)
        self._inside.addWidget(self._plot)
        self._restyle()

    def _made(self, item: Any) -> None:
        """Add lines to the new plot."""

    def _colour(self) -> None:
        """Give the lines pens of the look that is in force."""

    def _restyle(self) -> None:
        if self._plot is None:
            return
        palette, font = self.palette(), self.font()
        self._plot.setBackground(palette.base().color())
        for name in ("bottom", "left"):
            axis = self._plot.getPlotItem().getAxis(name)
            axis.setTickFont(font)
            axis.label.setFont(font)
            axis.setPen(palette.mid().color())
            axis.setTextPen(palette.text().color())
        self._colour()
        self._legend.setBrush(palette.base().color())
        self._legend.setLabelTextColor(palette.text().color())
        for _, label in self._legend.items:
            label.setText(label.text)
        rows = -(-len(self._legend.items) // _LEGEND_COLUMNS)
        self._plot.getPlotItem().layout.setRowFixedHeight(0, rows * (self.fontMetrics().height() + 4))
