"""Shortcuts: the editor with its conflicts, and the cheat sheet, both from the action registry."""

from __future__ import annotations

from collections import defaultdict

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QHBoxLayout,
    QHeaderView,
    QKeySequenceEdit,
    QLabel,
    QLineEdit,
    QPushButton,
    QTextBrowser,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from atomseg_app.gui.actions import Action, ActionRegistry

_ID = Qt.ItemDataRole.UserRole


class ShortcutEditor(QWidget):
    """Every action with its shortcut; select one and press the new keys."""

    def __init__(self, registry: ActionRegistry) -> None:
        super().__init__()
        self.setObjectName("panel.shortcuts")
        self._registry = registry
        self.search = QLineEdit(placeholderText="Find an action or keys", clearButtonEnabled=True)
        self.search.setAccessibleName("Find an action or keys")
        self.search.textChanged.connect(self.refresh)
        self.list = QTreeWidget()
        self.list.ensurePolished()  # rows are measured when they are added
        self.list.setRootIsDecorated(False)
        self.list.setAlternatingRowColors(True)
        self.list.setAccessibleName("Actions and their shortcuts")
        self.list.setHeaderLabels(["Action", "Menu", "Shortcut"])
        self.list.setMinimumSize(440, 220)
        self.list.currentItemChanged.connect(self._show)
        self.keys = QKeySequenceEdit()
        self.keys.setAccessibleName("New shortcut")
        self.keys.setToolTip("Click here and press the keys.")
        self.keys.editingFinished.connect(self._assign)
        self.default_button = QPushButton("Default")
        self.default_button.setToolTip("Bring the default shortcut of this action back.")
        self.default_button.clicked.connect(self._restore_one)
        self.none_button = QPushButton("None")
        self.none_button.setToolTip("Take the shortcut off this action.")
        self.none_button.clicked.connect(lambda: self._set(""))
        self.all_button = QPushButton("Restore all")
        self.all_button.setToolTip("Bring all default shortcuts back.")
        self.all_button.clicked.connect(self.restore_all)
        self.conflict = QLabel(wordWrap=True)
        self.conflict.setProperty("role", "error")
        row = QHBoxLayout()
        row.addWidget(QLabel("Shortcut"))
        for widget in (self.keys, self.default_button, self.none_button, self.all_button):
            row.addWidget(widget)
        row.setStretch(1, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(14, 14, 14, 14)
        layout.setSpacing(8)
        layout.addWidget(self.search)
        layout.addWidget(self.list)
        layout.addWidget(self.conflict)
        layout.addLayout(row)
        registry.shortcuts_changed.connect(self.refresh)
        self.refresh()

    def select(self, action_id: str) -> None:
        """Select the row of an action."""
        for number in range(self.list.topLevelItemCount()):
            row = self.list.topLevelItem(number)
            if row is not None and row.data(0, _ID) == action_id:
                self.list.setCurrentItem(row)

    def refresh(self) -> None:
        """List the actions again; those in conflict carry a mark."""
        chosen = self._selected()
        in_conflict = {action_id for ids in conflicts(self._registry).values() for action_id in ids}
        query = self.search.text().lower()
        self.list.clear()
        for action in sorted(self._registry.actions(), key=lambda a: (a.menu, a.title)):
            keys = _native(self._registry.shortcut(action))
            texts = [action.title, action.menu, keys + ("  conflict" if action.id in in_conflict else "")]
            if query in " ".join(texts).lower():
                row = QTreeWidgetItem(self.list, texts)
                row.setData(0, _ID, action.id)
                row.setToolTip(0, action.tip)
        self.list.header().setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        if chosen:
            self.select(chosen)
        self._show()

    def restore_all(self) -> None:
        """Every default shortcut again."""
        self._registry.set_shortcuts({action.id: action.shortcut for action in self._registry.actions()})

    def _selected(self) -> str:
        row = self.list.currentItem()
        return str(row.data(0, _ID)) if row is not None else ""

    def _show(self) -> None:
        chosen = self._selected()
        for widget in (self.keys, self.default_button, self.none_button):
            widget.setEnabled(bool(chosen))
        shortcut = self._registry.shortcut(self._registry.action(chosen)) if chosen else ""
        self.keys.setKeySequence(QKeySequence(shortcut, QKeySequence.SequenceFormat.PortableText))
        texts = [
            f"{_native(keys)} is the shortcut of {' and '.join(self._registry.action(i).title for i in ids)}: "
            "neither works until one of them is changed."
            for keys, ids in conflicts(self._registry).items()
        ]
        self.conflict.setText("\n".join(texts))
        self.conflict.setVisible(bool(texts))

    def _assign(self) -> None:
        self._set(self.keys.keySequence().toString(QKeySequence.SequenceFormat.PortableText))

    def _restore_one(self) -> None:
        if self._selected():
            self._set(self._registry.action(self._selected()).shortcut)

    def _set(self, keys: str) -> None:
        chosen = self._selected()
        if chosen and keys != self._registry.shortcut(self._registry.action(chosen)):
            self._registry.set_shortcuts({chosen: keys})


class CheatSheet(QDialog):
    """All shortcuts at a glance, by menu."""

    def __init__(self, parent: QWidget, registry: ActionRegistry) -> None:
        super().__init__(parent)
        self.setObjectName("dialog.cheat_sheet")
        self.setWindowTitle("Shortcuts")
        self.resize(560, 560)
        self.text = QTextBrowser()
        self.text.setAccessibleName("Shortcuts by menu")
        self.text.setHtml(cheat_sheet_html(registry))
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Close)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 16, 16, 12)
        layout.addWidget(self.text)
        layout.addWidget(buttons)


def conflicts(registry: ActionRegistry) -> dict[str, list[str]]:
    """Shortcuts that more than one action has, with the ids."""
    users: dict[str, list[str]] = defaultdict(list)
    for action in registry.actions():
        if keys := registry.shortcut(action):
            users[keys].append(action.id)
    return {keys: ids for keys, ids in users.items() if len(ids) > 1}


def cheat_sheet_html(registry: ActionRegistry) -> str:
    """Table of all shortcuts, a heading for each menu."""
    by_menu: dict[str, list[Action]] = defaultdict(list)
    for action in registry.actions():
        if registry.shortcut(action):
            by_menu[action.menu.split("/")[0] or "Everywhere"].append(action)
    rows = []
    for menu, actions in by_menu.items():
        rows.append(f"<tr><td colspan=2><br><b>{menu}</b></td></tr>")
        rows += [
            f"<tr><td width=190><code>{_native(registry.shortcut(a))}</code></td><td>{a.title}</td></tr>"
            for a in actions
        ]
    return f"<table cellspacing=4>{''.join(rows)}</table>"


def _native(keys: str) -> str:
    portable, native = QKeySequence.SequenceFormat.PortableText, QKeySequence.SequenceFormat.NativeText
    return QKeySequence(keys, portable).toString(native)
