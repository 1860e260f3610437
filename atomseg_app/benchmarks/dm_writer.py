"""Writes small DigitalMicrograph files (DM3, DM4), for tests and the reader benchmark; no library does."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from atomseg_app.data import Array

_CODES = {"i2": 2, "i4": 3, "u2": 4, "u4": 5, "f4": 6, "f8": 7, "u1": 10}
_DATA_TYPES = {"i2": 1, "f4": 2, "u1": 6, "i4": 7, "u2": 10, "u4": 11, "f8": 12}


def write_dm(path: Path, values: Array, pixel_size: float, unit: str, tags: Mapping[str, Any] | None = None) -> None:
    """Write an image or stack with one pixel size for all axes; ``tags`` are its ImageTags."""
    long = path.suffix == ".dm4"
    calibration = {"Origin": 0.0, "Scale": pixel_size, "Units": unit}
    kind = values.dtype.str[1:]
    data = {
        "Calibrations": {"Dimension": [calibration] * values.ndim},
        "Data": values.astype(f"<{kind}"),
        "DataType": _DATA_TYPES[kind],
        "Dimensions": [int(size) for size in reversed(values.shape)],
        "PixelDepth": values.dtype.itemsize,
    }
    body = _group({"ImageList": [{"ImageData": data, "ImageTags": dict(tags or {}), "Name": "sample"}]}, long)
    head = struct.pack(">IQI", 4, len(body), 1) if long else struct.pack(">III", 3, len(body), 1)
    path.write_bytes(head + body + b"\0" * 8)


def _count(value: int, long: bool) -> bytes:
    return struct.pack(">Q" if long else ">I", value)


def _group(members: Mapping[str, Any] | list[Any], long: bool) -> bytes:
    pairs = list(members.items()) if isinstance(members, Mapping) else [("", member) for member in members]
    return b"\1\0" + _count(len(pairs), long) + b"".join(_tag(name, value, long) for name, value in pairs)


def _tag(name: str, value: Any, long: bool) -> bytes:
    is_group = isinstance(value, Mapping | list)
    content = _group(value, long) if is_group else _data(value, long)
    head = bytes([20 if is_group else 21]) + struct.pack(">H", len(name)) + name.encode("latin-1")
    return head + (_count(len(content), long) if long else b"") + content


def _data(value: Any, long: bool) -> bytes:
    if isinstance(value, np.ndarray):
        info, content = [20, _CODES[value.dtype.str[1:]], value.size], value.tobytes()
    elif isinstance(value, str):
        info, content = [20, 4, len(value)], value.encode("utf-16-le")
    elif isinstance(value, float):
        info, content = [7], struct.pack("<d", value)
    else:
        info, content = [5], struct.pack("<I", value)
    return b"%%%%" + b"".join(_count(number, long) for number in (len(info), *info)) + content
