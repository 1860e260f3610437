"""Curves of a training run: loss of the steps, loss of the validations, and the best of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PySide6.QtCore import QSize, Qt
from PySide6.QtGui import QPen

from atomseg_app.gui.networks.log_plot import LogPlot
from atomseg_app.networks.training_log import Entry, validations


class Curves(LogPlot):
    """Shows what :meth:`show_log` was last given; training is a thin line, validation a dashed one with marks."""

    title = "Loss"
    hint = "Loss against steps, while a network learns"

    def __init__(self) -> None:
        super().__init__("networks.curves", "Curves of the training", QSize(420, 260))
        self.points = 0

    @property
    def filled(self) -> bool:
        """Whether the log has anything."""
        return bool(self.points)

    def show_log(self, entries: Sequence[Entry]) -> None:
        """Draw the lines of a log; none clears."""
        steps = [(entry["step"], entry["loss"]) for entry in entries if isinstance(entry.get("loss"), int | float)]
        judged = [(step, figures["loss"]) for step, figures in validations(entries)]
        self.points = len(steps) + len(judged)
        self._show_plot(self.filled)
        if self._plot is not None:
            x, y = np.array(steps, float).reshape(-1, 2).T
            self._training.setData(x, y)
            x, y = np.array(judged, float).reshape(-1, 2).T
            self._validation.setData(x, y)
            at = [int(np.argmin(y))] if len(y) else []
            self._best.setData(x[at], y[at])
            self.show_steps(max([step for step, _ in (*steps, *judged)], default=1))
        self.update()

    def _made(self, item: Any) -> None:
        self._training = item.plot([], [], name="Training")
        self._validation = item.plot([], [], name="Validation", symbol="o", symbolSize=6)
        self._best = item.plot([], [], name="Best", pen=None, symbol="star", symbolSize=14)

    def _colour(self) -> None:
        palette = self.palette()
        accent, faint = palette.link().color(), palette.placeholderText().color()
        self._training.setPen(QPen(faint, 0))
        line = QPen(accent, 2, Qt.PenStyle.DashLine)
        line.setCosmetic(True)
        self._validation.setPen(line)
        for curve in (self._validation, self._best):
            curve.setSymbolPen(accent)
            curve.setSymbolBrush(accent)
