"""MRC images, stacks and volumes (.mrc .st .ali .rec .map), with the extended headers of SerialEM and FEI.

Header after the MRC2014 format (Cheng et al., J. Struct. Biol. 192 (2015) 146) and IMOD's notes on its predecessors.
Lengths in it are in Angstrom; in a stack of images the cell's z is no length.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from atomseg_app.data import Array
from atomseg_app.io.dataset import Axis, Dataset, Unreadable, dataset
from atomseg_app.io.mapped import byte_count, check_room, map_block
from atomseg_app.io.tilt_angles import Side, read_side_files
from atomseg_app.operations import Report

EXTENSIONS = (".mrc", ".mrcs", ".rec", ".ali", ".st", ".map")
_HEADER = 1024
_TYPES: Mapping[int, str] = {0: "i1", 1: "i2", 2: "f4", 3: "V4", 4: "c8", 6: "u2", 12: "f2"}
_IMOD_STAMP, _IMOD_SIGNED = 1146047817, 1
_SERIALEM_BYTES = (2, 6, 4, 2, 2, 4, 2, 4, 2, 4, 2)
"""What each flag of SerialEM's extended header adds to a section (IMOD, *MRC file format*)."""
_FEI_SIZES: Mapping[bytes, int] = {b"FEI1": 768, b"FEI2": 888}
_SAME_DEG = 0.5
"""Refined angles (.tlt) differ from those of the stage by less than this or little more."""
_VOLUMES, _STACKS = (".rec", ".map"), (".st", ".ali", ".mrcs")


@dataclass(frozen=True)
class _Header:
    """The parts of the 1024-byte header that are used."""

    order: str
    shape: tuple[int, int, int]
    mode: int
    intervals: tuple[int, int, int]
    cell: tuple[float, float, float]
    axis_map: tuple[int, int, int]
    space_group: int
    extended: int
    extended_type: bytes
    seri_bytes: int
    seri_flags: int
    dtype: np.dtype[Any]

    @property
    def offset(self) -> int:
        """Where the pixels begin."""
        return _HEADER + self.extended


def _parse(head: bytes) -> _Header | None:
    """Header in the byte order in which it makes sense, None if it makes none."""
    for order in "<>":
        words = struct.unpack_from(order + "56i", head)
        nx, ny, nz, mode = words[:4]
        if mode not in _TYPES or min(nx, ny, nz) < 0 or max(words[16:19]) > 3 or words[23] < 0:
            continue
        dtype = np.dtype(order + _TYPES[mode]) if mode != 3 else np.dtype("V4")
        if mode == 0 and words[38] == _IMOD_STAMP and not words[39] & _IMOD_SIGNED:
            dtype = np.dtype("u1")
        seri_bytes, seri_flags = struct.unpack_from(order + "2h", head, 128)
        return _Header(
            order, (nz, ny, nx), mode, words[9:6:-1], struct.unpack_from(order + "3f", head, 40), words[16:19],
            words[22], words[23], head[104:108], seri_bytes, seri_flags, dtype,
        )  # fmt: skip
    return None


def is_mrc(head: bytes, path: Path) -> bool:
    """Whether a file is MRC: by its mark, by its name, or (old files have no mark) by its size."""
    if len(head) < _HEADER:
        return path.suffix.lower() in EXTENSIONS
    if head[208:211] == b"MAP":
        return True
    header = _parse(head)
    if header is None:
        return False
    exact = header.offset + byte_count(header.shape, header.dtype.itemsize) == path.stat().st_size
    return (exact and min(header.shape) > 0) or path.suffix.lower() in EXTENSIONS


def read_mrc(path: Path) -> list[Dataset]:
    """The image, stack or volume of an MRC file. Raises Unreadable."""
    with path.open("rb") as file:
        head = file.read(_HEADER)
        header = _parse(head) if len(head) == _HEADER else None
        if header is None:
            raise Unreadable("its header is cut short or damaged")
        check_room(path, header.offset, header.shape, header.dtype.itemsize)
        extended = file.read(header.extended)
    side = read_side_files(path, header.shape[0])
    facts = _Extended.of(header, extended)
    suffix, has_angles = path.suffix.lower(), bool(side.angles or facts.angles)
    is_stack = suffix not in _VOLUMES and (suffix in _STACKS or has_angles or _is_stack(header))
    sizes = _sizes(header, facts, side)
    metadata: dict[str, Any] = {"kV": side.kV or facts.kV} if side.kV or facts.kV else {}
    if side.angles:
        metadata["tilt_source"] = side.name
    notes = (*side.notes, *_disagreement(side, facts)) if is_stack else ()
    return [_dataset(path, header, sizes, is_stack, side.angles or facts.angles, metadata, notes)]


def _disagreement(side: Side, facts: _Extended) -> tuple[str, ...]:
    """A note where the angles of the file beside are not those of the header."""
    if not side.angles or len(side.angles) != len(facts.angles) or len(set(facts.angles)) == 1:
        return ()
    most = max(abs(one - other) for one, other in zip(side.angles, facts.angles, strict=True))
    if most < _SAME_DEG:
        return ()
    return (
        f"The angles in {side.name} differ from those in the header by up to {most:.3g} degrees; the former are used.",
    )


def _dataset(
    path: Path,
    header: _Header,
    sizes: tuple[float | None, ...],
    is_stack: bool,
    angles: tuple[float, ...],
    metadata: dict[str, Any],
    notes: Sequence[str],
) -> Dataset:
    axes = [Axis(size, step, "nm") for size, step in zip(header.shape, sizes, strict=True)]
    if is_stack:
        axes[0] = Axis(header.shape[0])
    scan = _scan_beside(path, header.shape[0])
    if scan is not None:
        kilovolts, scan_shape = scan
        axes = [Axis(size) for size in (*scan_shape, *header.shape[1:])]
        metadata = {"kV": kilovolts} if kilovolts else metadata
    order = _axis_order(header) if not is_stack else (0, 1, 2)
    turned = [axes[index] for index in order] if len(axes) == 3 else axes

    def load(report: Report) -> Array:
        values = map_block(path, header.offset, header.shape, header.dtype)
        return values.transpose(order) if len(axes) == 3 else values

    refusal = "its pixels are pairs of integers (a Fourier transform)" if header.mode == 3 else ""
    return dataset(
        "", turned, header.dtype, load, tilt_deg=angles if is_stack else None, metadata=metadata, refusal=refusal,
        volume=not is_stack, notes=notes,
    )  # fmt: skip


def _is_stack(header: _Header) -> bool:
    """Whether sections are images: a single one, or space group 0 with one z interval or no length along z."""
    return (header.shape[0] == 1 and header.space_group != 1) or (
        header.space_group == 0 and (header.intervals[0] == 1 or header.cell[2] <= 0)
    )


def _axis_order(header: _Header) -> tuple[int, int, int]:
    """Transposition to (z, y, x) from the header's columns, rows, sections (1 = x); as stored where they are unset."""
    stored = [3 - axis for axis in reversed(header.axis_map)]  # place in (z, y, x) of each stored axis
    if sorted(stored) != [0, 1, 2]:
        return 0, 1, 2
    z, y, x = (stored.index(axis) for axis in range(3))
    return z, y, x


def _sizes(header: _Header, facts: _Extended, side: Side) -> tuple[float | None, ...]:
    """Voxel sizes in nm in stored order, from the cell; old FEI stacks and uncalibrated ones have them elsewhere."""
    lengths = [length if math.isfinite(length) and length > 0 else None for length in reversed(header.cell)]
    cell = tuple(
        length / count / 10 if length and count > 0 else None
        for length, count in zip(lengths, header.intervals, strict=True)
    )
    placeholder = all(size is not None and abs(size - 0.1) < 1e-9 for size in cell[1:])
    if facts.pixel_size_nm and (placeholder or None in cell[1:]):
        return None, facts.pixel_size_nm, facts.pixel_size_nm
    if side.pixel_size_nm and (placeholder or None in cell[1:]):
        return None, side.pixel_size_nm, side.pixel_size_nm
    return cell


@dataclass(frozen=True)
class _Extended:
    """What an extended header tells: one angle a section in degrees, pixel size and voltage."""

    angles: tuple[float, ...] = ()
    pixel_size_nm: float | None = None
    kV: float | None = None  # noqa: N815

    @classmethod
    def of(cls, header: _Header, content: bytes) -> _Extended:
        """Read FEI1, FEI2, SERI, the same without its mark, and the old FEI header (1024 records of 32 floats)."""
        views = header.shape[0]
        if header.extended_type in _FEI_SIZES:
            return cls._fei(content, views, _FEI_SIZES[header.extended_type])
        if header.extended_type == b"SERI":
            return cls._serialem(header, content, views)
        if header.extended_type not in (b"MRCO", b"AGAR", b"CCP4") and _is_serialem(header):
            return cls._serialem(header, content, views)
        if header.seri_bytes == 0 and header.seri_flags == 32 and len(content) >= 128 * views:
            return cls._old_fei(header, content, views)
        return cls()

    @classmethod
    def _fei(cls, content: bytes, views: int, size: int) -> _Extended:
        if len(content) < size * views or views == 0:
            return cls()
        numbers = [struct.unpack_from("<2d", content, size * view + 92) for view in range(views)]
        volts, pixel_m = struct.unpack_from("<d", content, 84)[0], struct.unpack_from("<d", content, 156)[0]
        return cls(_finite(alpha for _, alpha in numbers), _positive(pixel_m * 1e9), _positive(volts / 1e3))

    @classmethod
    def _serialem(cls, header: _Header, content: bytes, views: int) -> _Extended:
        step = header.seri_bytes or (len(content) // views if views else 0)
        flags = header.seri_flags if header.seri_bytes else 1
        if not flags & 1 or step < 2 or len(content) < step * views:
            return cls()
        hundredths = [struct.unpack_from(header.order + "h", content, step * view)[0] for view in range(views)]
        return cls(tuple(value / 100 for value in hundredths))

    @classmethod
    def _old_fei(cls, header: _Header, content: bytes, views: int) -> _Extended:
        records = np.frombuffer(content, header.order + "f4", 32 * views).reshape(views, 32)
        if views == 0:
            return cls()
        return cls(_finite(records[:, 0]), _positive(float(records[0, 11]) * 1e9))


def _is_serialem(header: _Header) -> bool:
    """Whether the bytes a section are what the flags of SerialEM add up to, as in its files before it had a mark."""
    bytes_of_flags = sum(size for bit, size in enumerate(_SERIALEM_BYTES) if header.seri_flags >> bit & 1)
    return 0 < header.seri_bytes == bytes_of_flags and 0 < header.seri_flags < 1 << len(_SERIALEM_BYTES)


def _finite(numbers: Any) -> tuple[float, ...]:
    """Numbers as angles, none if one of them cannot be."""
    angles = tuple(float(number) for number in numbers)
    return angles if all(abs(angle) <= 360 for angle in angles) else ()


def _positive(number: float) -> float | None:
    return number if math.isfinite(number) and number > 1e-6 else None


def _scan_beside(path: Path, frames: int) -> tuple[float | None, tuple[int, int]] | None:
    """Voltage and scan shape (y, x) from a Direct Electron NAME_info.txt, if its scan has as many points as frames."""
    if not path.stem.endswith("_movie"):
        return None
    info = path.with_name(path.stem.removesuffix("movie") + "info.txt")
    if not info.is_file() or info.stat().st_size > 1 << 20:
        return None
    text = info.read_text(encoding="utf-8", errors="replace")
    found = {
        name: int(match[1])
        for name in ("Scan - Size X", "Scan - Size Y", "Instrument Accelerating Voltage (V)")
        if (match := re.search(rf"^{re.escape(name)}\s*=\s*(\d{{1,9}})\s*$", text, re.MULTILINE))
    }
    shape = found.get("Scan - Size Y", 0), found.get("Scan - Size X", 0)
    if min(shape) < 2 or shape[0] * shape[1] != frames:
        return None
    return _positive(found.get("Instrument Accelerating Voltage (V)", 0) / 1e3), shape
