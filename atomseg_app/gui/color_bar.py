"""Colour bars beside the image: a ramp with round values, a name and a unit."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter, QPen

_RAMP_WIDTH, _PAD, _TICK = 14.0, 10.0, 4.0


@dataclass(frozen=True, eq=False)
class ColourBar:
    """What a bar shows: ``colours`` (n, 3) from ``low`` to ``high``, and a title with its unit.

    ``labels`` name values, as those of kinds; round values are written where there are none.
    """

    title: str
    low: float
    high: float
    colours: npt.NDArray[np.uint8]
    labels: tuple[tuple[float, str], ...] = ()

    def width(self, font: QFont) -> float:
        """Room that the bar needs, in screen px."""
        metrics = QFontMetricsF(font)
        labels = max((metrics.horizontalAdvance(text) for _, text in self.ticks()), default=0.0)
        return _PAD + _RAMP_WIDTH + _TICK + 3 + labels + 4 + metrics.height() + _PAD / 2

    def ticks(self) -> list[tuple[float, str]]:
        """Round values between the ends, with their texts."""
        return list(self.labels) or round_ticks(self.low, self.high)

    def paint(self, painter: QPainter, rect: QRectF, font: QFont, ink: QColor) -> None:
        """Draw ramp, values, and the title upright at the right."""
        metrics = QFontMetricsF(font)
        ramp = QRectF(rect.left() + _PAD, rect.top() + 16, _RAMP_WIDTH, max(20.0, rect.height() - 32))
        picture = _ramp_image(self.colours)
        painter.setFont(font)
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, False)
        painter.drawImage(ramp, picture)
        painter.setPen(QPen(ink, 1))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawRect(ramp)
        span = self.high - self.low
        for value, text in self.ticks():
            y = ramp.bottom() - (value - self.low) / span * ramp.height() if span > 0 else ramp.center().y()
            painter.drawLine(QPointF(ramp.right(), y), QPointF(ramp.right() + _TICK, y))
            painter.drawText(QPointF(ramp.right() + _TICK + 3, y + metrics.ascent() / 2 - 1), text)
        painter.translate(rect.right() - _PAD / 2 - metrics.descent(), ramp.center().y())
        painter.rotate(-90)
        shown = metrics.elidedText(self.title, Qt.TextElideMode.ElideRight, ramp.height())
        painter.drawText(QPointF(-metrics.horizontalAdvance(shown) / 2, 0), shown)


def round_ticks(low: float, high: float, most: int = 6) -> list[tuple[float, str]]:
    """Multiples of 1, 2 or 5 times a power of ten between two values, at most ``most`` + 1, with their texts."""
    span = high - low
    if not math.isfinite(span) or span <= 0:
        return [(low, f"{low:.4g}")] if math.isfinite(low) else []
    rough = span / most
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    values = [index * step for index in range(first, last + 1)]
    if 1e-3 <= max(abs(low), abs(high)) < 1e6:
        decimals = max(0, -math.floor(math.log10(step)))
        return [(value, f"{value:.{decimals}f}") for value in values]
    return [(value, f"{value:.3g}") for value in values]


def _ramp_image(colours: npt.NDArray[np.uint8]) -> QImage:
    flipped = np.ascontiguousarray(colours[::-1, None, :])
    return QImage(flipped.data, 1, len(flipped), 3, QImage.Format.Format_RGB888).copy()
