"""The folders in which one window keeps array files, and the sweeping of those that a killed window left behind.

A session holds a lock as long as its process lives, however that ends; a folder whose lock can be taken belongs to
nobody. Locks serve where process ids do not: ids are used again, and mean nothing between containers and machines.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from atomseg_app import places

if sys.platform != "win32":
    import fcntl

_NAME = "atomseg-jobs-"
_TMPFS = Path("/dev/shm")


def roots() -> list[Path]:
    """Where sessions keep their files, fastest first: memory on Linux, then the cache folder."""
    memory = [_TMPFS] if sys.platform == "linux" and os.access(_TMPFS, os.W_OK | os.X_OK) else []
    return [*memory, places.cache_folder()]


def _lock(path: Path) -> int | None:
    """Open and lock a lock file; None while another process holds it."""
    if sys.platform == "win32":  # an open file cannot be removed there, which is lock enough
        with contextlib.suppress(FileNotFoundError, PermissionError):
            path.unlink()
        try:
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        except OSError:
            return None
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_ino == path.stat().st_ino:  # not unlinked by a sweep since it was opened
            return descriptor
    except OSError:
        pass
    os.close(descriptor)
    return None


def _remove(folder: Path, lock: Path, descriptor: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    if sys.platform == "win32":
        os.close(descriptor)
        lock.unlink(missing_ok=True)
    else:
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def sweep() -> list[Path]:
    """Remove the folders of sessions whose process is gone; returns them."""
    removed = []
    for lock in (path for root in roots() for path in _locks(root)):
        try:
            descriptor = _lock(lock)
        except OSError:  # another user's
            continue
        if descriptor is not None:
            folder = lock.with_suffix("")
            _remove(folder, lock, descriptor)
            removed.append(folder)
    return removed


def _locks(root: Path) -> Iterator[Path]:
    return root.glob(f"{_NAME}*.lock")


class Session:
    """One folder per root, private to this user, removed at :meth:`close` or by a later :func:`sweep`."""

    def __init__(self) -> None:
        self.folders: list[Path] = []
        self._held: list[tuple[Path, Path, int]] = []
        name = f"{_NAME}{os.getpid()}-{secrets.token_hex(6)}"
        for root in roots():
            folder, lock = root / name, root / f"{name}.lock"
            descriptor = None
            while descriptor is None:
                descriptor = _lock(lock)
            folder.mkdir(mode=0o700)
            self.folders.append(folder)
            self._held.append((folder, lock, descriptor))

    def close(self) -> None:
        """Remove the folders and all that is in them."""
        while self._held:
            _remove(*self._held.pop())
