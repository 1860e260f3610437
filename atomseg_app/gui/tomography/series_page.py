"""The middle of the tab while a series is shown: projection, sinogram, slice that forms, and the bar of the views."""

from __future__ import annotations

from typing import Any

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QLabel, QSplitter, QVBoxLayout, QWidget

from atomseg_app.data import Image
from atomseg_app.gui.image_view import ImageView
from atomseg_app.gui.theme import Theme
from atomseg_app.gui.tomography.model import TomoModel
from atomseg_app.gui.tomography.projection_view import ProjectionView
from atomseg_app.gui.tomography.sinogram_view import SinogramView
from atomseg_app.gui.tomography.view_bar import ViewBar


class SeriesPage(QWidget):
    """Linked views of the series that is shown."""

    def __init__(self, model: TomoModel, theme: Theme) -> None:
        super().__init__()
        self._model = model
        self.projection = ProjectionView(model, theme)
        self.sinogram = SinogramView(model, theme)
        self.preview = ImageView(theme)
        self.preview.canvas.setAccessibleName("Slice that is being reconstructed")
        self.preview.canvas.setMinimumSize(120, 70)
        self.preview.contrast_bar.hide()
        self.preview.detail.hide()
        self.bar = ViewBar(model, theme)
        self._preview_box, self.preview_title = _titled("Slice forming", self.preview)
        sinogram_box, _ = _titled("Sinogram", self.sinogram)
        self._preview_box.hide()
        lower = QSplitter(Qt.Orientation.Horizontal)
        lower.addWidget(sinogram_box)
        lower.addWidget(self._preview_box)
        lower.setSizes([400, 400])
        self.splitter = QSplitter(Qt.Orientation.Vertical)
        self.splitter.addWidget(self.projection)
        self.splitter.addWidget(lower)
        self.splitter.setSizes([700, 200])
        self.splitter.setStretchFactor(0, 1)
        self.splitter.setStretchFactor(1, 0)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.splitter, 1)
        layout.addWidget(self.bar)
        self.projection.contrast_changed.connect(self._share_contrast)
        self.projection.wheel_turned.connect(lambda steps: model.show_view(model.view + steps))

    def set_aligned(self, aligned: bool) -> None:
        """Draw views where the alignment puts them, or as they were recorded."""
        self.projection.set_aligned(aligned)
        self.sinogram.set_aligned(aligned)

    def show_preview(self, array: Any, title: str) -> None:
        """Show a slice (y, x) that a running reconstruction has got to."""
        first = not self._preview_box.isVisible()
        series = self._model.series()
        across = None if series is None else series.pixel_size_nm[1 if series.tilt_axis == "y" else 0]
        size = (across, across)
        self._preview_box.show()
        self.preview_title.setText(title)
        self.preview.set_image(Image(np.asarray(array, np.float32), size), keep_view=not first)
        self.preview.contrast_bar.set_auto()

    def end_preview(self) -> None:
        """The reconstruction has ended."""
        self._preview_box.hide()
        self.preview.set_image(None)

    def _share_contrast(self) -> None:
        self.sinogram.layer.set_contrast(self.projection.contrast())


def _titled(title: str, view: QWidget) -> tuple[QWidget, QLabel]:
    box, label = QWidget(), QLabel(title)
    label.setProperty("role", "small")
    label.setContentsMargins(8, 2, 8, 0)
    layout = QVBoxLayout(box)
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setSpacing(1)
    layout.addWidget(label)
    layout.addWidget(view, 1)
    return box, label
