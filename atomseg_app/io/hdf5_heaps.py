"""A check that the HDF5 library lacks: damaged heaps of texts make it loop for ever inside one call.

A global heap collection is ``GCOL``, version 1, three zero bytes, its size, then objects (number, references, size,
content padded to 8 bytes); object 0 is the free space up to the end, its own 16 bytes included (HDF5 file format
specification, III.E).
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

from atomseg_app.io.dataset import Unreadable

_SCANNED_BYTES = 128 << 20
"""Texts are written with the metadata: of larger files this much is looked at from either end."""
_OBJECT = struct.Struct("<HHIQ")


def check_heaps(path: Path) -> None:
    """Raise Unreadable if the objects of a heap do not fill it exactly."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for start in _heaps(content):
            (size,) = struct.unpack_from("<Q", content, start + 8)
            if 16 <= size <= len(content) - start and not _is_whole(content, start + 16, start + size):
                raise Unreadable("a heap of texts in it is damaged")


def _heaps(content: mmap.mmap) -> Iterator[int]:
    """Where collections begin."""
    end = len(content)
    parts = [(0, end)] if end <= 2 * _SCANNED_BYTES else [(0, _SCANNED_BYTES), (end - _SCANNED_BYTES, end)]
    for low, high in parts:
        at = content.find(b"GCOL\1\0\0\0", low, high)
        while 0 <= at <= end - 16:
            yield at
            at = content.find(b"GCOL\1\0\0\0", at + 8, high)


def _is_whole(content: mmap.mmap, at: int, end: int) -> bool:
    """Whether objects follow one another up to the end."""
    while at + _OBJECT.size <= end:
        number, _, _, size = _OBJECT.unpack_from(content, at)
        if number == 0:
            return bool(size == end - at)
        at += _OBJECT.size + (size + 7) // 8 * 8
    return at <= end
