"""Limits of the colours of the markers: dragged in a histogram of the values, typed, or automatic."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QLineEdit, QToolButton, QVBoxLayout, QWidget

from atomseg_app.gui.atoms.colouring import Colouring
from atomseg_app.gui.histogram import Histogram
from atomseg_app.gui.value_text import value_text

_DIGITS = 4


class LimitsBar(QWidget):
    """``changed`` carries the limits (low, high), or None for automatic ones."""

    changed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self._limits = (0.0, 1.0)
        self.histogram = Histogram()
        self.histogram.setObjectName("show.histogram")
        self.histogram.setAccessibleName("Histogram of the quantity that colours the markers")
        self.histogram.setToolTip("How often each value occurs. Drag the limits of the colours.")
        self.histogram.limits_changed.connect(lambda low, high: self.changed.emit((low, high)))
        self.low = _edit("Lowest value of the colours", "Value drawn in the first colour")
        self.high = _edit("Highest value of the colours", "Value drawn in the last colour")
        for edit in (self.low, self.high):
            edit.editingFinished.connect(self._typed)
        self.auto = QToolButton()
        self.auto.setText("Auto")
        self.auto.setObjectName("show.auto")
        self.auto.setAccessibleName("Automatic limits of the colours")
        self.auto.setToolTip(
            "From the 2nd to the 98th percentile; as far to either side of zero for values of either sign."
        )
        self.auto.clicked.connect(lambda _checked: self.changed.emit(None))
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.low)
        row.addStretch(1)
        row.addWidget(self.auto)
        row.addStretch(1)
        row.addWidget(self.high)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.histogram)
        layout.addLayout(row)

    def show_colouring(self, colouring: Colouring | None) -> None:
        """Show the values and limits in force; hidden where there are none to set."""
        self.setVisible(colouring is not None and not colouring.of_kinds and bool(np.isfinite(colouring.values).any()))
        if colouring is None or self.isHidden():
            return
        values = colouring.values
        self.histogram.set_sample(values[np.isfinite(values)].astype(np.float32))
        self._limits = colouring.limits
        self.histogram.set_limits(*colouring.limits)
        unit = colouring.label.rpartition("(")[2].rstrip(")") if colouring.label.endswith(")") else ""
        for edit, limit, which in ((self.low, colouring.limits[0], "first"), (self.high, colouring.limits[1], "last")):
            edit.setText(value_text(limit, _DIGITS))
            edit.setCursorPosition(0)
            edit.setToolTip(f"Value drawn in the {which} colour{f', in {unit}' if unit else ''}; type a number.")

    def _typed(self) -> None:
        """Take what was typed; what is no number, or out of order, is put back."""
        low, high = (
            limit if not edit.isModified() else _number(edit.text(), limit)
            for edit, limit in ((self.low, self._limits[0]), (self.high, self._limits[1]))
        )
        if low < high and (low, high) != self._limits:
            self.changed.emit((low, high))
            return
        for edit, limit in ((self.low, self._limits[0]), (self.high, self._limits[1])):
            edit.setText(value_text(limit, _DIGITS))


def _edit(name: str, tip: str) -> QLineEdit:
    edit = QLineEdit()
    edit.setAccessibleName(name)
    edit.setToolTip(f"{tip}; type a number.")
    edit.setMaximumWidth(9 * edit.fontMetrics().averageCharWidth() + 16)
    return edit


def _number(text: str, otherwise: float) -> float:
    try:
        number = float(text.strip().replace(",", ".").replace("\N{MINUS SIGN}", "-"))
    except ValueError:
        return otherwise
    return number if np.isfinite(number) else otherwise
