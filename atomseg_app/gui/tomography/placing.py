"""Where a view of a series is drawn: as it was recorded, or where its alignment puts it. Exact at any zoom."""

from __future__ import annotations

from PySide6.QtCore import QPointF
from PySide6.QtGui import QTransform

from atomseg_app.data import TiltSeries
from atomseg_app.gui.tomography.model import alignment_of
from atomseg_app.gui.view_geometry import ViewGeometry

_SWAP = QTransform(0, 1, 1, 0, 0, 0)


def to_aligned(series: TiltSeries, view: int) -> QTransform:
    """From the pixels of a recorded view to where ideal geometry would have seen them (convention: Alignment)."""
    alignment = alignment_of(series)
    height, width = series.shape[-2:]
    if series.tilt_axis == "x":
        height, width = width, height
    centre_x, centre_y = (width - 1) / 2, (height - 1) / 2
    across = alignment.shift_x_px[view] + alignment.axis_offset_px
    along = alignment.shift_y_px[view]
    turn = alignment.axis_rotation_deg + alignment.rotation_deg[view]
    placed = QTransform.fromTranslate(-centre_x - across, -centre_y - along)
    placed = placed * QTransform().rotate(-turn) * QTransform.fromTranslate(centre_x, centre_y)
    return placed if series.tilt_axis == "y" else _SWAP * placed * _SWAP


def on_screen(placed: QTransform, geometry: ViewGeometry) -> QTransform:
    """A transform of image positions as one of the screen, for a painter that draws through ``geometry``."""
    across, down = geometry.scale
    origin = geometry.point(0, 0)
    to_screen = QTransform(across, 0, 0, down, origin.x(), origin.y())
    return to_screen.inverted()[0] * placed * to_screen


def axis_line(series: TiltSeries, view: int, *, aligned: bool) -> tuple[QPointF, QPointF]:
    """Ends of the tilt axis over the image, in px: straight where views are drawn aligned."""
    height, width = series.shape[-2:]
    middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
    ends = (QPointF(middle_x, -0.5), QPointF(middle_x, height - 0.5))
    if series.tilt_axis == "x":
        ends = (QPointF(-0.5, middle_y), QPointF(width - 0.5, middle_y))
    if aligned:
        return ends
    back = to_aligned(series, view).inverted()[0]
    return back.map(ends[0]), back.map(ends[1])


def moved_on_detector(series: TiltSeries, view: int, dx_px: float, dy_px: float) -> tuple[float, float]:
    """Change of shift (across, along the axis) that moves a view drawn aligned by (dx, dy) px of the picture."""
    back = to_aligned(series, view).inverted()[0]
    start, end = back.map(QPointF(0.0, 0.0)), back.map(QPointF(dx_px, dy_px))
    x, y = start.x() - end.x(), start.y() - end.y()
    return (x, y) if series.tilt_axis == "y" else (y, x)
