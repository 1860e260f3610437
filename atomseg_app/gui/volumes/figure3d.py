"""The 3D view as a figure: what was rendered, with scale bar, legend and the size of the box; and the bar on screen."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QImage, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from atomseg_app.gui.scale_bar import bar_for, paint_bar
from atomseg_app.gui.volumes.legend import Legend

_HEIGHT_PX, _WIDTH_PX = 64, 320


def figure(
    rgba: npt.NDArray[np.uint8], per_px: float, calibrated: bool, legend: Legend, size_text: str, font: QFont,
    scale: float = 1.0,
) -> QImage:  # fmt: skip
    """A rendered view (y, x, rgba) of ``per_px`` nm, or voxels, a pixel in the depth of its middle, ``scale`` times as
    large, with everything that is to be read.
    """
    packed = np.ascontiguousarray(rgba[..., :3])
    height, width = packed.shape[:2]
    picture = QImage(packed.data, width, height, 3 * width, QImage.Format.Format_RGB888).copy()
    if scale != 1:
        picture = picture.scaled(
            round(width * scale), round(height * scale), Qt.AspectRatioMode.IgnoreAspectRatio,
            Qt.TransformationMode.SmoothTransformation,
        )  # fmt: skip
    area = QRectF(0, 0, width, height)
    painter = QPainter(picture)
    painter.scale(scale, scale)
    length, text = bar_for(per_px, width, calibrated)
    paint_bar(painter, area, length, text, font)
    legend.paint(painter, area, font)
    metrics = QFontMetricsF(font)
    painter.setFont(font)
    painter.setPen(QColor(255, 255, 255))
    place = QPointF(width - metrics.horizontalAdvance(size_text) - 10, height - 10 - metrics.descent())
    if place.x() > 0.4 * width:  # beside the bar, where there is room
        painter.drawText(place, size_text)
    painter.end()
    return picture


class DepthBar(QWidget):
    """A scale bar over a 3D view, true at the depth of what the view turns about; the mouse goes through it."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self._view = parent
        self.setObjectName("volumes.depth_bar")
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAccessibleName("Scale bar of the 3D view")
        self.text = ""
        self._length = 0.0
        self.hide()

    def show_scale(self, per_px: float, calibrated: bool) -> None:
        """Show how long ``per_px`` nm, or voxels, a pixel of the screen makes a round length."""
        length, text = bar_for(per_px, self._view.width(), calibrated)
        if (length, text) != (self._length, self.text):
            self._length, self.text = length, text
            self.setToolTip(f"{text} at the depth of the middle of the volume")
            self.update()
        height = self._view.height()
        self.setGeometry(0, max(0, height - _HEIGHT_PX), min(_WIDTH_PX, self._view.width()), _HEIGHT_PX)
        self.show()

    def paintEvent(self, event: QPaintEvent) -> None:
        """The bar."""
        painter = QPainter(self)
        paint_bar(painter, QRectF(self.rect()), self._length, self.text, self.font())
        painter.end()
