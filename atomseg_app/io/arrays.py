"""NumPy arrays: .npy (with a .json of the same name beside it) and .npz archives. Nothing pickled is ever loaded.

In an archive, scalars named ``pixel_size_nm``, ``sampling_A``, ``dx_pm``... give the pixel size, vectors named
``tilts`` or ``angles_deg`` the tilt angles, ``kV`` the voltage.
"""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np

from atomseg_app.data import Array
from atomseg_app.io.dataset import Axis, Dataset, Unreadable, dataset
from atomseg_app.io.mapped import DEFLATE_RATIO, ClampedFile, byte_count, check_ratio, check_room, fill, map_block
from atomseg_app.io.sidecar import read_json_beside
from atomseg_app.io.tilt_angles import read_side_files
from atomseg_app.operations import Report

_MAX_HEADER = 10_000
_MAX_MEMBERS = 10_000
_SMALL_BYTES = 1 << 20
"""Scalars and vectors that describe the images are smaller than this."""
_FIRST = ("image", "images", "data", "stack", "haadf", "projections", "volume")
_PIXEL = re.compile(r"(?:pixel_size|voxel_size|sampling|spacing|dx)_(nm|a|angstrom|pm|um)", re.IGNORECASE)
_TILTS = re.compile(r"(?:tilts?|tilt_angles|angles)(?:_deg)?", re.IGNORECASE)
_VOLTAGE = re.compile(r"(?:voltage_)?kv|energy_kev", re.IGNORECASE)


@dataclass(frozen=True)
class _Header:
    """Header of an array file: shape, order, type and its own length in bytes."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]
    size: int


def read_npy(path: Path) -> list[Dataset]:
    """The array of an .npy file, mapped. Raises Unreadable for arrays of Python objects and cut files."""
    with ClampedFile(path) as file:
        header = _read_header(file)
    check_room(path, header.size, header.shape, header.dtype.itemsize)
    facts = read_json_beside(path, header.shape)
    side = read_side_files(path, header.shape[0]) if len(header.shape) == 3 else None
    sizes = facts.pop("pixel_size_nm", None)

    def load(report: Report) -> Array:
        return map_block(path, header.size, header.shape, header.dtype, fortran=header.fortran)

    if side is not None and side.angles:
        facts["tilt_source"] = side.name
    return [
        dataset("", _axes(header.shape, sizes), header.dtype, load, metadata=facts,
                tilt_deg=side.angles if side is not None else None, notes=side.notes if side is not None else ())
    ]  # fmt: skip


def read_zip(path: Path) -> list[Dataset]:
    """The images of an .npz archive, or of a zipped Zarr store."""
    with ClampedFile(path) as file, zipfile.ZipFile(file) as archive:
        names = archive.namelist()
        if any(name.rpartition("/")[2] in (".zgroup", "zarr.json") for name in names):
            from atomseg_app.io.zspy import read_zspy

            return read_zspy(path)
        members = [info for info in archive.infolist()[:_MAX_MEMBERS] if info.filename.endswith(".npy")]
        if not members:
            raise Unreadable("it is a zip archive without NumPy arrays")
        headers = {info.filename.removesuffix(".npy"): _member_header(archive, info) for info in members}
        facts = _facts(archive, headers)
    names = [name for name, header in headers.items() if header is not None and len(header.shape) in (2, 3)]
    if not names:
        raise Unreadable("none of its arrays has two or three axes")
    names.sort(key=lambda name: _FIRST.index(name.lower()) if name.lower() in _FIRST else len(_FIRST))
    return [_member(path, name, header, facts) for name in names if (header := headers[name]) is not None]


def _member(path: Path, name: str, header: _Header, facts: Mapping[str, Any]) -> Dataset:
    shape = header.shape
    rows, columns = shape[-2:]
    is_table = len(shape) == 2 and columns <= 8 and rows > 4 * columns
    angles = facts.get("tilt_deg")
    return dataset(
        name,
        _axes(shape, facts.get("pixel_size_nm")),
        header.dtype,
        lambda report: _load_member(path, f"{name}.npy", header, report),
        tilt_deg=angles if len(shape) == 3 and angles is not None and len(angles) == shape[0] else None,
        metadata={"kV": facts["kV"]} if "kV" in facts else {},
        image_axes=0 if is_table else 2,
    )


def _axes(shape: Sequence[int], sizes: Sequence[float] | None) -> list[Axis]:
    """Axes with sizes (y, x), or (z, y, x), in nm."""
    known = (
        [None] * (len(shape) - len(sizes)) + list(sizes) if sizes and len(sizes) <= len(shape) else [None] * len(shape)
    )
    return [Axis(size, step, "nm") for size, step in zip(shape, known, strict=True)]


def _read_header(file: IO[bytes] | io.FileIO) -> _Header:
    """Header of an array, bounded in length; its text is a literal, never run."""
    version = np.lib.format.read_magic(file)
    length = 2 if version == (1, 0) else 4
    start = file.read(length)
    size = int.from_bytes(start, "little")
    if size > _MAX_HEADER:
        raise Unreadable("its header is damaged")
    text = io.BytesIO(start + file.read(size))
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(text, max_header_size=_MAX_HEADER)
    if dtype.hasobject:
        raise Unreadable("it holds Python objects, which are never loaded; save a plain array of numbers")
    if min(shape, default=0) < 0 or len(shape) > 32:
        raise Unreadable("its header is damaged")
    return _Header(tuple(shape), fortran, dtype, 8 + length + size)


def _member_header(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> _Header | None:
    """Header of a member, None for one that cannot be shown. Raises Unreadable if it cannot be as large as it says."""
    with archive.open(info) as file:
        try:
            header = _read_header(file)
        except Unreadable:
            return None
    if header.size + byte_count(header.shape, header.dtype.itemsize) != info.file_size:
        raise Unreadable(f"its array {info.filename} is not as long as its header says")
    check_ratio((info.file_size,), 1, info.compress_size, DEFLATE_RATIO)
    return header


def _facts(archive: zipfile.ZipFile, headers: Mapping[str, _Header | None]) -> dict[str, Any]:
    """Pixel size in nm, tilt angles and voltage from the small arrays of an archive."""
    facts: dict[str, Any] = {}
    for name, header in headers.items():
        if header is None or len(header.shape) > 1 or header.dtype.kind not in "fiu":
            continue
        if byte_count(header.shape, header.dtype.itemsize) > _SMALL_BYTES:
            continue
        with archive.open(f"{name}.npy") as file:
            content = file.read(header.size + _SMALL_BYTES)
        numbers = [float(value) for value in np.frombuffer(content, header.dtype, offset=header.size)]
        if match := _PIXEL.fullmatch(name):
            factor = {"nm": 1.0, "a": 0.1, "angstrom": 0.1, "pm": 1e-3, "um": 1e3}[match[1].lower()]
            sizes = [number * factor for number in numbers]
            facts["pixel_size_nm"] = sizes * 2 if len(sizes) == 1 else sizes
        elif _TILTS.fullmatch(name):
            facts["tilt_deg"] = numbers
        elif _VOLTAGE.fullmatch(name) and len(numbers) == 1:
            facts["kV"] = numbers[0]
    return facts


def _load_member(path: Path, name: str, header: _Header, report: Report) -> Array:
    """Array of a member: mapped if it is stored as it is, else unpacked."""
    with ClampedFile(path) as file, zipfile.ZipFile(file) as archive:
        info = archive.getinfo(name)
        file.seek(info.header_offset)
        local = file.read(30)
    if info.compress_type != zipfile.ZIP_STORED or len(local) < 30:
        return fill(header.shape, header.dtype, _planes(path, name, header), report)
    names = int.from_bytes(local[26:28], "little") + int.from_bytes(local[28:30], "little")
    offset = info.header_offset + 30 + names + header.size
    return map_block(path, offset, header.shape, header.dtype, fortran=header.fortran)


def _planes(path: Path, name: str, header: _Header) -> Iterator[tuple[Any, Array]]:
    """Strips of a compressed array along its first stored axis, unpacked one at a time."""
    stored = header.shape[::-1] if header.fortran else header.shape
    row = byte_count(stored[1:], header.dtype.itemsize)
    rows = max(1, (4 << 20) // max(1, row))
    with ClampedFile(path) as file, zipfile.ZipFile(file) as archive, archive.open(name) as member:
        member.read(header.size)
        for start in range(0, stored[0], rows):
            count = min(rows, stored[0] - start)
            content = member.read(count * row)
            if len(content) < count * row:
                raise Unreadable("it is cut short")
            strip = np.frombuffer(content, header.dtype).reshape(count, *stored[1:])
            strip_of_file = slice(start, start + count)
            yield ((..., strip_of_file), strip.T) if header.fortran else (strip_of_file, strip)
