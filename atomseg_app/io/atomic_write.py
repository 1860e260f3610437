"""Files, and folders of files, that are there in full or not at all: a temporary one beside, fsync, rename."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from atomseg_app.errors import FileError

PREFIX = ".atomseg-"
"""How names of temporary files start; readers of folders skip hidden files anyway."""


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Empty temporary file beside ``path``, with its extension; it replaces ``path`` when the block ends well.

    For libraries that write by name. On any exception the temporary file goes and an existing ``path`` stays as it
    was. A symbolic link is followed, so that the file it points to is replaced. Raises FileError with the reason
    (folder missing or read-only, disk full).
    """
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f"{PREFIX}{os.getpid()}-{secrets.token_hex(8)}{target.suffix}")
    try:
        try:
            if target.is_dir():
                raise IsADirectoryError(21, "a folder of that name is in the way")
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.touch(exist_ok=False)
            yield temporary
            _to_disk(temporary)
            os.replace(temporary, target)
            _to_disk(target.parent)
        except OSError as problem:
            reason = problem.strerror or str(problem)
            raise FileError(f"{path} could not be written: {reason}. Choose another folder or make room.") from problem
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Empty temporary folder beside ``path`` that takes its place when the block ends well: for Zarr stores.

    On any exception the temporary folder goes and an existing ``path`` stays as it was. Raises FileError with the
    reason, also where what is there is neither a Zarr store nor an empty folder.
    """
    target = Path(os.path.realpath(path))
    stem = f"{PREFIX}{os.getpid()}-{secrets.token_hex(8)}"
    temporary, old = target.with_name(f"{stem}.new"), target.with_name(f"{stem}.old")
    try:
        try:
            if os.path.lexists(target) and not _may_go(target):
                raise FileExistsError(17, "something else of that name is in the way")
            target.parent.mkdir(parents=True, exist_ok=True)
            temporary.mkdir()
            yield temporary
            for entry in (*temporary.rglob("*"), temporary):
                _to_disk(entry)
            if target.exists():
                os.replace(target, old)
            os.replace(temporary, target)
            _to_disk(target.parent)
        except OSError as problem:
            reason = problem.strerror or str(problem)
            raise FileError(f"{path} could not be written: {reason}. Choose another folder or make room.") from problem
    finally:
        if old.exists() and not os.path.lexists(target):
            os.replace(old, target)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _may_go(folder: Path) -> bool:
    """Whether a folder may be replaced: a Zarr store or an empty one."""
    marks = (".zgroup", "zarr.json", ".zmetadata")
    return folder.is_dir() and (any((folder / name).is_file() for name in marks) or not any(folder.iterdir()))


@contextlib.contextmanager
def atomic_open(path: str | os.PathLike[str]) -> Iterator[IO[bytes]]:
    """Binary stream that becomes ``path`` when the block ends well; see :func:`atomic_path`."""
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        yield stream


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write a UTF-8 text with LF line ends, whole or not at all. Raises FileError."""
    with atomic_open(path) as stream:
        stream.write(text.encode("utf-8"))


def remove_unfinished(target: str | os.PathLike[str], process_id: int) -> None:
    """Remove the temporary files that a killed process left where it wrote ``target``."""
    for temporary in Path(os.path.realpath(target)).parent.glob(f"{PREFIX}{process_id}-*"):
        if temporary.is_dir():
            shutil.rmtree(temporary, ignore_errors=True)
            continue
        with contextlib.suppress(OSError):
            temporary.unlink()


def _to_disk(path: Path) -> None:
    """Flush a file, or the entries of a folder where the system knows how, to the disk."""
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
