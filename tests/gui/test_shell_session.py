"""Projects: saved, reopened, recovered after a crash, locked for a second window, found again when moved."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QTimer
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from atomseg_app.data import Image
from atomseg_app.gui.app import workspaces
from atomseg_app.gui.main_window import MainWindow
from atomseg_app.gui.project_dialogs import LocateDialog, RecoveryDialog
from atomseg_app.gui.questions import Question
from atomseg_app.gui.session import JOURNAL_EDITS
from atomseg_app.gui.settings import AUTOSAVE_S, RECENT_FILES
from atomseg_app.gui.welcome import samples
from atomseg_app.io import journal, projects
from tests.gui.driving import OPEN_MS, Button, answer, drop, plain
from tests.gui.plain_tab import PlainTab

ROOT = Path(__file__).parents[2]


def made_here(values: float = 3.0) -> Image:
    """An image that exists in no file."""
    return Image(np.full((6, 7), values, np.float32), (0.1, 0.1))


def open_file(window: MainWindow, qtbot: QtBot, path: Path) -> None:
    """Open an image and wait until it is shown."""
    count = len(plain(window).items)
    window.open_paths([str(path)])
    qtbot.waitUntil(lambda: len(plain(window).items) == count + 1, timeout=OPEN_MS)


def save(window: MainWindow, qtbot: QtBot, path: Path) -> None:
    """Save the project and wait."""
    saved: list[None] = []
    window.session.save(path, lambda: saved.append(None))
    qtbot.waitUntil(lambda: bool(saved), timeout=OPEN_MS)


def when_shown(kind: type, act: Callable[[object], object]) -> None:
    """Call ``act`` with the next modal dialog of a kind."""

    def look() -> None:
        dialog = QApplication.activeModalWidget()
        if isinstance(dialog, kind):
            act(dialog)
        else:
            QTimer.singleShot(20, look)

    QTimer.singleShot(20, look)


def test_a_project_is_saved_and_comes_back(
    shell: MainWindow, make_window: Callable[..., MainWindow], qtbot: QtBot, image_file: Path, tmp_path: Path
) -> None:
    open_file(shell, qtbot, image_file)
    shell.show_item(made_here())
    plain(shell).calibrate(0.5)
    plain(shell).note = "two images"
    path = tmp_path / "näme with space.atomseg"
    save(shell, qtbot, path)
    assert shell.windowTitle() == "näme with space - AtomSeg"
    assert shell.context.settings.get(RECENT_FILES)[0] == str(path)
    shell.close_now()
    again = make_window(PlainTab)
    assert drop(again, again.rect().center(), [path])
    qtbot.waitUntil(lambda: len(plain(again).items) == 2, timeout=OPEN_MS)
    assert np.array_equal(plain(again).items[0].values, np.load(image_file))
    assert np.array_equal(plain(again).items[1].values, made_here().values)
    assert [item.pixel_size_nm for item in plain(again).items] == [(0.5, 0.5), (0.5, 0.5)]
    assert plain(again).note == "two images"
    assert not again.session.dirty
    assert again.stack.currentWidget() is plain(again)


def test_the_real_workspaces_are_saved_and_come_back(
    main_window: MainWindow, make_window: Callable[..., MainWindow], qtbot: QtBot, tmp_path: Path
) -> None:
    for sample in samples():
        main_window.open_paths([str(sample.path)])

    def opened(window: MainWindow) -> list[tuple[str, str]]:
        items = [item for tab in window.tabs.values() for item in tab.save_state()[1] if item.kind != "columns"]
        return [(item.kind, item.source.name) for item in items]

    qtbot.waitUntil(lambda: len(opened(main_window)) == len(samples()), timeout=OPEN_MS)
    before, items = {name: tab.save_state()[0] for name, tab in main_window.tabs.items()}, opened(main_window)
    path = tmp_path / "real.atomseg"
    save(main_window, qtbot, path)
    assert path.stat().st_size < 100_000, "images are referred to, not copied"
    main_window.close_now()
    again = make_window(*workspaces())
    again.flow.open_path(str(path))
    qtbot.waitUntil(lambda: not again.session.empty, timeout=OPEN_MS)
    assert {name: tab.save_state()[0] for name, tab in again.tabs.items()} == before
    assert opened(again) == items
    assert not again.session.dirty


def test_the_star_comes_and_goes(shell: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    shell.show_item(made_here())
    plain(shell).calibrate(0.5)
    assert "*" in shell.windowTitle()
    save(shell, qtbot, tmp_path / "p.atomseg")
    assert "*" not in shell.windowTitle()
    plain(shell).calibrate(0.6)
    assert "*" in shell.windowTitle()
    shell.context.undo.undo()
    assert "*" not in shell.windowTitle(), "back at the saved state"
    plain(shell).changed.emit()
    assert "*" in shell.windowTitle(), "a tab may change beyond the undo stack"


def test_an_edit_while_saving_stays_unsaved(shell: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    shell.show_item(made_here())
    plain(shell).calibrate(0.5)
    shell.session.save(tmp_path / "p.atomseg")
    plain(shell).calibrate(0.7)
    qtbot.waitUntil(lambda: not shell.session.saving, timeout=OPEN_MS)
    assert shell.session.dirty


def test_a_failed_save_keeps_the_old_file_and_tells_why(shell: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    shell.show_item(made_here())
    blocked = tmp_path / "folder.atomseg"
    blocked.mkdir()
    plain(shell).calibrate(0.5)
    shell.session.save(blocked)
    qtbot.waitUntil(lambda: shell.context.notify.dialog is not None, timeout=OPEN_MS)
    assert "folder.atomseg" in shell.context.notify.dialog.report()  # type: ignore[union-attr]
    assert shell.session.dirty
    assert shell.session.path is None
    assert shell.isVisible()


@pytest.mark.parametrize("choice", ["Save", "Don't save", "Cancel"])
def test_closing_asks_about_unsaved_work(shell: MainWindow, qtbot: QtBot, tmp_path: Path, choice: str) -> None:
    path = tmp_path / "p.atomseg"
    shell.show_item(made_here())
    save(shell, qtbot, path)
    before = path.read_bytes()
    plain(shell).calibrate(0.5)
    asked: list[Question] = []
    answer(choice, asked)
    shell.close()
    assert len(asked) == 1
    if choice == "Cancel":
        assert shell.isVisible()
        assert path.read_bytes() == before
        return
    qtbot.waitUntil(lambda: not shell.isVisible(), timeout=OPEN_MS)
    assert shell.closed
    assert (path.read_bytes() == before) == (choice == "Don't save")
    assert not list((journal._folder()).glob("*.atomseg")), "no recovery is offered after an orderly end"


def test_nothing_is_asked_when_nothing_can_be_lost(shell: MainWindow, qtbot: QtBot, image_file: Path) -> None:
    open_file(shell, qtbot, image_file)
    shell.close()
    assert not shell.isVisible()


def test_new_project_empties_the_window(shell: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    shell.show_item(made_here())
    save(shell, qtbot, tmp_path / "p.atomseg")
    shell.context.actions.trigger("project.new")
    assert shell.session.empty
    assert shell.windowTitle() == "Untitled - AtomSeg"
    assert shell.stack.currentWidget() is shell.start_page
    assert not shell.context.undo.undo_text()


def test_a_damaged_project_changes_nothing(shell: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    shell.show_item(made_here())
    bad = tmp_path / "bad.atomseg"
    bad.write_bytes(b"PK\x03\x04 half a project")
    shell.open_paths([str(bad)])
    qtbot.waitUntil(lambda: shell.context.notify.dialog is not None, timeout=OPEN_MS)
    assert "bad.atomseg" in shell.context.notify.dialog.report()  # type: ignore[union-attr]
    assert len(plain(shell).items) == 1


def test_a_second_window_opens_the_project_read_only(
    shell: MainWindow, make_window: Callable[..., MainWindow], qtbot: QtBot, tmp_path: Path
) -> None:
    shell.show_item(made_here())
    path = tmp_path / "p.atomseg"
    save(shell, qtbot, path)
    second = make_window(PlainTab)
    second.flow.open_path(str(path))
    qtbot.waitUntil(lambda: len(plain(second).items) == 1, timeout=OPEN_MS)
    assert "(read-only)" in second.windowTitle()
    assert any("open in another window" in text for text in second.context.notify.banners.texts())
    second.close_now()
    shell.close_now()
    third = make_window(PlainTab)
    third.flow.open_path(str(path))
    qtbot.waitUntil(lambda: len(plain(third).items) == 1, timeout=OPEN_MS)
    assert not third.session.read_only, "the lock goes with its window"


def test_moved_files_are_found_with_their_siblings(
    shell: MainWindow, make_window: Callable[..., MainWindow], qtbot: QtBot, tmp_path: Path
) -> None:
    old, new = tmp_path / "old" / "day", tmp_path / "archive" / "day"
    old.mkdir(parents=True)
    for name in ("one", "two", "three"):
        np.save(old / f"{name}.npy", np.ones((5, 6), np.float32))
        open_file(shell, qtbot, old / f"{name}.npy")
    path = tmp_path / "projects" / "p.atomseg"
    path.parent.mkdir()
    save(shell, qtbot, path)
    shell.close_now()
    new.parent.mkdir()
    old.rename(new)
    again = make_window(PlainTab)
    asked: list[str] = []

    def locate(dialog: LocateDialog) -> None:
        asked.append(dialog.heading.text())
        dialog.found(old / "two.npy", new / "two.npy")

    when_shown(LocateDialog, locate)  # type: ignore[arg-type]
    again.flow.open_path(str(path))
    qtbot.waitUntil(lambda: len(plain(again).items) == 3, timeout=OPEN_MS)
    assert asked == ["3 files of this project cannot be found"]
    assert {Path(item.source.path).parent for item in plain(again).items} == {new}
    assert not again.session.read_only


def test_without_its_files_a_project_opens_read_only(
    shell: MainWindow, make_window: Callable[..., MainWindow], qtbot: QtBot, image_file: Path, tmp_path: Path
) -> None:
    open_file(shell, qtbot, image_file)
    shell.show_item(made_here())
    save(shell, qtbot, tmp_path / "p.atomseg")
    shell.close_now()
    image_file.unlink()
    again = make_window(PlainTab)
    when_shown(LocateDialog, lambda dialog: dialog.accept())  # type: ignore[attr-defined]
    again.flow.open_path(str(tmp_path / "p.atomseg"))
    qtbot.waitUntil(lambda: len(plain(again).items) == 1, timeout=OPEN_MS)
    assert again.session.read_only
    assert any(image_file.name in text for text in again.context.notify.banners.texts())


def test_the_journal_is_written_after_twenty_edits_off_the_window_thread(shell: MainWindow, qtbot: QtBot) -> None:
    shell.show_item(made_here())
    for number in range(JOURNAL_EDITS - 1):
        plain(shell).calibrate(0.1 + 0.01 * number)
    qtbot.wait(100)
    assert not list(journal._folder().glob("*.atomseg"))
    plain(shell).calibrate(0.5)
    qtbot.waitUntil(lambda: len(list(journal._folder().glob("*.atomseg"))) == 1)
    assert journal.list_recoverable() == [], "the window that wrote it is alive"


def test_the_journal_is_written_after_some_time_and_goes_with_a_save(
    shell: MainWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    shell.context.settings.set(AUTOSAVE_S, 5)
    shell.session._timer.setInterval(50)
    shell.show_item(made_here())
    qtbot.wait(200)
    assert not list(journal._folder().glob("*.atomseg")), "nothing to lose yet"
    plain(shell).calibrate(0.5)
    qtbot.waitUntil(lambda: len(list(journal._folder().glob("*.atomseg"))) == 1)
    save(shell, qtbot, tmp_path / "p.atomseg")
    qtbot.waitUntil(lambda: not list(journal._folder().glob("*.atomseg")))


VICTIM = """
    import sys
    import numpy as np
    from PySide6.QtCore import QTimer
    from atomseg_app.data import Image
    from atomseg_app.gui.app import make_application
    from atomseg_app.gui.main_window import MainWindow
    from atomseg_app.gui.settings import Settings
    from atomseg_app.jobs.engine import JobEngine
    from atomseg_app.jobs.host import Host
    from tests.gui.plain_tab import PlainTab

    app = make_application()
    window = MainWindow(app, Settings(), (PlainTab,), jobs=JobEngine(Host(warm=False)))
    window.show()
    window.show_item(Image(np.full((6, 7), 5, np.float32), (0.1, 0.1)))
    window.open_paths([sys.argv[1]])
    tab = window.tabs["plain"]

    def edit():
        if len(tab.items) == 2:
            tab.note = "before the crash"
            for number in range(20):
                tab.calibrate(0.2 + number)
            window.background.run(lambda: print("journaled", flush=True))  # behind the journal on its thread
            timer.stop()

    timer = QTimer(interval=20)
    timer.timeout.connect(edit)
    timer.start()
    app.exec()
"""


def test_work_is_recovered_after_kill_9(
    make_window: Callable[..., MainWindow], qtbot: QtBot, image_file: Path, atomseg_home: Path
) -> None:
    program = [sys.executable, "-c", textwrap.dedent(VICTIM), str(image_file)]
    victim = subprocess.Popen(program, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert victim.stdout is not None
    assert victim.stdout.readline().strip() == "journaled"
    os.kill(victim.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    victim.wait()
    victim.stdout.close()
    time.sleep(0.2)  # the compute process sees that its window is gone
    window = make_window(PlainTab)
    offered: list[tuple[str, str]] = []

    def recover(dialog: RecoveryDialog) -> None:
        row = dialog.list.topLevelItem(0)
        assert row is not None
        offered.append((row.text(0), row.text(1)))
        QTest.mouseClick(dialog.recover_button, Button.LeftButton)

    when_shown(RecoveryDialog, recover)  # type: ignore[arg-type]
    window.flow.offer_recovery()
    qtbot.waitUntil(lambda: len(plain(window).items) == 2, timeout=OPEN_MS)
    assert offered[0][0].startswith(time.strftime("%Y-%m-%d"))
    assert image_file.name in offered[0][1]
    assert plain(window).note == "before the crash"
    assert plain(window).items[0].pixel_size_nm == (19.2, 19.2)
    assert np.array_equal(plain(window).items[1].values, np.load(image_file))
    assert window.session.dirty, "recovered work is not saved yet"
    qtbot.waitUntil(lambda: len(list(journal._folder().glob("*.atomseg"))) == 1)
    assert journal.list_recoverable() == []


def test_recovery_can_be_put_off_or_discarded(make_window: Callable[..., MainWindow], qtbot: QtBot) -> None:
    window = make_window(PlainTab)
    left = journal._folder() / "999999-dead.atomseg"
    projects.write_snapshot(left, projects.Project({"plain": projects.TabState({}, (made_here(),))}))
    when_shown(RecoveryDialog, lambda dialog: dialog.reject())  # type: ignore[attr-defined]
    window.flow.offer_recovery()
    qtbot.wait(300)
    assert left.exists()
    when_shown(RecoveryDialog, lambda dialog: QTest.mouseClick(dialog.discard_button, Button.LeftButton))  # type: ignore[attr-defined]
    window.flow.offer_recovery()
    qtbot.waitUntil(lambda: not left.exists())
    assert window.session.empty


def test_an_unreadable_recovery_copy_does_not_stop_the_start(
    make_window: Callable[..., MainWindow], qtbot: QtBot
) -> None:
    window = make_window(PlainTab)
    (journal._folder() / "999999-cut.atomseg").write_bytes(b"PK\x03\x04")
    usable: list[bool] = []

    def look(dialog: RecoveryDialog) -> None:
        usable.append(dialog.recover_button.isEnabled())
        dialog.reject()

    when_shown(RecoveryDialog, look)  # type: ignore[arg-type]
    window.flow.offer_recovery()
    qtbot.waitUntil(lambda: usable == [False])


def test_a_newer_project_opens_for_reading_only(shell: MainWindow, qtbot: QtBot, tmp_path: Path) -> None:
    path = tmp_path / "new.atomseg"
    projects.save_project(path, projects.Project({"plain": projects.TabState({"note": "x"}, (made_here(),))}))
    newer = replace(projects.load_project(path), read_only=True, schema=99, message="Made by a newer version.")
    shell.session.show(newer)
    assert shell.session.read_only
    assert "Made by a newer version." in shell.context.notify.banners.texts()
    assert json.dumps(plain(shell).note) == '"x"'
