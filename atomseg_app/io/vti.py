"""VTK image data (.vti): grey values at points or in cells; appended or inline, raw, base64, as text, zlib or not."""

from __future__ import annotations

import base64
import binascii
import math
import struct
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from atomseg_app.data import Array
from atomseg_app.io.dataset import Axis, Dataset, Unreadable, dataset
from atomseg_app.io.mapped import DEFLATE_RATIO, byte_count, check_ratio, fill, map_block
from atomseg_app.io.vti_writer import VTK_TYPES
from atomseg_app.operations import Report

_HEAD_BYTES = 1 << 20
_INLINE_BYTES = 1 << 30
_TYPES: Mapping[str, str] = {vtk: name for name, vtk in VTK_TYPES.items()} | {"Int64": "int64", "UInt64": "uint64"}
_HEADERS: Mapping[str, str] = {"UInt32": "u4", "UInt64": "u8"}
_ZLIB = "vtkZLibDataCompressor"
_APPENDED = b"<AppendedData"


@dataclass(frozen=True)
class _Part:
    """Where the values of an array are: in the text of its element, or behind the XML at ``start`` (-1: inline)."""

    path: Path
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    header: np.dtype[Any]
    start: int
    encoding: str
    packed: bool
    text: str = ""

    def load(self, report: Report) -> Array:
        """Values (z, y, x). Raises Unreadable."""
        if self.encoding == "ascii":
            return self._of_text()
        if self.encoding == "raw" and not self.packed:
            return self._mapped()
        content = self._content()
        if not self.packed:
            return self._checked(content[self.header.itemsize :])
        strips = ((slice(start, stop), values) for start, stop, values in self._unpacked(content))
        flat = fill((math.prod(self.shape),), self.dtype, strips, report)
        return flat.reshape(self.shape)

    def _mapped(self) -> Array:
        with self.path.open("rb") as file:
            file.seek(self.start)
            head = file.read(self.header.itemsize)
        if len(head) < self.header.itemsize:
            raise Unreadable("it is cut short")
        (count,) = np.frombuffer(head, self.header)
        if int(count) != byte_count(self.shape, self.dtype.itemsize):
            raise Unreadable(f"its values of {int(count)} bytes are not as many as its extent says")
        return map_block(self.path, self.start + self.header.itemsize, self.shape, self.dtype)

    def _content(self) -> bytes:
        """Bytes of the array: its header of counts, then its values."""
        if self.start < 0:
            return _decoded(self.text, self.header, packed=self.packed)
        with self.path.open("rb") as file:
            file.seek(self.start)
            content = file.read()
        if self.encoding == "raw":
            return content
        text = content.partition(b"<")[0]
        return _decoded(text.decode("ascii", "replace"), self.header, packed=self.packed)

    def _of_text(self) -> Array:
        values = np.array(self.text.split(), np.float64 if self.dtype.kind == "f" else np.int64)
        return self._checked(values.astype(self.dtype).tobytes())

    def _checked(self, content: bytes) -> Array:
        need = byte_count(self.shape, self.dtype.itemsize)
        if len(content) < need:
            raise Unreadable(f"it holds {len(content)} bytes of values instead of {need}; it is cut short")
        return np.frombuffer(content[:need], self.dtype).reshape(self.shape)

    def _unpacked(self, content: bytes) -> Iterator[tuple[int, int, Array]]:
        """Places and values of the zlib blocks that an array is stored in."""
        width = self.header.itemsize
        blocks, size, last = (int(number) for number in np.frombuffer(content[: 3 * width], self.header, 3))
        need = byte_count(self.shape, self.dtype.itemsize)
        total = (blocks - 1) * size + (last or size) if blocks else 0
        if total != need or size % self.dtype.itemsize or (3 + blocks) * width > len(content):
            raise Unreadable("its blocks of values are not as many as its extent says")
        stored = np.frombuffer(content[3 * width : (3 + blocks) * width], self.header)
        at, done = (3 + blocks) * width, 0
        for index, length in enumerate(stored):
            expected = last if index == blocks - 1 and last else size
            check_ratio((expected,), 1, int(length), DEFLATE_RATIO)
            piece = zlib.decompressobj().decompress(content[at : at + int(length)], expected)
            if len(piece) != expected:
                raise Unreadable("a block of its values is damaged")
            values = np.frombuffer(piece, self.dtype)
            yield done, done + len(values), values
            at, done = at + int(length), done + len(values)


def read_vti(path: Path) -> list[Dataset]:
    """Arrays of one grey value a voxel. Raises Unreadable."""
    root, behind = _xml(path)
    image = root.find("ImageData")
    pieces = image.findall("Piece") if image is not None else []
    if image is None or len(pieces) != 1 or pieces[0].get("Extent") != image.get("WholeExtent"):
        raise Unreadable("it is in several pieces; save it as one")
    low_high = np.array([int(number) for number in str(image.get("WholeExtent")).split()])
    if len(low_high) != 6:
        raise Unreadable("its extent is damaged")
    points = (low_high[1::2] - low_high[::2] + 1)[::-1]
    sizes = _sizes(image)
    found = []
    for group, counts in (("PointData", points), ("CellData", np.maximum(points - 1, 1))):
        element = pieces[0].find(group)
        arrays = element.findall("DataArray") if element is not None else []
        found += [(array, tuple(int(count) for count in counts)) for array in arrays]
    described = [
        _dataset(path, root, array, shape, sizes, behind, str(array.get("Name")) if len(found) > 1 else "")
        for array, shape in found
    ]
    if not described:
        raise Unreadable("there is no array in it")
    return described


def _xml(path: Path) -> tuple[ElementTree.Element, tuple[str, int]]:
    """The XML without the values behind it, and how those are encoded and where they begin (-1: there are none)."""
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
        at = head.find(_APPENDED)
        if at < 0:
            head += file.read(_INLINE_BYTES)
    behind = ("", -1)
    if at >= 0:
        tag = head[at : head.index(b">", at)]
        start = head.index(b"_", at + len(tag)) + 1
        behind = ("base64" if b"base64" in tag else "raw", start)
        head = head[:at] + b"</VTKFile>"
    if b"<!DOCTYPE" in head.upper() or b"<!ENTITY" in head.upper():
        raise Unreadable("its XML declares entities")
    return ElementTree.fromstring(head), behind


def _sizes(image: ElementTree.Element) -> tuple[float | None, ...]:
    """Voxel size in nm (z, y, x) where a field array says it; the spacing alone has no unit."""
    for array in image.iterfind("FieldData/DataArray"):
        numbers = (array.text or "").split()
        if array.get("Name") == "voxel_size_nm" and array.get("format") == "ascii" and len(numbers) == 3:
            return tuple(float(number) for number in numbers)
    return (None, None, None)


def _dataset(
    path: Path,
    root: ElementTree.Element,
    array: ElementTree.Element,
    shape: tuple[int, ...],
    sizes: tuple[float | None, ...],
    behind: tuple[str, int],
    name: str,
) -> Dataset:
    form, compressor = array.get("format", "ascii"), root.get("compressor", "")
    order = ">" if root.get("byte_order") == "BigEndian" else "<"
    kind, header = _TYPES.get(str(array.get("type"))), _HEADERS.get(root.get("header_type", "UInt32"))
    if kind is None or header is None or (form == "appended" and behind[1] < 0):
        raise Unreadable(f"its array {name} is of unknown type")
    encoding = behind[0] if form == "appended" else "ascii" if form == "ascii" else "base64"
    start = behind[1] + int(array.get("offset", "0")) if form == "appended" else -1
    part = _Part(
        path, np.dtype(order + np.dtype(kind).str[1:]), shape, np.dtype(order + header), start, encoding,
        bool(compressor) and encoding != "ascii", array.text or "",
    )  # fmt: skip
    refusal = ""
    if array.get("NumberOfComponents", "1") not in ("0", "1"):
        refusal = f"it has {array.get('NumberOfComponents')} values a voxel"
    elif part.packed and compressor != _ZLIB:
        refusal = f"its compression ({compressor}) is not known here; save it with zlib or without"
    axes = [Axis(size, step, "nm", name=axis) for size, step, axis in zip(shape, sizes, "zyx", strict=True)]
    return dataset(name, axes, part.dtype, part.load, refusal=refusal, volume=True)


def _decoded(text: str, header: np.dtype[Any], *, packed: bool) -> bytes:
    """Bytes of a base64 text; of compressed arrays the header of counts is encoded by itself."""
    text = "".join(text.split())
    try:
        if not packed:
            return base64.b64decode(text, validate=True)
        first = base64.b64decode(text[: 4 * math.ceil(header.itemsize / 3)])
        blocks = int(np.frombuffer(first[: header.itemsize], header)[0])
        length = 4 * math.ceil((3 + blocks) * header.itemsize / 3)
        return base64.b64decode(text[:length])[: (3 + blocks) * header.itemsize] + base64.b64decode(text[length:])
    except (binascii.Error, ValueError, struct.error):
        raise Unreadable("its base64 is damaged") from None
