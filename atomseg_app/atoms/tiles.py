"""Large images in overlapping tiles, several at once: memory does not grow with the image, and every core has work."""

from __future__ import annotations

import itertools
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from atomseg_app.atoms import heap
from atomseg_app.data import Array
from atomseg_app.errors import Cancelled
from atomseg_app.operations import Report

_TILE_PX = 2048
_STRIP_PX = 512  # strips lower than this spend more on their overlap than a second core gives back
_OVERLAP_PX = 128


@dataclass(frozen=True)
class Tile:
    """Part of an image that is worked on, and the part of it whose columns it keeps (left, top, right, bottom)."""

    rows: slice
    columns: slice
    core: tuple[float, float, float, float]

    @property
    def core_in_tile(self) -> tuple[float, float, float, float]:
        """The core in pixels of the tile."""
        x, y = self.columns.start, self.rows.start
        left, top, right, bottom = self.core
        return left - x, top - y, right - x, bottom - y

    def owns(self, table: Array) -> npt.NDArray[np.bool_]:
        """Rows whose centre lies in the core."""
        left, top, right, bottom = self.core
        x, y = table["x_px"], table["y_px"]
        return np.asarray((x >= left) & (x < right) & (y >= top) & (y < bottom))


def tiles_of(region: tuple[int, int, int, int], workers: int) -> Iterator[Tile]:
    """Tiles of a region (left, top, right, bottom): as few as memory allows, but strips for each of the workers.

    Only whole scan lines are handed to a worker where the width allows it: their displacement is seen along a line.
    """
    left, top, right, bottom = region
    for y0, y1, core_top, core_bottom in _cuts(top, bottom, min(workers, (bottom - top) // _STRIP_PX)):
        for x0, x1, core_left, core_right in _cuts(left, right, 1):
            yield Tile(slice(y0, y1), slice(x0, x1), (core_left, core_top, core_right, core_bottom))


def _cuts(start: int, stop: int, wanted: int) -> Iterator[tuple[int, int, float, float]]:
    """Start and stop of overlapping pieces and of their cores; outermost cores reach half a pixel past the ends."""
    count = max(1, wanted, -(-(stop - start) // _TILE_PX))
    edges = np.linspace(start, stop, count + 1).astype(int)
    for k in range(count):
        low, high = int(edges[k]), int(edges[k + 1])
        yield (
            max(start, low - _OVERLAP_PX),
            min(stop, high + _OVERLAP_PX),
            low - 0.5,
            high - 0.5 if k < count - 1 else high - 0.5 + 1e-9,
        )


def run_tiles(
    tiles: Sequence[Tile], work: Callable[[Tile, Report], Array], workers: int, report: Report
) -> list[Array]:
    """Results of ``work`` for each tile, in order, on up to ``workers`` threads with one core each.

    Most of the work is many small steps that one core does as fast as two. The report sees the mean progress, one
    thread at a time; a cancelled or failed tile ends the others at their next step.
    """
    with heap.kept():
        return [work(tiles[0], report)] if len(tiles) == 1 else _at_once(tiles, work, workers, report)


def _at_once(tiles: Sequence[Tile], work: Callable[[Tile, Report], Array], workers: int, report: Report) -> list[Array]:
    done = [0.0] * len(tiles)
    lock, given_up = threading.Lock(), threading.Event()

    def part_of(number: int) -> Report:
        def progress(fraction: float, message: str) -> None:
            with lock:
                done[number] = fraction
                report.progress(sum(done) / len(done), message)

        return Report(on_progress=progress, cancelled=lambda: given_up.is_set() or report.cancelled)

    def one(tile: Tile, part: Report) -> Array:
        torch.set_num_threads(1)
        try:
            return work(tile, part)
        except BaseException:
            given_up.set()
            raise

    parts = [part_of(number) for number in range(len(tiles))]
    try:
        with ThreadPoolExecutor(min(workers, len(tiles))) as pool:
            futures = [pool.submit(one, tile, part) for tile, part in zip(tiles, parts, strict=True)]
    finally:
        torch.set_num_threads(workers)
    problems = [problem for future in futures if (problem := future.exception()) is not None]
    if problems:  # a tile that was only told to stop is not the reason
        raise min(problems, key=lambda problem: isinstance(problem, Cancelled))
    _pass_on_notes([part.facts.notes for part in parts], report)
    return [future.result() for future in futures]


def _pass_on_notes(notes: list[list[str]], report: Report) -> None:
    """What the tiles told the user, once for those that differ in their figures only."""
    alike: dict[str, list[str]] = {}
    for note in itertools.chain.from_iterable(notes):
        alike.setdefault(re.sub(r"[\d.,]+", "#", note), []).append(note)
    for same in alike.values():
        several = f" (In {len(same)} of {len(notes)} parts of the image; figures of one of them.)"
        report.note(same[0] + (several if len(same) > 1 else ""))
