"""Actions as the user meets them: palette, shortcuts, menus, undo, help."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QApplication,
    QLineEdit,
    QPushButton,
)
from pytestqt.qtbot import QtBot

from atomseg_app.gui.main_window import MainWindow
from atomseg_app.gui.palette import CommandPalette
from atomseg_app.gui.shortcuts import CheatSheet, ShortcutEditor
from atomseg_app.gui.tour import Tour
from tests.gui.driving import OPEN_MS, Button, Key, plain


def test_every_action_is_complete(main_window: MainWindow) -> None:
    registry = main_window.context.actions
    actions = [a for a in main_window.findChildren(QAction) if a.menu() is None and not a.isSeparator() and a.text()]
    actions = [
        a for a in actions if a.parent() not in (main_window.jobs_dock, main_window.log_dock, main_window.menus.toolbar)
    ]
    actions = [a for a in actions if not isinstance(a.parent(), QLineEdit)]
    registered = [registry.qaction(action.id) for action in registry.actions()]
    assert len(registered) >= 25
    names = [a.objectName() for a in registered]
    assert len(set(names)) == len(names)
    assert {a.objectName() for a in actions} <= set(names), "a QAction made outside the registry"
    main_window.dialogs.palette()
    listed = palette_of(main_window)
    texts = [listed.list.item(row).text() for row in range(listed.list.count())]
    for qaction in registered:
        assert qaction.text(), qaction.objectName()
        assert qaction.toolTip().strip().split("\n")[0].split(" (")[0].endswith("."), qaction.objectName()
        assert qaction.statusTip()
        assert qaction.text() in texts
    listed.close()


def palette_of(window: MainWindow) -> CommandPalette:
    """The command palette, which was opened before."""
    found = window.findChild(CommandPalette)
    assert found is not None
    return found


def test_the_palette_runs_what_is_typed(shell: MainWindow, qtbot: QtBot) -> None:
    QTest.keyClick(shell, Key.Key_P, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    palette = palette_of(shell)
    assert palette.isVisible()
    QTest.keyClicks(palette.query, "jobs pan")
    QTest.keyClick(palette.query, Key.Key_Return)
    assert not palette.isVisible()
    assert shell.jobs_dock.isVisible()


def test_the_palette_says_why_something_cannot_be_used(shell: MainWindow) -> None:
    shell.dialogs.palette()
    palette = palette_of(shell)
    QTest.keyClicks(palette.query, "calibrate")
    item = palette.list.item(0)
    assert "Open an image first." in item.data(Qt.ItemDataRole.UserRole + 1)
    QTest.keyClick(palette.query, Key.Key_Return)
    assert palette.isVisible(), "what cannot be used is not run"
    palette.close()


def test_a_new_shortcut_works_and_its_conflict_is_shown(shell: MainWindow, qtbot: QtBot) -> None:
    editor = ShortcutEditor(shell.context.actions)
    qtbot.addWidget(editor)
    editor.show()
    editor.select("view.jobs")
    editor.keys.setFocus()
    QTest.keyClick(editor.keys, Key.Key_O, Qt.KeyboardModifier.ControlModifier)
    qtbot.waitUntil(lambda: shell.context.actions.qaction("view.jobs").shortcut().toString() == "Ctrl+O")
    assert not editor.conflict.isHidden()
    assert "Jobs panel" in editor.conflict.text()
    assert "Open files…" in editor.conflict.text()
    QTest.mouseClick(editor.all_button, Button.LeftButton)
    assert editor.conflict.isHidden()
    assert shell.context.actions.qaction("view.jobs").shortcut().toString() == "Ctrl+J"


def test_default_shortcuts_do_not_collide(main_window: MainWindow) -> None:
    from atomseg_app.gui.shortcuts import conflicts

    assert conflicts(main_window.context.actions) == {}


def test_the_question_mark_opens_the_cheat_sheet(shell: MainWindow, qtbot: QtBot) -> None:
    shell.activateWindow()
    QTest.keyClick(shell, Key.Key_Question)
    qtbot.waitUntil(lambda: shell.findChild(CheatSheet) is not None)
    sheet = shell.findChild(CheatSheet)
    assert sheet is not None
    assert "Ctrl+Shift+P" in sheet.text.toPlainText()
    sheet.close()


def test_undo_is_named_in_the_menu_and_undone_from_it(shell: MainWindow, qtbot: QtBot, image_file: Path) -> None:
    shell.open_paths([str(image_file)])
    qtbot.waitUntil(lambda: len(plain(shell).items) == 1, timeout=OPEN_MS)
    QTest.keyClick(shell, Key.Key_C)
    assert plain(shell).items[0].pixel_size_nm == (0.25, 0.25)
    assert shell.windowTitle() == "Untitled* - AtomSeg"
    undo = shell.context.actions.qaction("edit.undo")
    assert undo.text() == "Undo Calibrate"
    shell.show_start_page()
    QTest.keyClick(shell, Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert plain(shell).items[0].pixel_size_nm == (None, None), "undo works on any page"
    assert shell.windowTitle() == "Untitled - AtomSeg"
    assert undo.text() == "Undo"
    assert "nothing to undo" in undo.toolTip()
    assert shell.context.actions.qaction("edit.redo").text() == "Redo Calibrate"


def test_system_information_can_be_copied(shell: MainWindow, qtbot: QtBot) -> None:
    shell.context.actions.trigger("help.system")
    qtbot.waitUntil(
        lambda: any(w.objectName() == "dialog.system" for w in QApplication.topLevelWidgets()), timeout=OPEN_MS
    )
    dialog = next(w for w in QApplication.topLevelWidgets() if w.objectName() == "dialog.system")
    copy = next(b for b in dialog.findChildren(QPushButton) if b.text() == "Copy")
    QTest.mouseClick(copy, Button.LeftButton)
    copied = QGuiApplication.clipboard().text()
    for words in ("AtomSeg", "numpy", "Screens", QGuiApplication.platformName()):
        assert words in copied
    dialog.close()


def test_the_tour_walks_through_and_can_be_left(shell: MainWindow, qtbot: QtBot) -> None:
    shell.context.actions.trigger("help.tour")
    tour = shell.findChild(Tour)
    assert tour is not None
    assert tour.heading.text() == "Items"
    QTest.mouseClick(tour.next_button, Button.LeftButton)
    assert tour.heading.text() == "Calibrate"
    assert shell.rect().contains(tour.bubble.geometry())
    QTest.keyClick(tour, Key.Key_Escape)
    qtbot.waitUntil(lambda: shell.findChild(Tour) is None or not shell.findChild(Tour).isVisible())  # type: ignore[union-attr]
