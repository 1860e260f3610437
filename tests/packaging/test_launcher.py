"""The menu entry: valid, with its icon, and its command starts this checkout wherever that lies."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.packaging.conftest import CHECKOUT, Start, copy_checkout, starter

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="menu entries of this kind are Linux's")


def exec_arguments(entry: Path, files: list[str]) -> list[str]:
    """The Exec line as a desktop reads it: string escapes, then quoting, then field codes."""
    (value,) = re.findall(r"^Exec=(.*)$", entry.read_text("utf-8"), flags=re.MULTILINE)
    value = re.sub(r"\\(.)", lambda match: {"s": " ", "n": "\n", "t": "\t"}.get(match[1], match[1]), value)
    arguments: list[str] = []
    for quoted, plain in re.findall(r'"((?:[^"\\]|\\.)*)"|(\S+)', value):
        if plain == "%F":
            arguments += files
        else:
            arguments.append(re.sub(r"\\(.)", r"\1", quoted or plain).replace("%%", "%"))
    return arguments


def validate(entry: Path) -> None:
    if not shutil.which("desktop-file-validate"):
        pytest.skip("desktop-file-validate is missing: install desktop-file-utils")
    done = subprocess.run(["desktop-file-validate", str(entry)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_template_is_valid() -> None:
    validate(CHECKOUT / "packaging" / "AtomSeg.desktop")


def test_install_run_and_remove(surroundings: dict[str, str], tmp_path: Path) -> None:
    checkout = copy_checkout(tmp_path / 'a "quoted" folder, $HOME %f `id` back\\slash é')
    start = starter(checkout, surroundings)
    done = start("install-launcher", ATOMSEG_REQUIREMENTS="")
    assert done.returncode == 0, done.stderr
    share = tmp_path / "share"
    entry = share / "applications" / "AtomSeg.desktop"
    validate(entry)
    assert (share / "icons/hicolor/scalable/apps/atomseg.svg").read_bytes().startswith(b"<svg")
    png = (share / "icons/hicolor/48x48/apps/atomseg.png").read_bytes()
    assert png[:8] == b"\x89PNG\r\n\x1a\n"
    assert int.from_bytes(png[16:20], "big") == 48

    command = exec_arguments(entry, ["--version"])
    assert command[1:3] == [str(checkout / "main.py"), "--launched"]
    ran = subprocess.run(command, capture_output=True, text=True, check=True, cwd="/")
    assert ran.stdout.startswith("AtomSeg ")

    assert start("install-launcher", "--remove", ATOMSEG_REQUIREMENTS="").returncode == 0
    assert [path for path in share.rglob("*") if path.is_file() and path.name.lower().startswith("atomseg")] == []
    assert start("install-launcher", "--wrong", ATOMSEG_REQUIREMENTS="").returncode == 2


@pytest.mark.gui
def test_the_exec_line_opens_the_window(start: Start, tmp_path: Path, surroundings: dict[str, str]) -> None:
    display = {name: os.environ[name] for name in ("DISPLAY", "XAUTHORITY") if name in os.environ}
    if "DISPLAY" not in display:
        pytest.skip("a display is missing: run this under xvfb-run")
    assert start("install-launcher", ATOMSEG_REQUIREMENTS="").returncode == 0
    done = subprocess.run(
        exec_arguments(tmp_path / "share/applications/AtomSeg.desktop", ["window-check"]),
        env={**surroundings, **display, "ATOMSEG_REQUIREMENTS": ""},
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads(done.stdout)
    assert report["torch_imported"] is False
    assert report["first_frame_s"] > 0


def test_a_failure_without_a_terminal_is_written_where_it_says(start: Start, tmp_path: Path) -> None:
    done = start(
        "--launched", "image.dm3", QT_QPA_PLATFORM="offscreen", ATOMSEG_REQUIREMENTS=str(tmp_path / "absent.txt")
    )
    assert done.returncode == 1
    place = Path(re.findall(r"This text is also in (.*)", done.stderr)[0])
    assert "absent.txt" in place.read_text("utf-8")


@pytest.mark.parametrize(
    ("end", "code"),
    [("raise ValueError('it fell over')", 1), ("import faulthandler; faulthandler.enable(); os.abort()", 134)],
)
def test_a_crash_without_a_terminal_leaves_its_last_words(
    checkout: Path, start: Start, tmp_path: Path, end: str, code: int
) -> None:
    """The window's own exceptions, and an end that leaves it no say (Qt aborts when its platform fails)."""
    (checkout / "atomseg_app" / "gui" / "app.py").write_text(f"import os\n{end}\n")
    done = start("--launched", QT_QPA_PLATFORM="offscreen", ATOMSEG_REQUIREMENTS="")
    assert done.returncode == code
    place = Path(re.findall(r"This text is also in (.*)", done.stderr)[0])
    words = place.read_text("utf-8")
    assert ("it fell over" if code == 1 else "SIGABRT") in words
    assert "app.py" in words


def test_launchers_of_the_other_systems() -> None:
    """They cannot run here; what can be checked is what would keep them from running there."""
    command = CHECKOUT / "packaging" / "AtomSeg.command"
    assert os.access(command, os.X_OK)
    subprocess.run(["bash", "-n", str(command)], check=True)
    lines = (CHECKOUT / "packaging" / "AtomSeg.bat").read_bytes().split(b"\n")
    assert all(line.endswith(b"\r") for line in lines if line), "cmd.exe misreads labels and quotes without CR"
