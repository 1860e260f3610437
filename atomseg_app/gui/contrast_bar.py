"""Controls of the contrast under an image: histogram, limits as numbers, automatic limits, scaling, colour map."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtWidgets import QComboBox, QHBoxLayout, QLineEdit, QToolButton, QVBoxLayout, QWidget

from atomseg_app.gui.colour_maps import ALL_TITLES
from atomseg_app.gui.contrast import SCALINGS, Contrast, Scaling, auto_limits, full_limits
from atomseg_app.gui.histogram import Histogram
from atomseg_app.gui.value_text import value_text


class ContrastBar(QWidget):
    """``changed`` carries the new :class:`Contrast`."""

    changed = Signal(object)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("view.contrast")
        self.contrast = Contrast()
        self.even = False  # automatic limits lie as far to either side of zero
        self._sample: npt.NDArray[np.float32] = np.empty(0, np.float32)
        self.histogram = Histogram()
        self.histogram.limits_changed.connect(self._limits)
        self.low = _number("Low limit", "Value drawn in the first colour of the map (black); type a number.")
        self.high = _number("High limit", "Value drawn in the last colour of the map (white); type a number.")
        for edit in (self.low, self.high):
            edit.editingFinished.connect(self._typed)
        self.auto = _button("Auto", "Leave out the darkest and the brightest 0.1 % of the pixels.", self.set_auto)
        self.full = _button("Full", "Show the whole range of values.", self.set_full)
        self.scaling = _choice("Scaling", "How values between the limits become brightness.", SCALINGS)
        self.scaling.currentIndexChanged.connect(self._chosen)
        self.gamma = _number("Gamma", "Exponent of the gamma scaling: below 1 brightens the dark parts.")
        self.gamma.setMaximumWidth(5 * self.fontMetrics().averageCharWidth() + 16)
        self.gamma.editingFinished.connect(self._typed)
        self.colour_map = _choice("Colour map", "Colours from the low to the high limit.", ALL_TITLES)
        self.colour_map.currentIndexChanged.connect(self._chosen)
        self.invert = _button("Invert", "Swap the ends of the colour map.", None)
        self.invert.setCheckable(True)
        self.invert.toggled.connect(self._chosen)
        self._arrange()
        self.show_contrast(self.contrast)

    def set_sample(self, sample: npt.NDArray[np.float32]) -> None:
        """Show the distribution of an image's values; the limits stay."""
        self._sample = sample
        self.histogram.set_sample(sample)

    def show_contrast(self, contrast: Contrast) -> None:
        """Show a contrast without telling of it."""
        self.contrast = contrast
        blockers = [QSignalBlocker(w) for w in (self.scaling, self.colour_map, self.invert)]
        self.scaling.setCurrentIndex(self.scaling.findData(contrast.scaling))
        self.colour_map.setCurrentIndex(self.colour_map.findData(contrast.colour_map))
        self.invert.setChecked(contrast.invert)
        for blocker in blockers:
            blocker.unblock()
        for edit, value in ((self.low, contrast.low), (self.high, contrast.high)):
            edit.setText(value_text(value))
            edit.setCursorPosition(0)
        self.gamma.setText(f"{contrast.gamma:.3g}")
        self.gamma.setVisible(contrast.scaling == "gamma")
        self.histogram.set_limits(contrast.low, contrast.high)

    def automatic(self) -> tuple[float, float]:
        """Limits at the percentiles."""
        return self._about_zero(auto_limits(self._sample))

    def set_auto(self) -> None:
        """Put the limits at the percentiles."""
        self._limits(*self.automatic())

    def set_full(self) -> None:
        """Limits at the extremes."""
        self._limits(*self._about_zero(full_limits(self._sample)))

    def _about_zero(self, limits: tuple[float, float]) -> tuple[float, float]:
        reach = max(abs(limit) for limit in limits) or 1.0
        return (-reach, reach) if self.even else limits

    def _limits(self, low: float, high: float) -> None:
        self._tell(replace(self.contrast, low=low, high=high))

    def _typed(self) -> None:
        """Take what was typed; what is no number, or out of order, is put back."""
        low, high, gamma = (_parsed(edit.text()) for edit in (self.low, self.high, self.gamma))
        now = self.contrast
        # A number shown is rounded: one that was not edited keeps its digits.
        low = now.low if low is None or not self.low.isModified() else low
        high = now.high if high is None or not self.high.isModified() else high
        gamma = now.gamma if gamma is None or not 0.05 <= gamma <= 20 else gamma
        new = replace(now, low=low, high=high, gamma=gamma) if low < high else now
        if new == now:
            self.show_contrast(now)
        else:
            self._tell(new)

    def _chosen(self) -> None:
        scaling: Scaling = self.scaling.currentData()
        self._tell(
            replace(
                self.contrast, scaling=scaling, colour_map=self.colour_map.currentData(), invert=self.invert.isChecked()
            )
        )

    def _tell(self, contrast: Contrast) -> None:
        self.show_contrast(contrast)
        self.changed.emit(contrast)

    def _arrange(self) -> None:
        controls = QHBoxLayout()
        controls.setContentsMargins(0, 0, 0, 0)
        controls.setSpacing(4)
        for widget in (self.low, self.auto, self.full):
            controls.addWidget(widget)
        controls.addStretch(1)
        for choice in (self.scaling, self.gamma, self.colour_map, self.invert):
            controls.addWidget(choice)
        controls.addStretch(1)
        controls.addWidget(self.high)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 4, 6, 4)
        layout.setSpacing(4)
        layout.addWidget(self.histogram)
        layout.addLayout(controls)


def _number(name: str, tip: str) -> QLineEdit:
    edit = QLineEdit()
    edit.setAccessibleName(name)
    edit.setObjectName(f"contrast.{name.split()[0].lower()}")
    edit.setToolTip(tip)
    edit.setMaximumWidth(11 * edit.fontMetrics().averageCharWidth() + 16)
    return edit


def _button(text: str, tip: str, callback: Callable[[], object] | None) -> QToolButton:
    button = QToolButton()
    button.setText(text)
    button.setToolTip(tip)
    button.setObjectName(f"contrast.{text.lower()}")
    button.setAccessibleName(f"{text}: contrast")
    if callback is not None:
        button.clicked.connect(lambda _checked: callback())
    return button


def _choice(name: str, tip: str, titles: Mapping[Any, str]) -> QComboBox:
    box = QComboBox()
    box.setAccessibleName(name)
    box.setObjectName(f"contrast.{name.split()[0].lower()}")
    box.setToolTip(tip)
    for key, title in titles.items():
        box.addItem(title, key)
    return box


def _parsed(text: str) -> float | None:
    try:
        number = float(text.strip().replace(",", ".").replace("\N{MINUS SIGN}", "-"))
    except ValueError:
        return None
    return number if np.isfinite(number) else None
