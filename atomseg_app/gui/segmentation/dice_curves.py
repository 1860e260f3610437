"""Dice of each class while a network learns, judged on slices that it is not taught."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QColor, QPen

from atomseg_app.gui.networks.log_plot import LogPlot
from atomseg_app.networks.training_log import Entry, validations

_PREFIX = "dice_"
_LINES = (Qt.PenStyle.SolidLine, Qt.PenStyle.DashLine, Qt.PenStyle.DotLine, Qt.PenStyle.DashDotLine)
_MARKS = ("o", "s", "t", "d")


class DiceCurves(LogPlot):
    """A line a class, in its colour and a style of its own."""

    title = "Dice"
    hint = "Dice of each class: after the first validation"

    def __init__(self) -> None:
        name = "Dice of each class while a network learns"
        super().__init__("segmentation.dice", name, QSize(300, 170))
        self._lines: dict[str, Any] = {}
        self.colours: Mapping[str, str] = {}
        self.latest: dict[str, float] = {}

    @property
    def filled(self) -> bool:
        """Whether a validation is in the log."""
        return bool(self.latest)

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
        self._show_plot(self.filled)
        if self._plot is not None:
            for gone in set(self._lines) - set(names):
                self._plot.getPlotItem().removeItem(self._lines.pop(gone))
            for name in names:
                points = [(step, figures[name]) for step, figures in found if name in figures]
                x, y = np.array(points, float).reshape(-1, 2).T
                self._line(name).setData(x, y)
        self.update()

    def _made(self, item: Any) -> None:
        item.setYRange(0, 1, padding=0.06)  # marks at 0 and 1 are whole

    def _line(self, name: str) -> Any:
        if name not in self._lines:
            title = name.removeprefix(_PREFIX)
            mark = _MARKS[len(self._lines) % len(_MARKS)]
            self._lines[name] = self._plot.getPlotItem().plot([], [], name=title, symbol=mark, symbolSize=6)
            self._restyle()
        return self._lines[name]

    def _colour(self) -> None:
        palette = self.palette()
        for number, (name, line) in enumerate(self._lines.items()):
            colour = QColor(self.colours.get(name.removeprefix(_PREFIX), palette.link().color().name()))
            if abs(colour.lightnessF() - palette.base().color().lightnessF()) < 0.2:
                colour = palette.text().color()
            pen = QPen(colour, 2, _LINES[number % len(_LINES)])
            pen.setCosmetic(True)
            line.setPen(pen)
            line.setSymbolPen(colour)
            line.setSymbolBrush(colour)
