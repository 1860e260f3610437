"""Power spectrum of what is visible: the cursor reads spatial frequency, d-spacing and direction."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QEvent, QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QImage, QMouseEvent, QPainter, QPaintEvent, QPen, QWheelEvent
from PySide6.QtWidgets import QSizePolicy, QWidget

from atomseg_app.data import Image
from atomseg_app.gui.alive import while_alive
from atomseg_app.gui.background import Background
from atomseg_app.gui.contrast import Contrast
from atomseg_app.gui.image_pyramid import Window, read_tile
from atomseg_app.gui.scale_bar import length_text, round_length

_MOST_SIDE = 1024
_LEAST_SIDE = 8
_SPOT = 2.0  # powers of ten above the noise


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Logarithm of the power (y, x), zero frequency in the middle; ``step`` (x, y) is the frequency of one pixel.

    Frequencies are in 1/nm, or 1/px where the image is not calibrated; ``calibrated`` tells which. At
    ``natural_zoom`` what stands out of the noise fills two thirds of the picture.
    """

    values: npt.NDArray[np.float32]
    step: tuple[float, float]
    calibrated: bool
    natural_zoom: float


def spectrum_of(image: Image, window: Window) -> Spectrum | None:
    """Power spectrum of a window of an image, its borders faded out (Hann) so that they leave no cross.

    A window of more than 1024 px a side is averaged over blocks first: frequencies stay right, the highest are lost.
    """
    left, top, right, bottom = window
    step = max(1, math.ceil(max(right - left, bottom - top) / _MOST_SIDE))
    right, bottom = left + (right - left) // step * step, top + (bottom - top) // step * step
    if min(right - left, bottom - top) < _LEAST_SIDE * step:
        return None
    values = read_tile(image.values, (left, top, right, bottom), step).values
    finite = np.isfinite(values)
    mean = float(values[finite].mean()) if finite.any() else 0.0
    values = np.where(finite, values - mean, 0).astype(np.float32)
    height, width = values.shape
    faded = values * np.outer(np.hanning(height), np.hanning(width)).astype(np.float32)
    power = np.abs(np.fft.fftshift(np.fft.fft2(faded))) ** 2
    size_y, size_x = image.pixel_size_nm
    calibrated = size_x is not None and size_y is not None
    pixel_x, pixel_y = (size_x or 1.0, size_y or 1.0) if calibrated else (1.0, 1.0)
    frequency = (1 / (width * step * pixel_x), 1 / (height * step * pixel_y))
    floor = float(np.median(power)) + 1e-12
    logarithm = np.log10(power / floor + 1e-3).astype(np.float32)
    return Spectrum(logarithm, frequency, calibrated, _natural_zoom(logarithm, frequency))


def _natural_zoom(logarithm: npt.NDArray[np.float32], step: tuple[float, float]) -> float:
    """Zoom at which the strongest spots lie within two thirds of the picture."""
    height, width = logarithm.shape
    rows, columns = np.nonzero(logarithm > _SPOT)
    if not len(rows):
        return 1.0
    reach = np.hypot((columns - width // 2) * step[0], (rows - height // 2) * step[1])
    spots = float(np.percentile(reach, 98))
    half = max(width * step[0], height * step[1]) / 2
    return float(np.clip(0.67 * half / spots, 1.0, 16.0)) if spots > 0 else 1.0


class FftPane(QWidget):
    """Shows a spectrum in a square; ``reading`` carries the text for the place under the cursor."""

    reading = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("atoms.fft")
        self.setAccessibleName("Power spectrum of the visible part of the image")
        self.setToolTip("Point at a spot to read its d-spacing; the wheel zooms.")
        self.setMouseTracking(True)
        policy = QSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        policy.setHeightForWidth(True)
        self.setSizePolicy(policy)
        self.spectrum: Spectrum | None = None
        self._picture: QImage | None = None
        self._cursor: QPointF | None = None
        self._zoom = 0.0  # 0: chosen so that the spots fill the pane
        self._background = Background()
        self._wanted: tuple[Image, Window] | None = None
        self._busy = False

    def sizeHint(self) -> QSize:
        """A square."""
        return QSize(240, 240)

    def heightForWidth(self, width: int) -> int:
        """As high as wide."""
        return width

    def show_window(self, image: Image | None, window: Window | None) -> None:
        """Compute the spectrum of a window of an image, on another thread; the latest wish counts."""
        if image is None or window is None:
            self._wanted, self.spectrum, self._picture = None, None, None
            self.update()
            return
        self._wanted = (image, window)
        if not self._busy:
            self._compute()

    def zoom(self) -> float:
        """How much of the spectrum is shown: 1 is all of it."""
        if self._zoom or self.spectrum is None:
            return self._zoom or 1.0
        return self.spectrum.natural_zoom

    def frequency_at(self, point: QPointF) -> tuple[float, float] | None:
        """Frequency (x, y) at a place in the widget."""
        if self.spectrum is None:
            return None
        scale = self._scale()
        return (point.x() - self.width() / 2) / scale, (point.y() - self.height() / 2) / scale

    def text_at(self, point: QPointF) -> str:
        """d-spacing, frequency and direction of a place in the widget."""
        frequency = self.frequency_at(point)
        if frequency is None or self.spectrum is None:
            return ""
        length = math.hypot(*frequency)
        unit = "1/nm" if self.spectrum.calibrated else "1/px"
        if length == 0:
            return f"0 {unit}"
        spacing = length_text(1 / length, 4) if self.spectrum.calibrated else f"{1 / length:.4g} px"
        angle = math.degrees(math.atan2(frequency[1], frequency[0]))
        return f"d = {spacing}   ({length:.3g} {unit}, {angle:.0f}°)"

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom about the middle."""
        delta = event.angleDelta().y()
        self._zoom = min(max(self.zoom() * 1.2 ** (delta / 120), 1.0), 32.0)
        self.update()
        event.accept()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Read the place under the cursor."""
        self._cursor = event.position()
        self.reading.emit(self.text_at(event.position()))
        self.update()

    def leaveEvent(self, event: QEvent) -> None:
        """Nothing is read any more."""
        self._cursor = None
        self.reading.emit("")
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the spectrum, a scale bar, and a circle through the cursor."""
        painter = QPainter(self)
        painter.fillRect(self.rect(), QColor("#000000"))
        if self.spectrum is None or self._picture is None:
            painter.setPen(QColor("#b0b8c4"))
            painter.drawText(self.rect(), Qt.AlignmentFlag.AlignCenter, "No spectrum")
            painter.end()
            return
        scale = self._scale()
        height, width = self.spectrum.values.shape
        # The pixel of zero frequency, width // 2, has its centre in the middle of the widget.
        left = self.width() / 2 - (width // 2 + 0.5) * self.spectrum.step[0] * scale
        top = self.height() / 2 - (height // 2 + 0.5) * self.spectrum.step[1] * scale
        across, down = width * self.spectrum.step[0] * scale, height * self.spectrum.step[1] * scale
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform, across < width)
        painter.drawImage(QRectF(left, top, across, down), self._picture)
        self._paint_marks(painter, scale)
        painter.end()

    def _paint_marks(self, painter: QPainter, scale: float) -> None:
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        unit = "1/nm" if self.spectrum is not None and self.spectrum.calibrated else "1/px"
        length = round_length(self.width() / 4 / scale)
        painter.setPen(QPen(QColor("#ffffff"), 3))
        bottom = self.height() - 10.0
        painter.drawLine(QPointF(10, bottom), QPointF(10 + length * scale, bottom))
        painter.drawText(QPointF(10, bottom - 6), f"{length:g} {unit}")
        if self._cursor is not None:
            middle = QPointF(self.width() / 2, self.height() / 2)
            reach = math.hypot(self._cursor.x() - middle.x(), self._cursor.y() - middle.y())
            painter.setPen(QPen(QColor("#ffb000"), 1, Qt.PenStyle.DashLine))
            painter.drawEllipse(middle, reach, reach)

    def _scale(self) -> float:
        """Screen px for a unit of frequency: the shorter half of the spectrum fills the widget."""
        if self.spectrum is None:
            return 1.0
        height, width = self.spectrum.values.shape
        reach = float(max(width * self.spectrum.step[0], height * self.spectrum.step[1]))
        return min(self.width(), self.height()) / reach * self.zoom()

    def _compute(self) -> None:
        if self._wanted is None:
            return
        image, window = self._wanted
        self._wanted, self._busy = None, True
        failed = while_alive(self, lambda _problem: self._take(None))
        self._background.run(lambda: _drawn(spectrum_of(image, window)), while_alive(self, self._take), failed)

    def _take(self, drawn: tuple[Spectrum, QImage] | None) -> None:
        self._busy = False
        self.spectrum, self._picture = (None, None) if drawn is None else drawn
        self.update()
        self._compute()


def _drawn(spectrum: Spectrum | None) -> tuple[Spectrum, QImage] | None:
    """A spectrum with its picture."""
    if spectrum is None:
        return None
    low, high = (float(v) for v in np.percentile(spectrum.values, (40, 99.9)))
    colours = Contrast(low, high, colour_map="inferno").colours(spectrum.values)
    height, width = colours.shape
    picture = QImage(np.ascontiguousarray(colours).data, width, height, 4 * width, QImage.Format.Format_RGB32).copy()
    return spectrum, picture
