"""Plates in the corners of the picture that tell how what is drawn over it is to be read; they are part of figures."""

from __future__ import annotations

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter

MARGIN, PAD = 10.0, 8.0
INK = QColor("#ffffff")
_PLATE = QColor(0, 0, 0, 165)


def paint_plate(painter: QPainter, corner: QPointF, width: float, height: float, *, from_right: bool = False) -> QRectF:
    """Draw an empty plate below ``corner`` of the picture, within its margin; returns the room inside its rim."""
    left = corner.x() - MARGIN - width if from_right else corner.x() + MARGIN
    plate = QRectF(left, corner.y() + MARGIN, width, height)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(_PLATE)
    painter.drawRoundedRect(plate, 5, 5)
    return plate.adjusted(PAD, PAD - 2, -PAD, -(PAD - 2))
