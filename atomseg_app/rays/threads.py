"""Kernels on all cores: pieces of a range handed to threads as they become free, so that a busy core delays nothing."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache

_PIECES_A_THREAD = 4


def thread_count() -> int:
    """Cores that this process may use; OMP_NUM_THREADS, as batches set it for their workers, limits them."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    limit = os.environ.get("OMP_NUM_THREADS", "")
    return max(1, min(available, int(limit))) if limit.isdigit() else available


@cache
def _helpers(process_id: int, count: int) -> ThreadPoolExecutor:
    """Threads beside the calling one; a forked process makes its own."""
    return ThreadPoolExecutor(count, thread_name_prefix="rays")


def in_pieces(work: Callable[[int, int], None], total: int, threads: int | None = None, least: int = 1) -> None:
    """Call ``work(first, last)`` for pieces that cover 0..total; ``work`` lets go of the interpreter as kernels do.

    On ``threads``, by default all that the process may have. Where every piece has a cost of its own, pieces are
    ``least`` long or more, unless threads would go without.
    """
    threads = min(threads or thread_count(), total)
    if threads <= 1:
        if total:
            work(0, total)
        return
    pieces = max(threads, min(total // least, threads * _PIECES_A_THREAD))
    numbers = itertools.count()

    def take() -> None:
        while (piece := next(numbers)) < pieces:
            work(piece * total // pieces, (piece + 1) * total // pieces)

    others = [_helpers(os.getpid(), threads - 1).submit(take) for _ in range(threads - 1)]
    take()
    for other in others:
        other.result()
