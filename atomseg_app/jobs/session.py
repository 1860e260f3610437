"""The folders in which one window keeps array files, and the sweeping of those that a killed window left behind.

A session holds a lock as long as its process lives, however that ends; a folder whose lock can be taken belongs to
nobody. Locks serve where process ids do not: ids are used again, and mean nothing between containers and machines.
"""

from __future__ import annotations

import os
import secrets
import shutil
import sys
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
    """Open and lock a lock file; None while another process holds it. Raises OSError where nothing can be locked."""
    if sys.platform == "win32":  # an open file cannot be removed there, which is lock enough
        try:
            path.unlink(missing_ok=True)
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL)
        except (PermissionError, FileExistsError):
            return None
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_ino == path.stat().st_ino:
            return descriptor
    except (BlockingIOError, FileNotFoundError):  # held, or unlinked by a sweep since it was opened
        pass
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _own(path: Path) -> int:
    """Lock a new lock file. Where the file system knows no locks it is only opened: nobody sweeps there."""
    try:
        while (descriptor := _lock(path)) is None:
            pass
    except OSError:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    return descriptor


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
    for lock in [lock for root in roots() for lock in root.glob(f"{_NAME}*.lock")]:
        try:
            descriptor = _lock(lock)
        except OSError:  # another user's, or no locks there
            continue
        if descriptor is not None:
            folder = lock.with_suffix("")
            _remove(folder, lock, descriptor)
            removed.append(folder)
    return removed


class Session:
    """One folder per root, private to this user, removed at :meth:`close` or by a later :func:`sweep`.

    Raises OSError if no root can be written to.
    """

    def __init__(self) -> None:
        self.folders: list[Path] = []
        self._held: list[tuple[Path, Path, int]] = []
        name = f"{_NAME}{os.getpid()}-{secrets.token_hex(6)}"
        problem: OSError | None = None
        for root in roots():
            folder, lock = root / name, root / f"{name}.lock"
            try:
                descriptor = _own(lock)
                folder.mkdir(mode=0o700)
            except OSError as caught:  # a full or read-only one
                problem = caught
                continue
            self.folders.append(folder)
            self._held.append((folder, lock, descriptor))
        if not self.folders and problem is not None:
            raise problem

    def close(self) -> None:
        """Remove the folders and all that is in them."""
        while self._held:
            _remove(*self._held.pop())
