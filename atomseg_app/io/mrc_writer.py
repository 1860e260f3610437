"""Volumes and tilt series as MRC, after the MRC2014 format (Cheng et al., J. Struct. Biol. 192 (2015) 146).

Lengths are written in Angstrom; a cell of 0 says that the size is not known.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from atomseg_app import __version__
from atomseg_app.data import Array, Volume
from atomseg_app.errors import UserError
from atomseg_app.io.atomic_write import atomic_open
from atomseg_app.io.volume_parts import history_lines, slabs, stored_type
from atomseg_app.operations import Report

MODES = {"int8": 0, "int16": 1, "uint16": 6, "float32": 2}
_VOLUME, _STACK = 1, 0
_LABEL_BYTES, _LABELS = 80, 10
_MOST = 2**31 - 1


def write_mrc(volume: Volume, path: str | Path, report: Report) -> None:
    """Write a volume with voxel size and its history as labels, whole or not at all. Raises FileError, UserError."""
    dtype = stored_type(volume.values, tuple(MODES), report, "MRC")
    with atomic_open(path) as stream:
        write_block(stream, volume.values, dtype, volume.pixel_size_nm, history_lines(volume), report, is_volume=True)


def write_block(
    stream: IO[bytes],
    values: Array,
    dtype: np.dtype[Any],
    sizes_nm: Sequence[float | None],
    lines: Sequence[str],
    report: Report,
    *,
    is_volume: bool,
    extended: tuple[bytes, bytes] = (b"", b""),
) -> None:
    """Header, extended header (its type of four letters, its content) and values (section, y, x).

    The statistics are put into the header when all values have passed.
    """
    if max(values.shape) > _MOST:
        raise UserError(f"MRC holds at most {_MOST} pixels along an axis, not {values.shape}.")
    stream.write(b"\0" * 1024 + extended[1])
    statistics = _Statistics()
    for _, slab in slabs(values, dtype, report):
        statistics.add(slab)
        stream.write(slab.astype(dtype.newbyteorder("<"), copy=False).tobytes())
    stream.seek(0)
    head = _header(values.shape, dtype, sizes_nm, lines, statistics, is_volume=is_volume)
    struct.pack_into("<i", head, 92, len(extended[1]))
    struct.pack_into("<4s", head, 104, extended[0])
    stream.write(head)


class _Statistics:
    """Smallest, largest, mean and rms deviation of the finite values."""

    def __init__(self) -> None:
        self._low, self._high, self._sum, self._squares, self._count = math.inf, -math.inf, 0.0, 0.0, 0

    def add(self, slab: Array) -> None:
        """Take more values in."""
        finite = slab[np.isfinite(slab)] if slab.dtype.kind == "f" and not np.isfinite(slab).all() else slab
        if finite.size:
            self._low, self._high = min(self._low, float(finite.min())), max(self._high, float(finite.max()))
            self._sum += float(finite.sum(dtype=np.float64))
            self._squares += float(np.square(finite, dtype=np.float64).sum())
            self._count += finite.size

    def numbers(self) -> tuple[float, float, float, float]:
        """Minimum, maximum, mean, rms; where there are none, in the order that the format gives to *not known*."""
        if not self._count:
            return 0.0, -1.0, -2.0, -1.0
        mean = self._sum / self._count
        return self._low, self._high, mean, math.sqrt(max(self._squares / self._count - mean**2, 0.0))


def _header(
    shape: Sequence[int],
    dtype: np.dtype[Any],
    sizes_nm: Sequence[float | None],
    lines: Sequence[str],
    statistics: _Statistics,
    *,
    is_volume: bool,
) -> bytearray:
    nz, ny, nx = shape
    z, y, x = (None, *sizes_nm)[-3:]
    intervals = (nx, ny, nz if is_volume else 1)
    cell = [10 * size * count if size else 0.0 for size, count in zip((x, y, z), intervals, strict=True)]
    low, high, mean, rms = statistics.numbers()
    head = bytearray(1024)
    struct.pack_into("<10i", head, 0, nx, ny, nz, MODES[dtype.name], 0, 0, 0, *intervals)
    struct.pack_into("<6f", head, 40, *cell, 90, 90, 90)
    struct.pack_into("<3i3f2i", head, 64, 1, 2, 3, low, high, mean, _VOLUME if is_volume else _STACK, 0)
    struct.pack_into("<i", head, 108, 20141)
    struct.pack_into("<4s4sf", head, 208, b"MAP ", b"\x44\x44\0\0", rms)
    labels = [f"AtomSeg {__version__}", *lines][-_LABELS:]
    struct.pack_into("<i", head, 220, len(labels))
    for index, line in enumerate(labels):
        text = line.encode("ascii", "replace")[:_LABEL_BYTES].ljust(_LABEL_BYTES)
        head[224 + index * _LABEL_BYTES : 224 + (index + 1) * _LABEL_BYTES] = text
    return head
