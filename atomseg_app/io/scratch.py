"""Writable arrays of results: in memory while small, else maps of temporary files that go with the array."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from atomseg_app.data import Array
from atomseg_app.io.mapped import byte_count, spool

IN_MEMORY_BYTES = 512 << 20
"""Results up to this size are kept in memory."""


def scratch(shape: Sequence[int], dtype: npt.DTypeLike) -> Array:
    """Array of zeros. Raises Unreadable (one sentence) where the cache folder has no room for it."""
    kind = np.dtype(dtype)
    return np.zeros(tuple(shape), kind) if byte_count(shape, kind.itemsize) <= IN_MEMORY_BYTES else spool(shape, kind)
