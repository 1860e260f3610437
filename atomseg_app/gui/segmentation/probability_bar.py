"""Colour bar of a probability: from clear to the colour of the class, with what it is and its values."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QLinearGradient, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

_RAMP_PX = 12
_GROUND = "#000000"


class ProbabilityBar(QWidget):
    """Shows what :meth:`show_class` was last given; drawn over black, as over a dark voxel."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("segmentation.probability_bar")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._name, self._colour, self._opacity = "", QColor(), 1.0
        self.show_class("", "#ffffff", 1.0)

    def sizeHint(self) -> QSize:
        """A ramp and a line of text."""
        return QSize(200, _RAMP_PX + self.fontMetrics().height() + 6)

    def show_class(self, name: str, colour: str, opacity: float) -> None:
        """Show the ramp of a class as it is drawn."""
        self._name, self._colour, self._opacity = name, QColor(colour), opacity
        self.setAccessibleName(f"Probability of {name} from 0 to 1")
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Ramp, 0, the name, 1."""
        painter = QPainter(self)
        ramp = QRectF(0.5, 0.5, self.width() - 1, _RAMP_PX)
        painter.fillRect(ramp, QColor(_GROUND))
        shades = QLinearGradient(ramp.topLeft(), ramp.topRight())
        clear, full = QColor(self._colour), QColor(self._colour)
        clear.setAlphaF(0)
        full.setAlphaF(self._opacity)
        shades.setColorAt(0, clear)
        shades.setColorAt(1, full)
        painter.fillRect(ramp, shades)
        painter.setPen(QPen(self.palette().mid().color(), 1))
        painter.drawRect(ramp)
        painter.setPen(self.palette().text().color())
        below = self.rect().adjusted(0, _RAMP_PX + 2, 0, 0)
        sides = {"0": Qt.AlignmentFlag.AlignLeft, f"probability of {self._name}": Qt.AlignmentFlag.AlignHCenter,
                 "1": Qt.AlignmentFlag.AlignRight}  # fmt: skip
        for text, side in sides.items():
            painter.drawText(below, side | Qt.AlignmentFlag.AlignTop, text)
        painter.end()
