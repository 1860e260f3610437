"""Memory while many images of one size are made and dropped: kept in the process until the end, then given back.

The C library of Linux (glibc) returns a dropped image to the system at once, which then hands out and clears the same
pages again for the next: one sixth of the time of a find. And every thread keeps what it dropped to itself. In between
all threads share one pool, which keeps its pages; afterwards the system gets them back. Elsewhere nothing is done.
"""

from __future__ import annotations

import ctypes
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # of mallopt(3)
_LARGEST = 32 << 20  # bytes: the most that may come from the pool and not from the system
_KEPT = 1 << 30
_USUAL = 2 * _LARGEST  # where the library's own rule arrives once an image of that size was dropped


@contextmanager
def kept() -> Iterator[None]:
    """Keep dropped memory for the next image while inside, and give back to the system what is free at the end."""
    library = _glibc()
    if library is None:
        yield
        return
    library.mallopt(_ARENA_MAX, 1)
    library.mallopt(_MMAP_THRESHOLD, _LARGEST)
    library.mallopt(_TRIM_THRESHOLD, _KEPT)
    try:
        yield
    finally:
        library.mallopt(_TRIM_THRESHOLD, _USUAL)
        library.malloc_trim(ctypes.c_size_t(0))


@cache
def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux" or platform.libc_ver()[0] != "glibc":
        return None
    return ctypes.CDLL(None)
