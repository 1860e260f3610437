"""Vectors of the columns as arrows over the picture, enlarged alike for all, with a key arrow of known length."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import numpy as np
from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen
from shiboken6 import Shiboken

from atomseg_app.data import Columns
from atomseg_app.gui.atoms.plates import INK, PAD, paint_plate
from atomseg_app.gui.atoms.quantities import Floats, Vectors
from atomseg_app.gui.scale_bar import round_length
from atomseg_app.gui.view_geometry import ViewGeometry

_SHARE = 0.85  # of the spacing, that a long arrow has
_LONG = 90  # percentile of the lengths that is called long
_HEAD_SHARE, _MOST_HEAD_PX, _HEAD_ANGLE = 0.38, 9.0, math.radians(26)
_KEY_PX = 64.0
_LEAST_PX = 1.0
_MOST_HALOED = 12_000  # lines; more are drawn plainly, which is much faster, and where they are that dense is as clear
_COLOUR, _HALO = QColor("#ffffff"), QColor(0, 0, 0, 210)


@dataclass(frozen=True, eq=False)
class Arrows:
    """Arrows at ``xy_px`` (n, 2), of ``vectors_px`` (n, 2), drawn ``factor`` times longer than true.

    ``pm_per_px`` is the width of a pixel; None where not known.
    """

    title: str
    xy_px: Floats
    vectors_px: Floats
    factor: float
    pm_per_px: float | None

    def key(self, geometry: ViewGeometry) -> tuple[float, str]:
        """Length on the screen of the key arrow, and what it stands for: a round number of pm, or of px."""
        screen_px = geometry.scale[0] * self.factor / (self.pm_per_px or 1.0)  # for one pm, or one px
        length = round_length(_KEY_PX / screen_px)
        return length * screen_px, f"{length:g} {'px' if self.pm_per_px is None else 'pm'}"


def enlargement_for(vectors_px: Floats, spacing_px: float) -> float:
    """Round factor at which long vectors (n, 2) fill most of the spacing; 1 where there is none."""
    lengths = np.hypot(*vectors_px[np.isfinite(vectors_px).all(axis=1)].T)
    long = float(np.percentile(lengths, _LONG)) if len(lengths) else 0.0
    return round_length(_SHARE * spacing_px / long) if long > 0 else 1.0


def arrows_of(columns: Columns, vectors: Vectors, enlargement: float, spacing_px: float) -> Arrows:
    """Arrows of the columns whose vector is known; ``enlargement`` 0 chooses what suits the spacing."""
    ways = vectors.of(columns)
    known = np.isfinite(ways).all(axis=1)
    factor = enlargement or enlargement_for(ways[known], spacing_px)
    size = columns.pixel_size_nm[1]
    return Arrows(vectors.title, columns.xy_px[known], ways[known], factor, None if size is None else size * 1000)


class ArrowLayer:
    """Draws :attr:`arrows`, or nothing. ``area`` gives the part of the view that the picture fills."""

    def __init__(self, area: Callable[[], QRectF]) -> None:
        self.arrows: Arrows | None = None
        self._area = area

    def paint(self, painter: QPainter, geometry: ViewGeometry, device_scale: float) -> None:
        """Draw the arrows, each about its column, and the key over them."""
        if self.arrows is None or not len(self.arrows.xy_px):
            return
        lines = strokes(self.arrows, geometry)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        _draw(painter, lines)
        painter.restore()
        painter.save()
        self._paint_key(painter, geometry, self.arrows)
        painter.restore()

    def _paint_key(self, painter: QPainter, geometry: ViewGeometry, arrows: Arrows) -> None:
        length, text = arrows.key(geometry)
        title = f"{arrows.title}, arrows × {arrows.factor:.3g}"
        metrics = painter.fontMetrics()
        width = max(length + 8 + metrics.horizontalAdvance(text), metrics.horizontalAdvance(title))
        area = self._area()
        corner = QPointF(area.left(), area.top())
        room = paint_plate(painter, corner, width + 2 * PAD, 2 * metrics.height() + 2 * PAD)
        painter.setPen(INK)
        painter.drawText(QPointF(room.left(), room.top() + metrics.ascent()), title)
        middle = room.bottom() - metrics.height() / 2
        _draw(painter, _strokes(np.array([[room.left() + length / 2, middle]]), np.array([[length, 0.0]])))
        painter.setPen(INK)
        painter.drawText(QPointF(room.left() + length + 8, room.bottom() - metrics.descent()), text)


def strokes(arrows: Arrows, geometry: ViewGeometry) -> Floats:
    """Lines (m, 4) as x1, y1, x2, y2 on the screen of all arrows that can be seen: shaft and two for the head."""
    places = geometry.to_screen(arrows.xy_px)
    ways = arrows.vectors_px * geometry.scale * arrows.factor
    reach = np.abs(ways).max(axis=1, keepdims=True)
    seen = np.all((places > -reach) & (places < np.array([geometry.width, geometry.height]) + reach), axis=1)
    seen &= np.hypot(*ways.T) >= _LEAST_PX
    return _strokes(places[seen], ways[seen])


def _strokes(places: Floats, ways: Floats) -> Floats:
    """Lines (3 n, 4) of arrows about places (n, 2)."""
    tails, tips = places - ways / 2, places + ways / 2
    length = np.hypot(*ways.T)[:, None]
    back = -ways / length * np.minimum(_HEAD_SHARE * length, _MOST_HEAD_PX)
    lines = [np.concatenate([tails, tips], axis=1)]
    for angle in (_HEAD_ANGLE, -_HEAD_ANGLE):
        c, s = math.cos(angle), math.sin(angle)
        lines.append(np.concatenate([tips, tips + back @ np.array([[c, s], [-s, c]])], axis=1))
    return np.ascontiguousarray(np.concatenate(lines))


def _draw(painter: QPainter, lines: Floats) -> None:
    """Lines (m, 4), white with a dark halo where there is room for one, all in one call."""
    if not len(lines):
        return
    dense = len(lines) > _MOST_HALOED
    painter.setRenderHint(QPainter.RenderHint.Antialiasing, not dense)
    first = cast(QLineF, Shiboken.wrapInstance(lines.ctypes.data, QLineF))
    for colour, width in ((_COLOUR, 1.0),) if dense else ((_HALO, 4.0), (_COLOUR, 1.8)):
        pen = QPen(colour, width)
        pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        painter.setPen(pen)
        painter.drawLines(first, len(lines))
