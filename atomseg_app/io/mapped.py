"""Arrays that stay on the disk: blocks of files mapped read-only, decoded arrays spooled to a mapped temporary file.

Sizes from headers are checked against the size of the file before any memory is taken.
"""

from __future__ import annotations

import io
import math
import mmap
import os
import secrets
import shutil
import weakref
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atomseg_app.data import Array
from atomseg_app.io.dataset import Unreadable
from atomseg_app.operations import Report
from atomseg_app.places import cache_folder

IN_MEMORY_BYTES = 64 << 20
"""Decoded arrays up to this size are kept in memory; larger ones are spooled."""

DEFLATE_RATIO = 1032
"""No deflate stream unpacks to more than this times its size (RFC 1951: 258 bytes in two bits)."""

_ROOM_BYTES = 64 << 20


class ClampedFile(io.FileIO):
    """A file that reads no more than it holds, so that a wrong length in a header takes no memory."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        super().__init__(path, "r")
        self.size = os.fstat(self.fileno()).st_size

    def read(self, size: int | None = -1, /) -> bytes:
        """Up to ``size`` bytes."""
        left = max(self.size - self.tell(), 0)
        return super().read(left if size is None or size < 0 else min(size, left)) or b""


def byte_count(shape: Sequence[int], itemsize: int) -> int:
    """Bytes of an array in exact arithmetic."""
    return math.prod(int(size) for size in shape) * itemsize


def check_room(path: Path, offset: int, shape: Sequence[int], itemsize: int) -> None:
    """Raise Unreadable unless the file holds an array of this shape at this offset."""
    size, need = path.stat().st_size, byte_count(shape, itemsize)
    if min((offset, *shape)) < 0 or offset + need > size:
        promised = " x ".join(map(str, shape))
        raise Unreadable(
            f"its header promises {promised} pixels ({_size(need)}) but the file holds {_size(max(size - offset, 0))}"
            " of them; it is cut short or its header is damaged"
        )


def check_ratio(shape: Sequence[int], itemsize: int, stored: int, ratio: float) -> None:
    """Raise Unreadable if ``stored`` bytes, compressed at most ``ratio`` times, cannot be an array of this shape."""
    need = byte_count(shape, itemsize)
    if need > stored * ratio + 4096:
        promised = " x ".join(map(str, shape))
        raise Unreadable(
            f"its header promises {promised} pixels ({_size(need)}), more than {_size(stored)} of compressed data can"
            " hold; it is cut short or its header is damaged"
        )


def _size(count: int) -> str:
    """Bytes in words."""
    for unit, factor in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= factor:
            return f"{count / factor:.3g} {unit}"
    return f"{count} bytes"


def map_block(path: Path, offset: int, shape: Sequence[int], dtype: np.dtype[Any], *, fortran: bool = False) -> Array:
    """Read-only map of an array that lies in a file as it is. Raises Unreadable if the file is shorter."""
    check_room(path, offset, shape, dtype.itemsize)
    if 0 in shape:
        return np.empty(shape, dtype)
    return np.memmap(path, dtype, "r", offset, tuple(shape), "F" if fortran else "C")


def fill(
    shape: Sequence[int],
    dtype: np.dtype[Any],
    pieces: Iterable[tuple[Any, Array]],
    report: Report,
    message: str = "unpacking",
) -> Array:
    """Read-only array made of pieces (index, values): in memory if small, else in a mapped temporary file.

    The dtype becomes that of the machine's byte order. The temporary file goes with the array. Raises Unreadable if
    there is no room for it, Cancelled between pieces.
    """
    native = dtype.newbyteorder("=")
    need = byte_count(shape, dtype.itemsize)
    array = np.zeros(shape, native) if need <= IN_MEMORY_BYTES else spool(shape, native)
    done = held = 0
    for index, values in pieces:
        array[index] = values
        done, held = done + values.nbytes, held + values.nbytes
        if isinstance(array, np.memmap) and held > IN_MEMORY_BYTES:
            held = 0
            _leave_to_disk(array)
        report.progress(done / need, message)
    array.flags.writeable = False
    return array


def _leave_to_disk(array: Array) -> None:
    """Give the pages of a map back, so that the process does not hold the whole array while it is written."""
    pages: Any = array.base
    if isinstance(pages, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        pages.madvise(mmap.MADV_DONTNEED)  # of a shared map: its file keeps what was written


def native(array: Array, report: Report) -> Array:
    """The array itself, or a copy in the machine's byte order made strip by strip."""
    if array.dtype.isnative:
        return array
    rows = max(1, IN_MEMORY_BYTES // 4 // max(1, array[:1].nbytes))
    strips = (slice(start, start + rows) for start in range(0, len(array), rows))
    return fill(array.shape, array.dtype, ((strip, array[strip]) for strip in strips), report)


def spool(shape: Sequence[int], dtype: np.dtype[Any]) -> Array:
    """Writable map of a new file in the cache folder, which is removed with the array."""
    folder = cache_folder() / "decoded"
    folder.mkdir(exist_ok=True)
    _remove_leftovers(folder)
    need = byte_count(shape, dtype.itemsize)
    if shutil.disk_usage(folder).free < need + _ROOM_BYTES:
        raise Unreadable(f"{_size(need)} of free space are needed in {folder} to unpack it; make room there")
    path = folder / f"{os.getpid()}-{secrets.token_hex(8)}"
    array = np.memmap(path, dtype, "w+", shape=tuple(shape))
    weakref.finalize(array, _remove, path)
    return array


def _remove(path: Path) -> None:
    """Remove a temporary file; Windows refuses while another process maps it, and the next start removes it."""
    try:
        path.unlink(missing_ok=True)
    except PermissionError:
        if os.name != "nt":
            raise


def _remove_leftovers(folder: Path) -> None:
    """Remove files of processes that are gone."""
    import psutil

    for path in folder.iterdir():
        owner = path.name.partition("-")[0]
        if owner.isdigit() and not psutil.pid_exists(int(owner)):
            _remove(path)
