"""The particles as a table: sorted by any quantity, and linked with the slices."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QAbstractTableModel, QItemSelectionModel, QModelIndex, QPersistentModelIndex, Qt, Signal
from PySide6.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from atomseg_app.gui.segmentation.particles import TITLES, Particles, number_text

Index = QModelIndex | QPersistentModelIndex


class ParticleModel(QAbstractTableModel):
    """Rows are particles, in the order of the last sort."""

    def __init__(self) -> None:
        super().__init__()
        self.particles: Particles | None = None
        self.names: list[str] = []
        self.order = np.empty(0, np.intp)

    def show(self, particles: Particles | None) -> None:
        """Show others, the largest first."""
        self.beginResetModel()
        self.particles = particles
        self.names = [] if particles is None else [name for name in TITLES if name in particles.columns]
        self.order = np.empty(0, np.intp)
        if particles is not None:
            self.order = np.argsort(-particles.columns["diameter"], kind="stable")
        self.endResetModel()

    def rowCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own default
        """Number of particles."""
        return 0 if parent.isValid() else len(self.order)

    def columnCount(self, parent: Index = QModelIndex()) -> int:  # noqa: B008 - Qt's own default
        """Number of quantities."""
        return 0 if parent.isValid() else len(self.names)

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """One value."""
        if self.particles is None or not index.isValid():
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        name = self.names[index.column()]
        return number_text(name, float(self.particles.columns[name][self.order[index.row()]]))

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> object:  # fmt: skip
        """Titles with units."""
        if self.particles is None or orientation != Qt.Orientation.Horizontal or section >= len(self.names):
            return None
        name = self.names[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return self.particles.heading(name)
        return TITLES[name][1] if role == Qt.ItemDataRole.ToolTipRole else None

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """By a quantity; those that are not defined come last."""
        if self.particles is None or not 0 <= column < len(self.names):
            return
        self.layoutAboutToBeChanged.emit()
        values = self.particles.columns[self.names[column]]
        sign = 1.0 if order == Qt.SortOrder.AscendingOrder else -1.0
        self.order = np.argsort(np.where(np.isfinite(values), sign * values, np.inf), kind="stable")
        self.layoutChanged.emit()


class ParticleTable(QTableView):
    """``chosen(row of the particles)`` when the user takes another one."""

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.setObjectName("segmentation.particles")
        self.setAccessibleName("Particles")
        self.rows = ParticleModel()
        self.setModel(self.rows)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setSortingEnabled(True)
        self.setShowGrid(False)
        self.setAlternatingRowColors(True)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 8)
        self.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        self.horizontalHeader().setSortIndicator(1, Qt.SortOrder.DescendingOrder)
        self._quiet = False
        self.selectionModel().currentRowChanged.connect(self._on_row)

    def show_particles(self, particles: Particles | None) -> None:
        """Show others."""
        self.rows.show(particles)
        self.horizontalHeader().setSortIndicator(1, Qt.SortOrder.DescendingOrder)
        self.resizeColumnsToContents()

    def choose(self, particle: int) -> None:
        """Mark the row of a particle, without telling of it; -1 for none."""
        self._quiet = True
        found = np.flatnonzero(self.rows.order == particle)
        if len(found):
            index = self.rows.index(int(found[0]), 0)
            flags = QItemSelectionModel.SelectionFlag.ClearAndSelect | QItemSelectionModel.SelectionFlag.Rows
            self.selectionModel().setCurrentIndex(index, flags)
            self.scrollTo(index)
        else:
            self.clearSelection()
        self._quiet = False

    def _on_row(self, now: QModelIndex, _before: QModelIndex) -> None:
        if now.isValid() and not self._quiet:
            self.chosen.emit(int(self.rows.order[now.row()]))
