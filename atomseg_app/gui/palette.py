"""Command palette: type a few letters of any action, see its shortcut or why it cannot be used, press Enter."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, Qt
from PySide6.QtGui import QKeyEvent, QKeySequence
from PySide6.QtWidgets import QDialog, QLineEdit, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

from atomseg_app.gui.actions import Action, ActionRegistry
from atomseg_app.gui.rows import TwoLineDelegate

_ID = Qt.ItemDataRole.UserRole


class CommandPalette(QDialog):
    """Every action of the registry, best match first."""

    def __init__(self, registry: ActionRegistry, parent: QWidget) -> None:
        super().__init__(parent, Qt.WindowType.Popup | Qt.WindowType.FramelessWindowHint)
        self.setObjectName("dialog.palette")
        self.setProperty("role", "popup")
        self.setAccessibleName("Command palette")
        self._registry = registry
        self.query = QLineEdit(placeholderText="Type to find a command", clearButtonEnabled=True)
        self.query.setAccessibleName("Find a command")
        self.query.textChanged.connect(self._filter)
        self.query.installEventFilter(self)
        self.list = QListWidget()
        self.list.setAccessibleName("Commands")
        self.list.setFocusPolicy(Qt.FocusPolicy.NoFocus)
        self.list.setItemDelegate(TwoLineDelegate(self.list))
        self.list.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.list.itemClicked.connect(self._run)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 8, 8, 8)
        layout.addWidget(self.query)
        layout.addWidget(self.list)

    def open_over(self, window: QWidget) -> None:
        """Show it in the upper middle of ``window``."""
        self._registry.refresh()
        self.query.clear()
        self._filter("")
        width = min(max(window.width() // 2, 460), window.width() - 40)
        self.resize(width, min(460, window.height() - 120))
        self.move(window.mapToGlobal(window.rect().topLeft()).x() + (window.width() - width) // 2,
                  window.mapToGlobal(window.rect().topLeft()).y() + 70)  # fmt: skip
        self.show()
        self.query.setFocus()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Arrows move in the list and Enter runs, while typing goes on."""
        if event.type() == QEvent.Type.KeyPress and isinstance(event, QKeyEvent):
            row, count = self.list.currentRow(), self.list.count()
            steps = {Qt.Key.Key_Down: 1, Qt.Key.Key_Up: -1, Qt.Key.Key_PageDown: 8, Qt.Key.Key_PageUp: -8}
            if event.key() in steps and count:
                self.list.setCurrentRow(min(max(row + steps[Qt.Key(event.key())], 0), count - 1))
                return True
            if event.key() in (Qt.Key.Key_Return, Qt.Key.Key_Enter):
                item = self.list.currentItem()
                if item is not None:
                    self._run(item)
                return True
        return False

    def _filter(self, query: str) -> None:
        found = [(match(query, searchable(self._registry, a)), a) for a in self._registry.actions()]
        self.list.clear()
        for _, action in sorted(((s, a) for s, a in found if s > 0), key=lambda pair: -pair[0]):
            self.list.addItem(self._item(action))
        self.list.setCurrentRow(0)

    def _item(self, action: Action) -> QListWidgetItem:
        qaction = self._registry.qaction(action.id)
        item = QListWidgetItem(qaction.icon(), self._registry.title(action))
        reason = action.why_disabled()
        keys = qaction.shortcut().toString(QKeySequence.SequenceFormat.NativeText)
        item.setData(_ID, action.id)
        item.setData(TwoLineDelegate.SECOND_LINE, f"Not now: {reason}" if reason else action.tip)
        item.setData(TwoLineDelegate.RIGHT_TEXT, keys)
        item.setData(TwoLineDelegate.FAINT, bool(reason))
        item.setToolTip(qaction.toolTip())
        return item

    def _run(self, item: QListWidgetItem) -> None:
        action_id = item.data(_ID)
        if self._registry.qaction(action_id).isEnabled():
            self.close()
            self._registry.trigger(action_id)


def searchable(registry: ActionRegistry, action: Action) -> str:
    """What a query is matched with: title first, then where it is and what it does."""
    return f"{registry.title(action)} | {action.menu} | {action.tip}"


def match(query: str, text: str) -> float:
    """How well ``text`` answers ``query``: 0 not at all; whole words and early letters count most.

    Every word of the query must occur, in one piece or as letters in order ("flc" finds "Find columns" by "f..l..c"
    only within the title, the part before the first "|").
    """
    text = text.lower()
    title = text.split("|")[0].strip()
    total = 1.0
    for word in query.lower().split():
        at = title.find(word)
        if at >= 0:
            total += 100 - min(at, 50) + (40 if at == 0 or title[at - 1] == " " else 0)
        elif _in_order(word, title):
            total += 30
        elif word in text:
            total += 10
        else:
            return 0.0
    return total


def _in_order(letters: str, text: str) -> bool:
    rest = iter(text)
    return len(letters) > 1 and all(letter in rest for letter in letters)
