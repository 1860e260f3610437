"""What is shown as a picture: one view or slice, several beside each other, the volume in 3D."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QRectF
from PySide6.QtGui import QColor, QImage, QPainter

from atomseg_app.errors import UserError
from atomseg_app.gui import figure_export
from atomseg_app.gui.canvas import Canvas

DPI = 192.0
_GAP_PX = 8


def of_canvas(canvas: Canvas) -> QImage:
    """A canvas at twice the resolution of the screen, with its scale bar. Raises UserError where it shows nothing."""
    if canvas.shape is None:
        raise UserError("There is no picture yet.")
    return figure_export.render(canvas, DPI)


def in_grid(pictures: Sequence[QImage], columns: int) -> QImage:
    """Pictures in rows of ``columns``, each in the middle of its place, on white. Raises UserError for none."""
    if not pictures:
        raise UserError("There is no picture yet.")
    width = max(picture.width() for picture in pictures)
    height = max(picture.height() for picture in pictures)
    rows = -(-len(pictures) // columns)
    columns = min(columns, len(pictures))
    sheet = QImage(
        columns * width + (columns - 1) * _GAP_PX, rows * height + (rows - 1) * _GAP_PX, QImage.Format.Format_RGB32
    )
    sheet.fill(QColor("#ffffff"))
    painter = QPainter(sheet)
    for index, picture in enumerate(pictures):
        left, top = index % columns * (width + _GAP_PX), index // columns * (height + _GAP_PX)
        place = QRectF(left + (width - picture.width()) / 2, top + (height - picture.height()) / 2,
                       picture.width(), picture.height())  # fmt: skip
        painter.drawImage(place, picture, QRectF(0, 0, picture.width(), picture.height()))
    painter.end()
    return sheet
