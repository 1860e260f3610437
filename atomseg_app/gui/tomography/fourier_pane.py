"""A picture of Fourier space across the tilt axis, with the wedge that no view measured drawn in."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QSizePolicy, QToolTip, QWidget

from atomseg_app.gui.scale_bar import length_text

_DECADES = 6.0  # of power below the greatest that are told apart
_LINE, _WASH = QColor(255, 176, 102), QColor(255, 150, 60, 46)


class FourierPane(QWidget):
    """Draws the logarithm of power (kz, kx); directions between ``gaps_deg`` are outlined and tinted."""

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Power of the volume in Fourier space")
        self.setToolTip("Power by direction and frequency across the tilt axis; tinted: no view measured it.")
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        self.gaps_deg: Sequence[tuple[float, float]] = ()
        self.picture: QImage | None = None
        self._voxel_nm: float | None = None

    def sizeHint(self) -> QSize:
        """A square as wide as a step's panel."""
        return QSize(260, 276)

    def show_power(
        self, log_power: npt.NDArray[np.float32], gaps_deg: Sequence[tuple[float, float]], voxel_nm: float | None
    ) -> None:  # fmt: skip
        """Show other powers, with the size of a voxel for the read-out."""
        top = float(log_power.max())
        grey = (np.clip((log_power - top + _DECADES) / _DECADES, 0, 1) * 255).astype(np.uint8)
        packed = np.ascontiguousarray(grey)
        height, width = packed.shape
        self.picture = QImage(packed.data, width, height, width, QImage.Format.Format_Grayscale8).copy()
        self.gaps_deg, self._voxel_nm = tuple(gaps_deg), voxel_nm
        self.update()

    def area(self) -> QRectF:
        """Where the picture is drawn: the largest square above the line of text."""
        height = self.height() - self.fontMetrics().height() - 4
        side = float(min(self.width(), height))
        return QRectF((self.width() - side) / 2, 0, side, side)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the power, the wedge, and what is what."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area, palette = self.area(), self.palette()
        if self.picture is None:
            painter.setPen(palette.placeholderText().color())
            painter.drawText(area, Qt.AlignmentFlag.AlignCenter, "Not looked at yet")
            painter.end()
            return
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        painter.drawImage(area, self.picture)
        painter.setClipRect(area)
        for start, stop in self.gaps_deg:
            for half in (0.0, 180.0):
                painter.setPen(QPen(_LINE, 1.5, Qt.PenStyle.DashLine))
                painter.setBrush(_WASH)
                painter.drawPolygon(self._sector(area, start + half, stop + half))
        painter.setClipping(False)
        painter.setPen(palette.text().color())
        line = QRectF(0, area.bottom() + 2, self.width(), self.fontMetrics().height() + 2)
        painter.drawText(line, Qt.AlignmentFlag.AlignCenter, "x right, z down; tinted: not measured")
        painter.end()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Tell frequency, direction, and whether it was measured."""
        area = self.area()
        if self.picture is None or not area.contains(event.position()):
            return
        QToolTip.showText(event.globalPosition().toPoint(), self.text_at(event.position()), self)

    def text_at(self, place: QPointF) -> str:
        """What is at a place of the widget."""
        area = self.area()
        kx, kz = (place.x() - area.center().x()) / area.width(), (place.y() - area.center().y()) / area.height()
        frequency = math.hypot(kx, kz)
        angle = (math.degrees(math.atan2(kz, kx)) + 90) % 180 - 90
        missing = any((angle - start) % 180 < stop - start for start, stop in self.gaps_deg)
        size = "all" if frequency < 1e-3 else f"{1 / frequency:.3g} voxels"
        if self._voxel_nm is not None and frequency >= 1e-3:
            size = length_text(self._voxel_nm / frequency, 3)
        return f"Details of {size}, seen at {angle:.0f}°: {'inferred' if missing else 'measured'}"

    def _sector(self, area: QRectF, start: float, stop: float) -> QPolygonF:
        """Part of the picture between two directions."""
        middle, radius = area.center(), area.width()
        angles = [math.radians(start + (stop - start) * step / 16) for step in range(17)]
        rim = [QPointF(middle.x() + radius * math.cos(a), middle.y() + radius * math.sin(a)) for a in angles]
        return QPolygonF([middle, *rim])
