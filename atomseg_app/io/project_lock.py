"""A lock file beside a project: who opens it second opens it for reading only."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atomseg_app.errors import FileError


@dataclass(frozen=True)
class ProjectLock:
    """A lock that this process holds (``owner`` empty), or the words for who holds it."""

    path: Path
    owner: str
    token: str = ""

    @property
    def held(self) -> bool:
        """Whether this process may write the project."""
        return not self.owner

    def release(self) -> None:
        """Give the lock back; does nothing if another has it."""
        if self.held and _read(self.path).get("token") == self.token:
            with contextlib.suppress(OSError):
                self.path.unlink(missing_ok=True)


def lock_project(project: str | Path) -> ProjectLock:
    """Take the lock of a project, or tell who has it. The lock of a process that is gone is taken over.

    Raises FileError where the folder cannot be written (the project can then only be read).
    """
    import psutil  # not read before the first frame

    project = Path(project)
    path = project.with_name(f"{project.name}.lock")
    token = secrets.token_hex(8)
    me = {
        "pid": os.getpid(), "host": socket.gethostname(), "started": psutil.Process().create_time(), "token": token,
    }  # fmt: skip
    for _ in range(2):
        try:
            with path.open("x", encoding="utf-8") as stream:
                json.dump(me, stream)
            return ProjectLock(path, "", token)
        except FileExistsError:
            holder = _read(path)
            if _alive(holder) or (not holder and _just_made(path)):
                pid, host = holder.get("pid", "unknown"), holder.get("host", "unknown")
                return ProjectLock(path, f"process {pid} on {host}")
            with contextlib.suppress(OSError):
                path.unlink()
        except OSError as problem:
            raise FileError(f"{path} could not be made: {problem.strerror or problem}.") from problem
    return ProjectLock(path, "another window")


def _read(path: Path) -> dict[str, Any]:
    """Content of a lock file; empty if it is gone or unreadable."""
    try:
        found = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _just_made(path: Path) -> bool:
    """Whether an empty lock may be one that another process is about to fill."""
    with contextlib.suppress(OSError):
        return time.time() - path.stat().st_mtime < 5
    return False


def _alive(holder: dict[str, Any]) -> bool:
    """Whether the process that wrote a lock still runs; on another machine it is taken to."""
    import psutil

    if not holder:
        return False
    if holder.get("host") != socket.gethostname():
        return True
    try:
        return bool(abs(psutil.Process(int(holder["pid"])).create_time() - float(holder["started"])) < 1)
    except (psutil.NoSuchProcess, KeyError, TypeError, ValueError):
        return False
    except psutil.AccessDenied:
        return True
