"""Defects as marks over the picture, each kind with a shape and a colour of its own, and a legend that counts them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPolygonF

from atomseg_app.atoms.defect_operations import (
    ANTISITE,
    BOUNDARY,
    DISLOCATION,
    INTERSTITIAL,
    STRONG,
    VACANCY,
    WEAK,
)
from atomseg_app.data import FLAG_VACANT, Columns
from atomseg_app.gui.atoms.plates import INK, PAD, paint_plate
from atomseg_app.gui.atoms.quantities import Floats
from atomseg_app.gui.view_geometry import ViewGeometry

_REACH = 4.5  # screen px that a mark lies outside the ring of its column
_KEY_RADIUS = 6.0
_HALO = QColor(0, 0, 0, 200)


@dataclass(frozen=True)
class Kind:
    """How one kind of defect is marked: what it is called for one and for several, outline and colour.

    ``outline`` are the corners of lines round (0, 0), one unit to the rim.
    """

    one: str
    many: str
    colour: str
    outline: tuple[tuple[tuple[float, float], ...], ...]
    dashed: bool = False


_SQUARE = (((-1.0, -1.0), (1.0, -1.0), (1.0, 1.0), (-1.0, 1.0), (-1.0, -1.0)),)
_UP = (((0.0, -1.25), (1.1, 0.8), (-1.1, 0.8), (0.0, -1.25)),)
_DOWN = tuple(tuple((x, -y) for x, y in line) for line in _UP)
_DIAMOND = (((0.0, -1.35), (1.35, 0.0), (0.0, 1.35), (-1.35, 0.0), (0.0, -1.35)),)
_PLUS = (((-1.2, 0.0), (1.2, 0.0)), ((0.0, -1.2), (0.0, 1.2)))
_TEE = (((-1.1, 0.9), (1.1, 0.9)), ((0.0, 0.9), (0.0, -1.1)))
_BAR = (((-1.1, 0.0), (1.1, 0.0)),)

KINDS = {
    VACANCY: Kind("vacancy", "vacancies", "#f0e442", _SQUARE, dashed=True),
    WEAK: Kind("weaker column", "weaker columns", "#56b4e9", _DOWN),
    STRONG: Kind("stronger column", "stronger columns", "#e69f00", _UP),
    ANTISITE: Kind("column of another site", "columns of another site", "#cc79a7", _DIAMOND),
    INTERSTITIAL: Kind("interstitial", "interstitials", "#3fd6a6", _PLUS),
    DISLOCATION: Kind("column at a dislocation core", "columns at dislocation cores", "#ff7f50", _TEE),
    BOUNDARY: Kind("column at a boundary", "columns at boundaries", "#c8d0da", _BAR),
}
"""By the code in the quantity ``defect``, in the order of the legend."""


def codes_of(columns: Columns) -> npt.NDArray[np.int64]:
    """Code (n,) of each column's defect, 0 for none; a vacant site counts as a vacancy."""
    codes = np.zeros(len(columns), np.int64)
    if "defect" in columns.quantities:
        codes = np.nan_to_num(columns.table["defect"]).astype(np.int64)
    codes[columns.table["flag"] == FLAG_VACANT] = VACANCY
    return codes


class DefectLayer:
    """Draws the defects of some columns. ``radius`` gives that of a column's ring, ``area`` that of the picture."""

    def __init__(self, radius: Callable[[ViewGeometry], float], area: Callable[[], QRectF]) -> None:
        self._radius, self._area = radius, area
        self._xy_px: Floats = np.empty((0, 2))
        self._codes: npt.NDArray[np.int64] = np.empty(0, np.int64)

    def set_columns(self, columns: Columns | None) -> None:
        """Mark the defects of other columns, or nothing."""
        codes = np.empty(0, np.int64) if columns is None else codes_of(columns)
        rows = np.flatnonzero(np.isin(codes, list(KINDS)))
        self._codes = codes[rows]
        self._xy_px = np.empty((0, 2)) if columns is None else columns.xy_px[rows]

    def counts(self) -> dict[int, int]:
        """How many are marked of each kind that occurs."""
        return {code: int((self._codes == code).sum()) for code in KINDS if (self._codes == code).any()}

    def paint(self, painter: QPainter, geometry: ViewGeometry, device_scale: float) -> None:
        """Draw the marks, then the legend at the upper right."""
        if not len(self._codes):
            return
        radius = self._radius(geometry) + _REACH
        places = geometry.to_screen(self._xy_px)
        edge = 2 * radius
        seen = np.all((places > -edge) & (places < (geometry.width + edge, geometry.height + edge)), axis=1)
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for row in np.flatnonzero(seen):
            paint_kind(painter, QPointF(*places[row]), radius, KINDS[int(self._codes[row])])
        painter.restore()
        painter.save()
        self._paint_legend(painter)
        painter.restore()

    def _paint_legend(self, painter: QPainter) -> None:
        entries = [(KINDS[code], count) for code, count in self.counts().items()]
        texts = [f"{count} {kind.one if count == 1 else kind.many}" for kind, count in entries]
        metrics = painter.fontMetrics()
        line = metrics.height() + 5
        width = 2 * _KEY_RADIUS + 12 + max(metrics.horizontalAdvance(text) for text in texts)
        room = paint_plate(
            painter, self._area().topRight(), width + 2 * PAD, line * len(texts) + 2 * (PAD - 2), from_right=True
        )  # fmt: skip
        for number, (text, (kind, _)) in enumerate(zip(texts, entries, strict=True)):
            middle = room.top() + (number + 0.5) * line
            paint_kind(painter, QPointF(room.left() + _KEY_RADIUS + 1, middle), _KEY_RADIUS, kind)
            painter.setPen(INK)
            baseline = middle + (metrics.ascent() - metrics.descent()) / 2
            painter.drawText(QPointF(room.left() + 2 * _KEY_RADIUS + 12, baseline), text)


def paint_kind(painter: QPainter, at: QPointF, radius: float, kind: Kind) -> None:
    """One mark with a dark halo."""
    painter.setBrush(Qt.BrushStyle.NoBrush)
    for colour, width in ((_HALO, 4.4), (QColor(kind.colour), 2.2)):
        pen = QPen(colour, width)
        pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
        pen.setCapStyle(Qt.PenCapStyle.FlatCap)
        if kind.dashed and width < 4:
            pen.setDashPattern([2.2, 1.4])
        painter.setPen(pen)
        for line in kind.outline:
            painter.drawPolyline(QPolygonF([QPointF(at.x() + x * radius, at.y() + y * radius) for x, y in line]))
