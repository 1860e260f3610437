"""NanoMegas blockfiles (.blo): precession diffraction maps, described so that they can be refused by name.

Layout as read by RosettaSciIO: a header, a virtual image, and the patterns at the second offset.
"""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from atomseg_app.data import Array
from atomseg_app.io.dataset import Axis, Dataset, Unreadable, dataset
from atomseg_app.io.mapped import check_room, map_block
from atomseg_app.operations import Report

_HEADER = struct.Struct("<6sHIIIHHHHHddI")
_BEFORE_PATTERN = 6
"""Bytes of mark and number before each pattern."""


def read_blockfile(path: Path) -> list[Dataset]:
    """The patterns (scan y, scan x, y, x) of a map."""
    with path.open("rb") as file:
        head = file.read(_HEADER.size)
    if len(head) < _HEADER.size:
        raise Unreadable("its header is cut short")
    _, _, _, patterns_at, _, size, _, columns, rows, _, step_x, step_y, volts = _HEADER.unpack(head)
    shape, block = (rows, columns, size, size), size * size + _BEFORE_PATTERN
    check_room(path, patterns_at, (rows, columns, block), 1)
    scan = [Axis(rows, step_y, "nm"), Axis(columns, step_x, "nm")]
    metadata = {"kV": volts / 1000} if volts else {}
    byte = np.dtype("u1")

    def load(report: Report) -> Array:
        blocks = map_block(path, patterns_at, (rows, columns, block), byte)
        return blocks[..., _BEFORE_PATTERN:].reshape(shape)

    return [dataset("", [*scan, Axis(size), Axis(size)], byte, load, metadata=metadata)]
