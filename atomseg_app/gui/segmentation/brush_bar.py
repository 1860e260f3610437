"""Above the slices: the size of the brush, what else the tool in hand asks for, and how to use it."""

from __future__ import annotations

import math
from dataclasses import replace

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import QCheckBox, QHBoxLayout, QLabel, QLineEdit, QSlider, QVBoxLayout, QWidget

from atomseg_app.errors import UserError
from atomseg_app.gui.image_view import Readout
from atomseg_app.gui.scale_bar import length_text
from atomseg_app.gui.segmentation.model import SegModel
from atomseg_app.gui.segmentation.painter import LARGEST_RADIUS_PX, Painter
from atomseg_app.gui.value_text import value_text

_STEPS = 200
SIZED = ("brush", "eraser", "threshold", "ball")
GREY, GROWN = ("threshold",), ("grow",)


class BrushBar(QWidget):
    """Follows the painter and the tool that :meth:`show_tool` names."""

    def __init__(self, model: SegModel, painter: Painter) -> None:
        super().__init__()
        self.setObjectName("segmentation.brush")
        self._model, self._painter = model, painter
        self.radius = QSlider(Qt.Orientation.Horizontal)
        self.radius.setRange(0, _STEPS)
        self.radius.setAccessibleName("Radius of the brush")
        self.radius.setToolTip("Radius of the brush; [ and ] change it, too.")
        self.radius.setFixedWidth(110)
        self.radius_text = _edit("Radius of the brush in px", "Radius of the brush in voxels. Enter applies it.", 6)
        self.radius_nm = QLabel()
        self.radius_nm.setProperty("role", "muted")
        self.low = _edit("Lowest grey level that is painted", "Darker voxels are not painted. Enter applies it.", 9)
        self.high = _edit("Highest grey level that is painted", "Brighter voxels are not painted. Enter applies it.", 9)
        self.tolerance = _edit(
            "How far grey levels may differ, in % of the contrast",
            "How far grey levels may lie from those round the click, in % of the range of the contrast.", 6,
        )  # fmt: skip
        self.only_empty = QCheckBox("Keep what is labelled")
        self.only_empty.setToolTip("Paint only where nothing was labelled yet.")
        self.hint = Readout("How to use the tool")
        self._groups = {
            SIZED: _group(QLabel("Radius"), self.radius, self.radius_text, QLabel("px"), self.radius_nm),
            GREY: _group(QLabel("Grey levels"), self.low, QLabel("to"), self.high),
            GROWN: _group(QLabel("Tolerance"), self.tolerance, QLabel("%")),
        }
        row = QHBoxLayout()
        row.setContentsMargins(8, 2, 8, 2)
        row.setSpacing(10)
        for group in self._groups.values():
            row.addWidget(group)
        row.addStretch(1)
        below = QHBoxLayout()
        below.setContentsMargins(8, 0, 8, 2)
        below.setSpacing(10)
        below.addWidget(self.only_empty)
        below.addWidget(self.hint, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.addLayout(row)
        layout.addLayout(below)
        self.radius.valueChanged.connect(lambda step: self._set(radius_px=_radius(step)))
        self.radius_text.returnPressed.connect(self._type_radius)
        self.low.returnPressed.connect(lambda: self._typed(self.low, "low"))
        self.high.returnPressed.connect(lambda: self._typed(self.high, "high"))
        self.tolerance.returnPressed.connect(lambda: self._typed(self.tolerance, "tolerance", 0.1, 100.0, 0.01))
        self.only_empty.toggled.connect(lambda on: self._set(only_empty=on))
        painter.brush_changed.connect(self.refresh)
        for signal in (model.current_changed, model.changed):
            signal.connect(self.refresh)
        self.show_tool("look", "")
        self.refresh()

    def show_tool(self, name: str, hint: str) -> None:
        """Show what a tool asks for."""
        for tools, group in self._groups.items():
            group.setVisible(name in tools)
        self.only_empty.setVisible(name not in ("look", "eraser"))
        self.hint.setText(hint)

    def step_radius(self, factor: float) -> None:
        """A larger or smaller brush."""
        radius = min(max(self._painter.brush.radius_px * factor, 0.5), LARGEST_RADIUS_PX)
        self._set(radius_px=round(2 * radius) / 2)

    def refresh(self) -> None:
        """Show the brush."""
        brush = self._painter.brush
        blockers = [QSignalBlocker(widget) for widget in (self.radius, self.only_empty)]
        self.radius.setValue(_step(brush.radius_px))
        self.radius_text.setText(f"{brush.radius_px:g}")
        self.low.setText(value_text(brush.low, 4))
        self.high.setText(value_text(brush.high, 4))
        self.tolerance.setText(f"{100 * brush.tolerance:g}")
        self.only_empty.setChecked(brush.only_empty)
        volume = self._model.volume()
        sizes = [] if volume is None else [size for size in volume.pixel_size_nm if size is not None]
        self.radius_nm.setText(f"= {length_text(min(sizes) * brush.radius_px, 3)}" if len(sizes) == 3 else "")
        for blocker in blockers:
            blocker.unblock()

    def _set(self, **changes: float | bool) -> None:
        self._painter.set_brush(replace(self._painter.brush, **changes))  # type: ignore[arg-type]

    def _type_radius(self) -> None:
        self._typed(self.radius_text, "radius_px", 0.5, LARGEST_RADIUS_PX)

    def _typed(self, edit: QLineEdit, name: str, low: float = -1e30, high: float = 1e30, unit: float = 1.0) -> None:
        try:
            self._set(**{name: unit * _number(edit.text(), low, high)})
        except UserError as problem:
            self.hint.setText(str(problem))
        self.refresh()


def _number(text: str, low: float, high: float) -> float:
    try:
        number = float(text.strip().replace(",", ".").replace("\N{MINUS SIGN}", "-"))
    except ValueError:
        raise UserError(f"{text!r} is not a number.") from None
    if not low <= number <= high:
        raise UserError(f"{text} is out of range; type a number from {low:g} to {high:g}.")
    return number


def _radius(step: int) -> float:
    """From half a voxel to the largest, each step by the same factor, on halves of a voxel."""
    return float(round(2 * 0.5 * (LARGEST_RADIUS_PX / 0.5) ** (step / _STEPS))) / 2


def _step(radius_px: float) -> int:
    return round(_STEPS * math.log(radius_px / 0.5) / math.log(LARGEST_RADIUS_PX / 0.5))


def _edit(name: str, tip: str, digits: int) -> QLineEdit:
    edit = QLineEdit()
    edit.setAccessibleName(name)
    edit.setToolTip(tip)
    edit.setFixedWidth(digits * edit.fontMetrics().averageCharWidth() + 22)
    return edit


def _group(*widgets: QWidget) -> QWidget:
    group = QWidget()
    row = QHBoxLayout(group)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(6)
    for widget in widgets:
        row.addWidget(widget)
    return group
