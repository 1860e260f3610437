"""Colour bar of what is drawn from clear to a colour: the probability of a class, or how unsure the result is."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QLinearGradient, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

_RAMP_PX = 12
_GROUND = "#000000"


class ProbabilityBar(QWidget):
    """Shows what it was last given; drawn over black, as over a dark voxel."""

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("segmentation.probability_bar")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._words, self._colour, self._opacity = ("", "", ""), QColor(), 1.0
        self.show_class("", "#ffffff", 1.0)

    def sizeHint(self) -> QSize:
        """A ramp and a line of text."""
        return QSize(200, _RAMP_PX + self.fontMetrics().height() + 6)

    def show_class(self, name: str, colour: str, opacity: float) -> None:
        """Show the ramp of a class as it is drawn."""
        self._show(("0", f"probability of {name}", "1"), colour, opacity)
        self.setAccessibleName(f"Probability of {name} from 0 to 1")

    def show_unsure(self, colour: str, opacity: float) -> None:
        """Show the ramp of the layer that says where to paint next."""
        self._show(("sure", "paint next", "unsure"), colour, opacity)
        self.setAccessibleName("Colour of what is unsure, from clear to opaque")
        self.setToolTip(
            "Entropy of the probabilities: clear at its median, most opaque where only 0.2 % of the volume is above."
        )

    def _show(self, words: tuple[str, str, str], colour: str, opacity: float) -> None:
        self._words, self._colour, self._opacity = words, QColor(colour), opacity
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Ramp, and words below its ends and its middle."""
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
        sides = (Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignHCenter, Qt.AlignmentFlag.AlignRight)
        for text, side in zip(self._words, sides, strict=True):
            painter.drawText(below, side | Qt.AlignmentFlag.AlignTop, text)
        painter.end()
