"""What the colours of a 3D view stand for: as text below it, and drawn into its pictures."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter

_PAD, _MARGIN, _GAP = 7.0, 10.0, 6.0


@dataclass(frozen=True)
class Legend:
    """A ``title`` ("" for none) and ``marks``: colour (#rrggbb) and name of each thing that is drawn."""

    title: str = ""
    marks: tuple[tuple[str, str], ...] = ()

    def rich_text(self) -> str:
        """In one line, for a label; empty where nothing is drawn."""
        found = (f"{mark_text(colour)} {escape(name)}" for colour, name in self.marks)
        told = " &nbsp; ".join(found)
        return f"{escape(self.title)}: {told}" if self.title and told else told

    def paint(self, painter: QPainter, area: QRectF, font: QFont) -> None:
        """Draw it at the upper left of ``area``, a line each, on a dark plate that reads on any picture."""
        if not self.marks:
            return
        metrics = QFontMetricsF(font)
        line, side = metrics.height(), metrics.ascent()
        width = max(metrics.horizontalAdvance(name) for _, name in self.marks) + side + _GAP
        width = max(width, metrics.horizontalAdvance(self.title))
        lines = len(self.marks) + bool(self.title)
        plate = QRectF(area.left() + _MARGIN, area.top() + _MARGIN, width + 2 * _PAD, lines * line + 2 * _PAD)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(0, 0, 0, 150))
        painter.drawRoundedRect(plate, 5, 5)
        painter.setFont(font)
        left, base = plate.left() + _PAD, plate.top() + _PAD + metrics.ascent()
        ink = QColor(255, 255, 255)
        if self.title:
            painter.setPen(ink)
            painter.drawText(QPointF(left, base), self.title)
            base += line
        for colour, name in self.marks:
            painter.fillRect(QRectF(left, base - 0.85 * side, 0.8 * side, 0.8 * side), QColor(colour))
            painter.setPen(ink)
            painter.drawText(QPointF(left + side + _GAP, base), name)
            base += line
        painter.restore()


def mark_text(colour: str) -> str:
    """A square of a colour in rich text."""
    return f'<span style="color:{colour}">&#9632;</span>'
