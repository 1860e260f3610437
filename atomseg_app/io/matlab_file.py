"""The variables of a MATLAB file of version 5 to 7: where each array lies, without unpacking it.

After MathWorks, *MAT-File Format*: elements of a tag (type, bytes) and content; a matrix is flags, dimensions, name and
numbers, which may be stored in a smaller type than the class of the variable. Only plain arrays of numbers are looked
at; cells, structs, functions and objects are passed over.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atomseg_app.data import Array
from atomseg_app.io.dataset import Unreadable
from atomseg_app.io.mapped import DEFLATE_RATIO, ClampedFile, byte_count, check_ratio, fill, map_block
from atomseg_app.operations import Report

_TYPES: Mapping[int, str] = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
_MATRIX, _COMPRESSED = 14, 15
_FIRST_NUMERIC, _LAST_NUMERIC = 6, 15
_COMPLEX = 0x08
_HEADER_BYTES, _HEAD_BYTES = 128, 4096
_MAX_VARIABLES, _MAX_AXES = 10_000, 32
_STRIP_BYTES = 4 << 20


@dataclass(frozen=True)
class Variable:
    """A plain array: ``dims`` in MATLAB's order, of which the first runs fastest; ``dtype`` as it is stored.

    ``offset`` is where its numbers begin, in the file or, if it is ``packed`` (place and bytes of its zlib stream), in
    what that unpacks to.
    """

    path: Path
    name: str
    dims: tuple[int, ...]
    dtype: np.dtype[Any]
    offset: int
    packed: tuple[int, int] | None

    def load(self, report: Report) -> Array:
        """Numbers with axes in reversed order (the last of ``dims`` first): mapped, or unpacked strip by strip."""
        shape = self.dims[::-1]
        if self.packed is None:
            return map_block(self.path, self.offset, shape, self.dtype)
        if 0 in shape:
            return np.empty(shape, self.dtype)
        return fill(shape, self.dtype, self._strips(shape), report)

    def _strips(self, shape: tuple[int, ...]) -> Iterator[tuple[Any, Array]]:
        row = byte_count(shape[1:], self.dtype.itemsize)
        rows = max(1, _STRIP_BYTES // row)
        stream = _unpacked(self.path, *(self.packed or (0, 0)))
        held = bytearray()
        while len(held) < self.offset:
            held += _next(stream)
        del held[: self.offset]
        for start in range(0, shape[0], rows):
            count = min(rows, shape[0] - start)
            while len(held) < count * row:
                held += _next(stream)
            strip = np.frombuffer(bytes(held[: count * row]), self.dtype).reshape(count, *shape[1:])
            del held[: count * row]
            yield slice(start, start + count), strip


def variables_of(path: Path) -> list[Variable]:
    """Plain numeric arrays of a file. Raises Unreadable."""
    with ClampedFile(path) as file:
        head = file.read(_HEADER_BYTES)
        order = {b"IM": "<", b"MI": ">"}.get(head[126:128])
        if order is None:
            raise Unreadable("its header is cut short or damaged")
        found: list[Variable] = []
        for _ in range(_MAX_VARIABLES):
            tag = file.read(8)
            if not tag.strip(b"\0"):
                return found
            if len(tag) < 8:
                raise Unreadable("it is cut short")
            kind, size = struct.unpack(order + "2I", tag)
            start = file.tell()
            if start + size > file.size:
                raise Unreadable(
                    f"it is cut short: an element of {size} bytes begins at {start}, {file.size} is its end"
                )
            if kind == _COMPRESSED:
                content = next(_unpacked(path, start, size), b"")[:_HEAD_BYTES]
                variable = _variable(path, content, order, (start, size))
            else:
                variable = _variable(path, tag + file.read(min(size, _HEAD_BYTES)), order, None, start - 8)
            found += [variable] if variable is not None else []
            file.seek(start + size + (-size % 8 if kind != _COMPRESSED else 0))
    raise Unreadable("it holds too many variables")


def _next(stream: Iterator[bytes]) -> bytes:
    piece = next(stream, None)
    if piece is None:
        raise Unreadable("a compressed array of it is cut short")
    return piece


def _unpacked(path: Path, start: int, size: int) -> Iterator[bytes]:
    """Pieces of what a zlib stream in a file unpacks to, none larger than a strip."""
    unpack = zlib.decompressobj()
    with ClampedFile(path) as file:
        file.seek(start)
        while size > 0 or unpack.unconsumed_tail:
            content = unpack.unconsumed_tail or file.read(min(size, 1 << 16))
            if not unpack.unconsumed_tail:
                if not content:
                    return
                size -= len(content)
            piece = unpack.decompress(content, _STRIP_BYTES)
            if piece:
                yield piece
            if unpack.eof:
                return


class _Elements:
    """Reads the elements of a matrix one after another from its first bytes."""

    def __init__(self, content: bytes, order: str) -> None:
        self.content, self.order, self.at = content, order, 8

    def tag(self) -> tuple[int, int]:
        """Type and bytes of the next element; its content begins at ``at``. Raises struct.error at the end."""
        first, size = struct.unpack_from(self.order + "2I", self.content, self.at)
        small = first >> 16
        self.at += 4 if small else 8
        return (first & 0xFFFF, small) if small else (first, size)

    def content_of(self) -> bytes:
        """Content of the next element; goes on behind it."""
        begin = self.at
        _, size = self.tag()
        content = self.content[self.at : self.at + size]
        is_small = self.at - begin == 4
        self.at += 4 if is_small else size + (-size % 8)
        return content


def _variable(
    path: Path, content: bytes, order: str, packed: tuple[int, int] | None, start: int = 0
) -> Variable | None:
    """Variable whose element begins with these bytes, None if it is no plain array of numbers."""
    if len(content) < 56 or struct.unpack_from(order + "I", content)[0] != _MATRIX:
        return None
    (size,) = struct.unpack_from(order + "I", content, 4)
    elements = _Elements(content, order)
    flags = elements.content_of()
    (word,) = struct.unpack_from(order + "I", flags)
    axes = elements.content_of()
    dims = struct.unpack(f"{order}{len(axes) // 4}i", axes)
    name = elements.content_of().decode("latin-1")
    kind, stored = elements.tag()
    if not _FIRST_NUMERIC <= word & 0xFF <= _LAST_NUMERIC or kind not in _TYPES:
        return None
    dtype = np.dtype(order + _TYPES[kind])
    if not 2 <= len(dims) <= _MAX_AXES or min(dims) < 0 or byte_count(dims, dtype.itemsize) != stored:
        raise Unreadable(f"its variable {name} of {' x '.join(map(str, dims))} does not fit its {stored} bytes")
    if stored > size:
        raise Unreadable(f"its variable {name} is longer than its element")
    if packed is not None:
        check_ratio(dims, dtype.itemsize, packed[1], DEFLATE_RATIO)
    if word >> 8 & _COMPLEX:
        dtype = np.dtype(np.complex128)
    return Variable(path, name, dims, dtype, start + elements.at, packed)
