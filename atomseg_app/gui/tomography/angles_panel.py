"""Step 1: where the angles are from, other ones by a scheme, a list or a file, the tilt axis, and the pixel size."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PySide6.QtCore import QSignalBlocker, Signal
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QComboBox, QGridLayout, QHBoxLayout, QLabel, QLineEdit, QSizePolicy, QVBoxLayout, QWidget

from atomseg_app.data import TiltSeries
from atomseg_app.errors import UserError
from atomseg_app.gui.sections import ActionButton, muted
from atomseg_app.gui.tomography.data_list import angles_line, size_text
from atomseg_app.gui.tomography.model import TomoModel, angles_known
from atomseg_app.gui.tomography.series_editing import NAMES
from atomseg_app.tomography.tilts import saxton, start_step

_EVEN_DEG = 0.02
SCHEMES = {"step": "Start and step", "saxton": "Saxton scheme"}


class AnglesPanel(QWidget):
    """``axis_chosen``, ``pixel_given`` (nm) and ``refused`` tell; the buttons are actions of the registry."""

    axis_chosen = Signal(str)
    pixel_given = Signal(float)
    refused = Signal(str)

    def __init__(self, model: TomoModel, actions: dict[str, QAction]) -> None:
        super().__init__()
        self._model = model
        self.state = muted()
        self.state.setAccessibleName("Angles of this series")
        self.scheme = _choice("Scheme of the angles", "How the angles follow each other.", SCHEMES)
        self.start = _edit("First angle", "Angle of the first view in degrees.", "-70")
        self.step = _edit("Step", "Angle between views in degrees, with its sign; of Saxton's scheme that at 0°.", "2")
        self.axis = _choice(
            "Tilt axis", "Direction of the tilt axis in the images; it is drawn over the picture.", NAMES
        )
        self.axis.currentIndexChanged.connect(lambda _index: self.axis_chosen.emit(self.axis.currentData()))
        self.pixel = _edit("Pixel size", "Size of a pixel in nm. Enter applies it.", "")
        self.pixel.returnPressed.connect(self._on_pixel)
        grid = QGridLayout()
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(6)
        grid.setColumnStretch(1, 1)
        self.apply = ActionButton(actions["tomography.apply_scheme"])
        for row, (title, widget, unit) in enumerate((
            ("Scheme", self.scheme, ""), ("First angle", self.start, "°"), ("Step", self.step, "°"),
            ("", self.apply, ""), ("", _pair(actions, "paste_angles", "Paste…", "load_angles", "Load…"), ""),
            ("Tilt axis", self.axis, ""),
            ("", _pair(actions, "detect_axis", "Suggest", "exclude", "Exclude"), ""),
            ("Pixel size", self.pixel, "nm"),
        )):  # fmt: skip
            _add_row(grid, row, title, widget, unit)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.state)
        layout.addLayout(grid)
        for signal in (model.current_changed, model.changed):
            signal.connect(self.refresh)
        self.refresh()

    def angles(self) -> tuple[float, ...]:
        """Angles of the scheme as typed, one a view. Raises UserError."""
        series = self._model.series()
        if series is None:
            raise UserError("No tilt series is shown; open one first.")
        start, step = _number(self.start, "First angle"), _number(self.step, "Step")
        make = saxton if self.scheme.currentData() == "saxton" else start_step
        return make(len(series.values), start, step)

    def refresh(self) -> None:
        """Show what is known of the series."""
        series = self._model.series()
        self.setEnabled(series is not None)
        if series is None:
            self.state.setText("No tilt series is shown." if self._model.entries else "No tilt series is open.")
            return
        self.state.setText(_state(series))
        self._show_scheme(series)
        blocker = QSignalBlocker(self.axis)
        self.axis.setCurrentIndex(self.axis.findData(series.tilt_axis))
        blocker.unblock()
        size = series.pixel_size_nm[1]
        if not self.pixel.hasFocus() or not self.pixel.isModified():
            self.pixel.setText("" if size is None else f"{size:.6g}")
        self.pixel.setPlaceholderText("not known")

    def _show_scheme(self, series: TiltSeries) -> None:
        """The scheme that an evenly tilted series follows, unless another one was typed."""
        angles = np.asarray(series.tilt_deg, float)
        steps = np.diff(angles)
        even = len(steps) > 0 and bool(np.isfinite(steps).all()) and float(np.ptp(steps)) < _EVEN_DEG
        if even and not (self.start.isModified() or self.step.isModified()):
            self.start.setText(f"{angles[0]:.4g}")
            self.step.setText(f"{float(steps.mean()):.4g}")

    def _on_pixel(self) -> None:
        try:
            size = _number(self.pixel, "Pixel size")
            if not 0 < size < 1e6:
                raise UserError(f"Pixel size: {size:g} nm is no size of a pixel; type a number above 0.")
        except UserError as problem:
            self.refused.emit(str(problem))
            return
        self.pixel.setModified(False)
        self.pixel_given.emit(size)


def _state(series: TiltSeries) -> str:
    """Angles and where they are from, views in use, calibration."""
    source = str(series.metadata.get("tilt_source", ""))
    lines = []
    if series.euler_deg is not None:
        lines.append(f"Three Euler angles a view; tilt {angles_line(series)}.")
    elif angles_known(series):
        lines.append(f"Angles {angles_line(series)}" + (f", from {Path(source).name}." if source else "."))
    else:
        lines.append("The angles are not known: give a scheme, paste a list or load a file.")
    used, count = len(series.used), len(series.values)
    lines.append(f"{used} of {count} views are used." if used < count else f"All {count} views are used.")
    if None in series.pixel_size_nm:
        lines.append("The pixel size is not known: lengths are shown in px.")
    elif series.pixel_size_nm[0] != series.pixel_size_nm[1]:
        lines.append(f"One pixel is {size_text(series.pixel_size_nm)}.")
    return "\n".join(lines)


def _number(edit: QLineEdit, title: str) -> float:
    text = edit.text().strip().rstrip("°").replace(",", ".").replace("\N{MINUS SIGN}", "-")
    try:
        return float(text)
    except ValueError:
        raise UserError(f"{title}: {edit.text().strip() or 'nothing'!r} is no number.") from None


def _add_row(grid: QGridLayout, row: int, title: str, widget: QWidget, unit: str) -> None:
    if title:
        label = QLabel(title)
        label.setBuddy(widget)
        grid.addWidget(label, row, 0)
    grid.addWidget(widget, row, 1)
    if unit:
        mark = QLabel(unit)
        mark.setProperty("role", "muted")
        grid.addWidget(mark, row, 2)


def _pair(actions: dict[str, QAction], first: str, first_text: str, second: str, second_text: str) -> QWidget:
    """Two buttons beside each other."""
    box = QWidget()
    box.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
    row = QHBoxLayout(box)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(6)
    for name, text in ((first, first_text), (second, second_text)):
        row.addWidget(ActionButton(actions[f"tomography.{name}"], text=text), 1)
    return box


def _edit(name: str, tip: str, text: str) -> QLineEdit:
    edit = QLineEdit(text)
    edit.setObjectName(f"tomography.{name.lower().replace(' ', '_')}")
    edit.setAccessibleName(name)
    edit.setToolTip(tip)
    return edit


def _choice(name: str, tip: str, titles: dict[str, str]) -> QComboBox:
    box = QComboBox()
    box.setAccessibleName(name)
    box.setToolTip(tip)
    for key, title in titles.items():
        box.addItem(title, key)
    return box
