"""The scale bar: a round length in the unit that suits it, drawn over the image and in every figure."""

from __future__ import annotations

import math

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter

from atomseg_app.gui.view_geometry import ViewGeometry

_SHARE = 0.22  # of the picture's width, at most
_MARGIN, _THICK = 10.0, 5.0


def round_length(longest: float) -> float:
    """The longest of 1, 2, 5 times a power of ten that is not longer than ``longest``."""
    power = 10.0 ** math.floor(math.log10(longest))
    return max(factor * power for factor in (1, 2, 5) if factor * power <= longest * (1 + 1e-9))


def length_text(length_nm: float, digits: int = 10) -> str:
    """A length in µm, nm or pm, whichever reads best: nm from 0.1 nm to 1000 nm."""
    if abs(length_nm) >= 1000:
        return f"{length_nm / 1000:.{digits}g} µm"
    if abs(length_nm) >= 0.1 or length_nm == 0:
        return f"{length_nm:.{digits}g} nm"
    return f"{length_nm * 1000:.{digits}g} pm"


def bar_of(geometry: ViewGeometry, pixel_size_nm: float | None, width: float) -> tuple[float, str]:
    """Length in screen px and text of a bar in a picture of ``width`` screen px; in px if it is not calibrated."""
    return bar_for((pixel_size_nm or 1.0) / geometry.scale[0], width, pixel_size_nm is not None)


def bar_for(per_px: float, width: float, calibrated: bool) -> tuple[float, str]:
    """Length in screen px and text of a bar where a screen px is ``per_px`` nm, or image px if not calibrated."""
    length = round_length(width * _SHARE * per_px)
    return length / per_px, length_text(length) if calibrated else f"{length:g} px"


def paint_scale_bar(
    painter: QPainter, geometry: ViewGeometry, area: QRectF, pixel_size_nm: float | None, font: QFont
) -> None:
    """Draw the bar at the lower left of ``area``: white on a dark plate, so that it reads on any image."""
    length, text = bar_of(geometry, pixel_size_nm, area.width())
    paint_bar(painter, area, length, text, font)


def paint_bar(painter: QPainter, area: QRectF, length: float, text: str, font: QFont) -> None:
    """Draw a bar of so many screen px, and what it stands for, at the lower left of ``area``."""
    bold = QFont(font)
    bold.setWeight(QFont.Weight.DemiBold)
    metrics = QFontMetricsF(bold)
    width = max(length, metrics.horizontalAdvance(text))
    pad = 7.0
    height = metrics.height() + _THICK + 2 * pad
    plate = QRectF(area.left() + _MARGIN, area.bottom() - _MARGIN - height, width + 2 * pad, height)
    painter.save()
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QColor(0, 0, 0, 150))
    painter.drawRoundedRect(plate, 5, 5)
    painter.setBrush(QColor(255, 255, 255))
    left = plate.center().x() - length / 2
    bottom = plate.bottom() - pad
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
    painter.drawRect(QRectF(left, bottom - _THICK, length, _THICK))
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setFont(bold)
    painter.setPen(QColor(255, 255, 255))
    baseline = bottom - _THICK - metrics.descent() - 2
    painter.drawText(QPointF(plate.center().x() - metrics.horizontalAdvance(text) / 2, baseline), text)
    painter.restore()
