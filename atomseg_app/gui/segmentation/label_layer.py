"""Draws labels, or any small whole numbers, over a slice: a colour with an opacity for each of 256 values."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QRectF
from PySide6.QtGui import QColor, QImage, QPainter

from atomseg_app.data import Array
from atomseg_app.gui.view_geometry import ViewGeometry

Table = npt.NDArray[np.uint32]
CLEAR: Table = np.zeros(256, np.uint32)


def colour_table(colours: Mapping[int, str], opacity: float) -> Table:
    """Table (256,) of 0xAARRGGBB, premultiplied: the colours at an opacity, everything else clear."""
    table = CLEAR.copy()
    alpha = round(255 * min(max(opacity, 0.0), 1.0))
    for value, name in colours.items():
        colour = QColor(name)
        red, green, blue = (part * alpha // 255 for part in (colour.red(), colour.green(), colour.blue()))
        table[value] = alpha << 24 | red << 16 | green << 8 | blue
    return table


def ramp_table(colour: str, opacity: float) -> Table:
    """Table (256,) in which a colour becomes as opaque as the value is large."""
    return np.array([colour_table({0: colour}, opacity * level / 255)[0] for level in range(256)], np.uint32)


class LabelLayer:
    """One slice of values (y, x) through a table of colours; a part of it can be coloured again after painting."""

    def __init__(self) -> None:
        self.values: Array | None = None
        self.table = CLEAR
        self._buffer: Table | None = None
        self._image: QImage | None = None

    def set_slice(self, values: Array | None) -> None:
        """Draw another slice of uint8; it is looked at again by :meth:`recolour`, so it may be painted in place."""
        self.values = values
        if values is None or self.table is CLEAR:
            self._buffer = self._image = None
            return
        if self._buffer is None or self._buffer.shape != values.shape:
            height, width = values.shape
            self._buffer = np.empty((height, width), np.uint32)
            self._image = QImage(
                self._buffer.data, width, height, 4 * width, QImage.Format.Format_ARGB32_Premultiplied
            )  # fmt: skip
        self.recolour(0, 0, *values.shape)

    def set_table(self, table: Table) -> None:
        """Draw in other colours."""
        if self.table is not table and not np.array_equal(table, self.table):
            self.table = table if table.any() else CLEAR
            self.set_slice(self.values)

    def recolour(self, top: int, left: int, bottom: int, right: int) -> None:
        """Look at a part of the slice again."""
        if self._buffer is not None and self.values is not None:
            part = slice(top, bottom), slice(left, right)
            self._buffer[part] = self.table[self.values[part]]

    def paint(self, painter: QPainter, geometry: ViewGeometry, device_scale: float) -> None:
        """Draw what is in view."""
        if self._image is None or self._buffer is None:
            return
        height, width = self._buffer.shape
        left, top, right, bottom = geometry.visible()
        first_x, first_y = max(0, int(left + 0.5)), max(0, int(top + 0.5))
        last_x, last_y = min(width, int(right + 0.5) + 1), min(height, int(bottom + 0.5) + 1)
        if first_x >= last_x or first_y >= last_y:
            return
        source = QRectF(first_x, first_y, last_x - first_x, last_y - first_y)
        target = geometry.rect(first_x - 0.5, first_y - 0.5, last_x - 0.5, last_y - 0.5)
        painter.drawImage(target, self._image, source)
