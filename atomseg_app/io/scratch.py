"""Writable arrays of results: in memory while small, else maps of temporary files that go with the array."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from atomseg_app.data import Array
from atomseg_app.io.mapped import IN_MEMORY_BYTES, byte_count, spool


def scratch(shape: Sequence[int], dtype: npt.DTypeLike, in_memory_bytes: int = IN_MEMORY_BYTES * 8) -> Array:
    """Array of zeros. Raises Unreadable (one sentence) where the cache folder has no room for it."""
    kind = np.dtype(dtype)
    small = byte_count(shape, kind.itemsize) <= in_memory_bytes
    return np.zeros(tuple(shape), kind) if small else spool(shape, kind)
