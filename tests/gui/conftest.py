"""Fixtures of the window's tests: a real window in its own home, watched for stalls, leaks and exceptions."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest
from PySide6.QtCore import QCoreApplication, QEvent, QPoint
from PySide6.QtWidgets import QApplication, QWidget
from pytestqt.qtbot import QtBot

from atomseg_app.gui.app import Application, workspaces
from atomseg_app.gui.main_window import MainWindow
from atomseg_app.gui.settings import Settings
from atomseg_app.gui.tab import Tab
from atomseg_app.gui.watchdog import StallWatchdog
from atomseg_app.jobs.engine import JobEngine
from atomseg_app.jobs.host import Host
from tests.gui.plain_tab import PlainTab

LONGEST_STALL_S = 1.0


@pytest.fixture(scope="session")
def qapp_cls() -> type[QApplication]:
    """The program's own application class."""
    return Application


@pytest.fixture
def make_window(qtbot: QtBot, atomseg_home: Path) -> Iterator[Callable[..., MainWindow]]:
    """Function that opens a window with the given workspaces. Afterwards: no process, thread or widget is left."""
    before = {thread for thread in threading.enumerate() if not thread.daemon}
    children = {child.pid for child in psutil.Process().children(recursive=True)}
    windows: list[MainWindow] = []

    def make(*tabs: type[Tab], settings: Settings | None = None, show: bool = True) -> MainWindow:
        jobs = JobEngine(Host(warm=False))
        window = MainWindow(QApplication.instance(), settings or Settings(), tabs or (PlainTab,), jobs=jobs)
        windows.append(window)
        if show:
            with qtbot.waitExposed(window):
                window.show()
            window.activateWindow()
            qtbot.waitUntil(window.isActiveWindow)
        return window

    yield make
    for window in windows:
        close_without_asking(window)
        window.deleteLater()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)
    left = [widget for widget in QApplication.topLevelWidgets() if widget.isVisible()]
    assert not left, f"windows left open: {[(w.objectName(), type(w).__name__) for w in left]}"
    threads = [thread.name for thread in threading.enumerate() if not thread.daemon and thread not in before]
    assert not threads, f"threads left running: {threads}"
    deadline = time.monotonic() + 5
    while left_behind(children) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not left_behind(children), f"processes left running: {left_behind(children)}"


@pytest.fixture
def watchdog() -> Iterator[StallWatchdog]:
    """Fails a test in which the program keeps the event loop for a second; logs from 0.2 s on."""
    dog = StallWatchdog(counts=lambda stack: os.sep + "atomseg_app" + os.sep in stack)
    dog.start()
    yield dog
    dog.stop()
    limit_s = LONGEST_STALL_S * crowding()
    stalls = [f"{stall.seconds:.2f} s in\n{stall.stack}" for stall in dog.stalls if stall.seconds > limit_s]
    assert not stalls, "the window did not answer for " + "\n".join(stalls)


@pytest.fixture
def shell(make_window: Callable[..., MainWindow], watchdog: StallWatchdog) -> MainWindow:
    """The window with a plain workspace."""
    window = make_window(PlainTab)
    watchdog.reset()
    return window


@pytest.fixture
def main_window(make_window: Callable[..., MainWindow], watchdog: StallWatchdog) -> MainWindow:
    """The window as users get it, the workspace in front built, as it is soon after the first frame."""
    window = make_window(*workspaces())
    window.current_tab().build()
    watchdog.reset()
    return window


@pytest.fixture
def screenshot() -> Callable[[QWidget, str], None]:
    """Function that saves a picture of a widget as ``NAME.png`` in $ATOMSEG_SCREENSHOTS, if that is set."""

    def save(widget: QWidget, name: str) -> None:
        folder = os.environ.get("ATOMSEG_SCREENSHOTS")
        if folder:
            Path(folder).mkdir(parents=True, exist_ok=True)
            screen = widget.screen()
            corner = widget.mapToGlobal(QPoint(0, 0))
            shown = screen.grabWindow(0, corner.x(), corner.y(), widget.width(), widget.height())
            (shown if not shown.isNull() else widget.grab()).save(str(Path(folder) / f"{name}.png"))

    return save


@pytest.fixture
def image_file(tmp_path: Path) -> Path:
    """A small image of seeded noise as NPY, with a space and a letter beyond ASCII in its path."""
    path = tmp_path / "bilder für heute" / "image one.npy"
    path.parent.mkdir()
    np.save(path, np.random.default_rng(1).normal(100, 10, (48, 64)).astype(np.float32))
    return path


def close_without_asking(window: MainWindow) -> None:
    """Close a window as a user would who gives up everything."""
    if window.isVisible() or not window.closed:
        window.cancel_all_jobs()
        window.close_now()


def crowding() -> float:
    """How many processes share a core just now, at least 1: what the clock says of one is to be divided by it."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1)) if hasattr(os, "getloadavg") else 1.0


def left_behind(before: set[int]) -> list[str]:
    """Child processes that were not there before and are alive."""
    found = []
    for child in psutil.Process().children(recursive=True):
        if child.pid not in before:
            try:
                if child.status() != psutil.STATUS_ZOMBIE:
                    found.append(" ".join(child.cmdline()))
            except psutil.NoSuchProcess:
                continue
    return found
