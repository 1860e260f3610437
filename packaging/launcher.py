"""Puts AtomSeg into the desktop's menu with its icon, and takes it out: ``python3 main.py install-launcher``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

PACKAGING = Path(__file__).resolve().parent
CHECKOUT = PACKAGING.parent
ICONS = CHECKOUT / "resources" / "icons"
PNG_SIZES = (16, 32, 48, 64, 128, 256)


def main(arguments: list[str]) -> int:
    """Install, or with ``--remove`` remove, the menu entry of this user; returns an exit code."""
    if arguments not in ([], ["--remove"]):
        sys.stderr.write("Usage: python3 main.py install-launcher [--remove]\n")
        return 2
    if not sys.platform.startswith("linux"):
        name = "AtomSeg.command" if sys.platform == "darwin" else "AtomSeg.bat"
        print(f"On this system double-click {PACKAGING / name}, or make a shortcut to it.")
        return 0
    files = _places(Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"))
    entry = next(iter(files))
    if arguments:
        for target in files:
            target.unlink(missing_ok=True)
        print("AtomSeg was taken out of the menu.")
    else:
        for target, source in files.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            _replace(target, source.read_bytes() if source.suffix != ".desktop" else _entry(source).encode())
        print(f"AtomSeg is in the menu: {entry}")
    theme = entry.parents[1] / "icons" / "hicolor"
    for refresh in (
        ["update-desktop-database", "-q", str(entry.parent)],
        ["gtk-update-icon-cache", "-qtf", str(theme)],
    ):
        if shutil.which(refresh[0]):
            subprocess.run(refresh, capture_output=True, check=False)
    return 0


def _places(data: Path) -> dict[Path, Path]:
    """Source of every file that is installed, by its target; the menu entry first."""
    theme = data / "icons" / "hicolor"
    files = {data / "applications" / "AtomSeg.desktop": PACKAGING / "AtomSeg.desktop"}
    files[theme / "scalable" / "apps" / "atomseg.svg"] = ICONS / "atomseg.svg"
    for size in PNG_SIZES:
        files[theme / f"{size}x{size}" / "apps" / "atomseg.png"] = ICONS / f"atomseg-{size}.png"
    return files


def _entry(template: Path) -> str:
    """The menu entry with the command of this checkout and this Python."""
    command = " ".join(_quoted(part) for part in (sys.executable, str(CHECKOUT / "main.py"), "--launched"))
    return template.read_text("utf-8").replace("Exec=atomseg-window", f"Exec={command}")


def _quoted(argument: str) -> str:
    """An argument as the Desktop Entry Specification wants it in Exec: quoted, then escaped as a string value."""
    for sign in ("\\", '"', "`", "$"):
        argument = argument.replace(sign, "\\" + sign)
    return '"' + argument.replace("\\", "\\\\").replace("%", "%%") + '"'


def _replace(target: Path, content: bytes) -> None:
    beside = target.with_name(target.name + ".new")
    beside.write_bytes(content)
    beside.replace(target)
