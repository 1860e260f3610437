"""Voxels of labels while they are painted: writes within a box, counts per class, and strokes that can be undone.

The array is changed in place; that of a large volume is a map of a file in the autosave folder. What a stroke changed
is kept tile by tile as the exclusive-or of before and after, packed by zlib: the same bytes take it back and do it
again.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atomseg_app.io import live_arrays
from atomseg_app.io.live_arrays import live_array
from atomseg_app.label_classes import IGNORE

Zyx = tuple[int, int, int]
Bytes = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

_TILE: Zyx = (8, 64, 64)


@dataclass(frozen=True)
class Box:
    """Voxels from ``start`` (z, y, x) to before ``stop``."""

    start: Zyx
    stop: Zyx

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """Index of the box in an array."""
        (z0, y0, x0), (z1, y1, x1) = self.start, self.stop
        return slice(z0, z1), slice(y0, y1), slice(x0, x1)

    @property
    def shape(self) -> Zyx:
        """Sizes (z, y, x)."""
        z, y, x = (stop - start for start, stop in zip(self.start, self.stop, strict=True))
        return z, y, x

    def within(self, shape: Collection[int]) -> Box | None:
        """The part that lies in an array of ``shape``; None where there is none."""
        z0, y0, x0 = (max(0, start) for start in self.start)
        z1, y1, x1 = (min(stop, size) for stop, size in zip(self.stop, shape, strict=True))
        return Box((z0, y0, x0), (z1, y1, x1)) if z0 < z1 and y0 < y1 and x0 < x1 else None

    def joined(self, other: Box | None) -> Box:
        """The smallest box round both."""
        if other is None:
            return self
        z0, y0, x0 = (min(pair) for pair in zip(self.start, other.start, strict=True))
        z1, y1, x1 = (max(pair) for pair in zip(self.stop, other.stop, strict=True))
        return Box((z0, y0, x0), (z1, y1, x1))


@dataclass(frozen=True)
class Patch:
    """A change that can be taken back and done again: packed exclusive-ors of tiles, by the index of the tile."""

    tiles: tuple[tuple[Zyx, bytes], ...]
    box: Box

    @property
    def cost_bytes(self) -> int:
        """Memory that it holds."""
        return sum(len(packed) + 64 for _, packed in self.tiles)


class LabelStore:
    """Labels (z, y, x) of uint8 that are painted. ``locked`` classes never change; with ``only_empty`` nothing
    that has a class does.
    """

    def __init__(self, values: Bytes) -> None:
        self.values = values if values.flags.writeable else np.array(values)
        self.locked: frozenset[int] = frozenset()
        self.only_empty = False
        self._count()
        self._before: dict[Zyx, Bytes] | None = None
        self._stroke_box: Box | None = None

    @classmethod
    def empty(cls, shape: tuple[int, ...]) -> LabelStore:
        """Labels of which nothing was painted."""
        store = cls(np.empty((0, *shape[1:]), np.uint8))
        large = math.prod(shape) >= live_arrays.LIVE_BYTES
        store.values = live_array(shape, np.uint8, IGNORE) if large else np.full(shape, IGNORE, np.uint8)
        store.counts[IGNORE] = store.values.size
        store.labelled = [np.zeros(size, np.int64) for size in shape]
        return store

    @classmethod
    def copy_of(cls, values: Bytes, *, zero_is_empty: bool = False) -> LabelStore:
        """Labels to paint on from others, a plane at a time; slow for large ones, so off the window's thread."""
        store = cls.empty(values.shape)
        for copied, plane in zip(store.values, values, strict=True):
            copied[...] = np.where(plane == 0, np.uint8(IGNORE), plane) if zero_is_empty else plane
        store._count()
        return store

    @property
    def shape(self) -> Zyx:
        """Shape of the labels."""
        z, y, x = self.values.shape
        return z, y, x

    @property
    def cost_bytes(self) -> int:
        """Memory that it holds; next to none where the labels lie in a file."""
        return 4096 if live_arrays.file_of(self.values) is not None else int(self.values.nbytes)

    @property
    def painting(self) -> bool:
        """Whether a stroke has begun and not ended."""
        return self._before is not None

    def begin(self) -> None:
        """Begin a stroke."""
        self._before, self._stroke_box = {}, None

    def paint(self, box: Box, mask: Mask, value: int, allowed: Mask | None = None) -> Box | None:
        """Give the voxels of ``mask`` (the shape of ``box``) a value, where locks allow; the box that may have changed.

        The box may reach beyond the labels. ``allowed`` is a second mask of the same shape (grey levels in a range).
        """
        inside = box.within(self.shape)
        if inside is None:
            return None
        cut = tuple(
            slice(start - outer, stop - outer)
            for start, stop, outer in zip(inside.start, inside.stop, box.start, strict=True)
        )
        chosen = mask[cut]
        before = self.values[inside.slices]
        limited = self.locked or (self.only_empty and value != IGNORE)
        chosen = chosen & (self._changeable(value)[before] if limited else before != value)
        if allowed is not None:
            chosen &= allowed[cut]
        if not chosen.any():
            return None
        if self._before is None:
            raise RuntimeError("labels are painted in strokes: begin one first")
        self._remember(inside)
        lost = np.bincount(before[chosen], minlength=256)
        self.counts -= lost
        self.counts[value] += int(lost.sum())
        empty = before == IGNORE
        change = (chosen & ~empty if value == IGNORE else chosen & empty).view(np.int8)
        self._label(inside, -change if value == IGNORE else change)
        before[chosen] = value
        self._stroke_box = inside.joined(self._stroke_box)
        return inside

    def end(self) -> Patch | None:
        """End the stroke: what it changed, None if nothing."""
        before, box = self._before, self._stroke_box
        self._before = self._stroke_box = None
        if not before or box is None:
            return None
        packed = []
        for index, old in before.items():
            difference = old ^ self.values[_tile(index, self.shape).slices]
            if difference.any():
                packed.append((index, zlib.compress(difference.tobytes(), 1)))
        return Patch(tuple(packed), box) if packed else None

    def apply(self, patch: Patch) -> None:
        """Take a change back, or do it again."""
        for index, packed in patch.tiles:
            box = _tile(index, self.shape)
            part = self.values[box.slices]
            empty = part == IGNORE
            self.counts -= np.bincount(part.ravel(), minlength=256)
            part ^= np.frombuffer(zlib.decompress(packed), np.uint8).reshape(part.shape)
            self.counts += np.bincount(part.ravel(), minlength=256)
            change = empty.view(np.int8) - (part == IGNORE).view(np.int8)
            if change.any():
                self._label(box, change)

    def painted_slices(self) -> npt.NDArray[np.intp]:
        """Indices along z of slices in which some voxel has a class."""
        return np.flatnonzero(self.labelled[0])

    def mostly_zero(self) -> bool:
        """Whether more than nine in ten voxels are 0 and none is empty: zeros may stand for what nobody labelled."""
        return not self.counts[IGNORE] and bool(self.counts[0] > 0.9 * self.values.size)

    def painted_axis(self) -> int:
        """Axis (0: z) across which slices are painted: the one along which the fewest positions have labels."""
        return int(np.argmin([np.count_nonzero(counts) / len(counts) for counts in self.labelled]))

    def _count(self) -> None:
        """Voxels of each value, and of any class in each slice along (z, y, x)."""
        self.counts = np.zeros(256, np.int64)
        self.labelled = [np.zeros(size, np.int64) for size in self.values.shape]
        for z, plane in enumerate(self.values):
            if plane.size and plane.min() == IGNORE:  # nothing painted, as in most slices; ten times as fast
                self.counts[IGNORE] += plane.size
                continue
            counts = np.bincount(plane.ravel(), minlength=256)
            self.counts += counts
            if counts[IGNORE] < plane.size:
                known = plane != IGNORE
                self.labelled[0][z] = plane.size - counts[IGNORE]
                self.labelled[1] += known.sum(1)
                self.labelled[2] += known.sum(0)

    def _label(self, box: Box, change: npt.NDArray[np.int8]) -> None:
        """Voxels of a box got a class (1), or lost theirs (-1)."""
        down = change.sum(0, dtype=np.int32)
        sums = change.sum((1, 2), dtype=np.int64), down.sum(1, dtype=np.int64), down.sum(0, dtype=np.int64)
        for known, place, found in zip(self.labelled, box.slices, sums, strict=True):
            known[place] += found

    def _changeable(self, value: int) -> Mask:
        """Which values may be replaced by ``value``."""
        table = np.ones(256, bool)
        table[list(self.locked)] = False
        if self.only_empty and value != IGNORE:
            table[:IGNORE] = False
        table[value] = False
        return table

    def _remember(self, box: Box) -> None:
        assert self._before is not None
        for index in _tiles(box):
            if index not in self._before:
                self._before[index] = self.values[_tile(index, self.shape).slices].copy()


def _tiles(box: Box) -> Iterator[Zyx]:
    """Indices of the tiles that a box touches."""
    ranges = [
        range(start // size, (stop - 1) // size + 1)
        for start, stop, size in zip(box.start, box.stop, _TILE, strict=True)
    ]
    for z in ranges[0]:
        for y in ranges[1]:
            for x in ranges[2]:
                yield z, y, x


def _tile(index: Zyx, shape: Zyx) -> Box:
    """The voxels of a tile."""
    (z, y, x), (depth, height, width), (z_end, y_end, x_end) = index, _TILE, shape
    z, y, x = z * depth, y * height, x * width  # called for thousands of tiles: no loops
    return Box((z, y, x), (min(z + depth, z_end), min(y + height, y_end), min(x + width, x_end)))
