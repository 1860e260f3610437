"""The program's log: five files of at most 2 MB, a header per session, and a crash file for what ends the process.

Standard library only, so that a start that fails can still say why.
"""

from __future__ import annotations

import faulthandler
import logging
import logging.handlers
import os
import platform
import sys
from pathlib import Path
from typing import IO

LOG_FILE = "atomseg.log"
CRASH_FILE = "crash.log"

_FILES, _FILE_BYTES = 5, 2 << 20
_log = logging.getLogger("atomseg_app")


class _Crash:
    """The open crash file: faulthandler writes to its descriptor for as long as the process lives."""

    file: IO[str] | None = None


def start(folder: Path, version: str) -> Path:
    """Begin logging to ``folder`` (this program from level INFO, libraries from WARNING); returns the log's path.

    A crash of the interpreter leaves its traceback in :data:`CRASH_FILE` beside it. Calling it again moves the log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / LOG_FILE
    stop()
    handler = logging.handlers.RotatingFileHandler(
        path, maxBytes=_FILE_BYTES, backupCount=_FILES - 1, encoding="utf-8", errors="backslashreplace"
    )
    handler.set_name(LOG_FILE)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)-8s %(name)s: %(message)s"))
    logging.getLogger().addHandler(handler)
    _log.setLevel(logging.INFO)
    logging.captureWarnings(True)
    _log.info(
        "session: AtomSeg %s, Python %s, %s, process %d, %s",
        version, platform.python_version(), platform.platform(), os.getpid(), " ".join(sys.argv) or "no arguments",
    )  # fmt: skip
    crashes = folder / CRASH_FILE
    too_long = crashes.exists() and crashes.stat().st_size > _FILE_BYTES
    _Crash.file = crashes.open("w" if too_long else "a", encoding="utf-8")
    faulthandler.enable(_Crash.file)
    return path


def stop() -> None:
    """End what :func:`start` began; nothing if it did not."""
    for handler in [handler for handler in logging.getLogger().handlers if handler.get_name() == LOG_FILE]:
        logging.getLogger().removeHandler(handler)
        handler.close()
        logging.captureWarnings(False)
    if _Crash.file is not None:
        faulthandler.disable()
        _Crash.file.close()
        _Crash.file = None
