"""The view of one image: canvas with scale bar and colour bars, contrast controls, and a line that reads the cursor."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from PySide6.QtCore import QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from atomseg_app.data import Image
from atomseg_app.gui.canvas import Canvas, Pointer
from atomseg_app.gui.color_bar import ColourBar
from atomseg_app.gui.colour_maps import DIVERGING
from atomseg_app.gui.contrast import Contrast
from atomseg_app.gui.contrast_bar import ContrastBar
from atomseg_app.gui.image_layer import ImageLayer
from atomseg_app.gui.scale_bar import length_text, paint_scale_bar
from atomseg_app.gui.theme import Theme
from atomseg_app.gui.value_text import value_text
from atomseg_app.gui.view_geometry import ViewGeometry, aspect_of

VALUE_NAME, VALUE_UNIT, SIGNED = "value_name", "intensity_unit", "signed"
"""Metadata that tell what the values of an image are, their unit, and whether their colours are even about zero."""


class ImageView(QWidget):
    """Shows an image. Overlays are added with :meth:`add_layer`, tools and the view are those of :attr:`canvas`.

    ``hovered(Pointer | None)`` follows the cursor; ``contrast_changed`` tells of other limits or colours.
    """

    hovered = Signal(object)
    contrast_changed = Signal()

    def __init__(self, theme: Theme | None = None) -> None:
        super().__init__()
        self.setObjectName("view.image")
        self.image: Image | None = None
        self.value_name, self.value_unit = "Value", ""
        self._own: tuple[Contrast, bool] | None = None  # colours and bar before a map with its own was shown
        self.show_scale_bar = True
        self.show_colour_bar = False
        self._overlay_bar: ColourBar | None = None
        self._theme = theme
        self._reset_limits = True
        self.canvas = Canvas()
        self.layer = ImageLayer()
        self.contrast_bar = ContrastBar()
        self.readout = Readout("Value and position under the cursor")
        self.detail = Readout("About what is under the cursor")
        self.canvas.layers = [self.layer.paint, self._paint_over]
        self.layer.changed.connect(self.canvas.update)
        self.layer.ready.connect(self._on_ready)
        self.contrast_bar.changed.connect(self.set_contrast)
        self.canvas.hovered.connect(self._on_hover)
        self._arrange()
        if theme is not None:
            theme.changed.connect(self._on_theme)
            self._on_theme()

    # -- what is shown

    def set_image(self, image: Image | None, *, keep_view: bool = False) -> None:
        """Show an image, or nothing. ``keep_view`` keeps place and contrast, as for the frames of a movie."""
        self.image = image
        shape = None if image is None or not image.values.size else (image.shape[0], image.shape[1])
        self._reset_limits = not (keep_view and shape == self.canvas.shape) or self._is_other_map(image)
        aspect = (1.0, 1.0) if image is None else aspect_of(image.pixel_size_nm)
        self.canvas.set_shape(shape, aspect, keep_view=keep_view)
        facts = {} if image is None else image.metadata
        self.value_name, self.value_unit = str(facts.get(VALUE_NAME, "Value")), str(facts.get(VALUE_UNIT, ""))
        self.layer.set_values(None if image is None else image.values)
        self.contrast_bar.setEnabled(image is not None)
        self._on_hover(None)

    def set_calibration(self, image: Image) -> None:
        """Show the same pixels with another pixel size."""
        self.image = image
        self.canvas.set_shape(self.canvas.shape, aspect_of(image.pixel_size_nm), keep_view=True)
        self.canvas.update()

    def contrast(self) -> Contrast:
        """Limits and colours in force."""
        return self.layer.contrast

    def set_contrast(self, contrast: Contrast) -> None:
        """Put limits and colours in force."""
        self.layer.set_contrast(contrast)
        self.contrast_bar.show_contrast(contrast)
        self._lay_bars()
        self.contrast_changed.emit()

    def add_layer(self, paint: Any) -> None:
        """Draw something over the image, under the scale bar."""
        self.canvas.layers.insert(-1, paint)

    def add_screen_layer(self, paint: Any) -> None:
        """Draw something that is part of the screen, but of no figure: what is under the cursor."""
        self.canvas.screen_layers.append(paint)

    def set_overlay_bar(self, bar: ColourBar | None) -> None:
        """Show what the colours of an overlay mean."""
        self._overlay_bar = bar
        self._lay_bars()

    def set_shown(
        self, *, scale_bar: bool | None = None, colour_bar: bool | None = None, smooth: bool | None = None
    ) -> None:
        """Show or hide scale bar and colour bar; draw enlarged pixels smoothly or as squares."""
        self.show_scale_bar = self.show_scale_bar if scale_bar is None else scale_bar
        self.show_colour_bar = self.show_colour_bar if colour_bar is None else colour_bar
        self.layer.smooth = self.layer.smooth if smooth is None else smooth
        self._lay_bars()

    def value_at(self, x_px: float, y_px: float) -> float | None:
        """Value of the pixel at an image position; None outside."""
        if self.image is None:
            return None
        column, row = int(np.floor(x_px + 0.5)), int(np.floor(y_px + 0.5))
        height, width = self.image.shape
        return float(self.image.values[row, column]) if 0 <= row < height and 0 <= column < width else None

    # -- drawing

    def _paint_over(self, painter: QPainter, geometry: ViewGeometry, device_scale: float) -> None:
        if self.image is None:
            return
        if self.layer.waiting:
            painter.setPen(self.canvas.ink)
            painter.drawText(QRectF(0, 0, geometry.width, geometry.height), Qt.AlignmentFlag.AlignCenter, "Reading…")
        elif self.show_scale_bar:
            area = self.canvas.picture_rect()
            paint_scale_bar(painter, geometry, area, self.image.pixel_size_nm[1], self.canvas.pixel_font())

    def _lay_bars(self) -> None:
        bars = [] if self._overlay_bar is None else [self._overlay_bar]
        if self.show_colour_bar and self.image is not None:
            bars.insert(0, self._image_bar())
        font = self.canvas.pixel_font(0.92)

        def painting(bar: ColourBar) -> Any:
            return lambda painter, rect: bar.paint(painter, rect, font, self.canvas.ink)

        self.canvas.set_side_layers([(bar.width(font), painting(bar)) for bar in bars])

    def _image_bar(self) -> ColourBar:
        contrast = self.layer.contrast
        ramp = replace(contrast, low=0.0, high=1.0).colours(np.linspace(0, 1, 256, dtype=np.float32))
        colours = np.stack([ramp >> 16 & 255, ramp >> 8 & 255, ramp & 255], axis=1).astype(np.uint8)
        title = f"{self.value_name} ({self.value_unit})" if self.value_unit else self.value_name
        return ColourBar(title, contrast.low, contrast.high, colours)

    # -- events

    def _on_ready(self) -> None:
        self.contrast_bar.set_sample(self.layer.sample)
        if self._reset_limits:
            colours = self._with_own_colours()
            low, high = self.contrast_bar.automatic()
            self.set_contrast(replace(colours, low=low, high=high))
        self.canvas.update()

    def _signed(self) -> bool:
        return self.image is not None and bool(self.image.metadata.get(SIGNED))

    def _is_other_map(self, image: Image | None) -> bool:
        """Whether an image is a layer of a map with another name than the one shown: its limits are its own."""
        return image is not None and image.metadata.get(VALUE_NAME, "Value") != self.value_name

    def _with_own_colours(self) -> Contrast:
        """Colours for the image that is shown: a map of values of either sign has its own, with their bar."""
        now = self.layer.contrast
        if self._signed() == (self._own is not None):
            return now
        self.contrast_bar.even = self._signed()
        if self._own is None:
            self._own, self.show_colour_bar = (now, self.show_colour_bar), True
            return Contrast(colour_map=DIVERGING)
        (before, self.show_colour_bar), self._own = self._own, None
        return before

    def _on_hover(self, pointer: Pointer | None) -> None:
        self.readout.setText("" if pointer is None else self.position_text(pointer))
        self.hovered.emit(pointer)

    def position_text(self, pointer: Pointer) -> str:
        """Position in px and nm, and the value there."""
        if self.image is None:
            return ""
        x, y = pointer.x_px, pointer.y_px
        parts = [f"x {x:.1f}  y {y:.1f} px"]
        size_y, size_x = self.image.pixel_size_nm
        if size_x is not None and size_y is not None:
            parts.append(f"x {length_text(x * size_x, 4)}  y {length_text(y * size_y, 4)}")
        value = self.value_at(x, y)
        parts.append("outside the image" if value is None else f"value {value_text(value)} {self.value_unit}".strip())
        return "   ·   ".join(parts)

    def _on_theme(self) -> None:
        if self._theme is None:
            return
        colours = self._theme.colours
        self.canvas.paper = QColor(colours.window)
        self.canvas.ink = QColor(colours.text)
        self.canvas.focus_colour = QColor(colours.focus)
        self._lay_bars()
        self.canvas.update()

    def _arrange(self) -> None:
        lines = QVBoxLayout()
        lines.setContentsMargins(8, 2, 8, 0)
        lines.setSpacing(0)
        lines.addWidget(self.readout)
        lines.addWidget(self.detail)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addWidget(self.canvas, 1)
        layout.addLayout(lines)
        layout.addWidget(self.contrast_bar)


class Readout(QLabel):
    """A line of text that never makes its window wider: what does not fit is left out, and in the tooltip."""

    def __init__(self, name: str) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def minimumSizeHint(self) -> QSize:
        """A line of a few words."""
        metrics = self.fontMetrics()
        return QSize(20 * metrics.averageCharWidth(), metrics.height() + 1)

    def sizeHint(self) -> QSize:
        """One line, also while there is nothing to read."""
        return self.minimumSizeHint()

    def setText(self, text: str) -> None:
        """Show a text."""
        super().setText(text)
        self.setToolTip(text)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the text, its end left out where there is no room."""
        painter = QPainter(self)
        painter.setPen(self.palette().color(self.foregroundRole()))
        shown = self.fontMetrics().elidedText(self.text(), Qt.TextElideMode.ElideRight, self.width())
        painter.drawText(self.rect(), Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, shown)
        painter.end()
