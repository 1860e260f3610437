"""The Python environment of AtomSeg: made on the first start, brought up to date when the pins change.

Standard library only, because it runs before anything is installed. It is built aside and renamed when whole, so that
an interrupted start goes on where it stopped; two starts at once wait for each other. It lies beside the checkout as
``.venv``, or in the user's data folder where the checkout cannot be written.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from installer import WINDOWS, Pip, SetupError, interpreter, is_whole, site_packages
from progress import Progress

CHECKOUT = Path(__file__).resolve().parent.parent
APP_PINS = Path(os.environ.get("ATOMSEG_REQUIREMENTS") or CHECKOUT / "packaging" / "requirements.txt")
TEST_PINS = CHECKOUT / "packaging" / "requirements-test.txt"
ROOM_NEEDED = 2_500_000_000
"""Bytes free on the disk before a first set-up: the environment is 1.6 GB and pip unpacks beside it."""


def user_data_folder() -> Path:
    """The user's data folder of AtomSeg: ATOMSEG_HOME/data, or where the system keeps such data."""
    if home := os.environ.get("ATOMSEG_HOME"):
        return Path(home) / "data"
    if WINDOWS:
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local") / "AtomSeg"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "AtomSeg"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "AtomSeg"


def location(pins: Sequence[Path] = (APP_PINS,)) -> Path:
    """Folder of the environment: ``.venv`` beside the checkout, or in the user's data folder if that is read-only."""
    beside = CHECKOUT / ".venv"
    if is_ready(beside, pins) or _writable(CHECKOUT):
        return beside
    name = hashlib.sha256(os.fsencode(CHECKOUT)).hexdigest()[:12]
    return user_data_folder() / "environments" / name


def is_ready(folder: Path, pins: Sequence[Path]) -> bool:
    """Whether the environment holds exactly these pin files and the torch build that was asked for."""
    stamp = _stamp(folder)
    held = stamp.get("pins", {})
    return (
        interpreter(folder).exists()
        and all(held.get(path.name) == _digest(path) for path in pins)
        and os.environ.get("ATOMSEG_TORCH_INDEX", stamp.get("torch_index")) == stamp.get("torch_index")
    )


def ready_python(pins: Sequence[Path] = (APP_PINS,)) -> str | None:
    """A Python that has everything: the environment's, or the running one if its packages meet every pin."""
    folder = location(pins)
    if is_ready(folder, pins):
        return str(interpreter(folder))
    return sys.executable if all(_running_python_meets(path) for path in pins) else None


def ensure(pins: Sequence[Path] = (APP_PINS,), progress: Progress | None = None) -> str:
    """Path of a Python that has everything, after set-up where that is needed. Raises SetupError."""
    if python := ready_python(pins):
        return python
    progress = progress or Progress()
    folder = location(pins)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _lock(folder, progress) as lock:
            if not is_ready(folder, pins):
                _set_up(folder, pins, progress, lock)
    except OSError as problem:
        raise SetupError(f"Set-up could not write its files: {problem}") from problem
    return str(interpreter(folder))


def _set_up(folder: Path, pins: Sequence[Path], progress: Progress, lock: int) -> None:
    partial = folder.with_name(folder.name + ".partial")
    stamp = _stamp(folder)
    if interpreter(folder).exists():
        target = folder
        progress.say(f"AtomSeg brings its environment up to date in {folder}.")
    else:
        target = partial
        _clear_the_way(folder)
        progress.say(f"AtomSeg sets up its environment in {folder}. This takes a few minutes and is needed only once.")
        _make_empty(partial, progress)
    index = os.environ.get("ATOMSEG_TORCH_INDEX", stamp.get("torch_index", ""))
    other_build = index != stamp.get("torch_index", "")
    if _stamp(target):
        _drop_half_installed(target)
    _write_stamp(target, {}, stamp.get("torch_index", ""))
    pip = Pip(target, progress, lock, total=sum(len(_lines(path)) for path in pins))
    if other_build:
        torch = [line for path in pins for line in _lines(path) if line.startswith("torch==")]
        pip.install("--force-reinstall", "--no-deps", *(["--index-url", index] if index else []), *torch)
    files = [part for path in pins for part in ("-r", str(path))]
    pip.install(*files, *(["--extra-index-url", index] if index else []))
    _show_the_way_to(CHECKOUT, target)
    held = stamp.get("pins", {}) if target == folder else {}
    _write_stamp(target, {**held, **{path.name: _digest(path) for path in pins}}, index)
    if target == partial:
        _relocate(partial, folder)
        partial.rename(folder)
    progress.say("AtomSeg is set up.")


def _clear_the_way(folder: Path) -> None:
    """Make room for a new environment: one of ours whose Python is gone is removed, anything else is the user's."""
    if _stamp(folder):
        shutil.rmtree(folder)
    elif folder.exists():
        raise SetupError(f"{folder} is in the way: it is not a working Python environment. Rename or remove it.")


def _make_empty(folder: Path, progress: Progress) -> None:
    """A virtual environment with pip; a whole one left by an interrupted start is kept."""
    if interpreter(folder).exists() and is_whole(next(site_packages(folder).glob("pip-*.dist-info"), None)):
        progress.say("An earlier set-up was interrupted; going on where it stopped.")
        return
    if folder.exists():
        shutil.rmtree(folder)
    free = shutil.disk_usage(folder.parent).free
    if free < ROOM_NEEDED and APP_PINS.parent == CHECKOUT / "packaging":
        raise SetupError(f"{folder.parent} has {free / 1e9:.1f} GB free; set-up needs {ROOM_NEEDED / 1e9:.1f} GB.")
    if importlib.util.find_spec("ensurepip") is None:
        name = f"python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        raise SetupError(
            f"This Python ({sys.executable}) cannot make environments: its 'ensurepip' is missing. "
            f"On Debian and Ubuntu install it with 'sudo apt install {name}', then start again."
        )
    progress.say("  making an empty environment")
    command = [sys.executable, "-I", "-m", "venv", "--prompt", "atomseg", str(folder)]
    made = subprocess.run(command, capture_output=True, text=True, check=False)
    if made.returncode:
        raise SetupError(f"Making the environment failed: {(made.stdout + made.stderr).strip()}")


def _drop_half_installed(folder: Path) -> None:
    """Forget packages whose installation was cut short: pip takes them for installed."""
    for dist_info in site_packages(folder).glob("*.dist-info"):
        if not is_whole(dist_info):
            shutil.rmtree(dist_info)


def _show_the_way_to(checkout: Path, folder: Path) -> None:
    """Put the checkout last on the environment's path, relative where it can be so that both may move together."""
    site = site_packages(folder)
    way = os.path.relpath(checkout, site) if folder.parent == checkout else str(checkout)
    (site / "atomseg_checkout.pth").write_text(way + "\n", encoding="locale")


def _relocate(partial: Path, folder: Path) -> None:
    """Write the final path into scripts that name their Python; Windows' compiled ones cannot be changed and go."""
    old, new = os.fsencode(partial), os.fsencode(folder)
    for path in [partial / "pyvenv.cfg", *interpreter(partial).parent.iterdir()]:
        if path.is_symlink() or not path.is_file():
            continue
        content = path.read_bytes()
        if old in content and path.suffix == ".exe":
            path.unlink()
        elif old in content:
            path.write_bytes(content.replace(old, new))


def _lines(pins: Path) -> list[str]:
    try:
        lines = pins.read_text("utf-8").splitlines()
    except OSError as problem:
        raise SetupError(f"The list of packages cannot be read: {problem}") from problem
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def _running_python_meets(pins: Path) -> bool:
    """Whether every line is a pin and the running Python has just that version (of whichever build)."""
    for line in _lines(pins):
        name, _, version = line.partition("==")
        try:
            found = importlib.metadata.version(name)
        except (importlib.metadata.PackageNotFoundError, ValueError):
            return False
        if found.partition("+")[0] != version:
            return False
    return True


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as problem:
        raise SetupError(f"The list of packages cannot be read: {problem}") from problem


def _stamp(folder: Path) -> dict[str, Any]:
    try:
        stamp = json.loads((folder / "atomseg.json").read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def _write_stamp(folder: Path, pins: dict[str, str], torch_index: str) -> None:
    beside = folder / "atomseg.json.new"
    beside.write_text(json.dumps({"pins": pins, "torch_index": torch_index}), encoding="utf-8")
    beside.replace(folder / "atomseg.json")


def _writable(folder: Path) -> bool:
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def _lock(folder: Path, progress: Progress) -> Iterator[int]:
    """Only one set-up at a time; the system frees the lock of a process that dies."""
    descriptor = os.open(folder.with_name(folder.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o666)
    try:
        waiting = False
        while not _take(descriptor):
            if not waiting:
                progress.say("Another start is setting AtomSeg up; waiting for it.")
            waiting = True
            time.sleep(0.2)
        yield descriptor
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
