"""Access to Zarr stores, folders or zipped: only what is really there, in pieces no larger than they say."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atomseg_app.data import Array
from atomseg_app.io.dataset import Unreadable
from atomseg_app.io.mapped import DEFLATE_RATIO, byte_count, check_ratio, fill
from atomseg_app.operations import Report

if TYPE_CHECKING:
    import zarr

_EMPTY_BYTES = 64 << 20
"""Arrays up to this size may be missing pieces, which Zarr leaves out where they are all zero."""
_HEAD_BYTES = 18


def open_store(path: Path) -> zarr.Group:
    """Root group of a store, read-only."""
    import zarr
    from zarr.storage import LocalStore, ZipStore

    store = LocalStore(path, read_only=True) if path.is_dir() else ZipStore(path, mode="r")
    return zarr.open_group(store, mode="r")


def group_of(parent: zarr.Group, name: str) -> zarr.Group | None:
    """Group of that name, None if there is none."""
    import zarr

    found = parent.get(name)
    return found if isinstance(found, zarr.Group) else None


def array_of(parent: zarr.Group | None, name: str) -> zarr.Array[Any] | None:
    """Array of that name, None if there is none."""
    import zarr

    found = parent.get(name) if parent is not None else None
    return found if isinstance(found, zarr.Array) else None


def check_stored(path: Path, array: zarr.Array[Any]) -> None:
    """Raise Unreadable if an array or its pieces cannot be as large as its description says."""
    itemsize = array.dtype.itemsize
    if any(chunk > max(size, 1) for chunk, size in zip(array.chunks, array.shape, strict=True)):
        raise Unreadable("its array is described wrongly")
    if path.is_dir():
        stored = sum(file.stat().st_size for file in (path / array.path).rglob("*") if file.is_file())
    else:
        stored = path.stat().st_size
    if byte_count(array.shape, itemsize) > _EMPTY_BYTES:
        check_ratio(array.shape, itemsize, stored, DEFLATE_RATIO)
    codecs = [type(codec).__name__.lower() for codec in array.compressors]
    for head in _heads(path, array.path):
        unpacked = next((size for codec in codecs if (size := _unpacked_bytes(codec, head)) is not None), None)
        if unpacked is not None and unpacked != byte_count(array.chunks, itemsize):
            raise Unreadable("a piece of its array is damaged")


def loader(path: Path, name: str) -> Callable[[Report], Array]:
    """Function that loads an array, one row of pieces after another."""

    def load(report: Report) -> Array:
        array = array_of(open_store(path), name)
        if array is None:
            raise Unreadable("its array is gone")
        return fill(array.shape, array.dtype, _strips(array), report)

    return load


def _strips(array: Any) -> Iterator[tuple[Any, Array]]:
    """Parts along the first axis, one row of chunks at a time."""
    for start in range(0, array.shape[0], max(1, array.chunks[0])):
        part = slice(start, start + array.chunks[0])
        yield part, np.asarray(array[part])


def _heads(path: Path, name: str) -> Iterator[bytes]:
    """First bytes of every piece of an array."""
    if path.is_dir():
        for file in (path / name).rglob("*"):
            if file.is_file() and not file.name.startswith((".z", "zarr.")):
                with file.open("rb") as piece:
                    yield piece.read(_HEAD_BYTES)
        return
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            if member.startswith(f"{name}/") and not member.rpartition("/")[2].startswith((".z", "zarr.")):
                with archive.open(member) as piece:
                    yield piece.read(_HEAD_BYTES)


def _unpacked_bytes(codec: str, head: bytes) -> int | None:
    """How many bytes a piece says that it unpacks to; the libraries would take them on its word."""
    if "blosc" in codec:
        return int.from_bytes(head[4:8], "little")
    if "lz4" in codec:
        return int.from_bytes(head[:4], "little")
    if "zstd" not in codec or head[:4] != b"\x28\xb5\x2f\xfd":
        return None
    flag, single = head[4] >> 6, head[4] >> 5 & 1  # RFC 8878, 3.1.1.1
    at = 5 + (1 - single) + (0, 1, 2, 4)[head[4] & 3]
    width = (single, 2, 4, 8)[flag]
    size = int.from_bytes(head[at : at + width], "little") + (256 if width == 2 else 0)
    return size if width else None
