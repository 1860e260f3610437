"""Curves of a training run: loss of the steps, loss of the validations, and the best of them, drawn by pyqtgraph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PySide6.QtCore import QEvent, QSize, Qt
from PySide6.QtGui import QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

from atomseg_app.networks.training_log import Entry, validations


class Curves(QWidget):
    """Shows what :meth:`show_log` was last given; training is a thin line, validation a dashed one with marks."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("networks.curves")
        self.setAccessibleName("Curves of the training")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self._inside = QVBoxLayout(self)
        self._inside.setContentsMargins(1, 1, 1, 1)
        self._plot: Any = None
        self.points = 0

    def sizeHint(self) -> QSize:
        """Wider than high."""
        return QSize(420, 260)

    def show_log(self, entries: Sequence[Entry]) -> None:
        """Draw the lines of a log; none clears."""
        steps = [(entry["step"], entry["loss"]) for entry in entries if isinstance(entry.get("loss"), int | float)]
        judged = [(step, figures["loss"]) for step, figures in validations(entries)]
        self.points = len(steps) + len(judged)
        if self._plot is None and self.points:
            self._make()
        if self._plot is not None:
            self._plot.setVisible(bool(self.points))
            x, y = np.array(steps, float).reshape(-1, 2).T
            self._training.setData(x, y)
            x, y = np.array(judged, float).reshape(-1, 2).T
            self._validation.setData(x, y)
            at = [int(np.argmin(y))] if len(y) else []
            self._best.setData(x[at], y[at])
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the frame, and what comes here while there is nothing."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), self.palette().base())
        if not self.points:
            painter.setPen(self.palette().placeholderText().color())
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, "Loss against steps, while a network learns")
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
        item.setLabel("left", "Loss")
        for name in ("bottom", "left"):
            item.getAxis(name).enableAutoSIPrefix(False)
        self._legend = item.addLegend(offset=(-10, 10))
        self._training = item.plot([], [], name="Training")
        self._validation = item.plot([], [], name="Validation", symbol="o", symbolSize=6)
        self._best = item.plot([], [], name="Best", pen=None, symbol="star", symbolSize=14)
        self._inside.addWidget(self._plot)
        self._restyle()

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
        accent, faint = palette.link().color(), palette.placeholderText().color()
        self._training.setPen(QPen(faint, 0))
        line = QPen(accent, 2, Qt.PenStyle.DashLine)
        line.setCosmetic(True)
        self._validation.setPen(line)
        for curve in (self._validation, self._best):
            curve.setSymbolPen(accent)
            curve.setSymbolBrush(accent)
        self._legend.setBrush(palette.base().color())
        self._legend.setLabelTextColor(palette.text().color())
        for _, label in self._legend.items:
            label.setText(label.text)
