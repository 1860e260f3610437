"""NRRD files, as 3D Slicer and ITK write them: header and values in one file, raw or gzip.

After the definition at teem.sourceforge.net/nrrd/format.html: text lines to an empty one, then the values with the
first axis fastest. Segmentations of 3D Slicer (.seg.nrrd) name their segments, which become classes.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atomseg_app.data import Array
from atomseg_app.io.dataset import Axis, Dataset, Unreadable, dataset
from atomseg_app.io.mapped import DEFLATE_RATIO, byte_count, check_ratio, fill, map_block
from atomseg_app.operations import Report

_HEAD_BYTES = 1 << 20
_STRIP_BYTES = 4 << 20
_MOST_SEGMENTS = 255
_TYPES: Mapping[str, str] = {
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(("longlong", "long long", "int64", "int64_t"), "i8"),
    **dict.fromkeys(("ulonglong", "unsigned long long", "uint64", "uint64_t"), "u8"),
    "float": "f4",
    "double": "f8",
}


@dataclass(frozen=True)
class _Header:
    """Fields, key/value pairs, and where the values begin."""

    fields: Mapping[str, str]
    pairs: Mapping[str, str]
    offset: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes (z, y, x): the file has the fastest first."""
        sizes = [int(size) for size in self._needed("sizes").split()]
        if len(sizes) != int(self._needed("dimension")) or any(size < 1 for size in sizes):
            raise Unreadable("its sizes are damaged")
        return tuple(reversed(sizes))

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of the values as stored."""
        kind = _TYPES.get(self._needed("type"))
        if kind is None:
            raise Unreadable(f"its values are of type {self.fields['type']!r}, which is no grey level")
        order = "<" if self.fields.get("endian", "little") == "little" else ">"
        return np.dtype(kind if kind.endswith("1") else order + kind)

    def _needed(self, name: str) -> str:
        if name not in self.fields:
            raise Unreadable(f"its header has no {name!r}")
        return self.fields[name]


def read_nrrd(path: Path) -> list[Dataset]:
    """The array of a file, mapped where it is raw. Raises Unreadable."""
    header = _header(path)
    shape, dtype = header.shape, header.dtype
    encoding = header.fields.get("encoding", "raw").lower()
    if encoding not in ("raw", "gzip", "gz"):
        raise Unreadable(f"its values are encoded as {encoding!r}; save it as raw or gzip")
    if header.fields.get("line skip", "0") != "0" or header.fields.get("byte skip", "0") not in ("0", "-1"):
        raise Unreadable("its values do not begin behind its header; save it anew")
    offset = header.offset
    if header.fields.get("byte skip") == "-1":
        offset = path.stat().st_size - byte_count(shape, dtype.itemsize)

    def load(report: Report) -> Array:
        if encoding == "raw":
            return map_block(path, offset, shape, dtype)
        check_ratio(shape, dtype.itemsize, path.stat().st_size - header.offset, DEFLATE_RATIO)
        flat = fill((math.prod(shape),), dtype, _unpacked(path, header.offset, shape, dtype), report)
        return flat.reshape(shape)

    classes = _segments(header.pairs)
    steps, unit = _steps(header, len(shape))
    axes = [Axis(size, step, unit) for size, step in zip(shape, steps, strict=True)]
    return [dataset("", axes, dtype, load, volume=len(shape) == 3, metadata={"classes": classes} if classes else {})]


def _header(path: Path) -> _Header:
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    end = re.search(rb"\r?\n\r?\n", head)
    if end is None:
        raise Unreadable("its header has no end")
    lines = head[: end.start()].decode("utf-8", "replace").splitlines()
    fields, pairs = {}, {}
    for line in lines[1:]:
        if line.startswith("#"):
            continue
        key, separator, value = line.partition(":=")
        if separator:
            pairs[key.strip()] = value.strip()
            continue
        key, separator, value = line.partition(":")
        if separator:
            fields[key.strip().lower()] = value.strip()
    if "data file" in fields or "datafile" in fields:
        raise Unreadable("its values are in another file; save it as one .nrrd")
    return _Header(fields, pairs, end.end())


def _steps(header: _Header, axes: int) -> tuple[list[float | None], str]:
    """Distance of voxels along each axis, slowest first, and their unit, empty where the file tells none."""
    fields = header.fields
    units = re.findall(r'"([^"]*)"', fields.get("space units", fields.get("units", "")))
    unit = units[0] if units and len(set(units)) == 1 else ""
    if "space directions" in fields:
        vectors = re.findall(r"none|\(([^)]*)\)", fields["space directions"])
        lengths = [math.hypot(*map(float, vector.split(","))) if vector else None for vector in vectors]
    else:
        lengths = [float(text) for text in fields.get("spacings", "").split()]
    if len(lengths) != axes:
        return [None] * axes, ""
    return list(reversed(lengths)), unit


def _segments(pairs: Mapping[str, str]) -> list[dict[str, Any]]:
    """Classes as plain dictionaries; those that 3D Slicer keeps in layers of their own are left out."""
    found = []
    for number in range(_MOST_SEGMENTS):
        start = f"Segment{number}_"
        value = pairs.get(f"{start}LabelValue", "")
        if not value.isdigit() or pairs.get(f"{start}Layer", "0") != "0":
            continue
        colour = ""
        parts = pairs.get(f"{start}Color", "").split()
        if len(parts) == 3 and all(re.fullmatch(r"[01](\.\d*)?|0?\.\d+", part) for part in parts):
            colour = "#" + "".join(f"{round(255 * min(1.0, float(part))):02x}" for part in parts)
        found.append({"value": int(value), "name": pairs.get(f"{start}Name", f"segment {number}"), "colour": colour})
    return found


def _unpacked(path: Path, offset: int, shape: Sequence[int], dtype: np.dtype[Any]) -> Iterator[tuple[slice, Array]]:
    """Values of a gzip stream, strip by strip."""
    need, done = byte_count(shape, dtype.itemsize), 0
    decoder = zlib.decompressobj(wbits=31)
    left = b""
    with path.open("rb") as file:
        file.seek(offset)
        while done < need:
            packed = decoder.unconsumed_tail or file.read(_STRIP_BYTES)
            if not packed:
                raise Unreadable("it is cut short")
            left += decoder.decompress(packed, _STRIP_BYTES)
            count = min(len(left), need - done) // dtype.itemsize
            if count:
                first = done // dtype.itemsize
                yield slice(first, first + count), np.frombuffer(left, dtype, count)
                done += count * dtype.itemsize
                left = left[count * dtype.itemsize :]
            if decoder.eof and done < need and not count:
                raise Unreadable("it is cut short")
