"""List of what is open in a workspace; the row chosen is the entry shown."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from PySide6.QtCore import QSignalBlocker, Qt
from PySide6.QtWidgets import QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from atomseg_app.gui.entries import EntryModel
from atomseg_app.gui.rows import TwoLineDelegate
from atomseg_app.gui.theme import Theme

_ID = Qt.ItemDataRole.UserRole


class EntryList(QWidget):
    """Shows the entries of a model: icon (by ``icon_of``), title, and a second line (by ``describe``).

    It is drawn again on the model's ``entries_changed`` and ``current_changed``, and on ``signals``.
    """

    def __init__(
        self, model: EntryModel[Any], theme: Theme, name: str, describe: Callable[[Any], str],
        icon_of: Callable[[Any], str], signals: Iterable[Any] = (),
    ) -> None:  # fmt: skip
        super().__init__()
        self._model, self._theme = model, theme
        self._describe, self._icon_of = describe, icon_of
        self.list = QListWidget()
        self.list.setItemDelegate(TwoLineDelegate(self.list))
        self.list.setAccessibleName(name)
        self.list.setUniformItemSizes(True)
        self.list.setSpacing(1)
        self.list.currentItemChanged.connect(self._on_chosen)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.list)
        for signal in (model.entries_changed, model.current_changed, *signals):
            signal.connect(self.refresh)

    def refresh(self) -> None:
        """Show the entries of the model."""
        blocker = QSignalBlocker(self.list)
        if [self.list.item(row).data(_ID) for row in range(self.list.count())] != list(self._model.entries):
            self.list.clear()
            for entry_id in self._model.entries:
                item = QListWidgetItem()
                item.setData(_ID, entry_id)
                self.list.addItem(item)
        for row, (entry_id, entry) in enumerate(self._model.entries.items()):
            item = self.list.item(row)
            second = self._describe(entry)
            item.setText(entry.title)
            item.setData(TwoLineDelegate.SECOND_LINE, second)
            item.setIcon(self._theme.icon(self._icon_of(entry)))
            item.setToolTip(f"{entry.data.source.path or entry.title}\n{second}")
            if entry_id == self._model.current_id:
                self.list.setCurrentItem(item)
        blocker.unblock()

    def _on_chosen(self, item: QListWidgetItem | None) -> None:
        if item is not None and item.data(_ID) != self._model.current_id:
            self._model.show_entry(item.data(_ID))
