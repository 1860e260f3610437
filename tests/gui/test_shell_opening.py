"""Opening files with real events: dropped, chosen, refused; and the start page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QPoint, Qt, QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QApplication,
    QPushButton,
    QToolButton,
)
from pytestqt.qtbot import QtBot

from atomseg_app.data import ArrayData
from atomseg_app.gui.dataset_dialog import DatasetDialog
from atomseg_app.gui.main_window import MainWindow
from atomseg_app.gui.settings import RECENT_FILES, Settings
from atomseg_app.gui.welcome import samples
from tests.gui.driving import OPEN_MS, Button, Key, drop, plain


def test_a_dropped_file_is_opened_and_becomes_recent(shell: MainWindow, qtbot: QtBot, image_file: Path) -> None:
    assert drop(shell, QPoint(300, 300), [image_file])
    qtbot.waitUntil(lambda: len(plain(shell).items) == 1, timeout=OPEN_MS)
    assert np.array_equal(plain(shell).items[0].values, np.load(image_file))
    assert shell.stack.currentWidget() is plain(shell)
    assert shell.context.settings.get(RECENT_FILES) == [str(image_file)]
    assert not shell.session.dirty, "opening a file is nothing to lose"


def test_files_can_be_dropped_on_every_part(shell: MainWindow, image_file: Path) -> None:
    shell.jobs_dock.show()
    shell.open_paths = lambda paths: None  # type: ignore[method-assign]
    for x in range(5, shell.width(), 150):
        for y in range(5, shell.height(), 60):
            assert drop(shell, QPoint(x, y), [image_file]), (x, y)


def test_many_files_and_folders_are_opened_and_the_rest_is_told_once(
    shell: MainWindow, qtbot: QtBot, image_file: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    np.save(folder / "two.npy", np.ones((8, 9), np.uint8))
    (tmp_path / "letter.docx").write_bytes(b"PK\x03\x04 no image")
    (tmp_path / "empty.tif").write_bytes(b"")
    shell.open_paths([str(p) for p in (image_file, folder, tmp_path / "letter.docx", tmp_path / "empty.tif")])
    qtbot.waitUntil(lambda: shell.context.notify.dialog is not None, timeout=OPEN_MS)
    assert len(plain(shell).items) == 2
    dialog = shell.context.notify.dialog
    assert dialog is not None
    report = dialog.report()
    assert "2 of 4 files could not be opened" in report
    assert "letter.docx" in report
    assert ".dm3" in report, "the supported formats are named"
    assert "empty.tif" in report
    assert "Traceback" not in report


def test_a_failed_read_leaves_everything_as_it_was(shell: MainWindow, qtbot: QtBot, image_file: Path) -> None:
    shell.open_paths([str(image_file)])
    qtbot.waitUntil(lambda: len(plain(shell).items) == 1, timeout=OPEN_MS)
    before = list(plain(shell).items)
    (image_file.parent / "cut.npy").write_bytes(image_file.read_bytes()[:200])
    shell.open_paths([str(image_file.parent / "cut.npy")])
    qtbot.waitUntil(lambda: shell.context.notify.dialog is not None, timeout=OPEN_MS)
    assert plain(shell).items == before
    assert not shell.session.dirty


def test_the_user_chooses_among_several_datasets(shell: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    path = tmp_path / "several.npz"
    np.savez(path, first=np.zeros((5, 6)), second=np.ones((7, 8)), third=np.full((3, 4), 2.0))

    def choose() -> None:
        dialog = QApplication.activeModalWidget()
        if not isinstance(dialog, DatasetDialog):
            QTimer.singleShot(20, choose)
            return
        for number, state in enumerate((Qt.CheckState.Unchecked, Qt.CheckState.Checked, Qt.CheckState.Checked)):
            row = dialog.list.topLevelItem(number)
            assert row is not None
            row.setCheckState(0, state)
        QTest.mouseClick(dialog.open_button, Button.LeftButton)

    QTimer.singleShot(20, choose)
    shell.open_paths([str(path)])
    qtbot.waitUntil(lambda: len(plain(shell).items) == 2, timeout=OPEN_MS)
    assert [item.source.dataset for item in plain(shell).items] == ["second", "third"]


def test_what_no_workspace_shows_is_refused(shell: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    np.save(tmp_path / "stack.npy", np.zeros((4, 5, 6)))
    shell.open_paths([str(tmp_path / "stack.npy")])
    qtbot.waitUntil(lambda: shell.context.notify.dialog is not None, timeout=OPEN_MS)
    assert "cannot be shown" in shell.context.notify.dialog.report()  # type: ignore[union-attr]


def test_every_sample_opens_in_one_click(main_window: MainWindow, qtbot: QtBot) -> None:
    def opened() -> list[ArrayData]:
        tabs: list[Any] = list(main_window.tabs.values())
        return [entry.data for tab in tabs for entry in tab.model.entries.values()]

    assert len(samples()) >= 4
    for number, sample in enumerate(samples(), 1):
        main_window.show_start_page()
        button = main_window.start_page.findChild(QPushButton, f"sample.{sample.path.stem}")
        assert button is not None
        main_window.start_page.ensureWidgetVisible(button)
        QTest.mouseClick(button, Button.LeftButton)
        qtbot.waitUntil(lambda number=number: len(opened()) == number, timeout=OPEN_MS)
    assert all(item.calibrated for item in opened())
    assert {item.kind for item in opened()} == {"image", "tilt-series"}


def test_missing_recent_files_are_greyed_and_can_be_removed(
    make_window: Callable[..., MainWindow], qtbot: QtBot, image_file: Path
) -> None:
    settings = Settings()
    for number in range(12):
        settings.add_recent(f"/gone/{number}.tif")
    settings.add_recent(str(image_file))
    window = make_window(settings=settings)

    def row(name: str) -> QPushButton | None:
        found = window.start_page.findChildren(QPushButton, f"recent.{name}")
        return found[-1] if found else None

    def greyed() -> bool:
        button = row("3.tif")
        return button is not None and not button.isEnabled()

    qtbot.waitUntil(greyed)
    assert row(image_file.name).isEnabled()  # type: ignore[union-attr]
    remove = next(
        b for b in window.start_page.findChildren(QToolButton) if b.accessibleName().startswith("Remove 3.tif")
    )
    QTest.mouseClick(remove, Button.LeftButton)
    assert "/gone/3.tif" not in settings.get(RECENT_FILES)


def test_the_start_page_is_operated_by_keyboard_alone(shell: MainWindow, qtbot: QtBot) -> None:
    wanted = {"start.file.open", "start.project.open", "start.project.new"}
    wanted |= {f"sample.{sample.path.stem}" for sample in samples()}
    shell.activateWindow()
    shell.start_page.setFocus()
    reached: set[str] = set()
    for _ in range(60):
        focus = QApplication.focusWidget()
        if focus is not None:
            reached.add(focus.objectName())
        if wanted <= reached:
            break
        QTest.keyClick(focus or shell, Key.Key_Tab)
    assert wanted <= reached
    new = shell.start_page.findChild(QPushButton, "start.project.new")
    assert new is not None
    asked: list[None] = []
    shell.context.actions.qaction("project.new").triggered.connect(lambda: asked.append(None))
    new.setFocus()
    QTest.keyClick(new, Key.Key_Return)
    assert asked, "Enter presses the button"
