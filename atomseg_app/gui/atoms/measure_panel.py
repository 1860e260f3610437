"""Measured from the columns: nearest-neighbour spacings, a distance, and the power spectrum of what is visible."""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtCore import Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from atomseg_app.data import Columns, Image
from atomseg_app.gui.atoms.fft_pane import FftPane
from atomseg_app.gui.atoms.neighbours import DistanceHistogram, distances_of
from atomseg_app.gui.image_pyramid import Window
from atomseg_app.gui.sections import ActionButton, muted


class MeasurePanel(QWidget):
    """``rows_chosen`` carries rows of the image's table (a bar of the histogram)."""

    rows_chosen = Signal(object)

    def __init__(self, distance_action: QAction, fft_action: QAction) -> None:
        super().__init__()
        self.histogram = DistanceHistogram()
        self.histogram.rows_chosen.connect(self.rows_chosen)
        self.spacing = muted()
        self.spacing.setAccessibleName("Mean spacing")
        self.distance = QLabel()
        self.distance.setAccessibleName("Distance")
        self.distance.setWordWrap(True)
        self.fft = FftPane()
        self.fft.hide()
        self.fft_reading = muted("Point at a spot to read its d-spacing.")
        self.fft_reading.hide()
        self.fft.reading.connect(
            lambda text: self.fft_reading.setText(text or "Point at a spot to read its d-spacing.")
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.histogram)
        layout.addWidget(self.spacing)
        layout.addWidget(ActionButton(distance_action))
        layout.addWidget(self.distance)
        layout.addWidget(ActionButton(fft_action))
        layout.addWidget(self.fft)
        layout.addWidget(self.fft_reading)
        self.distance.hide()

    def show_spacings(self, values: np.ndarray[tuple[int, ...], np.dtype[np.float64]] | None, unit: str) -> None:
        """Show the nearest-neighbour distances (n,) of the image's columns."""
        distances = None if values is None or not len(values) else distances_of(values, unit)
        self.histogram.set_distances(distances)
        self.spacing.setText("" if distances is None else distances.summary())

    def show_distance(self, text: str) -> None:
        """Show the result of the distance tool."""
        self.distance.setText(text)
        self.distance.setVisible(bool(text))

    def fft_shown(self) -> bool:
        """Whether the spectrum is shown."""
        return not self.fft.isHidden()

    def set_fft_shown(self, shown: bool) -> None:
        """Show or hide the spectrum."""
        self.fft.setVisible(shown)
        self.fft_reading.setVisible(shown)

    def show_spectrum(self, image: Image | None, window: Window | None) -> None:
        """Show the spectrum of a window, if the pane is open."""
        if self.fft_shown():
            self.fft.show_window(image, window)


def distance_text(
    first: tuple[float, float],
    second: tuple[float, float],
    rows: tuple[int, int],
    columns: Columns | None,
    image: Image,
) -> str:
    """Length of a line with its unit, and its error where both ends are columns with known errors."""
    size_y, size_x = image.pixel_size_nm
    calibrated = size_x is not None and size_y is not None
    scale = np.array([size_x, size_y]) if calibrated else np.ones(2)
    along = (np.array(second) - first) * scale
    length = float(np.hypot(*along))
    error = math.nan
    if columns is not None and min(rows) >= 0 and length > 0:
        errors = np.stack([columns.table[name][list(rows)] for name in ("x_err_px", "y_err_px")], axis=1) * scale
        # Of the errors only the parts along the line count; those of two columns are independent.
        error = float(np.sqrt(((errors * along / length) ** 2).sum()))
    angle = math.degrees(math.atan2(along[1], along[0]))
    if calibrated:
        text = f"{length:.4f} nm" + (f" ± {error * 1000:.1f} pm" if math.isfinite(error) else "")
    else:
        text = f"{length:.2f} px" + (f" ± {error:.2f} px" if math.isfinite(error) else "")
    return f"{text}   {angle:.1f}°"
