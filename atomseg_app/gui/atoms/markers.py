"""Columns drawn over the image: rings coloured by a quantity, error bars, and what is selected. Fast for 100,000."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import cast

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QLineF, QObject, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import QColor, QPaintEngine, QPainter, QPen, QPixmap
from shiboken6 import Shiboken

from atomseg_app.data import Columns
from atomseg_app.gui.view_geometry import Floats, ViewGeometry

_SHADES = 64
_FRAME = _SHADES + 1  # place of the frame round selected columns in the sprite sheet
_SPACING_SHARE = 0.27
_LEAST_PX, _MOST_PX = 1.6, 13.0
_RING_FROM_PX = 3.2  # smaller markers are dots
_MOST_ELLIPSES = 4000
_UNKNOWN = QColor(160, 166, 176, 130)  # faint: neither end of any map, nor its middle
_MOST_EXACT = 400  # more are drawn at whole screen px, which is much faster


class ErrorStyle(enum.Enum):
    """How errors are drawn."""

    NONE = "Hidden"
    ELLIPSES = "Ellipses"
    BARS = "Bars"


@dataclass(frozen=True)
class MarkerStyle:
    """How markers look: rings or ``filled`` discs; ``size`` scales them, ``exaggeration`` the errors. ``quantity`` ""
    is one plain colour.

    ``limits`` are the values drawn in the first and last colour, automatic where None. ``vectors`` is what is drawn as
    arrows, "" for none, ``enlargement`` how many times longer than true, 0 for what suits the spacing.
    """

    shown: bool = True
    quantity: str = "position_error"
    colour_map: str = "viridis"
    size: float = 1.0
    errors: ErrorStyle = ErrorStyle.NONE
    exaggeration: float = 10.0
    limits: tuple[float, float] | None = None
    vectors: str = ""
    enlargement: float = 0.0
    defects: bool = True
    filled: bool = False


class MarkerLayer(QObject):
    """Draws the columns of one image; ``changed`` asks for a repaint."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.style = MarkerStyle()
        self.xy_px: Floats = np.empty((0, 2))
        self.errors_px: Floats = np.empty((0, 2))
        self.spacing_px = 20.0
        self.hovered = -1
        self.preview: tuple[int, float, float] | None = None  # a column that is being dragged: row and place
        self._shades: npt.NDArray[np.intp] = np.empty(0, np.intp)
        self._drawn: npt.NDArray[np.bool_] = np.empty(0, bool)
        self._table: npt.NDArray[np.uint8] | None = None
        self._selected: npt.NDArray[np.intp] = np.empty(0, np.intp)
        self._sheet: tuple[tuple[object, ...], QPixmap] | None = None

    def set_columns(
        self,
        columns: Columns | None,
        shades: Floats,
        spacing_px: float,
        *,
        colours: npt.NDArray[np.uint8] | None = None,
        drawn: npt.NDArray[np.bool_] | None = None,
    ) -> None:
        """Draw other columns. ``shades`` (n,) are places 0..1 in ``colours`` (m, 3), NaN where not known; None is one
        plain colour. Rows that are not ``drawn`` (n,) can be pointed at, but are marked by another layer.
        """
        self.hovered, self.preview = -1, None
        self.spacing_px = spacing_px
        self._table = (
            None if colours is None else colours[np.linspace(0, len(colours) - 1, _SHADES).round().astype(int)]
        )
        self._drawn = np.ones(len(shades), bool) if drawn is None else drawn
        if columns is None:
            self.xy_px, self.errors_px = np.empty((0, 2)), np.empty((0, 2))
            self._shades, self._selected = np.empty(0, np.intp), np.empty(0, np.intp)
        else:
            self.xy_px = columns.xy_px
            self.errors_px = np.stack([columns.table["x_err_px"], columns.table["y_err_px"]], axis=1)
            known = np.isfinite(shades)
            self._shades = np.where(known, np.clip(np.where(known, shades, 0), 0, 1) * (_SHADES - 1), _SHADES)
            self._shades = self._shades.round().astype(np.intp)
            self._selected = np.empty(0, np.intp)
        self.changed.emit()

    def set_selected(self, rows: npt.NDArray[np.intp]) -> None:
        """Mark rows as selected."""
        self._selected = rows
        self.changed.emit()

    def set_style(self, style: MarkerStyle) -> None:
        """Draw in another style."""
        self.style = style
        self.changed.emit()

    def radius_px(self, geometry: ViewGeometry) -> float:
        """Radius of a marker on the screen: a share of the spacing, within what can be seen and covers no atom."""
        natural = self.spacing_px * min(geometry.scale) * _SPACING_SHARE
        return min(max(natural, _LEAST_PX), _MOST_PX) * self.style.size

    def nearest(self, geometry: ViewGeometry, at: QPointF, reach_px: float = 0.0) -> int:
        """Row of the column at a screen position, -1 if there is none within its marker or ``reach_px``."""
        if not len(self.xy_px):
            return -1
        places = geometry.to_screen(self.xy_px)
        distance = np.hypot(places[:, 0] - at.x(), places[:, 1] - at.y())
        row = int(np.argmin(distance))
        return row if distance[row] <= max(reach_px, self.radius_px(geometry) + 3, 6.0) else -1

    def paint(self, painter: QPainter, geometry: ViewGeometry, device_scale: float) -> None:
        """Draw errors, then markers, then the selected and the hovered one over them."""
        if not self.style.shown or not len(self.xy_px):
            return
        xy_px = self.xy_px
        if self.preview is not None and self.preview[0] < len(xy_px):
            xy_px = xy_px.copy()
            xy_px[self.preview[0]] = self.preview[1:]
        places = geometry.to_screen(xy_px)
        radius = self.radius_px(geometry)
        edge = radius + 4
        size = (geometry.width + edge, geometry.height + edge)
        inside: npt.NDArray[np.bool_] = np.all((places > -edge) & (places < size), axis=1)
        rows = np.flatnonzero(inside & self._drawn)
        selected = self._selected[inside[self._selected]]
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        self._paint_errors(painter, geometry, places, rows)
        vector = painter.paintEngine().type() in (QPaintEngine.Type.SVG, QPaintEngine.Type.Pdf)
        if vector or len(rows) <= _MOST_EXACT:
            self._paint_each(painter, places, rows, radius)
            for row in selected:
                paint_frame(painter, QPointF(*places[row]), radius)
        else:
            self._paint_sprites(painter, places[rows], self._shades[rows], radius, device_scale)
            self._paint_sprites(painter, places[selected], np.full(len(selected), _FRAME), radius, device_scale)
        painter.restore()

    def paint_hovered(self, painter: QPainter, geometry: ViewGeometry, device_scale: float) -> None:
        """Draw a frame round the column under the pointer; no part of figures."""
        if self.style.shown and 0 <= self.hovered < len(self.xy_px):
            painter.save()
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            paint_frame(painter, geometry.point(*self.xy_px[self.hovered]), self.radius_px(geometry))
            painter.restore()

    def _paint_sprites(
        self, painter: QPainter, places: Floats, sprites: npt.NDArray[np.intp], radius: float, device_scale: float
    ) -> None:
        """Sprites of the sheet at places (n, 2), all in one call."""
        if not len(places):
            return
        sheet = self._sprites(radius, device_scale)
        cell = sheet.height()
        # The layout of QPainter::PixmapFragment: x, y, source left, top, width, height, scales, rotation, opacity.
        fragments = np.zeros((len(places), 10))
        fragments[:, 0:2] = places
        fragments[:, 2] = sprites * cell
        fragments[:, 4:6] = cell
        fragments[:, 6:8] = 1 / device_scale
        fragments[:, 9] = 1.0
        painter.setRenderHint(QPainter.RenderHint.SmoothPixmapTransform)
        first = cast(QPainter.PixmapFragment, Shiboken.wrapInstance(fragments.ctypes.data, QPainter.PixmapFragment))
        painter.drawPixmapFragments(first, len(fragments), sheet)

    def _sprites(self, radius: float, device_scale: float) -> QPixmap:
        """One marker a shade, one for what is not known, and the frame of selected columns, side by side."""
        key = (radius, device_scale, self.style.filled, None if self._table is None else self._table.tobytes())
        if self._sheet is None or self._sheet[0] != key:
            side = int(np.ceil(2 * (radius + 7) * device_scale))
            sheet = QPixmap(side * (_SHADES + 2), side)
            sheet.fill(Qt.GlobalColor.transparent)
            painter = QPainter(sheet)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            colours = self._colours()
            for place in range(_SHADES + 2):
                painter.save()
                painter.translate(place * side + side / 2, side / 2)
                painter.scale(device_scale, device_scale)
                if place == _FRAME:
                    paint_frame(painter, QPointF(0, 0), radius)
                else:
                    paint_marker(painter, QPointF(0, 0), radius, colours[place], filled=self.style.filled)
                painter.restore()
            painter.end()
            self._sheet = (key, sheet)
        return self._sheet[1]

    def _paint_each(self, painter: QPainter, places: Floats, rows: npt.NDArray[np.intp], radius: float) -> None:
        """Markers as outlines: exact to fractions of a screen px, and for figures made of lines."""
        colours = self._colours()
        for row in rows:
            paint_marker(painter, QPointF(*places[row]), radius, colours[self._shades[row]], filled=self.style.filled)

    def _colours(self) -> list[QColor]:
        """Colour of each shade, and of what is not known."""
        if self._table is None:
            return [QColor("#ffb000")] * (_SHADES + 1)
        return [*(QColor(*(int(c) for c in colour)) for colour in self._table), _UNKNOWN]

    def _paint_errors(
        self, painter: QPainter, geometry: ViewGeometry, places: Floats, rows: npt.NDArray[np.intp]
    ) -> None:
        if self.style.errors is ErrorStyle.NONE:
            return
        rows = rows[np.isfinite(self.errors_px[rows]).all(axis=1)]
        reach = self.errors_px[rows] * geometry.scale * self.style.exaggeration
        at = places[rows]
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for colour, width in ((QColor(0, 0, 0, 150), 3.0), (QColor("#ff9f1c"), 1.3)):
            painter.setPen(QPen(colour, width))
            if self.style.errors is ErrorStyle.ELLIPSES and len(rows) <= _MOST_ELLIPSES:
                for (x, y), (dx, dy) in zip(at.tolist(), reach.tolist(), strict=True):
                    painter.drawEllipse(QPointF(x, y), dx, dy)
            elif len(rows):
                lines = np.empty((len(rows), 2, 4))  # the layout of QLineF: x1, y1, x2, y2
                lines[:, 0] = np.column_stack([at[:, 0] - reach[:, 0], at[:, 1], at[:, 0] + reach[:, 0], at[:, 1]])
                lines[:, 1] = np.column_stack([at[:, 0], at[:, 1] - reach[:, 1], at[:, 0], at[:, 1] + reach[:, 1]])
                painter.drawLines(cast(QLineF, Shiboken.wrapInstance(lines.ctypes.data, QLineF)), 2 * len(rows))


def paint_frame(painter: QPainter, at: QPointF, radius: float) -> None:
    """A white square with a dark halo round a marker: it is selected, or under the pointer."""
    reach = radius + 3.0
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for colour, width in ((QColor(0, 0, 0, 200), 3.6), (QColor("#ffffff"), 1.7)):
        painter.setPen(QPen(colour, width))
        painter.drawRect(QRectF(at.x() - reach, at.y() - reach, 2 * reach, 2 * reach))


def paint_marker(painter: QPainter, at: QPointF, radius: float, colour: QColor, *, filled: bool = False) -> None:
    """A ring with a dark halo and a point in its middle; a disc if asked for, or where a ring would be too small."""
    painter.setBrush(Qt.BrushStyle.NoBrush)
    halo = QColor(0, 0, 0, 140)
    if radius < _RING_FROM_PX or filled:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(halo)
        painter.drawEllipse(at, radius + 0.8, radius + 0.8)
        painter.setBrush(colour)
        painter.drawEllipse(at, radius, radius)
        return
    painter.setPen(QPen(halo, 3.2))
    painter.drawEllipse(at, radius, radius)
    painter.setPen(QPen(colour, 1.7))
    painter.drawEllipse(at, radius, radius)
    if radius >= 8:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(halo)
        painter.drawEllipse(at, 1.9, 1.9)
        painter.setBrush(colour)
        painter.drawEllipse(at, 1.2, 1.2)
