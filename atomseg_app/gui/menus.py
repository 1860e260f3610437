"""Menus and the main tool bar, built from the action registry and kept in step with it."""

from __future__ import annotations

from PySide6.QtCore import QObject, Qt
from PySide6.QtWidgets import QMainWindow, QMenu, QToolBar

from atomseg_app.gui.actions import Action, ActionRegistry

MENU_ORDER = ("File", "Edit", "View", "Image", "Columns", "Measure", "Tomography", "Segmentation", "Jobs", "Help")
_TRAILING = ("Jobs", "Help")


class Menus(QObject):
    """Puts every registered action with a menu path into the menu bar, and those marked so on the tool bar."""

    def __init__(self, window: QMainWindow, registry: ActionRegistry) -> None:
        super().__init__(window)
        self._window = window
        self._registry = registry
        self._menus: dict[str, QMenu] = {}
        self._sections: dict[str, str] = {}
        self.toolbar = QToolBar("Main tool bar")
        self.toolbar.setObjectName("toolbar.main")
        self.toolbar.setMovable(False)
        self.toolbar.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self._toolbar_section = ""
        window.addToolBar(self.toolbar)
        for action in registry.actions():
            self._insert(action)
        registry.added.connect(self._insert)

    def menu(self, path: str) -> QMenu:
        """Menu of a path ("File/Open recent"), made on first use."""
        if path not in self._menus:
            parent, _, title = path.rpartition("/")
            self._menus[path] = self.menu(parent).addMenu(title) if parent else self._top_menu(title)
            self._menus[path].setObjectName(f"menu.{path}")
            self._menus[path].setToolTipsVisible(True)
        return self._menus[path]

    def _top_menu(self, title: str) -> QMenu:
        bar = self._window.menuBar()
        menu = QMenu(title, bar)
        place = _place(title)
        before = next((a for a in bar.actions() if _place(a.text()) > place), None)
        if before is None:
            bar.addMenu(menu)
        else:
            bar.insertMenu(before, menu)
        return menu

    def _insert(self, action: Action) -> None:
        qaction = self._registry.qaction(action.id)
        self._window.addAction(qaction)  # its shortcut works although the menu is closed, or there is none
        if action.menu:
            menu = self.menu(action.menu)
            last = self._sections.setdefault(action.menu, action.section)
            if last != action.section:
                menu.addSeparator()
                self._sections[action.menu] = action.section
            menu.addAction(qaction)
        if action.toolbar:
            section = action.menu.split("/")[0] + action.section
            if self._toolbar_section not in ("", section):
                self.toolbar.addSeparator()
            self._toolbar_section = section
            self.toolbar.addAction(qaction)


def _place(title: str) -> int:
    """Position of a top menu; unknown ones go before the last few."""
    if title in MENU_ORDER:
        return MENU_ORDER.index(title)
    return MENU_ORDER.index(_TRAILING[0]) - 1
