"""What a start has to know before Qt, torch or even the environment: standard library only.

Which door a command line opens (the window or the commands), whether there is a display, and how to show a failure
where nobody looks at a terminal.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

NO_DISPLAY = (
    "AtomSeg's window needs a display, and there is none (neither DISPLAY nor WAYLAND_DISPLAY is set).\n"
    "Start it in a desktop session, or use the commands, which need none:\n"
    "  python3 main.py find-columns IMAGES... -o RESULTS\n"
    "  python3 main.py --help\n"
)


def opens_window(arguments: Sequence[str]) -> bool:
    """Whether these arguments are for the window: none, one of its options, ``window-check``, or files to open.

    A bare word in lower case is a command; a file of such a name is opened as ``./name`` or with ``--open name``.
    """
    if not arguments or arguments[0] == "window-check":
        return True
    first = arguments[0]
    if first.startswith("-"):
        return first.partition("=")[0] in ("--open", "--safe-mode", "--reset-settings")
    return re.fullmatch(r"[a-z][a-z0-9-]*", first) is None


def has_display(variables: Mapping[str, str] = os.environ, system: str = sys.platform) -> bool:
    """Whether Qt can show a window: always outside Linux; there with a display or a platform that needs none."""
    if not system.startswith("linux"):
        return True
    platform = variables.get("QT_QPA_PLATFORM", "").partition(":")[0].partition(";")[0]
    if platform and platform != "xcb" and not platform.startswith("wayland"):
        return True
    return bool(variables.get("DISPLAY") or variables.get("WAYLAND_DISPLAY"))


def show_failure(text: str, log: Path, arguments: Sequence[str] = ()) -> None:
    """Tell why a start failed: on standard error, in ``log``, and in a dialog where no terminal shows the former.

    A ``window-check`` gets no dialog, because a program waits for its answer; a supervised window gets its dialog from
    the one who supervises (ATOMSEG_SUPERVISED is set).
    """
    _say(text)
    place = ""
    with contextlib.suppress(OSError):
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text(text, encoding="utf-8")
        place = f"\n\nThis text is also in {log}"
    lines = text.strip().splitlines()
    if len(lines) > 8:  # a dialog shows what went wrong; where in the program is in the file
        text = "\n".join([lines[0], "...", *lines[-2:]])
    terminal = sys.stderr is not None and sys.stderr.isatty()
    silent = terminal or "window-check" in arguments or "ATOMSEG_SUPERVISED" in os.environ
    if silent or not _show_dialog("AtomSeg could not start", text + place):
        _say(place)


def _say(text: str) -> None:
    if sys.stderr is not None:  # Windows gives a program without a console none
        sys.stderr.write(text.strip() + "\n")


def _show_dialog(title: str, text: str) -> bool:
    """Show a dialog by whatever this system has; False if it has nothing or no display."""
    if sys.platform == "win32":
        import ctypes

        return bool(ctypes.windll.user32.MessageBoxW(None, text, title, 0x10))
    if sys.platform != "darwin" and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return False
    by_tk = "import sys, tkinter.messagebox as m, tkinter as t; t.Tk().withdraw(); m.showerror(*sys.argv[1:])"
    by_osascript = 'on run {title, words}\ndisplay dialog words with title title buttons {"OK"} with icon stop\nend run'
    for command in (
        ["osascript", "-e", by_osascript, title, text],
        ["zenity", "--error", "--no-markup", "--width=600", f"--title={title}", f"--text={text}"],
        ["kdialog", "--title", title, "--error", text],
        [sys.executable, "-c", by_tk, title, text],
        ["xmessage", "-center", text],
    ):
        if shutil.which(command[0]) and subprocess.run(command, capture_output=True, check=False).returncode == 0:
            return True
    return False
