"""The plot below the picture: which quantities, of which columns, and the plot as a figure."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PySide6.QtCore import QSignalBlocker
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QCheckBox, QComboBox, QHBoxLayout, QLabel, QSizePolicy, QToolButton, QVBoxLayout, QWidget

from atomseg_app.gui.atoms.model import AtomsModel
from atomseg_app.gui.atoms.plot_data import PlotChoice, Rows, plot_data
from atomseg_app.gui.atoms.plot_view import PlotView
from atomseg_app.gui.atoms.quantities import available
from atomseg_app.gui.figure_export import SCREEN_DPI, raster_writer
from atomseg_app.gui.image_view import Readout

_ONLY = "Only those selected now"


class PlotPanel(QWidget):
    """Histogram of a quantity, or one quantity against another; its selection is that of the picture."""

    def __init__(self, model: AtomsModel, export: QAction, close: QAction) -> None:
        super().__init__()
        self.setObjectName("atoms.plots")
        self._model = model
        self.choice = PlotChoice()
        self.view = PlotView()
        self.up = _box("plot.y", "Quantity along y", "How many columns have each value, or a second quantity.")
        self.across = _box("plot.x", "Quantity along x", "Quantity along the horizontal axis.")
        self.only = QCheckBox(_ONLY)
        self.only.setToolTip("Plot the columns that are selected now, whatever is selected afterwards; or plot all.")
        self.only.toggled.connect(self._take_among)
        for box in (self.across, self.up):
            box.currentIndexChanged.connect(self._take_quantities)
        self.text = Readout("Number, mean and standard deviation of what is plotted")
        self.view.rows_chosen.connect(self._select)
        self._arrange(export, close)
        for signal in (model.current_changed, model.frame_changed, model.columns_changed, model.calibration_changed):
            signal.connect(self.refresh)
        model.current_changed.connect(lambda: self.only.setChecked(False))
        model.selection_changed.connect(self._on_selected)

    def refresh(self) -> None:
        """Plot the columns that are shown in the picture; nothing is computed while the panel is hidden."""
        if self.isHidden():
            return
        columns = self._model.columns()
        titles = [(key, quantity.label(columns) if columns is not None else quantity.title)
                  for key, quantity in available(columns).items()]  # fmt: skip
        counted = [("", "Number of columns")]
        for box, key, first in ((self.across, self.choice.x, []), (self.up, self.choice.y, counted)):
            blocker = QSignalBlocker(box)
            box.clear()
            for item, title in [*first, *titles]:
                box.addItem(title, item)
            box.setCurrentIndex(max(0, box.findData(key)))
            blocker.unblock()
        self.choice = replace(self.choice, x=self.across.currentData(), y=self.up.currentData())
        data = plot_data(columns, self.choice)
        self.view.show_data(data, self._model.selected_rows())
        self.text.setText("" if data is None else data.summary())
        self._on_selected()

    def show_quantities(self, x: str, y: str = "") -> None:
        """Plot a quantity, or one against another."""
        self.choice = replace(self.choice, x=x, y=y)
        self.refresh()

    def write(self, path: Path, dpi: float) -> None:
        """Write the plot as PNG or TIFF, black on white, whole or not at all. Raises FileError."""
        raster_writer(self.view.picture(dpi / SCREEN_DPI), path, dpi)()

    def can_write(self) -> bool:
        """Whether something is plotted."""
        return self.view.data is not None and len(self.view.data.x) > 0

    def _take_quantities(self) -> None:
        self.show_quantities(self.across.currentData(), self.up.currentData())

    def _take_among(self, only: bool) -> None:
        ids = tuple(int(i) for i in self._model.selection) if only else None
        self.choice = replace(self.choice, among=ids)
        self.refresh()

    def _select(self, rows: Rows, add: bool) -> None:
        columns = self._model.columns()
        if columns is not None:
            ids = columns.table["column_id"][rows].astype(np.int64)
            self._model.select(np.union1d(self._model.selection, ids) if add else ids)

    def _on_selected(self) -> None:
        if self.isHidden():
            return
        self.view.show_selected(self._model.selected_rows())
        count = len(self._model.selection)
        usable = bool(count) or self.only.isChecked()
        self.only.setEnabled(usable)
        words = "Plot the columns that are selected now, whatever is selected afterwards; or plot all."
        self.only.setToolTip(words if usable else f"{words}\nNot now: Select columns first.")
        shown = self.choice.among
        self.only.setText(_ONLY if shown is None else f"Only {len(shown):,} chosen before")

    def _arrange(self, export: QAction, close: QAction) -> None:
        row = QHBoxLayout()
        row.setContentsMargins(6, 3, 6, 0)
        row.setSpacing(6)
        for label, box in (("", self.up), ("against", self.across)):
            if label:
                row.addWidget(QLabel(label))
            row.addWidget(box, 1)
        row.addWidget(self.only)
        row.addStretch(1)
        for action in (export, close):
            button = QToolButton()
            button.setDefaultAction(action)
            button.setAccessibleName(action.text())
            row.addWidget(button)
        below = QHBoxLayout()
        below.setContentsMargins(8, 0, 8, 4)
        below.addWidget(self.text, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(3)
        layout.addLayout(row)
        layout.addWidget(self.view, 1)
        layout.addLayout(below)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)


def _box(object_name: str, name: str, tip: str) -> QComboBox:
    box = QComboBox()
    box.setObjectName(object_name)
    box.setAccessibleName(name)
    box.setToolTip(tip)
    box.setMinimumContentsLength(14)
    box.setMaxVisibleItems(24)
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    return box
