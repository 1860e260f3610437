"""Jobs, notices and hooks: progress, cancel, closing, device badge, toasts, one error dialog."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest
from PySide6.QtCore import qWarning
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QApplication,
    QPushButton,
    QWidget,
)
from pytestqt.qtbot import QtBot

from atomseg_app.errors import UserError
from atomseg_app.gui.hooks import Hooks
from atomseg_app.gui.main_window import MainWindow
from atomseg_app.gui.preferences import Preferences
from atomseg_app.jobs.tasks import EXTRA_TASKS, Task
from tests.gui.driving import OPEN_MS, Button, answer

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
    qtbot.waitUntil(lambda: "line" in panel.log.toPlainText())  # type: ignore[attr-defined]
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
