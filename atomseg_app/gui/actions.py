"""Actions as data: menus, toolbar, shortcuts, command palette and cheat sheet all read one registry."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtGui import QAction, QKeySequence

from atomseg_app.errors import UserError
from atomseg_app.gui.settings import SHORTCUTS, Settings
from atomseg_app.gui.theme import Theme


def _always() -> str:
    return ""


@dataclass(frozen=True)
class Action:
    """What the user can do. ``callback`` takes the new state if ``checkable``, else nothing.

    ``tip`` is one sentence; ``menu`` a path ("File/Export"), empty for none; ``why_disabled`` gives the reason why it
    cannot be used now, or nothing; ``checked`` tells the state of a checkable one. ``section`` groups entries of a
    menu: a separator goes between sections. ``toolbar`` puts it on the main tool bar, with ``label`` as its short text.
    """

    id: str
    title: str
    callback: Callable[..., object]
    tip: str
    menu: str = ""
    shortcut: str = ""
    icon: str = ""
    why_disabled: Callable[[], str] = _always
    checkable: bool = False
    checked: Callable[[], bool] | None = None
    section: str = ""
    toolbar: bool = False
    label: str = ""
    role: QAction.MenuRole = QAction.MenuRole.NoRole


class ActionRegistry(QObject):
    """Every action of the window. ``refused(title, error)`` tells of a :class:`UserError` raised by a callback.

    Actions added while ``owner`` names a workspace can be used while that one is in ``front``, so that keys pressed in
    one never change what another one shows.
    """

    added = Signal(object)
    refused = Signal(str, object)
    shortcuts_changed = Signal()

    def __init__(self, settings: Settings, theme: Theme) -> None:
        super().__init__()
        self._settings = settings
        self._theme = theme
        self._actions: dict[str, Action] = {}
        self._qactions: dict[str, QAction] = {}
        self._titles: dict[str, str] = {}
        self._keys: dict[str, str] = {}  # as shown in tips
        self._owners: dict[str, str] = {}
        self.owner = ""
        self.front = ""

    def add(self, action: Action) -> QAction:
        """Register an action; an id is taken once."""
        if action.id in self._actions:
            raise RuntimeError(f"action {action.id!r} is registered twice")
        qaction = QAction(action.title, self)
        qaction.setObjectName(action.id)
        qaction.setMenuRole(action.role)
        qaction.setCheckable(action.checkable)
        if action.icon:
            qaction.setIcon(self._theme.icon(action.icon))
        if action.label:
            qaction.setIconText(action.label)
        qaction.triggered.connect(lambda checked: self._trigger(action, checked))
        self._actions[action.id] = action
        self._qactions[action.id] = qaction
        self._owners[action.id] = self.owner
        self._apply_shortcut(action)
        self._refresh_one(action)
        self.added.emit(action)
        return qaction

    def add_all(self, actions: Iterable[Action]) -> None:
        """Register several."""
        for action in actions:
            self.add(action)

    def qaction(self, action_id: str) -> QAction:
        """Qt action of that id, for menus and buttons."""
        return self._qactions[action_id]

    def action(self, action_id: str) -> Action:
        """Declaration of that id."""
        return self._actions[action_id]

    def actions(self) -> list[Action]:
        """Every declaration, in the order of registration."""
        return list(self._actions.values())

    def title(self, action: Action) -> str:
        """Title as shown now ("Undo Move column")."""
        return self._titles.get(action.id, action.title)

    def set_title(self, action_id: str, title: str) -> None:
        """Show another title for now."""
        self._titles[action_id] = title
        self._qactions[action_id].setText(title)

    def refresh(self) -> None:
        """Ask every action again whether it can be used, and why not."""
        for action in self._actions.values():
            self._refresh_one(action)

    def shortcut(self, action: Action) -> str:
        """Shortcut in force: the user's own, else the default, as portable text ("Ctrl+Shift+P")."""
        return self._settings.get(SHORTCUTS).get(action.id, action.shortcut)

    def set_shortcuts(self, changes: dict[str, str]) -> None:
        """Keep the user's shortcuts: id to portable text, "" for none; what equals the default is not kept."""
        kept: dict[str, str] = self._settings.get(SHORTCUTS)
        own = {
            i: keys
            for i, keys in (kept | changes).items()
            if i not in self._actions or keys != self._actions[i].shortcut
        }
        self._settings.set(SHORTCUTS, own)
        for action in self._actions.values():
            self._apply_shortcut(action)
            self._refresh_one(action)
        self.shortcuts_changed.emit()

    def trigger(self, action_id: str) -> None:
        """Run an action as if clicked, if it can be used."""
        self._qactions[action_id].trigger()

    def _trigger(self, action: Action, checked: bool) -> None:
        arguments: tuple[Any, ...] = (checked,) if action.checkable else ()
        try:
            action.callback(*arguments)
        except UserError as problem:
            self.refused.emit(self.title(action), problem)
        self.refresh()

    def _apply_shortcut(self, action: Action) -> None:
        keys = QKeySequence(self.shortcut(action), QKeySequence.SequenceFormat.PortableText)
        self._qactions[action.id].setShortcut(keys)
        self._keys[action.id] = keys.toString(QKeySequence.SequenceFormat.NativeText)

    def _refresh_one(self, action: Action) -> None:
        qaction = self._qactions[action.id]
        owner = self._owners[action.id]
        elsewhere = owner and self.front and owner != self.front
        reason = f"Show the tab {owner} first." if elsewhere else action.why_disabled()
        keys = self._keys[action.id]
        tip = f"{action.tip} ({keys})" if keys else action.tip
        qaction.setEnabled(not reason)
        qaction.setToolTip(f"{tip}\nNot now: {reason}" if reason else tip)
        qaction.setStatusTip(reason or action.tip)
        if action.checked is not None:
            qaction.setChecked(action.checked())
