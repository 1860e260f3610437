"""Checks that the HDF5 library lacks: some damage makes it loop for ever or take gigabytes inside one call.

After the HDF5 file format specification. Heaps of texts (III.E) are ``GCOL``, version 1, three zero bytes, their size,
then objects (number, references, size, content padded to 8 bytes); object 0 is the free space up to the end, its own 16
bytes included. Heaps of names (III.D) are ``HEAP``, version 0, three zero bytes, size, first free block and address of
their content, where each free block begins with the place of the next (1: none) and its size. Object headers (IV.A) say
how long they are, and where they go on, before anything else is known.
"""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterator
from pathlib import Path

from atomseg_app.io.dataset import Unreadable

_SCANNED_BYTES = 32 << 20
"""Texts are written with the metadata: of larger files this much is looked at from either end."""
_OBJECT = struct.Struct("<HHIQ")
_LAST_FREE, _CONTINUATION = 1, 0x10
_MAX_MESSAGES = 100_000
_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def check_heaps(path: Path) -> None:
    """Raise Unreadable if the objects of a heap do not fill it exactly or its free blocks go round in a circle."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for start in _find(content, b"GCOL\1\0\0\0", 16):
            (size,) = struct.unpack_from("<Q", content, start + 8)
            if 16 <= size <= len(content) - start and not _is_full(content, start + 16, start + size):
                raise Unreadable("a heap of texts in it is damaged")
        base = _base(content)
        for start in _find(content, b"HEAP\0\0\0\0", 32):
            size, free, address = struct.unpack_from("<3Q", content, start + 8)
            if not _free_blocks_end(content, size, free, base + address):
                raise Unreadable("a heap of names in it is damaged")


def _find(content: mmap.mmap, signature: bytes, length: int) -> Iterator[int]:
    """Where structures of at least this length begin."""
    end = len(content)
    parts = [(0, end)] if end <= 2 * _SCANNED_BYTES else [(0, _SCANNED_BYTES), (end - _SCANNED_BYTES, end)]
    for low, high in parts:
        at = content.find(signature, low, high)
        while 0 <= at <= end - length:
            yield at
            at = content.find(signature, at + len(signature), high)


def _base(content: mmap.mmap) -> int:
    """Where the HDF5 part of a file begins, which all addresses count from."""
    starts = (start for start in (0, 512, 1024, 2048) if content[start : start + 8] == _SIGNATURE)
    return next(starts, 0)


def _is_full(content: mmap.mmap, at: int, end: int) -> bool:
    """Whether objects follow one another up to the end."""
    while at + _OBJECT.size <= end:
        number, _, _, size = _OBJECT.unpack_from(content, at)
        if number == 0:
            return bool(size == end - at)
        at += _OBJECT.size + (size + 7) // 8 * 8
    return at <= end


def _free_blocks_end(content: mmap.mmap, size: int, free: int, address: int) -> bool:
    """Whether the chain of free blocks comes to its end; the library notices blocks that lie outside."""
    for _ in range(min(size, len(content)) // 16 + 1):
        if free == _LAST_FREE or free + 16 > size or address + free + 16 > len(content):
            return True
        (free,) = struct.unpack_from("<Q", content, address + free)
    return False


class ObjectHeaders:
    """Looks at the headers of objects before the library does."""

    def __init__(self, path: Path) -> None:
        with path.open("rb") as file:
            self._content = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        self._base = _base(self._content)

    def check_root(self) -> None:
        """Check the header of the root group; files with addresses of another width than 8 bytes are left alone."""
        version, base = self._content[self._base + 8], self._base
        width, where = (self._content[base + 13], 64) if version < 2 else (self._content[base + 9], 36)
        if width == 8 and version in (0, 2, 3):
            self.check(struct.unpack_from("<Q", self._content, base + where)[0])

    def check(self, address: int) -> None:
        """Raise Unreadable if a header, or a part that it goes on in, reaches beyond the end of the file."""
        at = self._base + address
        head = self._content[at : at + 16]
        if len(head) < 16:
            raise Unreadable("it is cut short: an object in it begins beyond its end")
        if head[:4] == b"OHDR":
            width = 1 << (head[5] & 3)
            skipped = 6 + (16 if head[5] & 0x20 else 0) + (4 if head[5] & 0x10 else 0)
            self._check_part(at, int.from_bytes(self._content[at + skipped : at + skipped + width], "little"))
        else:
            self._check_messages(at + 16, struct.unpack_from("<I", head, 8)[0])

    def _check_part(self, at: int, size: int) -> None:
        if at < 0 or at + size > len(self._content):
            raise Unreadable("it is cut short or damaged: an object in it reaches beyond its end")

    def _check_messages(self, at: int, size: int) -> None:
        """Follow the messages of a version 1 header through all its parts."""
        parts, count = [(at, size)], 0
        for start, length in parts:
            self._check_part(start, length)
            place = start
            while place + 8 <= start + length:
                kind, extent = struct.unpack_from("<HH", self._content, place)
                if kind == _CONTINUATION and extent >= 16 and place + 24 <= start + length:
                    address, more = struct.unpack_from("<QQ", self._content, place + 8)
                    parts.append((self._base + address, more))
                place += 8 + extent
                count += 1
                if count > _MAX_MESSAGES:
                    raise Unreadable("an object in it has no end")
