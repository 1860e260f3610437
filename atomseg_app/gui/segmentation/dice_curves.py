"""Dice of each class while a network learns, judged on slices that it is not taught."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from atomseg_app.networks.training_log import Entry, validations

_PREFIX = "dice_"
_LINES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine, Qt.PenStyle.DotLine, Qt.PenStyle.DashDotLine)
_MARKS = ("o", "s", "t", "d")


class DiceCurves(QWidget):
    """A line a class, in its colour and a style of its own; drawn by pyqtgraph, which is read when there is a line."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("segmentation.dice")
        self.setAccessibleName("Dice of each class while a network learns")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._inside = QVBoxLayout(self)
        self._inside.setContentsMargins(1, 1, 1, 1)
        self._plot: Any = None
        self._legend: Any = None
        self._lines: dict[str, Any] = {}
        self.colours: Mapping[str, str] = {}
        self.latest: dict[str, float] = {}

    def sizeHint(self) -> QSize:
        """Wider than high."""
        return QSize(300, 170)

    def show_log(self, entries: Sequence[Entry], colours: Mapping[str, str]) -> None:
        """Draw the validations of a log; ``colours`` are those of the classes, by name."""
        found = validations(entries)
        self.colours = colours
        names = list(dict.fromkeys(name for _, figures in found for name in figures if name.startswith(_PREFIX)))
        self.latest = {
            name.removeprefix(_PREFIX): float(figures[name])
            for _, figures in found
            for name in names
            if name in figures
        }
        if names and self._plot is None:
            self._make()
        if self._plot is not None:
            self._plot.setVisible(bool(names))
            for gone in set(self._lines) - set(names):
                self._plot.getPlotItem().removeItem(self._lines.pop(gone))
            for name in names:
                points = [(step, figures[name]) for step, figures in found if name in figures]
                x, y = np.array(points, float).reshape(-1, 2).T
                self._line(name).setData(x, y)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """The frame, and what comes here while there is nothing."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), self.palette().base())
        if not self.latest:
            painter.setPen(self.palette().placeholderText().color())
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, "Dice of each class, 1 is perfect")
        painter.setPen(QPen(self.palette().mid().color(), 1))
        painter.drawRect(self.rect().adjusted(0, 0, -1, -1))
        painter.end()

    def changeEvent(self, event: QEvent) -> None:
        """Follow the look and the size of the text."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.PaletteChange, QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._restyle()

    def _make(self) -> None:
        import pyqtgraph  # reading it would cost the first frame of the window 0.3 s

        self._plot = pyqtgraph.PlotWidget(self)
        self._plot.setAccessibleName(self.accessibleName())
        item = self._plot.getPlotItem()
        item.setMenuEnabled(False)
        item.hideButtons()
        item.setLabel("bottom", "Step")
        item.setLabel("left", "Dice")
        item.setYRange(0, 1, padding=0.02)
        item.getAxis("bottom").enableAutoSIPrefix(False)
        self._legend = item.addLegend(offset=(-8, -8))
        self._inside.addWidget(self._plot)
        self._restyle()

    def _line(self, name: str) -> Any:
        if name not in self._lines:
            title = name.removeprefix(_PREFIX)
            mark = _MARKS[len(self._lines) % len(_MARKS)]
            self._lines[name] = self._plot.getPlotItem().plot([], [], name=title, symbol=mark, symbolSize=6)
            self._restyle()
        return self._lines[name]

    def _restyle(self) -> None:
        if self._plot is None:
            return
        palette, font = self.palette(), self.font()
        self._plot.setBackground(palette.base().color())
        for side in ("bottom", "left"):
            axis = self._plot.getPlotItem().getAxis(side)
            axis.setTickFont(font)
            axis.label.setFont(font)
            axis.setPen(palette.mid().color())
            axis.setTextPen(palette.text().color())
        for number, (name, line) in enumerate(self._lines.items()):
            colour = QColor(self.colours.get(name.removeprefix(_PREFIX), palette.link().color().name()))
            if abs(colour.lightnessF() - palette.base().color().lightnessF()) < 0.2:
                colour = palette.text().color()
            pen = QPen(colour, 2, _LINES[number % len(_LINES)])
            pen.setCosmetic(True)
            line.setPen(pen)
            line.setSymbolPen(colour)
            line.setSymbolBrush(colour)
        self._legend.setBrush(palette.base().color())
        self._legend.setLabelTextColor(palette.text().color())
        for _, label in self._legend.items:
            label.setText(label.text)
