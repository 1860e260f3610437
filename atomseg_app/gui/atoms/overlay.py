"""Keeps the picture in step with the model: image, markers and their colour bar, region, and what the cursor reads."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QObject, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QPainter, QPen

from atomseg_app.data import FLAG_VACANT, FLAGS, Columns
from atomseg_app.gui.atoms.arrows import ArrowLayer, arrows_of
from atomseg_app.gui.atoms.colouring import colouring
from atomseg_app.gui.atoms.defect_marks import KINDS, DefectLayer, codes_of
from atomseg_app.gui.atoms.map_layers import displayed
from atomseg_app.gui.atoms.markers import ErrorStyle, MarkerLayer, MarkerStyle
from atomseg_app.gui.atoms.model import AtomsModel, Entry
from atomseg_app.gui.atoms.quantities import QUANTITIES, available, pixel_nm, vectors_of
from atomseg_app.gui.canvas import Pointer
from atomseg_app.gui.image_view import ImageView
from atomseg_app.gui.value_text import value_text
from atomseg_app.gui.view_geometry import ViewGeometry

_DEFAULT_SPACING_PX = 20.0


class Overlay(QObject):
    """Draws what the model holds. ``spacings_changed`` carries nearest-neighbour distances (n,) and their unit,
    ``coloured`` the :class:`Colouring` in force, None for one plain colour.
    """

    spacings_changed = Signal(object, str)
    coloured = Signal(object)

    def __init__(self, view: ImageView, model: AtomsModel) -> None:
        super().__init__()
        self._view, self._model = view, model
        self._entry: Entry | None = None
        self.markers = MarkerLayer()
        self.markers.changed.connect(view.canvas.update)
        self.arrows = ArrowLayer(view.canvas.picture_rect)
        self.defects = DefectLayer(self.markers.radius_px, view.canvas.picture_rect)
        view.add_layer(self._paint_region)
        view.add_layer(self.markers.paint)
        view.add_layer(self.arrows.paint)
        view.add_layer(self.defects.paint)
        view.add_layer(self._paint_note)
        view.add_screen_layer(self.markers.paint_hovered)
        view.hovered.connect(self._on_hover)
        model.current_changed.connect(self.show_image)
        model.frame_changed.connect(lambda: self.show_image(keep_view=True))
        model.calibration_changed.connect(self._on_calibrated)
        model.columns_changed.connect(self.show_columns)
        model.selection_changed.connect(self._on_selected)

    def show_image(self, *, keep_view: bool = False) -> None:
        """Show the model's image and its columns."""
        image = self._model.image()
        self._view.set_image(None if image is None else displayed(image), keep_view=keep_view)
        self.show_columns()

    def show_columns(self) -> None:
        """Show the model's columns."""
        columns = self._model.columns()
        if columns is None or not len(columns):
            self.markers.set_columns(None, np.empty(0), _DEFAULT_SPACING_PX)
            self.arrows.arrows = None
            self.defects.set_columns(None)
            self._view.set_overlay_bar(None)
            self.coloured.emit(None)
            self.spacings_changed.emit(None, "")
            return
        distances = QUANTITIES["nearest"].values(columns)
        unit = QUANTITIES["nearest"].unit(columns)
        pixel = float(np.sqrt(np.prod(pixel_nm(columns)))) if columns.calibrated else 1.0
        known = distances[np.isfinite(distances)]
        spacing_px = float(np.median(known)) / pixel if len(known) else _DEFAULT_SPACING_PX
        self._colour(columns, spacing_px)
        self._on_selected()
        self.spacings_changed.emit(distances, unit)

    def set_style(self, style: MarkerStyle) -> None:
        """Draw the markers in another style."""
        self.markers.set_style(style)
        self.show_columns()

    def detail_text(self, row: int) -> str:
        """What is known of a column, in a line."""
        columns = self._model.columns()
        if columns is None or not 0 <= row < len(columns):
            return ""
        return describe_column(columns, row, self.markers.style.quantity)

    def _colour(self, columns: Columns, spacing_px: float) -> None:
        style = self.markers.style
        marked = style.shown and style.defects
        drawn = columns.table["flag"] != FLAG_VACANT if marked else None
        found = colouring(columns, style)
        shades = np.zeros(len(columns)) if found is None else found.shades
        colours = None if found is None else found.colours
        self.markers.set_columns(columns, shades, spacing_px, colours=colours, drawn=drawn)
        self._view.set_overlay_bar(found.bar() if found is not None and style.shown else None)
        vectors = vectors_of(columns).get(style.vectors)
        self.arrows.arrows = None
        if vectors is not None:
            self.arrows.arrows = arrows_of(columns, vectors, style.enlargement, spacing_px)
        self.defects.set_columns(columns if marked else None)
        self.coloured.emit(found)

    def _on_calibrated(self) -> None:
        image = self._model.image()
        if image is not None:
            self._view.set_calibration(displayed(image))

    def _on_selected(self) -> None:
        self.markers.set_selected(self._model.selected_rows())
        self._view.canvas.update()

    def _on_hover(self, pointer: Pointer | None) -> None:
        known = "" if pointer is None else self.detail_text(self.markers.hovered)
        self._view.detail.setText(known or self._view.canvas.tool().hint)

    def _paint_note(self, painter: QPainter, geometry: ViewGeometry, device_scale: float) -> None:
        """Tell at the lower right by how much the errors are enlarged: a figure must not mislead."""
        style = self.markers.style
        if not style.shown or style.errors is ErrorStyle.NONE or not len(self.markers.xy_px):
            return
        text = f"errors (1 s.d.) × {style.exaggeration:g}"
        metrics = painter.fontMetrics()
        area = self._view.canvas.picture_rect()
        width, height = metrics.horizontalAdvance(text) + 14, metrics.height() + 6
        plate = QRectF(area.right() - width - 10, area.bottom() - height - 10, width, height)
        painter.save()
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(0, 0, 0, 150))
        painter.drawRoundedRect(plate, 5, 5)
        painter.setPen(QColor("#ffffff"))
        painter.drawText(plate, Qt.AlignmentFlag.AlignCenter, text)
        painter.restore()

    def _paint_region(self, painter: QPainter, geometry: ViewGeometry, device_scale: float) -> None:
        """Darken what is not searched."""
        region, image = self._model.region_px, self._model.image()
        if region is None or image is None:
            return
        left, top, right, bottom = (edge - 0.5 for edge in region)
        height, width = image.shape
        painter.save()
        shade = QColor(0, 0, 0, 110)
        for rect in (
            geometry.rect(-0.5, -0.5, width - 0.5, top), geometry.rect(-0.5, bottom, width - 0.5, height - 0.5),
            geometry.rect(-0.5, top, left, bottom), geometry.rect(right, top, width - 0.5, bottom),
        ):  # fmt: skip
            painter.fillRect(rect, shade)
        painter.setPen(QPen(QColor("#ffffff"), 1.5, Qt.PenStyle.DashLine))
        painter.drawRect(geometry.rect(left, top, right, bottom))
        painter.restore()


def describe_column(columns: Columns, row: int, quantity: str = "") -> str:
    """Number, position with errors, the main values of a column, and the quantity that colours it, with units."""
    entry = columns.table[row]
    if columns.calibrated:
        scale = pixel_nm(columns)
        places = [entry["x_px"] * scale[0], entry["y_px"] * scale[1]]
        errors = [entry["x_err_px"] * scale[0] * 1000, entry["y_err_px"] * scale[1] * 1000]
        texts = [f"{place:.4f} nm{_plus_minus(error, 'pm', 1)}" for place, error in zip(places, errors, strict=True)]
    else:
        pairs = (("x_px", "x_err_px"), ("y_px", "y_err_px"))
        texts = [f"{entry[place]:.2f}{_plus_minus(entry[error], '', 2)} px" for place, error in pairs]
    parts = [f"Column {entry['column_id']}", f"x {texts[0]}", f"y {texts[1]}"]
    if np.isfinite(entry["amplitude"]):
        parts.append(f"amplitude {value_text(float(entry['amplitude']), 4)}")
    if np.isfinite(entry["sigma_px"]):
        parts.append(f"σ {entry['sigma_px']:.2f} px")
    shown = available(columns).get(quantity)
    if shown is not None and quantity not in QUANTITIES:
        value = shown.values(columns)[row]
        known = f"{value_text(float(value), 4)} {shown.unit(columns)}".rstrip() if np.isfinite(value) else "not known"
        parts.append(f"{shown.title} {known}")
    defect = KINDS.get(int(codes_of(columns)[row]))
    if defect is not None:
        parts.append(defect.one)
    elif FLAGS[entry["flag"]]:
        parts.append(FLAGS[entry["flag"]])
    return "   ·   ".join(parts)


def _plus_minus(error: float, unit: str, digits: int) -> str:
    return f" ± {error:.{digits}f} {unit}".rstrip() if np.isfinite(error) else ""
