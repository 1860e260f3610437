"""A stored zip of one JSON manifest and numbered .npy arrays: the container of projects and recovery journals.

Nothing in it can run code, and nothing is believed before it is checked: entries are stored, not compressed, so that
no array can be larger than the file that holds it.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from atomseg_app.data import Array
from atomseg_app.errors import FileError
from atomseg_app.io.atomic_write import atomic_open

_MANIFEST = "manifest.json"


def write_archive(path: Path, manifest: Mapping[str, Any], arrays: Sequence[Array]) -> None:
    """Write manifest and arrays, whole or not at all. Raises FileError."""
    text = json.dumps(manifest, indent=1, ensure_ascii=False, default=_plain)
    with atomic_open(path) as stream, zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr(_MANIFEST, text)
        for index, array in enumerate(arrays):
            with archive.open(f"{index}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, np.asanyarray(array), allow_pickle=False)


def _plain(value: Any) -> Any:
    """What readers leave in metadata that JSON does not know: numpy numbers and arrays, else the words for it."""
    return value.tolist() if isinstance(value, np.generic | np.ndarray) else str(value)


class Archive:
    """An archive open for reading; a context manager. Raises FileError for anything that is not whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._size = os.path.getsize(path)
            self._zip = zipfile.ZipFile(path)
        except OSError as problem:
            raise FileError(f"{path} cannot be read: {problem.strerror or problem}.") from problem
        except zipfile.BadZipFile as problem:
            raise self._damaged(str(problem)) from problem

    def __enter__(self) -> Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def _damaged(self, reason: str) -> FileError:
        return FileError(f"{self._path} is damaged or no project of this program ({reason}); open an earlier copy.")

    def _open(self, name: str) -> tuple[IO[bytes], int]:
        """An entry and its honest size."""
        try:
            info = self._zip.getinfo(name)
            if info.compress_type != zipfile.ZIP_STORED or info.file_size > self._size:
                raise self._damaged(f"{name} claims {info.file_size} bytes in a file of {self._size}")
            return self._zip.open(info), info.file_size
        except KeyError as problem:
            raise self._damaged(f"{name} is missing") from problem
        except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as problem:
            raise self._damaged(f"{name}: {problem}") from problem

    def manifest(self) -> dict[str, Any]:
        """The manifest, which is a JSON object."""
        entry, _ = self._open(_MANIFEST)
        try:
            with entry:
                manifest = json.loads(entry.read().decode("utf-8"))
        except (OSError, ValueError, RecursionError, zipfile.BadZipFile) as problem:
            raise self._damaged(f"manifest: {problem}") from problem
        if not isinstance(manifest, dict):
            raise self._damaged("the manifest is no JSON object")
        return manifest

    def array(self, index: int) -> Array:
        """Array ``index``; memory is taken only after its header agrees with the entry's size."""
        entry, size = self._open(f"{index}.npy")
        try:
            with entry:
                major, _minor = np.lib.format.read_magic(entry)
                reader = np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
                shape, fortran, dtype = reader(entry)
                expected = int(np.prod([int(n) for n in shape], dtype=object)) * dtype.itemsize
                if dtype.hasobject or min(shape, default=0) < 0 or expected != size - entry.tell():
                    raise self._damaged(f"array {index} of {dtype} {shape} does not fit its {size} bytes")
                flat = np.frombuffer(bytearray(entry.read()), dtype)
        except (OSError, ValueError, EOFError, zipfile.BadZipFile) as problem:
            if isinstance(problem, FileError):
                raise
            raise self._damaged(f"array {index}: {problem}") from problem
        return flat.reshape(shape, order="F" if fortran else "C")
