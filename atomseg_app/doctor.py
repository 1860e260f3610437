"""What AtomSeg runs on, what is broken there, and how to mend it: ``atomseg doctor`` and Help > System information."""

from __future__ import annotations

import ctypes
import importlib.metadata
import importlib.util
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from atomseg_app import __version__, places, start

PACKAGE_OF = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libOpenGL.so.0": "libopengl0",
    "libX11.so.6": "libx11-6",
    "libX11-xcb.so.1": "libx11-xcb1",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libgthread-2.0.so.0": "libglib2.0-0",
    "libwayland-client.so.0": "libwayland-client0",
    "libwayland-cursor.so.0": "libwayland-cursor0",
    "libxcb.so.1": "libxcb1",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render.so.0": "libxcb-render0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-shm.so.0": "libxcb-shm0",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-util.so.1": "libxcb-util1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
}
"""Debian's and Ubuntu's package of each system library that Qt's wheels expect."""

HOW_TO_GET_CUDA = (
    "To compute on an NVIDIA card, start once with ATOMSEG_TORCH_INDEX=ADDRESS python3 main.py doctor, where ADDRESS "
    "is the package index that pytorch.org ('Get Started') names for your driver."
)
ROOM_WANTED = 2_000_000_000


def window_problem() -> str:
    """Why the window cannot open (Qt or a system library is missing) and what to install; empty if it can."""
    if importlib.util.find_spec("PySide6") is None:
        return (
            "The window needs Qt, which is not installed here: start with python3 main.py, or install atomseg-app[gui]."
        )
    missing = missing_libraries()
    if not missing:
        return ""
    known = sorted({PACKAGE_OF[name] for name in missing if name in PACKAGE_OF})
    cure = f" On Debian and Ubuntu: sudo apt install {' '.join(known)}" if known else ""
    return f"The window needs system libraries that are missing: {', '.join(missing)}.{cure}"


def missing_libraries() -> list[str]:
    """System libraries that keep Qt from its platform on Linux; empty elsewhere, or if one platform can be used."""
    spec = importlib.util.find_spec("PySide6")
    if not sys.platform.startswith("linux") or spec is None or not spec.submodule_search_locations:
        return []
    package = Path(spec.submodule_search_locations[0])
    plugins = package / "Qt" / "plugins" / "platforms"
    wanted = os.environ.get("QT_QPA_PLATFORM", "").partition(":")[0].partition(";")[0].removesuffix("-egl")
    names = [wanted] if wanted else ["wayland"] * ("WAYLAND_DISPLAY" in os.environ) + ["xcb"]
    missing: list[str] = []
    for name in names:
        needed = [package / "QtWidgets.abi3.so", plugins / f"libq{name}.so"]
        lacking = [library for path in needed if path.exists() for library in _unresolved(path)]
        if not lacking:
            return []
        missing += lacking
    return sorted(set(missing))


def _unresolved(library: Path) -> list[str]:
    """Names of what a shared library needs and does not find; loading it is quick, listing it is not."""
    try:
        ctypes.CDLL(str(library))
    except OSError as problem:
        first = str(problem).partition(":")[0]
    else:
        return []
    if shutil.which("ldd") is None:
        return [first]
    listing = subprocess.run(["ldd", str(library)], capture_output=True, text=True, check=False).stdout
    return re.findall(r"^\s*(\S+) => not found", listing, flags=re.MULTILINE) or [first]


def collect(with_torch: bool = True) -> dict[str, Any]:
    """Facts by section, with ``problems`` (broken) and ``notes`` (worth knowing) as lists of sentences.

    ``with_torch=False`` starts no process and imports nothing heavy: a few milliseconds, for the window.
    """
    import psutil  # not read before the window's first frame

    problems: list[str] = []
    notes: list[str] = []
    memory = psutil.virtual_memory()
    facts: dict[str, Any] = {
        "AtomSeg": {"version": __version__, "installed in": str(Path(__file__).resolve().parent.parent)},
        "Python": {"version": platform.python_version(), "program": sys.executable},
        "System": {
            "name": platform.platform(),
            "processor": platform.processor() or platform.machine(),
            "cores": os.cpu_count(),
            "memory": f"{memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB free",
            "display": _display(),
        },
        "Packages": _packages(problems),
        "Folders": _folders(problems),
    }
    if problem := window_problem():
        (problems if start.has_display() else notes).append(problem)
    if with_torch:
        facts["Torch"] = _torch(problems, notes)
        if not problem and start.has_display():
            facts["Window"] = _probe("qt", problems)
    return {**facts, "problems": problems, "notes": notes}


def text(facts: dict[str, Any] | None = None) -> str:
    """The facts as lines to read or to paste into a report."""
    facts = collect() if facts is None else facts
    lines: list[str] = []
    for section, content in facts.items():
        if section in ("problems", "notes"):
            continue
        lines.append(section)
        for name, value in content.items():
            if isinstance(value, dict):
                lines += [f"  {name}:", *(f"    {key}: {item}" for key, item in value.items())]
            else:
                lines.append(f"  {name}: {'; '.join(value) if isinstance(value, list) else value}")
    lines += [f"Note: {note}" for note in facts["notes"]]
    lines += [f"Problem: {problem}" for problem in facts["problems"]] or ["No problems found."]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Print the report; exit code 1 if something is broken."""
    facts = collect()
    sys.stdout.write(text(facts))
    return 1 if facts["problems"] else 0


def _display() -> str:
    names = ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")
    found = [f"{name}={os.environ[name]}" for name in names if os.environ.get(name)]
    return ", ".join(found) or ("the system's" if start.has_display() else "none: commands work, the window does not")


def _packages(problems: list[str]) -> dict[str, str]:
    """Versions of what the program imports; a missing one is a problem, except Qt, which the commands do without."""
    needed = ["numpy", "scipy", "torch", "tifffile", "imagecodecs", "h5py", "zarr", "pillow", "pydantic", "typer"]
    versions = {}
    for name in [*needed, "PySide6_Essentials", "pyqtgraph", "QtAwesome"]:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "not installed"
    missing = [name for name in needed if versions[name] == "not installed"]
    if missing:
        problems.append(
            f"Packages are missing ({', '.join(missing)}): start with python3 main.py, which installs them."
        )
    return versions


def _folders(problems: list[str]) -> dict[str, str]:
    described = {}
    for name in ("settings", "log", "data", "cache"):
        try:
            folder = getattr(places, f"{name}_folder")()
        except OSError as problem:
            problems.append(f"The {name} folder cannot be made: {problem}. ATOMSEG_HOME names another place.")
            continue
        free = shutil.disk_usage(folder).free
        described[name] = f"{folder} ({free / 1e9:.1f} GB free)"
        if not os.access(folder, os.W_OK):
            problems.append(f"The {name} folder {folder} cannot be written. ATOMSEG_HOME names another place.")
        elif free < ROOM_WANTED:
            problems.append(f"The disk of the {name} folder {folder} has only {free / 1e9:.1f} GB free.")
    return described


def _torch(problems: list[str], notes: list[str]) -> dict[str, Any]:
    facts = _probe("torch", problems)
    devices = facts.get("devices", {})
    problems += [f"The device {name} is {state}." for name, state in devices.items() if state.startswith("broken")]
    if facts.get("built for") == "CPU" and sys.platform != "darwin":
        card = _nvidia_card()
        facts["NVIDIA card"] = card or "none found"
        notes.append(f"This build of torch computes on the CPU only. {HOW_TO_GET_CUDA}")
    return facts


def _nvidia_card() -> str:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ""
    command = [tool, "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip().replace("\n", "; ")


def _probe(subject: str, problems: list[str]) -> dict[str, Any]:
    """What a probing process found; its crash, hang or last words become a problem."""
    command = [sys.executable, "-m", "atomseg_app.probe", subject]
    root = str(Path(__file__).resolve().parent.parent)
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, cwd=root)
    except subprocess.TimeoutExpired:
        problems.append(f"Looking at {subject} hung for two minutes.")
        return {}
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        problems.append(f"Looking at {subject} failed (exit code {done.returncode}): {last}")
        return {}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


if __name__ == "__main__":
    sys.exit(main())
