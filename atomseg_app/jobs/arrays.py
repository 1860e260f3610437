"""Arrays crossing between processes as mapped files: written once, mapped read-only on the other side, never pickled.

An array that already lies in a mapped file (an opened micrograph) crosses as a reference to that file, with no copy.
References are JSON: path, offset in bytes, dtype, shape and strides.
"""

from __future__ import annotations

import itertools
import os
import shutil
import sys
import threading
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atomseg_app.data import Array
from atomseg_app.errors import UserError

if sys.platform != "win32":
    import resource

Reference = dict[str, Any]

_SAMPLES = 256
_ROOM_BYTES = 64 << 20
_COPIED_BYTES = 16 << 20
_DESCRIPTORS = 8192


def _dtype_to_json(dtype: np.dtype[Any]) -> Any:
    if dtype.hasobject:
        raise TypeError(f"arrays of {dtype} hold Python objects and cannot cross between processes")
    return dtype.str if dtype.names is None else dtype.descr


def _dtype_from_json(value: Any) -> np.dtype[Any]:
    return np.dtype(value if isinstance(value, str) else [tuple(field) for field in value])


def _reference(path: str, offset: int, array: Array, strides: Sequence[int]) -> Reference:
    return {
        "path": path, "offset": offset, "dtype": _dtype_to_json(array.dtype),
        "shape": list(array.shape), "strides": list(strides),
    }  # fmt: skip


def attach(reference: Reference) -> Array:
    """Read-only array of a reference. Raises OSError or ValueError if the file is gone or too short."""
    dtype, shape = _dtype_from_json(reference["dtype"]), tuple(reference["shape"])
    if 0 in shape:
        return np.empty(shape, dtype)
    mapped = np.memmap(reference["path"], np.uint8, "r")
    return np.ndarray(shape, dtype, mapped, reference["offset"], tuple(reference["strides"]))


def allow_many_descriptors() -> None:
    """Let this process hold as many open files as the system permits: each mapped array is one; macOS begins at 256."""
    if sys.platform != "win32":
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _mapped_base(array: Array) -> np.memmap[Any, Any] | None:
    """The array that maps the whole region of a file that ``array`` is a view of, if there is one."""
    base: Any = array
    while isinstance(base.base, np.ndarray):
        base = base.base
    shared = isinstance(base, np.memmap) and base.mode != "c" and base.filename
    return base if shared else None


def reference_in_file(array: Array) -> Reference | None:
    """Reference to the file that the array is mapped from; None if there is none or it was replaced since."""
    base = _mapped_base(array)
    if base is None or array.size == 0:
        return None
    offset = base.offset + array.__array_interface__["data"][0] - base.__array_interface__["data"][0]
    reference = _reference(str(base.filename), offset, array, array.strides)
    try:
        fresh = attach(reference)
    except (OSError, ValueError, TypeError):  # gone, cut short, or not mappable again
        return None
    # A file saved anew under the same name is another file than the one still mapped: compare some of the bytes.
    where = np.unravel_index(np.linspace(0, array.size - 1, _SAMPLES).astype(np.int64), array.shape)
    return reference if fresh[where].tobytes() == array[where].tobytes() else None


class Segments:
    """Files of one process in the folders of one session; names begin with the owner's prefix and are used once."""

    def __init__(self, folders: Sequence[str | Path], prefix: str) -> None:
        self._folders = [Path(folder) for folder in folders]
        self._prefix = prefix
        self._count = itertools.count()

    def to_json(self) -> dict[str, Any]:
        """Keyword arguments that make the same in another process."""
        return {"folders": [str(folder) for folder in self._folders], "prefix": self._prefix}

    def write(self, array: Array) -> Reference:
        """Copy an array into a new file. Raises UserError if there is no room for it."""
        if array.size == 0:
            return _reference("", 0, array, array.strides)
        folder = next((f for f in self._folders if shutil.disk_usage(f).free > 2 * array.nbytes + _ROOM_BYTES), None)
        path = (folder or self._folders[-1]) / f"{self._prefix}{next(self._count)}"
        packed = np.ascontiguousarray(array)
        reference = _reference(str(path), 0, array, packed.reshape(array.shape).strides)
        try:
            with path.open("xb") as file:
                file.write(packed.reshape(-1).view(np.uint8).data)
        except OSError as problem:
            path.unlink(missing_ok=True)
            raise UserError(
                f"There is no room for an array of {array.nbytes / 1e9:.3g} GB in {path.parent} "
                f"({problem.strerror}); free some space or use a smaller region."
            ) from None
        return reference

    def reference(self, array: Array) -> Reference:
        """Reference to the file that the array lies in, or to a new copy."""
        return reference_in_file(array) or self.write(array)

    def remove(self, reference: Reference) -> bool:
        """Unlink the file of a reference if it is one of these; whether the reference is to no other file."""
        path = Path(reference["path"])
        own = path.name.startswith(self._prefix) and path.parent in self._folders
        if own:
            unlink(path)
        return own or not reference["path"]

    def take(self, reference: Reference) -> tuple[Array, bool]:
        """Read-only array of a reference, and whether it lies in a file that is not one of these (which are removed).

        Small arrays are copied into memory, as each mapped one holds a file descriptor while it lives.
        """
        array = attach(reference)
        in_other_file = not self.remove(reference)
        if not in_other_file and array.nbytes <= _COPIED_BYTES:
            array = array.copy()
            array.flags.writeable = False
        return array, in_other_file

    def remove_all(self) -> None:
        """Unlink every file with this prefix."""
        for folder in self._folders:
            for path in folder.glob(f"{self._prefix}*"):
                unlink(path)


def unlink(path: Path) -> None:
    """Remove a segment. Windows refuses while it is mapped; it then goes with the session folder."""
    try:
        path.unlink(missing_ok=True)
    except PermissionError:
        if os.name != "nt":
            raise


class SegmentCache:
    """Copies of arrays that are sent more than once: a read-only array is written once and kept while it lives.

    A writable array may have changed since, so it is written each time.
    """

    def __init__(self, segments: Segments) -> None:
        self._segments = segments
        self._kept: dict[int, Reference] = {}
        self._lock = threading.Lock()

    def reference(self, array: Array) -> tuple[Reference, bool]:
        """Reference to the array's values, and whether it is the caller's to remove after use."""
        in_file = reference_in_file(array)
        if in_file is not None:
            return in_file, False
        key = id(array)
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                return kept, False
            written = self._segments.write(array)
            if array.flags.writeable:
                return written, True
            self._kept[key] = written
            weakref.finalize(array, self._forget, key).atexit = False
            return written, False

    def remove(self, reference: Reference) -> None:
        """Remove a file that was the caller's to remove."""
        self._segments.remove(reference)

    def _forget(self, key: int) -> None:
        reference = self._kept.pop(key, None)
        if reference is not None:
            self._segments.remove(reference)
