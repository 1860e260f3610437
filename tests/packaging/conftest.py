"""A copy of the checkout in a folder of awkward name, and tiny packages, so that set-up runs for real in seconds."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]

Start = Callable[..., subprocess.CompletedProcess[str]]


def copy_checkout(folder: Path) -> Path:
    """The files that a start needs, copied to ``folder``."""
    folder.mkdir(parents=True)
    shutil.copy(CHECKOUT / "main.py", folder)
    for name in ("packaging", "atomseg_app", "resources"):
        shutil.copytree(CHECKOUT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the checkout in a folder whose name has spaces and letters beyond ASCII."""
    return copy_checkout(tmp_path / "dossier é (copie) 100%")


def make_wheel(folder: Path, name: str, version: str) -> Path:
    """A wheel with one module ``name`` that knows its version, and a script of that name."""
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": f"VERSION = {version!r}\n\n\ndef main():\n    print(VERSION)\n",
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[console_scripts]\n{name} = {name}:main\n",
    }
    digest = {path: base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()) for path, text in files.items()}
    record = "".join(f"{path},sha256={digest[path].decode().rstrip('=')},{len(files[path])}\n" for path in files)
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in {**files, f"{info}/RECORD": f"{record}{info}/RECORD,,\n"}.items():
            archive.writestr(path, text)
    return wheel


def pin(requirements: Path, wheels: Path, *lines: str) -> None:
    """Write a requirements file that takes its packages from ``wheels`` alone."""
    requirements.write_text("\n".join(["--no-index", f"--find-links {wheels.as_uri()}", *lines]) + "\n", "utf-8")


@pytest.fixture
def surroundings(tmp_path: Path) -> dict[str, str]:
    """Variables of a start that sets up the tiny packages and writes its menu entry to a folder of this test."""
    pin(tmp_path / "pins.txt", tmp_path / "wheels", "atomdemo==1.0")
    make_wheel(tmp_path / "wheels", "atomdemo", "1.0")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "QT_", "ATOMSEG_"))}
    kept = {name: value for name, value in kept.items() if name not in ("DISPLAY", "WAYLAND_DISPLAY")}
    return {
        **kept,
        "ATOMSEG_HOME": str(tmp_path / "home"),
        "ATOMSEG_REQUIREMENTS": str(tmp_path / "pins.txt"),
        "XDG_DATA_HOME": str(tmp_path / "share"),
        "NO_PROXY": "127.0.0.1",
    }


@pytest.fixture
def start(checkout: Path, surroundings: dict[str, str]) -> Start:
    """Run ``main.py`` of the copy with these arguments; keyword arguments change variables of its environment."""
    return starter(checkout, surroundings)


def starter(checkout: Path, surroundings: dict[str, str]) -> Start:
    """Function that runs ``main.py`` of this copy."""

    def run(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, str(checkout / "main.py"), *arguments],
            env={**surroundings, **variables},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run
