"""A view as a figure file: PNG or TIFF at a chosen resolution, SVG or PDF. What is written equals what is shown."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PySide6.QtCore import QMarginsF, QRectF, QSize, QSizeF
from PySide6.QtGui import QColor, QImage, QPageSize, QPainter, QPdfWriter
from PySide6.QtSvg import QSvgGenerator

from atomseg_app.errors import FileError, UserError
from atomseg_app.gui.canvas import Canvas
from atomseg_app.io.atomic_write import atomic_path

FORMATS = {".png": "PNG", ".tif": "TIFF", ".tiff": "TIFF", ".svg": "SVG", ".pdf": "PDF"}
SCREEN_DPI = 96.0
_MOST_PIXELS = 1 << 28


def figure_rect(canvas: Canvas) -> QRectF:
    """The part of a canvas that makes the figure, in screen px: the picture, and the colour bars beside it."""
    plot, picture = canvas.plot_size(), canvas.picture_rect()
    if not canvas.side_layers:
        return QRectF(picture.toAlignedRect())
    return QRectF(QRectF(picture.left(), 0, canvas.width() - picture.left(), plot.height()).toAlignedRect())


@contextlib.contextmanager
def on_white(canvas: Canvas) -> Iterator[None]:
    """Black on white for a while, as for print, whatever the look of the window."""
    paper, ink = canvas.paper, canvas.ink
    canvas.paper, canvas.ink = QColor("#ffffff"), QColor("#000000")
    try:
        yield
    finally:
        canvas.paper, canvas.ink = paper, ink


def render(canvas: Canvas, dpi: float, device_scale: float | None = None) -> QImage:
    """Picture of the figure. 96 dpi gives one pixel for one screen px. Raises UserError if it would be too large."""
    scale = dpi / SCREEN_DPI if device_scale is None else device_scale
    rect = figure_rect(canvas)
    size = QSize(math.ceil(rect.width() * scale), math.ceil(rect.height() * scale))
    if size.width() * size.height() > _MOST_PIXELS:
        raise UserError(
            f"At {dpi:g} dpi the figure has {size.width()} × {size.height()} px; choose a lower resolution."
        )
    picture = QImage(size, QImage.Format.Format_RGB32)
    painter = QPainter(picture)
    painter.scale(scale, scale)
    painter.translate(-rect.left(), -rect.top())
    canvas.paint_all(painter, scale)
    painter.end()
    picture.setDotsPerMeterX(round(dpi / 0.0254))
    picture.setDotsPerMeterY(round(dpi / 0.0254))
    return picture


def write_vector(canvas: Canvas, path: Path) -> None:
    """Write SVG or PDF, whole or not at all: markers and text stay lines and letters. Raises FileError."""
    rect = figure_rect(canvas)
    with atomic_path(path) as temporary:
        device = _svg(temporary, rect) if path.suffix.lower() == ".svg" else _pdf(temporary, rect)
        device.setTitle(path.stem)
        painter = QPainter()
        if not painter.begin(device):
            raise FileError(f"{path} could not be written: the figure could not be drawn.")
        painter.translate(-rect.left(), -rect.top())
        painter.setClipRect(rect)
        # Images inside are kept at twice the resolution of the screen.
        canvas.paint_all(painter, 2.0)
        painter.end()


def _svg(path: Path, rect: QRectF) -> QSvgGenerator:
    device = QSvgGenerator()
    device.setFileName(str(path))
    device.setResolution(round(SCREEN_DPI))
    device.setSize(rect.size().toSize())
    device.setViewBox(QRectF(0, 0, rect.width(), rect.height()))
    return device


def _pdf(path: Path, rect: QRectF) -> QPdfWriter:
    device = QPdfWriter(str(path))
    device.setResolution(round(SCREEN_DPI))
    points = QSizeF(rect.width(), rect.height()) * 72 / SCREEN_DPI
    device.setPageSize(QPageSize(points, QPageSize.Unit.Point, "", QPageSize.SizeMatchPolicy.ExactMatch))
    device.setPageMargins(QMarginsF(0, 0, 0, 0))
    return device


def raster_writer(picture: QImage, path: Path, dpi: float) -> Callable[[], Path]:
    """Function that writes a picture as PNG or TIFF, whole or not at all, on any thread. Raises FileError."""

    def write() -> Path:
        with atomic_path(path) as temporary:
            if FORMATS[path.suffix.lower()] == "TIFF":
                _write_tiff(picture, temporary, dpi)
            elif not picture.save(str(temporary)):
                raise FileError(f"{path} could not be written as PNG; choose another folder or make room.")
        return path

    return write


def pixels(picture: QImage) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Colours (y, x, 3) of a picture."""
    picture = picture.convertToFormat(QImage.Format.Format_RGB888)
    height, width = picture.height(), picture.width()
    flat = np.frombuffer(picture.constBits(), np.uint8).reshape(height, picture.bytesPerLine())
    return flat[:, : 3 * width].reshape(height, width, 3).copy()


def _write_tiff(picture: QImage, path: Path, dpi: float) -> None:
    import tifffile  # loads its codecs; not needed to show a window

    tifffile.imwrite(
        path, pixels(picture), photometric="rgb", resolution=(dpi, dpi), resolutionunit="INCH", compression=None
    )
