"""Starting the program as users do: as a process, with arguments, twice, and with nothing heavy in the window."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QUrl
from PySide6.QtGui import QFileOpenEvent
from PySide6.QtNetwork import QLocalSocket
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from atomseg_app import __version__, places
from atomseg_app.gui import instances
from atomseg_app.gui.app import Application
from atomseg_app.gui.instances import InstanceServer, server_name
from atomseg_app.gui.main_window import MainWindow
from atomseg_app.gui.settings import THEME, Settings

ROOT = Path(__file__).parents[2]
FIRST_FRAME_S = 2.5
START_MS = 30_000


def start(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the window's program to its end."""
    return subprocess.run(
        [sys.executable, "-m", "atomseg_app.gui.app", *arguments],
        cwd=ROOT, env={**os.environ, **variables}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_the_version_is_printed() -> None:
    done = start("--version")
    assert (done.returncode, done.stdout.strip()) == (0, f"AtomSeg {__version__}")


def test_the_system_is_described() -> None:
    done = start("--info")
    assert done.returncode == 0
    assert "numpy" in done.stdout


def test_unknown_options_are_a_usage_error() -> None:
    done = start("--no-such-option")
    assert done.returncode == 2
    assert "usage" in done.stderr


def test_the_first_frame_comes_soon_and_nothing_heavy_is_imported() -> None:
    """Time of the processor until then: the clock would measure the neighbours."""
    start("window-check")  # warm the file cache
    facts = json.loads(start("window-check").stdout)
    assert facts["torch_imported"] is False
    assert facts["heavy_modules"] == []
    assert facts["first_frame_s"] > 0
    assert 0 < facts["first_frame_processor_s"] <= FIRST_FRAME_S


def test_window_check_leaves_no_settings_behind(atomseg_home: Path) -> None:
    done = start("window-check")
    assert done.returncode == 0, done.stderr
    assert not (places.settings_folder() / "settings.json").exists()
    assert "session" in (places.log_folder() / "atomseg.log").read_text("utf-8")


def test_settings_are_reset_and_safe_mode_keeps_them(qtbot: QtBot) -> None:
    settings = Settings()
    settings.set(THEME, "dark")
    settings.flush()
    before = settings.path.read_bytes()
    assert start("window-check", "--safe-mode").returncode == 0
    assert settings.path.read_bytes() == before
    settings = Settings()
    settings.reset()
    assert json.loads(settings.path.read_text("utf-8")) == {}


@pytest.fixture
def server(shell: MainWindow) -> InstanceServer:
    """A window that others find."""
    server = InstanceServer(shell)
    assert server.listen()
    return server


def test_a_second_start_hands_its_file_over(
    shell: MainWindow, server: InstanceServer, qtbot: QtBot, image_file: Path
) -> None:
    received: list[list[str]] = []
    server.files.connect(received.append)
    second = subprocess.Popen(
        [sys.executable, "-m", "atomseg_app.gui.app", image_file.name], cwd=image_file.parent,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    qtbot.waitUntil(lambda: bool(received), timeout=START_MS)
    assert received == [[str(image_file)]], "as a full path, whatever the working folder"
    assert second.wait(timeout=20) == 0


@pytest.mark.parametrize("message", [
    b"GET / HTTP/1.1\r\n\r\n", b"atomseg-open 1\n{}\n", b"atomseg-open 1\n[1, 2]\n", b"atomseg-open 1\nnot json\n",
])  # fmt: skip
def test_other_messages_are_refused(server: InstanceServer, qtbot: QtBot, message: bytes) -> None:
    received: list[object] = []
    server.files.connect(received.append)
    socket = QLocalSocket()
    socket.connectToServer(server_name())
    assert socket.waitForConnected(1000)
    with qtbot.waitSignal(socket.disconnected, timeout=2000):
        socket.write(message)
        socket.flush()
    assert received == []


def test_the_socket_of_a_crashed_window_is_taken_over(shell: MainWindow) -> None:
    crash = "import os; from PySide6.QtCore import QCoreApplication, QObject; a = QCoreApplication([]); o = QObject();"
    crash += (
        "from atomseg_app.gui.instances import InstanceServer; s = InstanceServer(o); assert s.listen(); os._exit(1)"
    )
    subprocess.run([sys.executable, "-c", crash], cwd=ROOT, check=False, timeout=30)
    assert not instances.hand_over([])
    assert InstanceServer(shell).listen()


def test_one_window_serves(server: InstanceServer, shell: MainWindow) -> None:
    assert not InstanceServer(shell).listen()


def test_files_the_system_asks_for_are_opened(qapp: QApplication, qtbot: QtBot, tmp_path: Path) -> None:
    assert isinstance(qapp, Application)
    with qtbot.waitSignal(qapp.file_asked) as asked:
        QApplication.sendEvent(qapp, QFileOpenEvent(QUrl.fromLocalFile(str(tmp_path / "a b.dm3"))))
    assert asked.args == [str(tmp_path / "a b.dm3")]


def test_opening_a_large_file_does_not_stop_the_window(
    make_window: Callable[..., MainWindow], watchdog: object, qtbot: QtBot, tmp_path: Path
) -> None:
    path = tmp_path / "large.npy"
    large = np.lib.format.open_memmap(path, "w+", np.float32, (16384, 16384))  # 1 GiB, sparse
    large[0, 0] = 1
    del large
    window = make_window()
    window.open_paths([str(path)])
    qtbot.waitUntil(lambda: not window.session.empty, timeout=START_MS)
    assert window.tabs["plain"].items[0].shape == (16384, 16384)  # type: ignore[attr-defined]
