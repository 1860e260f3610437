"""Large arrays beside a recovery journal, each written once however often the journal is: ``NAME.arrays/TOKEN.npy``.

Data objects are never changed in place, so an array that was written stays right for as long as it lives; an array
that is no longer spoken of goes with the next snapshot. Live arrays are changed in place, and taken in as they are.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import weakref
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np

from atomseg_app.data import Array
from atomseg_app.errors import FileError
from atomseg_app.io.atomic_write import atomic_open
from atomseg_app.io.live_arrays import file_of

LARGE_BYTES = 4 << 20
"""Arrays from this size on are kept beside the journal."""
ARRAYS = ".arrays"
_TOKEN = re.compile(r"[0-9a-f]{16}")


def folder_of(journal: Path) -> Path:
    """Folder of the arrays of a journal."""
    return journal.with_name(f"{journal.name}{ARRAYS}")


class KeptArrays:
    """The arrays of one journal that is being written; nothing is on disk before the first :meth:`keep`."""

    def __init__(self, journal: Path) -> None:
        self._folder = folder_of(journal)
        self._kept: dict[str, Callable[[], Any]] = {}

    def keep(self, array: Array) -> str | None:
        """Token of a large array, which is written if it is not there yet; None for a small one. Raises FileError."""
        if array.nbytes < LARGE_BYTES:
            return None
        for token, known in self._kept.items():
            if known() is array:
                return token
        token = secrets.token_hex(8)
        live = file_of(array)
        if live is not None and _linked(live, self._folder / f"{token}.npy"):
            self._kept[token] = weakref.ref(array)
            return token
        with atomic_open(self._folder / f"{token}.npy") as stream:
            np.lib.format.write_array(stream, np.asanyarray(array), allow_pickle=False)
        self._kept[token] = weakref.ref(array) if live is None else _copied_once
        return token

    def let_go(self, tokens: Iterable[str]) -> None:
        """Remove all arrays but those of the tokens, which the snapshot on disk speaks of."""
        wanted = set(tokens)
        for token in [token for token in self._kept if token not in wanted]:
            del self._kept[token]
            (self._folder / f"{token}.npy").unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove all."""
        self._kept.clear()
        discard_kept(self._folder)


def read_kept(journal: Path, token: object) -> Array:
    """Array of a token, mapped, so that looking at a journal reads none of it. Raises FileError if missing or cut."""
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise FileError(f"{journal} is damaged: {token!r} names no array.")
    path = folder_of(journal) / f"{token}.npy"
    try:
        array: Array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as problem:
        raise FileError(f"{path} cannot be read ({problem}); what it held is lost.") from problem
    return array


def discard_kept(folder: Path) -> None:
    """Remove a folder of arrays, whatever is in it."""
    shutil.rmtree(folder, ignore_errors=True)


def _linked(file: Path, name: Path) -> bool:
    """Give a file a second name; whether it can have one."""
    name.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, name)
    except OSError:
        return False
    return True


def _copied_once() -> None:
    """Stands for a live array of which a copy was kept: it may have changed, so the next snapshot copies it again."""
