"""Recovery journals: a snapshot of the unsaved session in the data folder, found again after a crash.

A snapshot is a small project file, replaced whole at each write: tables are stored, images of files only referred to,
volumes and other large arrays written once and kept beside it, so that it costs milliseconds. It is recoverable when
the process that wrote it is gone.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from dataclasses import dataclass
from pathlib import Path

from atomseg_app import places
from atomseg_app.data import Columns
from atomseg_app.errors import FileError
from atomseg_app.io import live_arrays
from atomseg_app.io.atomic_write import PREFIX
from atomseg_app.io.kept_arrays import ARRAYS, KeptArrays, discard_kept, folder_of
from atomseg_app.io.project_lock import ProjectLock, lock_project
from atomseg_app.io.projects import EXTENSION, FileReference, Project, load_snapshot, write_snapshot

_FORGOTTEN_S = 3600


class Journal:
    """The journal of one running window; nothing is on disk before the first :meth:`write`."""

    def __init__(self, path: str | Path | None = None) -> None:
        self.path = Path(path) if path else _folder() / f"{os.getpid()}-{secrets.token_hex(4)}{EXTENSION}"
        self._kept = KeptArrays(self.path)
        self._lock: ProjectLock | None = None

    def write(self, project: Project) -> None:
        """Replace the snapshot. Raises FileError; the one before then stays."""
        if self._lock is None:
            self._lock = lock_project(self.path)
        write_snapshot(self.path, project, self._kept)

    def discard(self) -> None:
        """Remove the snapshot: the session was saved, or its user let it go."""
        self.path.unlink(missing_ok=True)
        self._kept.discard()
        if self._lock is not None:
            self._lock.release()
            self._lock = None


@dataclass(frozen=True)
class Recoverable:
    """A session that ended without being saved. ``problem`` is not empty if its snapshot cannot be read."""

    path: Path
    saved: str
    contents: str
    problem: str = ""


def list_recoverable() -> list[Recoverable]:
    """Snapshots whose windows are gone, the latest first."""
    found = []
    _tidy()
    live_arrays.tidy()
    for path in _folder().glob(f"*{EXTENSION}"):
        if path.name.startswith(PREFIX):  # half a snapshot; what a killed process left goes after an hour
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > _FORGOTTEN_S:
                    path.unlink()
            continue
        lock = lock_project(path)
        if not lock.held:
            continue
        lock.release()
        try:
            project, saved = load_snapshot(path)
        except FileError as problem:
            found.append(Recoverable(path, "", path.name, str(problem)))
        else:
            found.append(Recoverable(path, saved, describe(project)))
    return sorted(found, key=lambda entry: entry.saved, reverse=True)


def _tidy() -> None:
    """Remove arrays whose journal a killed process never wrote, after an hour."""
    for folder in _folder().glob(f"*{EXTENSION}{ARRAYS}"):
        with contextlib.suppress(OSError):
            journal = folder.with_name(folder.name.removesuffix(ARRAYS))
            if not journal.exists() and time.time() - folder.stat().st_mtime > _FORGOTTEN_S:
                discard_kept(folder)


def recover(path: str | Path) -> Project:
    """The project of a snapshot, with the place it was saved at. The snapshot stays until :func:`discard`."""
    return load_snapshot(Path(path))[0]


def discard(path: str | Path) -> None:
    """Remove a snapshot: its session lives on in another journal, or is not wanted."""
    path = Path(path)
    path.unlink(missing_ok=True)
    discard_kept(folder_of(path))
    path.with_name(f"{path.name}.lock").unlink(missing_ok=True)


def describe(project: Project) -> str:
    """What a project holds, in a few words."""
    items = [item for tab in project.tabs.values() for item in tab.items]
    names = dict.fromkeys(i.path.name if isinstance(i, FileReference) else i.source.name for i in items)
    count = sum(len(item) for item in items if isinstance(item, Columns))
    title = [project.path.stem] if project.path else []
    return ", ".join([*title, *names, *([f"{count} columns"] if count else [])]) or "empty"


def _folder() -> Path:
    """Folder of the journals, made if absent."""
    folder = places.data_folder() / "recovery"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
