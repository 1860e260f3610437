"""The sinogram of one row along the tilt axis: views in the order of their angles, a click shows that view."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor, QPainter, QPen

from atomseg_app.data import Image, TiltSeries
from atomseg_app.gui.canvas import Pointer, Tool
from atomseg_app.gui.image_view import ImageView
from atomseg_app.gui.theme import Theme
from atomseg_app.gui.tomography.model import TomoModel, alignment_of
from atomseg_app.gui.tomography.projection_view import angle_text
from atomseg_app.gui.value_text import value_text
from atomseg_app.gui.view_geometry import ViewGeometry


def view_order(series: TiltSeries) -> npt.NDArray[np.intp]:
    """Views that are used, by angle where all are known, else as they come."""
    used = series.used
    angles = np.asarray(series.tilt_deg, float)[used]
    return used[np.argsort(angles, kind="stable")] if np.isfinite(angles).all() else used


def sinogram(series: TiltSeries, row: int, *, aligned: bool) -> npt.NDArray[np.float32]:
    """Sinogram (view, t) of a row in the order of :func:`view_order`; ``aligned`` moves each view across the axis.

    Shifts along the axis take another row each; what turns the images is not drawn. What no view has seen is as dark as
    the darkest of what was.
    """
    order = view_order(series)
    alignment = alignment_of(series)
    count = series.shape[2] if series.tilt_axis == "y" else series.shape[1]
    rows = series.shape[1] if series.tilt_axis == "y" else series.shape[2]
    result = np.full((len(order), count), np.nan, np.float32)
    places = np.arange(count, dtype=float)
    for line, view in enumerate(order):
        seen = row + (round(alignment.shift_y_px[view]) if aligned else 0)
        if not 0 <= seen < rows:
            continue
        values = series.values[view, seen, :] if series.tilt_axis == "y" else series.values[view, :, seen]
        if not aligned:
            result[line] = values
            continue
        shift = alignment.shift_x_px[view] + alignment.axis_offset_px
        result[line] = np.interp(places + shift, places, values, left=np.nan, right=np.nan)
    unseen = np.isnan(result)
    if aligned and unseen.any() and not unseen.all():
        result[unseen] = np.nanmin(result)
    return result


class _PickTool(Tool):
    title = "Pick a view"
    hint = "Click a line to show that view."
    cursor = Qt.CursorShape.PointingHandCursor

    def __init__(self, owner: SinogramView) -> None:
        self._owner = owner

    def press(self, pointer: Pointer) -> None:
        self._owner.pick(pointer.y_px)

    def drag(self, pointer: Pointer) -> None:
        self._owner.pick(pointer.y_px)


class SinogramView(ImageView):
    """Shows the model's row. Its contrast is that of the projection."""

    def __init__(self, model: TomoModel, theme: Theme) -> None:
        super().__init__(theme)
        self.setObjectName("tomography.sinogram")
        self.canvas.setAccessibleName("Sinogram")
        self.canvas.setMinimumSize(120, 70)
        self._model = model
        self._order: npt.NDArray[np.intp] = np.empty(0, np.intp)
        self._drawn: tuple[object, ...] = ()
        self.aligned = False
        self.show_scale_bar = False
        self.contrast_bar.hide()
        self.detail.hide()
        self.canvas.set_tool(_PickTool(self))
        self.add_layer(self._paint_line)
        for signal in (model.current_changed, model.place_changed, model.changed):
            signal.connect(self.refresh)

    def set_aligned(self, aligned: bool) -> None:
        """Draw views where the alignment puts them, or as they were recorded."""
        self.aligned = aligned
        self.refresh()

    def refresh(self) -> None:
        """Show the row of the model, if this is on screen."""
        series = self._model.series()
        if series is None or not len(series.values) or not self.isVisible():
            return
        key = (id(series.values), series.tilt_deg, series.excluded, series.tilt_axis, self._model.row,
               series.alignment if self.aligned else None, self.aligned)  # fmt: skip
        if key != self._drawn:
            keep = bool(self._drawn) and self._drawn[0] == key[0] and self._drawn[3] == key[3]
            self._drawn = key
            self._order = view_order(series)
            values = sinogram(series, self._model.row, aligned=self.aligned)
            self.set_image(Image(values, (None, None), series.source), keep_view=keep)
        self.canvas.update()

    def showEvent(self, event: object) -> None:
        """Draw what was missed while hidden."""
        super().showEvent(event)  # type: ignore[arg-type]
        self.refresh()

    def pick(self, line: float) -> None:
        """Show the view of a line."""
        if len(self._order):
            self._model.show_view(int(self._order[min(max(round(line), 0), len(self._order) - 1)]))

    def position_text(self, pointer: Pointer) -> str:
        """View, angle, place across the axis and value under the cursor."""
        series = self._model.series()
        line = round(pointer.y_px)
        if series is None or not 0 <= line < len(self._order) or line >= len(self._order):
            return ""
        view = int(self._order[line])
        value = self.value_at(pointer.x_px, pointer.y_px)
        read = "outside" if value is None else f"value {value_text(value)}"
        where = f"view {view + 1}   ·   {angle_text(series.tilt_deg[view])}   ·   t {pointer.x_px:.1f} px"
        return f"row {self._model.row}   ·   {where}   ·   {read}"

    def _paint_line(self, painter: QPainter, geometry: ViewGeometry, device_scale: float) -> None:
        if self.image is None:
            return
        lines = np.flatnonzero(self._order == self._model.view)
        if not len(lines):
            return
        left, right = geometry.point(-0.5, float(lines[0])), geometry.point(self.image.shape[1] - 0.5, float(lines[0]))
        painter.setPen(QPen(QColor(255, 176, 0), 1.4))
        for edge, step in ((left, -10), (right, 10)):
            painter.drawLine(edge, edge + QPointF(step, 0))
        painter.setPen(QPen(QColor(255, 176, 0, 150), 1.0, Qt.PenStyle.DotLine))
        painter.drawLine(left, right)
