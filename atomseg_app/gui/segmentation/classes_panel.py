"""The classes: which one is painted, names, colours, how much is labelled, what is shown, what is locked."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from PySide6.QtCore import QSignalBlocker, QSize, Qt, QTimer
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap
from PySide6.QtWidgets import (
    QAbstractItemView,
    QColorDialog,
    QHeaderView,
    QSizePolicy,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from atomseg_app.errors import UserError
from atomseg_app.gui.context import Context
from atomseg_app.gui.questions import ask
from atomseg_app.gui.sections import muted
from atomseg_app.gui.segmentation import edits
from atomseg_app.gui.segmentation.model import Entry, SegModel
from atomseg_app.label_classes import IGNORE

COLOUR, NAME, SHARE, SEEN, LOCK = range(5)
_HEADS = ("", "Class", "Labelled", "", "")
_COUNT_MS = 150


class ClassesPanel(QWidget):
    """A row a class; the row that is chosen is what tools paint. Below it, how much of the volume is labelled."""

    def __init__(self, model: SegModel, context: Context) -> None:
        super().__init__()
        self._model, self._context = model, context
        self.table = QTableWidget(0, len(_HEADS))
        self.table.setObjectName("segmentation.classes")
        self.table.setAccessibleName("Classes")
        self.table.setHorizontalHeaderLabels(list(_HEADS))
        self.table.verticalHeader().hide()
        self.table.setShowGrid(False)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setEditTriggers(
            QAbstractItemView.EditTrigger.DoubleClicked | QAbstractItemView.EditTrigger.EditKeyPressed
        )
        head = self.table.horizontalHeader()
        head.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        head.setSectionResizeMode(NAME, QHeaderView.ResizeMode.Stretch)
        head.setSectionsClickable(False)
        self.table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.table.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Fixed)
        self.coverage = muted()
        self.coverage.setAccessibleName("How much is labelled")
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(6)
        layout.addWidget(self.table)
        layout.addWidget(self.coverage)
        self._counts = QTimer(self, singleShot=True, interval=_COUNT_MS)
        self._counts.timeout.connect(self._show_counts)
        self.table.itemChanged.connect(self._on_edited)
        self.table.itemSelectionChanged.connect(self._on_chosen)
        self.table.cellClicked.connect(self._on_clicked)
        for signal in (model.current_changed, model.layers_changed, model.chosen_changed):
            signal.connect(self.refresh)
        model.painted.connect(lambda _box: self._counts.isActive() or self._counts.start())
        context.theme.changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Show the classes of the entry that is shown."""
        entry, theme = self._model.entry, self._context.theme
        blocker = QSignalBlocker(self.table)
        classes = () if entry is None else entry.classes
        self.table.setRowCount(len(classes))
        for row, each in enumerate(classes):
            assert entry is not None
            seen, locked = each.value not in entry.hidden, each.value in entry.locked
            key = f", key {row + 1}" if row < 9 else ""
            cells = (
                ("", _swatch(each.colour, row + 1), f"Colour of {each.name}{key}. Click chooses another one."),
                (each.name, None, f"Paint {each.name}{key}. Double-click renames it."),
                ("", None, "Share of the volume that was labelled so."),
                ("", theme.icon("mdi6.eye-outline" if seen else "mdi6.eye-off-outline"),
                 f"{each.name} is {'shown' if seen else 'hidden'}: click to {'hide' if seen else 'show'} it."),
                ("", theme.icon("mdi6.lock-outline" if locked else "mdi6.lock-open-variant-outline"),
                 f"{each.name} is {'locked: nothing changes it' if locked else 'open'}: click to "
                 f"{'unlock' if locked else 'lock'} it."),
            )  # fmt: skip
            for column, (text, icon, tip) in enumerate(cells):
                item = QTableWidgetItem(text)
                if icon is not None:
                    item.setIcon(icon)
                item.setToolTip(tip)
                item.setData(Qt.ItemDataRole.AccessibleTextRole, text or tip)
                flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
                item.setFlags(flags | Qt.ItemFlag.ItemIsEditable if column == NAME else flags)
                if column == SHARE:
                    item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
                self.table.setItem(row, column, item)
            if each.value == self._model.chosen:
                self.table.selectRow(row)
        height = self.table.fontMetrics().height()
        self.table.setIconSize(QSize(height, height))
        rows = sum(self.table.rowHeight(row) for row in range(self.table.rowCount()))
        self.table.setFixedHeight(self.table.horizontalHeader().sizeHint().height() + rows + 4)
        blocker.unblock()
        self._show_counts()

    # -- doing

    def add(self) -> None:
        """One more class, to be named at once."""
        entry = self._entry()
        after, value = edits.with_class(entry, f"class {len(entry.classes)}")
        self._push("Add class", after)
        self._model.choose(value)
        row = self._row_of(value)
        self.table.setFocus()
        item = self.table.item(row, NAME)
        if item is not None:
            self.table.editItem(item)

    def remove(self) -> None:
        """Remove the class that is chosen, after asking what becomes of its voxels."""
        entry, value = self._entry(), self._model.chosen
        if len(entry.classes) <= 1:
            raise UserError("A segmentation needs at least one class; rename this one instead.")
        becomes: int | None = IGNORE
        count = 0 if entry.store is None else int(entry.store.counts[value])
        if count:
            becomes = self._ask_what_becomes(entry, value, count)
        if becomes is not None:
            self._context.undo.push(edits.RemoveClass(self._model, self._model.current_id, value, becomes))

    def toggle(self, column: int, value: int) -> None:
        """Show or hide, lock or unlock a class."""
        entry = self._entry()
        if column == SEEN:
            changed = entry.hidden ^ {value}
            what = "Hide" if value in changed else "Show"
            after = replace(entry, hidden=changed)
        else:
            changed = entry.locked ^ {value}
            what = "Lock" if value in changed else "Unlock"
            after = replace(entry, locked=changed)
        self._push(f"{what} {entry.class_name(value)}", after)

    # -- inside

    def _ask_what_becomes(self, entry: Entry, value: int, count: int) -> int | None:
        name = entry.class_name(value)
        others = {f"Make them {each.name}": each.value for each in entry.classes if each.value != value}
        choices = ["Not labelled", *list(others)[:3], "Cancel"]
        answer = ask(
            self, self._context.theme, f"What becomes of the {count:,} voxels of {name}?",
            "They can become unlabelled, or another class. It can be undone.", *choices,
        )  # fmt: skip
        return {"Not labelled": IGNORE, **others}.get(answer)

    def _entry(self) -> Entry:
        entry = self._model.entry
        if entry is None:
            raise UserError("Nothing is open; open a volume first.")
        return entry

    def _push(self, text: str, after: Entry) -> None:
        self._context.undo.push(edits.ChangeEntry(self._model, self._model.current_id, text, after))

    def _value_at(self, row: int) -> int | None:
        entry = self._model.entry
        return entry.classes[row].value if entry is not None and 0 <= row < len(entry.classes) else None

    def _row_of(self, value: int) -> int:
        return next((row for row, each in enumerate(self._entry().classes) if each.value == value), 0)

    def _on_chosen(self) -> None:
        value = self._value_at(self.table.currentRow())
        if value is not None:
            self._model.choose(value)

    def _on_clicked(self, row: int, column: int) -> None:
        value = self._value_at(row)
        if value is None:
            return
        if column in (SEEN, LOCK):
            self.toggle(column, value)
        elif column == COLOUR:
            self._ask_colour(value)

    def _ask_colour(self, value: int) -> None:
        found = self._entry().class_named(value)
        if found is None:
            return
        colour = QColorDialog.getColor(QColor(found.colour), self, f"Colour of {found.name}")
        if colour.isValid():
            self._push(f"Colour of {found.name}", edits.renamed(self._entry(), value, colour=colour.name()))

    def _on_edited(self, item: QTableWidgetItem) -> None:
        value, name = self._value_at(item.row()), item.text().strip()
        if item.column() != NAME or value is None or name == self._entry().class_name(value):
            return
        try:
            self._push(
                "Rename class", edits.renamed(self._entry(), value, name=name or self._entry().class_name(value))
            )
        except UserError as problem:
            self._context.notify.error("The class cannot be renamed", problem)
            self.refresh()

    def _show_counts(self) -> None:
        """Share of each class in the volume, and of all of them."""
        entry = self._model.entry
        if entry is None:
            self.coverage.setText("")
            return
        size = entry.data.values.size
        counts = np.zeros(256, np.int64) if entry.store is None else entry.store.counts
        blocker = QSignalBlocker(self.table)
        for row, each in enumerate(entry.classes):
            item = self.table.item(row, SHARE)
            if item is not None:
                item.setText(share_text(int(counts[each.value]), size))
        blocker.unblock()
        labelled = int(counts[:IGNORE].sum())
        where = ""
        if entry.store is not None and labelled:
            axis = entry.store.painted_axis()
            slices = int(np.count_nonzero(entry.store.labelled[axis]))
            where = f" in {slices} slice{'' if slices == 1 else 's'} along {'zyx'[axis]}"
        self.coverage.setText(f"{share_text(labelled, size)} of the volume is labelled{where}; the rest is ignored.")


def share_text(count: int, whole: int) -> str:
    """A share in %, with as many digits as it needs to be seen."""
    share = 100 * count / whole if whole else 0.0
    return "0 %" if not count else f"{share:.2g} %" if share < 10 else f"{share:.0f} %"


def _swatch(colour: str, number: int) -> QIcon:
    """A square of a colour with the key that chooses it."""
    side = 64
    picture = QPixmap(side, side)
    picture.fill(Qt.GlobalColor.transparent)
    painter = QPainter(picture)
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    painter.setPen(QColor("#808080"))
    painter.setBrush(QColor(colour))
    painter.drawRoundedRect(4, 4, side - 8, side - 8, 10, 10)
    if number < 10:
        dark = QColor(colour).lightnessF() > 0.55
        painter.setPen(QColor("#000000" if dark else "#ffffff"))
        font = painter.font()
        font.setPixelSize(38)
        font.setBold(True)
        painter.setFont(font)
        painter.drawText(picture.rect(), Qt.AlignmentFlag.AlignCenter, str(number))
    painter.end()
    icon = QIcon(picture)
    icon.addPixmap(picture, QIcon.Mode.Selected)  # else Qt tints it, and the row that is painted has another colour
    return icon
