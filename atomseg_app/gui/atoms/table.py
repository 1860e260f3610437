"""The columns as a table: sorted by any quantity, its selection the same as in the picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import (
    QAbstractTableModel,
    QEvent,
    QItemSelection,
    QItemSelectionModel,
    QItemSelectionRange,
    QModelIndex,
    QObject,
    QPersistentModelIndex,
    Qt,
    Signal,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QStyle,
    QStyledItemDelegate,
    QStyleOptionViewItem,
    QTableView,
)

from atomseg_app.data import FLAGS, Columns
from atomseg_app.gui.atoms.model import AtomsModel
from atomseg_app.gui.atoms.quantities import QUANTITIES, Quantity, available, pixel_nm
from atomseg_app.gui.value_text import value_text

Index = QModelIndex | QPersistentModelIndex

_MOST_ROWS = 500  # that are handed to Qt as its selection


@dataclass(frozen=True)
class Heading:
    """One column of the table: title with unit, what it is, its values (n,), and how many digits are shown."""

    title: str
    tip: str
    values: Callable[[Columns], npt.NDArray[Any]]
    digits: str


def headings(calibrated: bool) -> list[Heading]:
    """Columns of the table, with lengths in nm and errors in pm where the image is calibrated."""
    lengths = [
        Heading("x (px)", "Position from the centre of the first pixel.", lambda c: c.table["x_px"], ".3f"),
        Heading("y (px)", "Position from the centre of the first pixel, downwards.", lambda c: c.table["y_px"], ".3f"),
    ]
    if calibrated:
        lengths += [
            Heading("± x (pm)", "One standard deviation.", lambda c: c.table["x_err_px"] * pixel_nm(c)[0] * 1e3, ".2f"),
            Heading("± y (pm)", "One standard deviation.", lambda c: c.table["y_err_px"] * pixel_nm(c)[1] * 1e3, ".2f"),
            Heading("x (nm)", "Position in nm.", lambda c: c.table["x_px"] * pixel_nm(c)[0], ".4f"),
            Heading("y (nm)", "Position in nm.", lambda c: c.table["y_px"] * pixel_nm(c)[1], ".4f"),
        ]
    else:
        lengths += [
            Heading("± x (px)", "One standard deviation.", lambda c: c.table["x_err_px"], ".3f"),
            Heading("± y (px)", "One standard deviation.", lambda c: c.table["y_err_px"], ".3f"),
        ]
    unit = "nm" if calibrated else "px"
    return [
        Heading("ID", "Number of the column.", lambda c: c.table["column_id"], "d"),
        *lengths,
        Heading("Amplitude", "Height above the background, in the units of the file.", _field("amplitude"), "value"),
        Heading("Background", "Level under the column, in the units of the file.", _field("background"), "value"),
        Heading("σ (px)", "Gaussian width.", _field("sigma_px"), ".3f"),
        Heading("Ellipticity", "Major over minor width.", _field("ellipticity"), ".3f"),
        Heading("Angle (°)", "Major axis, from +x towards +y.", _field("angle_deg"), ".1f"),
        Heading("Intensity", "Integrated over the column.", _field("integrated_intensity"), "value"),
        Heading(f"Nearest ({unit})", "Distance to the nearest column.", QUANTITIES["nearest"].values, ".4f"),
        Heading("Probability", "That this is a column and not noise.", _field("probability"), ".3f"),
        Heading("Flag", "Edited by hand, cut by the edge, or a fit that did not converge.", _field("flag"), "flag"),
    ]


def _quantity(quantity: Quantity, columns: Columns) -> Heading:
    """Heading of a quantity measured later."""
    return Heading(quantity.label(columns), quantity.tip, quantity.values, "value")


def _field(name: str) -> Callable[[Columns], npt.NDArray[Any]]:
    return lambda columns: columns.table[name]


class ColumnTableModel(QAbstractTableModel):
    """Rows are the columns of the image that is shown, in the order of the last sort."""

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._headings = headings(False)
        self._values: list[npt.NDArray[Any] | None] = []
        self._columns: Columns | None = None
        self._sort = (0, Qt.SortOrder.AscendingOrder)
        self.order: npt.NDArray[np.intp] = np.empty(0, np.intp)

    def set_columns(self, columns: Columns | None) -> None:
        """Show another table."""
        self.beginResetModel()
        self._columns = columns
        self._headings = headings(columns is not None and columns.calibrated)
        if columns is not None:
            self._headings += [
                _quantity(quantity, columns) for key, quantity in available(columns).items() if key not in QUANTITIES
            ]
        self._values = [None] * len(self._headings)
        self.order = np.arange(0 if columns is None else len(columns))
        self._put_in_order()
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own default
        """Number of columns found."""
        return 0 if parent.isValid() else len(self.order)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own default
        """Number of quantities."""
        return 0 if parent.isValid() else len(self._headings)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Text of a cell."""
        if role == Qt.ItemDataRole.DisplayRole:
            return self.text(int(self.order[index.row()]), index.column())
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        return None

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        """Titles with units."""
        if orientation == Qt.Orientation.Horizontal and section < len(self._headings):
            if role == Qt.ItemDataRole.DisplayRole:
                return self._headings[section].title
            if role == Qt.ItemDataRole.ToolTipRole:
                return f"{self._headings[section].tip} Click to sort."
        return None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a quantity; what is not known goes last."""
        if self._sort != (column, order):
            self._sort = (column, order)
            # A reset, since views would look up each selected row for a mere change of the layout.
            self.beginResetModel()
            self._put_in_order()
            self.endResetModel()

    def text(self, row: int, column: int) -> str:
        """Text of a quantity of a column, by its row in the table of the image; empty where not known."""
        digits = self._headings[column].digits
        value = self.values(column)[row]
        if digits == "flag":
            return FLAGS[int(value)]
        if not np.isfinite(value):
            return ""
        if digits == "value":
            return value_text(float(value), 5)
        return format(int(value) if digits == "d" else value, digits)

    def values(self, column: int) -> npt.NDArray[Any]:
        """Values of a quantity, computed when it is first looked at."""
        known = self._values[column]
        if known is None:
            if self._columns is None:
                return np.empty(0)
            known = self._values[column] = self._headings[column].values(self._columns)
        return known

    def as_text(self, rows: npt.NDArray[np.intp]) -> str:
        """Rows (of the image's table) with the header, separated by tabs, for a spreadsheet."""
        span = range(len(self._headings))
        lines = ["\t".join(heading.title for heading in self._headings)]
        lines += ["\t".join(self.text(int(row), column) for column in span) for row in rows]
        return "\n".join(lines) + "\n"

    def _put_in_order(self) -> None:
        column, order = self._sort
        if self._columns is None or column >= len(self._headings):
            return
        values = self.values(column)
        rising = np.argsort(values, kind="stable")
        if order == Qt.SortOrder.DescendingOrder:
            unknown = np.count_nonzero(~np.isfinite(values))
            known = rising[: len(rising) - unknown]
            rising = np.concatenate([known[::-1], rising[len(known) :]])
        self.order = rising


class _SelectedRows(QStyledItemDelegate):
    """Draws the rows that are selected in the model as selected: Qt's own selection is slow with many rows."""

    def initStyleOption(
        self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:  # fmt: skip
        super().initStyleOption(option, index)
        table = self.parent()
        if isinstance(table, ColumnTable) and index.row() < len(table.chosen) and table.chosen[index.row()]:
            option.state |= QStyle.StateFlag.State_Selected


class ColumnTable(QTableView):
    """View of the columns of the model. ``activated_column(row)`` when one is to be shown in the picture."""

    activated_column = Signal(int)

    def __init__(self, model: AtomsModel) -> None:
        super().__init__()
        self.setObjectName("atoms.table")
        self.setAccessibleName("Columns")
        self.setAccessibleDescription("One row for each atomic column; selected rows are selected in the picture.")
        self._atoms = model
        self.columns = ColumnTableModel(self)
        self.setModel(self.columns)
        self._syncing = False
        self.chosen: npt.NDArray[np.bool_] = np.empty(0, bool)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setAlternatingRowColors(True)
        self.setShowGrid(False)
        self.setWordWrap(False)
        self.setVerticalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.verticalHeader().hide()
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        self.setSortingEnabled(True)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.setItemDelegate(_SelectedRows(self))
        self.columns.modelReset.connect(self.show_selection)
        self.selectionModel().selectionChanged.connect(self._on_selected)
        self.activated.connect(lambda index: self.activated_column.emit(int(self.columns.order[index.row()])))
        model.selection_changed.connect(self.show_selection)
        for signal in (model.current_changed, model.frame_changed, model.columns_changed, model.calibration_changed):
            signal.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the table of the model."""
        self.columns.set_columns(self._atoms.columns())
        self._fit_widths()

    def changeEvent(self, event: QEvent) -> None:
        """Make room for text of another size."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange) and self.model() is not None:
            self._fit_widths()

    def show_selection(self) -> None:
        """Select the rows that are selected in the model, and show the first of them."""
        if self._syncing:
            return
        chosen = np.zeros(len(self.columns.order), bool)
        chosen[self._atoms.selected_rows()] = True
        self.chosen = chosen[self.columns.order]
        rows = np.flatnonzero(self.chosen)
        selection = QItemSelection()
        last = self.columns.columnCount() - 1
        breaks = np.flatnonzero(np.diff(rows) > 1) + 1
        for run in np.split(rows, breaks) if len(rows) <= _MOST_ROWS else ():
            if len(run):
                first, end = self.columns.index(int(run[0]), 0), self.columns.index(int(run[-1]), last)
                selection.append(QItemSelectionRange(first, end))
        self._syncing = True
        self.selectionModel().select(selection, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        self._syncing = False
        if len(rows) and not self.hasFocus():
            self.scrollTo(self.columns.index(int(rows[0]), 0), QAbstractItemView.ScrollHint.PositionAtCenter)
        self.viewport().update()

    def _on_selected(self) -> None:
        if self._syncing:
            return
        columns = self._atoms.columns()
        if columns is None:
            return
        parts = [np.arange(part.top(), part.bottom() + 1) for part in self.selectionModel().selection().toList()]
        rows = np.unique(np.concatenate(parts)) if parts else np.empty(0, np.intp)
        self._syncing = True
        self._atoms.select(columns.table["column_id"][self.columns.order[rows]])
        self._syncing = False

    def _fit_widths(self) -> None:
        metrics = self.fontMetrics()
        for column in range(self.columns.columnCount()):
            title = self.columns.headerData(column, Qt.Orientation.Horizontal)
            wide = max(metrics.horizontalAdvance(f"{title}  ▲"), metrics.horizontalAdvance("0000.000"))
            self.setColumnWidth(column, metrics.horizontalAdvance("00000 ▲") + 8 if column == 0 else wide + 14)
        self.verticalHeader().setDefaultSectionSize(metrics.height() + 6)
