"""Which datasets of a file to open, for files that hold several."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QLabel,
    QPushButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)


class DatasetDialog(QDialog):
    """Lists the datasets of a file; the first readable one is chosen, refused ones say why."""

    def __init__(self, parent: QWidget, path: Path, datasets: Sequence[Mapping[str, Any]]) -> None:
        super().__init__(parent)
        self.setObjectName("dialog.datasets")
        self.setWindowTitle("Open")
        self.setWindowModality(Qt.WindowModality.WindowModal)
        heading = QLabel(f"{path.name} holds {len(datasets)} datasets. Which should be opened?", wordWrap=True)
        heading.setProperty("role", "heading")
        self.list = QTreeWidget()
        self.list.ensurePolished()  # rows are measured when they are added
        self.list.setRootIsDecorated(False)
        self.list.setAlternatingRowColors(True)
        self.list.setAccessibleName("Datasets")
        self.list.setHeaderLabels(["Name", "Size", "Pixel size", "Kind"])
        self.list.setMinimumSize(680, 220)
        first = True
        for info in datasets:
            row = QTreeWidgetItem(self.list, [info["name"], _size(info), _pixel(info), info["refusal"] or info["kind"]])
            row.setData(0, Qt.ItemDataRole.UserRole, info["name"])
            if info["refusal"]:
                row.setFlags(Qt.ItemFlag.NoItemFlags)
                row.setToolTip(3, info["refusal"])
                continue
            row.setFlags(row.flags() | Qt.ItemFlag.ItemIsUserCheckable)
            row.setCheckState(0, Qt.CheckState.Checked if first else Qt.CheckState.Unchecked)
            if first:
                self.list.setCurrentItem(row)
            first = False
        self.list.header().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        self.list.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Interactive)
        mark = 2 * self.fontMetrics().height()  # the style sheet's check box is wider than Qt reckons
        self.list.header().resizeSection(0, self.list.sizeHintForColumn(0) + mark)
        self.list.itemChanged.connect(self._update)
        self._accepted = False
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.open_button = QPushButton("Open")
        self.open_button.setDefault(True)
        buttons.addButton(self.open_button, QDialogButtonBox.ButtonRole.AcceptRole)
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(20, 18, 20, 14)
        layout.setSpacing(12)
        for widget in (heading, self.list, buttons):
            layout.addWidget(widget)

    def chosen(self) -> list[str]:
        """Names of the datasets to open; none if the dialog was cancelled."""
        return self._checked() if self.result() == QDialog.DialogCode.Accepted else []

    def _checked(self) -> list[str]:
        rows = (self.list.topLevelItem(i) for i in range(self.list.topLevelItemCount()))
        return [
            row.data(0, Qt.ItemDataRole.UserRole) for row in rows if row and row.checkState(0) == Qt.CheckState.Checked
        ]

    def _update(self) -> None:
        self.open_button.setEnabled(bool(self._checked()))


def _size(info: Mapping[str, Any]) -> str:
    return f"{' × '.join(str(n) for n in info['shape'])}  {info['dtype']}"


def _pixel(info: Mapping[str, Any]) -> str:
    sizes = [size for size in info["pixel_size_nm"] or () if size]
    return f"{sizes[-1] * 1000:.4g} pm" if sizes else "not known"
