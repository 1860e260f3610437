"""Large arrays that are changed in place: maps of files in the folder of recovery journals.

They take no memory that the system could not take back, and what was written is there after the process was killed.
A journal takes one in as a second name of the same file, at no cost; a file goes with the last of its names.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from atomseg_app import places
from atomseg_app.errors import UserError
from atomseg_app.io.mapped import byte_count

LIVE_BYTES = 256 << 20
"""Arrays from this size on are kept in files."""
_ROOM_BYTES = 256 << 20
_BLOCK_BYTES = 4 << 20

LiveArray = npt.NDArray[Any]


def live_array(shape: Sequence[int], dtype: npt.DTypeLike, fill: int) -> LiveArray:
    """Writable array of one value; its file goes with it. Raises UserError where there is no room for it."""
    kind, path = np.dtype(dtype), _new_path()
    size = byte_count(shape, kind.itemsize)
    if shutil.disk_usage(path.parent).free < size + _ROOM_BYTES:
        raise UserError(f"There is no room for {size / 1e9:.3g} GB of labels in {path.parent}; free some space.")
    offset = np.lib.format.open_memmap(path, "w+", kind, tuple(shape)).offset
    block = np.full(_BLOCK_BYTES // kind.itemsize, fill, kind).tobytes()
    try:
        with path.open("r+b") as file:  # written, not mapped page by page, which takes three times as long
            file.seek(offset)
            for done in range(0, size, len(block)):
                file.write(block[: size - done])
    except OSError as problem:
        _remove(path)
        raise UserError(
            f"There is no room for labels in {path.parent} ({problem.strerror}); free some space."
        ) from None
    return _owned(np.load(path, mmap_mode="r+", allow_pickle=False), path)


def adopted(kept: npt.NDArray[Any]) -> LiveArray | None:
    """A kept array (a map of a file beside a journal) to be changed in place, without a copy; None where it cannot.

    The journal may go afterwards.
    """
    name = getattr(kept, "filename", None)
    if name is None or Path(name).suffix != ".npy" or isinstance(kept.base, np.ndarray):
        return None  # in memory, in a file of another kind, or a part of what is in one
    path = _new_path()
    try:
        os.link(name, path)
        return _owned(np.load(path, mmap_mode="r+", allow_pickle=False), path)
    except (OSError, ValueError):  # another file system, or one without second names
        path.unlink(missing_ok=True)
        return None


def file_of(array: npt.NDArray[Any]) -> Path | None:
    """The file of a live array; None for every other, and for parts of one."""
    name = getattr(array, "filename", None)
    if name is None or isinstance(array.base, np.ndarray) or Path(name).parent != _folder():
        return None
    return Path(name)


def tidy() -> None:
    """Remove files that processes left which are gone; those that a journal took in have a second name there."""
    import psutil  # not read before the first frame

    for path in _folder().glob("*.npy"):
        pid = path.name.partition("-")[0]
        if pid.isdigit() and int(pid) != os.getpid() and not psutil.pid_exists(int(pid)):
            with contextlib.suppress(OSError):
                path.unlink()


def _owned(array: LiveArray, path: Path) -> LiveArray:
    weakref.finalize(array, _remove, path)
    return array


def _remove(path: Path) -> None:
    with contextlib.suppress(OSError):  # Windows refuses while it is mapped; the next start tidies up
        path.unlink(missing_ok=True)


def _new_path() -> Path:
    return _folder() / f"{os.getpid()}-{secrets.token_hex(8)}.npy"


def _folder() -> Path:
    folder = places.data_folder() / "recovery" / "live"
    folder.mkdir(parents=True, exist_ok=True)
    return folder
