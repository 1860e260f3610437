"""pip in an environment of its own: run where a user can watch it, and told apart what it finished from what it began.

Standard library only, because it runs before anything is installed.
"""

from __future__ import annotations

import contextlib
import os
import platform
import queue
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from progress import Progress

WINDOWS = os.name == "nt"


class SetupError(Exception):
    """Set-up cannot go on; the text tells the user why and what to do."""


def interpreter(folder: Path) -> Path:
    """The environment's Python."""
    return folder / ("Scripts/python.exe" if WINDOWS else "bin/python")


class Pip:
    """pip of one environment, its output turned into progress; the whole of it is kept in ``set-up.log``."""

    def __init__(self, folder: Path, progress: Progress, lock: int, total: int) -> None:
        self._folder, self._progress, self._lock, self._total = folder, progress, lock, total
        self._scratch = folder / "unpacking"
        self._log = folder / "set-up.log"

    def install(self, *arguments: str) -> None:
        """Run ``pip install``. Raises SetupError with pip's own words and the place of the log."""
        command = [str(interpreter(self._folder)), "-I", "-u", "-m", "pip", "install", "--progress-bar", "off"]
        command += ["--no-input", "--disable-pip-version-check", "--no-warn-script-location", *arguments]
        shutil.rmtree(self._scratch, ignore_errors=True)
        self._scratch.mkdir()
        # Downloads go beside the environment: /tmp may be small, and their growth is the progress of a long one.
        scratch = dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(self._scratch))
        surroundings = {k: v for k, v in os.environ.items() if k not in ("PIP_USER", "PIP_TARGET", "PIP_PREFIX")}
        process = subprocess.Popen(
            command,
            env={**surroundings, **scratch, "PIP_USER": "0", "PYTHONIOENCODING": "utf-8"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            # A pip that outlives a killed start keeps the lock, so that no second one writes beside it.
            pass_fds=() if WINDOWS else (self._lock,),
        )
        try:
            lines = self._follow(process)
        except BaseException:
            process.terminate()
            process.wait()
            raise
        finally:
            shutil.rmtree(self._scratch, ignore_errors=True)
        if process.returncode:
            errors = [line for line in lines if line.startswith("ERROR")] or lines[-5:]
            raise SetupError(
                "pip could not install the packages:\n  " + "\n  ".join(errors[-4:]) + "\n"
                "Either the package index cannot be reached, or a package has no build for this system "
                f"({platform.platform(terse=True)}, {platform.machine()}, Python {platform.python_version()}).\n"
                f"The next start goes on where this one stopped. The whole log: {self._log}"
            )

    def _follow(self, process: subprocess.Popen[str]) -> list[str]:
        heard: queue.Queue[str | None] = queue.Queue()
        assert process.stdout is not None
        threading.Thread(target=_pass_on, args=(process.stdout, heard), daemon=True).start()
        lines: list[str] = []
        stage, count = "asking for packages", 0
        with self._log.open("a", buffering=1, encoding="utf-8") as log:
            while True:
                try:
                    line = heard.get(timeout=0.3)
                except queue.Empty:
                    self._progress.step(self._where(stage, count))
                    continue
                if line is None:
                    process.wait()
                    return lines
                log.write(line)
                lines.append(line.rstrip())
                if line.startswith(("Collecting ", "Requirement already satisfied: ")):
                    count += 1
                if line.startswith("Installing collected packages: "):
                    self._total, stage = line.count(",") + 1, "installing"
                elif match := re.match(r"\s*(?:Downloading|Using cached|Processing) (?:\S*/)?([^-\s]+)", line):
                    size = re.search(r"\([\d.]+ [kMG]B\)", line)
                    stage = f"fetching {match[1]} {size[0] if size else ''}".rstrip()
                self._progress.step(self._where(stage, count))

    def _where(self, stage: str, count: int) -> str:
        if stage == "installing":
            whole = sum(is_whole(path) for path in site_packages(self._folder).glob("*.dist-info"))
            return f"installing packages: {min(whole, self._total)} of {self._total}"
        fetched = sum(path.stat().st_size for path in _files(self._scratch) if path.suffix in (".whl", ".gz"))
        return f"package {min(count, self._total)} of {self._total}: {stage}, {fetched / 1e6:.0f} MB so far"


def _pass_on(stream: IO[str], heard: queue.Queue[str | None]) -> None:
    for line in stream:
        heard.put(line)
    heard.put(None)


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):  # pip moves its files while they are counted
            if path.is_file():
                yield path


def site_packages(folder: Path) -> Path:
    return folder / "Lib" / "site-packages" if WINDOWS else next(folder.glob("lib/python3*/site-packages"), folder)


def is_whole(dist_info: Path | None) -> bool:
    """Whether pip finished this package: it lists its own INSTALLER note in RECORD last of all."""
    if dist_info is None:
        return False
    try:
        return "INSTALLER" in (dist_info / "RECORD").read_text("utf-8", errors="replace")
    except OSError:
        return False
