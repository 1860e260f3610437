"""The window driven with real events: files dropped, palette, menus, looks, layout, notices, closing."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QMimeData, QPoint, QPointF, QRect, Qt, QTimer, QUrl, qWarning
from PySide6.QtGui import QAction, QDragEnterEvent, QDropEvent, QGuiApplication, QPalette
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QAbstractButton,
    QApplication,
    QComboBox,
    QDialog,
    QLabel,
    QLineEdit,
    QPushButton,
    QTabBar,
    QToolButton,
    QWidget,
)
from pytestqt.qtbot import QtBot

from atomseg_app.errors import UserError
from atomseg_app.gui import window_layout
from atomseg_app.gui.colours import DARK, LIGHT
from atomseg_app.gui.dataset_dialog import DatasetDialog
from atomseg_app.gui.hooks import Hooks
from atomseg_app.gui.main_window import MainWindow
from atomseg_app.gui.palette import CommandPalette
from atomseg_app.gui.preferences import Preferences
from atomseg_app.gui.questions import Question
from atomseg_app.gui.settings import FONT_SCALE_PERCENT, RECENT_FILES, THEME, WINDOW_GEOMETRY, Settings
from atomseg_app.gui.shortcuts import CheatSheet, ShortcutEditor
from atomseg_app.gui.tour import Tour
from atomseg_app.gui.welcome import samples
from atomseg_app.jobs.tasks import EXTRA_TASKS, Task
from tests.gui.plain_tab import PlainTab

Key, Button = Qt.Key, Qt.MouseButton
OPEN_MS = 20_000


def plain(window: MainWindow) -> PlainTab:
    """The plain workspace."""
    tab = window.tabs["plain"]
    assert isinstance(tab, PlainTab)
    return tab


def drop(window: MainWindow, place: QPoint, paths: list[Path]) -> bool:
    """Drop files as the window system does, on whatever widget lies at ``place``; whether they were accepted."""
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    copy, left, none = Qt.DropAction.CopyAction, Button.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(place, copy, mime, left, none)
    QApplication.sendEvent(window.windowHandle(), enter)
    event = QDropEvent(QPointF(place), copy, mime, left, none)
    QApplication.sendEvent(window.windowHandle(), event)
    return enter.isAccepted() and event.isAccepted()


def answer(label: str, seen: list[Question] | None = None) -> None:
    """Click a button of the next question as soon as it is shown."""

    def click() -> None:
        dialog = QApplication.activeModalWidget()
        if not isinstance(dialog, Question):
            QTimer.singleShot(20, click)
            return
        if seen is not None:
            seen.append(dialog)
        QTest.mouseClick(dialog.buttons[label], Button.LeftButton)

    QTimer.singleShot(20, click)


# -- opening files


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


# -- start page


def test_every_sample_opens_in_one_click(shell: MainWindow, qtbot: QtBot) -> None:
    assert len(samples()) >= 3
    for number, sample in enumerate(samples(), 1):
        shell.show_start_page()
        button = shell.start_page.findChild(QPushButton, f"sample.{sample.path.stem}")
        assert button is not None
        shell.start_page.ensureWidgetVisible(button)
        QTest.mouseClick(button, Button.LeftButton)
        qtbot.waitUntil(lambda number=number: len(plain(shell).items) == number, timeout=OPEN_MS)
        assert plain(shell).items[-1].calibrated


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


# -- actions, palette, shortcuts


def test_every_action_is_complete(shell: MainWindow) -> None:
    registry = shell.context.actions
    actions = [a for a in shell.findChildren(QAction) if a.menu() is None and not a.isSeparator() and a.text()]
    actions = [a for a in actions if a.parent() not in (shell.jobs_dock, shell.log_dock, shell.menus.toolbar)]
    actions = [a for a in actions if not isinstance(a.parent(), QLineEdit)]
    registered = [registry.qaction(action.id) for action in registry.actions()]
    assert len(registered) >= 25
    names = [a.objectName() for a in registered]
    assert len(set(names)) == len(names)
    assert {a.objectName() for a in actions} <= set(names), "a QAction made outside the registry"
    shell.dialogs.palette()
    listed = palette_of(shell)
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


# -- looks and access


@pytest.mark.parametrize("look", ["light", "dark"])
def test_panels_are_drawn_in_the_look_in_force(shell: MainWindow, qtbot: QtBot, look: str) -> None:
    colours = DARK if look == "dark" else LIGHT
    shell.context.settings.set(THEME, "dark" if look == "light" else "light")
    shell.context.settings.set(THEME, look)
    shell.jobs_dock.show()
    qtbot.wait(50)
    for panel in (shell.start_page, shell.jobs_dock.widget(), shell.statusBar(), shell.menuBar(), shell.menus.toolbar):
        picture = panel.grab().toImage()
        ground = picture.pixelColor(picture.width() - 3, picture.height() // 2).lightness()
        assert (ground < 80) == colours.dark, (type(panel).__name__, ground)
        assert panel.palette().color(QPalette.ColorRole.WindowText).name() == colours.text


@pytest.mark.parametrize("scale", [100, 150])
def test_no_control_is_cut_on_a_small_screen(
    shell: MainWindow, qtbot: QtBot, scale: int, screenshot: Callable[[QWidget, str], None]
) -> None:
    shell.context.settings.set(FONT_SCALE_PERCENT, scale)
    shell.resize(1366, 768)
    shell.jobs_dock.show()
    shell.context.jobs.submit(Task("no such task"), "A job with a long title that says what it does")
    qtbot.waitUntil(lambda: not shell.context.jobs.active(), timeout=OPEN_MS)
    qtbot.wait(100)
    screenshot(shell, f"shell-{scale}")
    assert shell.width() <= 1366, "the window fits"
    assert shell.height() <= 768
    assert cut_controls(shell) == []
    shell.dialogs.preferences()
    dialog = shell.findChild(Preferences)
    assert dialog is not None
    for page in range(dialog.pages.count()):
        dialog.pages.setCurrentIndex(page)
        qtbot.wait(20)
        assert cut_controls(dialog) == []
    assert dialog.width() <= 1366
    assert dialog.height() <= 768
    dialog.close()
    shell.context.settings.set(FONT_SCALE_PERCENT, 100)


def cut_controls(window: QWidget) -> list[str]:
    """Visible controls that are smaller than what they show."""
    cut = []
    for widget in window.findChildren(QWidget):
        if not widget.isVisible() or not isinstance(widget, QAbstractButton | QComboBox | QLabel | QLineEdit):
            continue
        wanted = widget.minimumSizeHint() if isinstance(widget, QLabel | QLineEdit | QComboBox) else widget.sizeHint()
        if isinstance(widget, QPushButton) and widget.property("role") == "row":
            wanted.setWidth(0)  # gives way on purpose, with an ellipsis and a tooltip
        if isinstance(widget, QToolButton) and widget.objectName() == "qt_toolbar_ext_button":
            cut.append("the tool bar does not fit")
        if widget.width() < wanted.width() or widget.height() < wanted.height():
            cut.append(
                f"{type(widget).__name__} {widget.objectName()} {widget.accessibleName()} {widget.size()} < {wanted}"
            )
    return cut


def test_every_control_has_a_name_for_screen_readers(shell: MainWindow) -> None:
    shell.dialogs.preferences()
    nameless = []
    for widget in shell.findChildren(QWidget):
        if not (widget.focusPolicy() & Qt.FocusPolicy.TabFocus) or widget.objectName().startswith("qt_"):
            continue
        if widget.window().windowType() == Qt.WindowType.Popup:
            continue  # lists of combo boxes, which are read by their box
        if isinstance(widget, QTabBar) and widget.parent() is shell:
            continue  # Qt's own for docks in one place, read by its tabs
        text = widget.text() if isinstance(widget, QAbstractButton) else ""
        if not (widget.accessibleName() or text or isinstance(widget.parent(), QComboBox | QLineEdit)):
            nameless.append(f"{type(widget).__name__} in {type(widget.parent()).__name__}")
    custom = [w for w in shell.findChildren(QWidget) if type(w).__module__.startswith("atomseg_app.gui")]
    nameless += [
        type(w).__name__
        for w in custom
        if not (w.accessibleName() or isinstance(w, QLabel | QDialog | QAbstractButton)) and w.focusPolicy()
    ]
    shell.findChild(Preferences).close()  # type: ignore[union-attr]
    assert nameless == []


# -- layout


def test_geometry_docks_and_workspace_come_back(make_window: Callable[..., MainWindow], qtbot: QtBot) -> None:
    first = make_window()
    first.setGeometry(60, 70, 900, 650)
    first.jobs_dock.show()
    first.log_dock.hide()
    qtbot.wait(50)
    size = first.size()
    first.close_now()
    second = make_window(settings=Settings())
    assert second.size() == size
    assert second.jobs_dock.isVisible()
    assert not second.log_dock.isVisible()


def test_a_window_of_a_screen_that_is_gone_comes_back(make_window: Callable[..., MainWindow]) -> None:
    window = make_window()
    window.setGeometry(9000, 7000, 4000, 3000)
    window_layout.bring_on_screen(window)
    screen = QGuiApplication.primaryScreen().availableGeometry()
    assert screen.contains(window.frameGeometry())


def test_damaged_layout_does_no_harm(make_window: Callable[..., MainWindow]) -> None:
    settings = Settings()
    settings.set(WINDOW_GEOMETRY, "AAAA////not a geometry\N{SNOWMAN}")
    window = make_window(settings=settings)
    assert QGuiApplication.primaryScreen().availableGeometry().intersects(window.geometry())


def test_reset_layout(shell: MainWindow) -> None:
    shell.jobs_dock.setFloating(True)
    shell.jobs_dock.show()
    shell.menus.toolbar.hide()
    shell.setGeometry(QRect(0, 0, 640, 480))
    shell.context.actions.trigger("view.reset_layout")
    assert not shell.jobs_dock.isFloating()
    assert not shell.jobs_dock.isVisible()
    assert shell.menus.toolbar.isVisible()
    assert shell.width() > 640


# -- jobs


SLEEPER = """
import time
def sleep(task, report):
    from atomseg_app.jobs.tasks import TaskResult
    for step in range(10000):
        report.progress(step / 10000, f"step {step}")
        report.log(f"line {step}")
        time.sleep(0.01)
    return TaskResult()
TASKS = {"sleep": sleep}
"""


@pytest.fixture
def sleeping(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes a task "sleep" known to compute processes."""
    (tmp_path / "sleepers.py").write_text(SLEEPER)
    paths = [str(tmp_path), str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    monkeypatch.setenv(EXTRA_TASKS, "sleepers:TASKS")


@pytest.mark.usefixtures("sleeping")
def test_a_job_is_shown_and_cancelled_from_the_panel(shell: MainWindow, qtbot: QtBot) -> None:
    shell.context.actions.trigger("view.jobs")
    job = shell.context.jobs.submit(Task("sleep"), "Sleep")
    qtbot.waitUntil(lambda: job.state == "running" and job.fraction > 0, timeout=OPEN_MS)
    panel = shell.jobs_dock.widget()
    cancel = next(b for b in panel.findChildren(QPushButton) if b.text() == "Cancel")
    shown = [panel.model.index(0, column).data() for column in range(5)]  # type: ignore[attr-defined]
    assert shown[0] == "Sleep"
    assert "step" in shown[1]
    assert shown[2].endswith(" s")
    assert shell.badges.jobs_button.text() == "Sleep"
    assert not shell.badges.progress.isHidden()
    assert "line" in panel.log.toPlainText()  # type: ignore[attr-defined]
    QTest.mouseClick(cancel, Button.LeftButton)
    qtbot.waitUntil(lambda: job.state == "cancelled", timeout=3000)
    assert not cancel.isEnabled()
    assert shell.badges.jobs_button.text() == "No jobs"
    copy = next(b for b in panel.findChildren(QPushButton) if b.text() == "Copy report")
    QTest.mouseClick(copy, Button.LeftButton)
    assert "Sleep: cancelled" in QGuiApplication.clipboard().text()


@pytest.mark.usefixtures("sleeping")
def test_closing_with_a_running_job_asks_and_ends_the_process(shell: MainWindow, qtbot: QtBot) -> None:
    job = shell.context.jobs.submit(Task("sleep"), "Sleep")
    qtbot.waitUntil(lambda: job.state == "running", timeout=OPEN_MS)
    answer("Keep working")
    shell.close()
    assert shell.isVisible()
    assert job.state == "running"
    pid = shell.context.jobs.worker_pid
    assert pid is not None
    answer("Stop and close")
    shell.close()
    assert not shell.isVisible()
    qtbot.waitUntil(lambda: not Path(f"/proc/{pid}").exists() if sys.platform == "linux" else True, timeout=3000)


def test_the_badge_says_which_device_computes(shell: MainWindow, qtbot: QtBot) -> None:
    from atomseg_app.gui.settings import DEVICE
    from atomseg_app.jobs.tasks import TaskResult

    cpu = {
        "name": "CPU",
        "kind": "cpu",
        "free_bytes": 1 << 33,
        "capability": "2 threads",
        "usable": True,
        "why_not": "",
    }
    old = {"name": "Quadro P2200", "kind": "cuda", "free_bytes": 0, "capability": "6.1", "usable": False,
           "why_not": "no kernel image is available"}  # fmt: skip
    badge = shell.badges.device
    assert badge.text() == "Device: looking…"
    shell.devices._take(TaskResult([cpu]))
    assert badge.text() == "Device: CPU"
    shell.devices._take(TaskResult([cpu, old]))
    assert badge.text() == "Device: CPU", "a card that cannot compute is not used"
    assert "no kernel image" in badge.toolTip()
    shell.context.settings.set(DEVICE, "cuda")
    assert "cannot be used here" in badge.toolTip()
    assert badge.property("state") == "warning"
    shell.dialogs.preferences()
    dialog = shell.findChild(Preferences)
    assert dialog is not None
    assert [dialog.device.itemText(i).split("  ")[0] for i in range(3)] == [
        "Automatic (the fastest that works)", "CPU", "Quadro P2200",
    ]  # fmt: skip
    dialog.close()


# -- notices and hooks


def test_repeats_are_counted_in_one_dialog(shell: MainWindow) -> None:
    for _ in range(5):
        shell.context.notify.error("Export", UserError("The disk is full; choose another folder."))
    shell.context.notify.error("Open", "No such file.")
    dialogs = [w for w in QApplication.topLevelWidgets() if w.objectName() == "dialog.error" and w.isVisible()]
    assert len(dialogs) == 1
    report = shell.context.notify.dialog.report()  # type: ignore[union-attr]
    assert "Export (5 times)" in report
    assert "No such file." in report
    copy = next(b for b in dialogs[0].findChildren(QPushButton) if b.text() == "Copy")
    QTest.mouseClick(copy, Button.LeftButton)
    assert "(5 times)" in QGuiApplication.clipboard().text()
    dialogs[0].close()
    assert shell.context.notify.dialog is None


def test_toasts_stay_few_and_inside_the_window(shell: MainWindow, qtbot: QtBot) -> None:
    for number in range(9):
        shell.context.notify.info(f"Saved {number} " + "and more words " * number)
    texts = shell.context.notify.toast_texts()
    assert 1 < len(texts) <= 4
    assert texts[-1].startswith("Saved 8")
    shell.resize(700, 500)
    qtbot.wait(30)
    for toast in (w for w in shell.findChildren(QWidget) if w.accessibleName() in texts):
        assert shell.rect().contains(toast.geometry())


def test_a_banner_is_shown_once_and_its_button_works(shell: MainWindow) -> None:
    done: list[str] = []
    for _ in range(3):
        shell.context.notify.warn("The pixel size is not known.", "Set it", lambda: done.append("set"))
    banners = shell.context.notify.banners
    assert banners.texts() == ["The pixel size is not known."]
    button = next(b for b in banners.findChildren(QPushButton) if b.text() == "Set it" and b.isVisible())
    QTest.mouseClick(button, Button.LeftButton)
    assert done == ["set"]
    assert not banners.isVisible()


def test_unhandled_problems_reach_the_log_and_one_dialog(
    shell: MainWindow, qtbot: QtBot, caplog: pytest.LogCaptureFixture
) -> None:
    before = sys.excepthook, threading.excepthook, sys.unraisablehook
    hooks = Hooks(shell.context.notify)

    def fail(number: int) -> None:
        raise ZeroDivisionError(f"in a thread {number}")

    class Reluctant:
        def __del__(self) -> None:
            raise RuntimeError("while it was freed")

    try:
        for number in range(2):
            thread = threading.Thread(target=fail, args=(number,))
            thread.start()
            thread.join()
        try:
            raise ValueError("in a slot")
        except ValueError as problem:
            sys.excepthook(type(problem), problem, problem.__traceback__)
        Reluctant()
        qWarning("a message of Qt")
    finally:
        hooks.remove()
    assert (sys.excepthook, threading.excepthook, sys.unraisablehook) == before
    qtbot.waitUntil(lambda: shell.context.notify.dialog is not None)
    report = shell.context.notify.dialog.report()  # type: ignore[union-attr]
    for words in ("in a thread 0", "in a thread 1", "in a slot", "Traceback"):
        assert words in report
    for words in ("in a thread 1", "in a slot", "while it was freed", "a message of Qt"):
        assert words in caplog.text
    assert len([w for w in QApplication.topLevelWidgets() if w.objectName() == "dialog.error"]) == 1


def test_the_log_shows_new_lines_and_filters(shell: MainWindow, qtbot: QtBot) -> None:
    import logging

    from atomseg_app.gui.log_window import LogRelay, LogWindow

    relay = LogRelay()
    window = LogWindow(relay)
    qtbot.addWidget(window)
    logger = logging.getLogger("atomseg_app.test")
    logger.addHandler(relay)
    logger.setLevel(logging.DEBUG)
    logger.debug("a detail")
    logger.warning("a warning about columns")
    threading.Thread(target=lambda: logger.info("from a thread")).start()
    qtbot.waitUntil(lambda: "from a thread" in window.text.toPlainText())
    assert "a detail" not in window.text.toPlainText()
    window.level.setCurrentText("Everything")
    assert "a detail" in window.text.toPlainText()
    QTest.keyClicks(window.words, "columns")
    assert "from a thread" not in window.text.toPlainText()
    assert "a warning about columns" in window.text.toPlainText()
    logger.removeHandler(relay)


# -- help


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
