"""How well a result agrees with a reference, class by class: a table to read, to copy, and to write as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QGuiApplication, QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from atomseg_app.gui.sections import muted
from atomseg_app.io.atomic_write import write_text

ABSENT = "n/a"
_PERCENT = {"volume_fraction", "volume_fraction_error"}
_TITLES = {
    "class": ("Class", "Name of the class."),
    "dice": ("Dice", "2 |A ∩ B| / (|A| + |B|) of all voxels together; 1 is perfect."),
    "iou": ("IoU", "|A ∩ B| / |A ∪ B| of all voxels together."),
    "precision": ("Precision", "Share of what was found that is right."),
    "recall": ("Recall", "Share of what there is that was found."),
    "dice_mean_of_slices": ("Dice, mean of slices", "Mean over the slices along z in which the class is."),
    "hd95": ("HD95 ({unit})", "95 % of the surface lies closer to the other surface than this."),
    "mean_distance": ("Mean distance ({unit})", "Mean distance between the two surfaces."),
    "volume_fraction": ("Volume (%)", "Share of the class in what the reference labels."),
    "volume_fraction_error": ("Volume error (% points)", "That share minus its share in the reference."),
}


@dataclass(frozen=True)
class ScoreReport:
    """A comparison: rows by class under ``header`` (as ``atomseg compare-labels`` writes them, None: not defined), and
    the confusion matrix (true class, found class; the last column: found to be none of them).
    """

    result: str
    reference: str
    header: tuple[str, ...]
    rows: list[list[Any]]
    matrix: list[list[int]]
    classes: tuple[str, ...]
    unit: str

    def shown(self) -> tuple[list[str], list[str], list[list[str]]]:
        """Titles with units, what they mean, and the cells."""
        places = [(name, place) for place, name in enumerate(self.header) if _plain(name) in _TITLES]
        places.sort(key=lambda each: list(_TITLES).index(_plain(each[0])))
        titles = [_TITLES[_plain(name)][0].format(unit=self.unit) for name, _ in places]
        tips = [_TITLES[_plain(name)][1] for name, _ in places]
        return titles, tips, [[_cell(_plain(name), row[place]) for name, place in places] for row in self.rows]

    def confusion(self) -> tuple[list[str], list[list[str]]]:
        """Titles and cells of the confusion matrix; voxels found to be none of the classes only where there are."""
        other = any(row[-1] for row in self.matrix)
        columns = [*self.classes, *(["none of them"] if other else [])]
        titles = ["True class", *(f"found {name}" for name in columns)]
        return titles, [
            [name, *(f"{count:,}" for count in row[: len(columns)])]
            for name, row in zip(self.classes, self.matrix, strict=True)
        ]

    def text(self) -> str:
        """Both tables with tabs, for a spreadsheet."""
        titles, _, cells = self.shown()
        heads, counts = self.confusion()
        plain = [[cell.replace(",", "") for cell in row] for row in counts]
        lines = [f"{self.result} against {self.reference}", "\t".join(titles), *map("\t".join, cells), "",
                 "\t".join(heads), *map("\t".join, plain)]  # fmt: skip
        return "\n".join(lines) + "\n"

    def write(self, path: Path) -> Path:
        """Write the scores, and the confusion matrix beside them as NAME_confusion.csv. Raises FileError."""
        scores = [["" if value is None else value for value in row] for row in self.rows]
        write_text(path, _csv([self.header, *scores]))
        heads = ["true_class", *(f"found_{name}" for name in self.classes), "found_none_of_them"]
        matrix = [[name, *row] for name, row in zip(self.classes, self.matrix, strict=True)]
        write_text(path.with_name(f"{path.stem}_confusion{path.suffix}"), _csv([heads, *matrix]))
        return path


class ReportDialog(QDialog):
    """Shows one comparison; the window stays usable. ``save_asked`` when the user wants a file."""

    save_asked = Signal()

    def __init__(self, parent: QWidget, report: ScoreReport) -> None:
        super().__init__(parent)
        self.setObjectName("segmentation.report")
        self.setWindowTitle(f"{report.result} against {report.reference}")
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.report = report
        titles, tips, cells = report.shown()
        heads, counts = report.confusion()
        self.scores = _table("Scores by class", titles, cells, tips)
        self.confusion = _table("Confusion matrix in voxels", heads, counts)
        self.buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        self.copy_button = _button("Copy", "Copy both tables, to paste them into a spreadsheet.")
        self.save_button = _button("Save as CSV…", "Write the scores with units in the header, and the matrix beside.")
        for button in (self.copy_button, self.save_button):
            self.buttons.addButton(button, QDialogButtonBox.ButtonRole.ActionRole)
        layout = QVBoxLayout(self)
        layout.setSpacing(8)
        heading = QLabel(f"{report.result} against {report.reference}", wordWrap=True)
        heading.setProperty("role", "heading")
        layout.addWidget(heading)
        layout.addWidget(self.scores)
        layout.addWidget(
            muted(
                "Where the reference is not labelled nothing counts. n/a: the class is absent; distances need surfaces "
                "that the reference labels on both sides."
            )
        )
        layout.addWidget(QLabel("Confusion matrix (voxels)"))
        layout.addWidget(self.confusion)
        layout.addStretch(1)
        layout.addWidget(self.buttons)
        self.copy_button.clicked.connect(lambda _checked: self.copy())
        self.save_button.clicked.connect(lambda _checked: self.save_asked.emit())
        self.buttons.rejected.connect(self.close)
        QShortcut(QKeySequence.StandardKey.Copy, self, self.copy)
        wide = max(_width(self.scores), _width(self.confusion)) + 40
        self.resize(min(wide, 1200), self.sizeHint().height())

    def copy(self) -> None:
        """Both tables to the clipboard."""
        QGuiApplication.clipboard().setText(self.report.text())


def _plain(name: str) -> str:
    """A heading without its unit."""
    return next((known for known in ("hd95", "mean_distance") if name.startswith(f"{known}_")), name)


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ABSENT
    if isinstance(value, str):
        return value
    return f"{100 * value:.3f}" if name in _PERCENT else f"{value:.3f}"


def _csv(rows: Sequence[Sequence[Any]]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="\n").writerows(rows)
    return out.getvalue()


def _button(text: str, tip: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(tip)
    button.setAutoDefault(False)
    return button


def _table(name: str, titles: Sequence[str], cells: Sequence[Sequence[str]], tips: Sequence[str] = ()) -> QTableWidget:
    table = QTableWidget(len(cells), len(titles))
    table.setAccessibleName(name)
    table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
    table.verticalHeader().hide()
    for column, title in enumerate(titles):
        head = QTableWidgetItem(title)
        head.setToolTip(tips[column] if tips else "")
        table.setHorizontalHeaderItem(column, head)
    right, left = Qt.AlignmentFlag.AlignRight, Qt.AlignmentFlag.AlignLeft
    for row, texts in enumerate(cells):
        for column, text in enumerate(texts):
            item = QTableWidgetItem(text)
            item.setTextAlignment((right if column else left) | Qt.AlignmentFlag.AlignVCenter)
            table.setItem(row, column, item)
    table.horizontalHeader().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    table.resizeColumnsToContents()
    table.resizeRowsToContents()
    rows = sum(table.rowHeight(row) for row in range(min(len(cells), 12)))
    table.setFixedHeight(table.horizontalHeader().sizeHint().height() + rows + 2 * table.frameWidth() + 16)
    return table


def _width(table: QTableWidget) -> int:
    return sum(table.columnWidth(column) for column in range(table.columnCount())) + 2 * table.frameWidth()
