"""Which pieces a network is taught: out of every volume, the rarest class oversampled, painted voxels only."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from atomseg_app.data import Array
from atomseg_app.label_classes import IGNORE
from atomseg_app.segmentation.dataset import Taught

_MOST_A_SLICE = 2000  # voxels of a class that a slice offers as centres

Places = npt.NDArray[np.int32]


class Sampler:
    """Pieces of several volumes. ``rarest`` is the class that is oversampled, told by their counts together."""

    def __init__(
        self, items: Sequence[Taught], classes: int, *, channels: int, dimensions: int, oversample: float, seed: int
    ) -> None:
        """``channels`` slices are read for a 2D piece, its own in the middle; blocks of one channel for 3D ones."""
        self._items = tuple(items)
        self._channels, self._dimensions, self._oversample = channels, dimensions, oversample
        self.generator = torch.Generator().manual_seed(seed)
        picked = np.random.default_rng(seed)
        self._places = [_places(item, classes, picked) for item in self._items]
        self.counts = sum((item.counts(classes) for item in self._items), np.zeros(classes, np.int64))
        present = np.flatnonzero(self.counts)
        self.rarest = int(present[np.argmin(self.counts[present])])

    def draw(self, batch: int, side_px: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Normalised values (batch, channels, [z,] y, x) and labels (batch, [z,] y, x) round places drawn anew."""
        pieces = [self._piece(side_px) for _ in range(batch)]
        values, labels = zip(*pieces, strict=True)
        return torch.from_numpy(np.stack(values)), torch.from_numpy(np.stack(labels))

    def _piece(self, side_px: int) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.uint8]]:
        rare = float(torch.rand((), generator=self.generator)) < self._oversample
        having = [number for number, places in enumerate(self._places) if not rare or len(places[self.rarest])]
        number = having[self._below(len(having))]
        item, places = self._items[number], self._places[number]
        offered = [self.rarest] if rare else [index for index, found in enumerate(places) if len(found)]
        found = places[offered[self._below(len(offered))]]
        centre = found[self._below(len(found))]
        quarter = max(1, side_px // 6)  # not always in the middle of the piece
        jitter = [self._below(2 * quarter + 1) - quarter for _ in range(self._dimensions)]
        if self._dimensions == 2:
            row, column = (int(c) + j for c, j in zip(centre[1:], jitter, strict=True))
            planes = slice_indices(int(centre[0]), self._channels, len(item.values))
            window = (window_indices(row, side_px, item.values.shape[1]),
                      window_indices(column, side_px, item.values.shape[2]))  # fmt: skip
            return item.grey.apply(item.values[np.ix_(planes, *window)]), item.labels[int(centre[0])][np.ix_(*window)]
        block = np.ix_(*(
            window_indices(int(c) + j, side_px, length)
            for c, j, length in zip(centre, jitter, item.values.shape, strict=True)
        ))  # fmt: skip
        return item.grey.apply(item.values[block])[None], item.labels[block]

    def _below(self, count: int) -> int:
        return int(torch.randint(count, (), generator=self.generator))


def slice_indices(middle: int, channels: int, length: int) -> npt.NDArray[np.intp]:
    """A slice and its neighbours, mirrored at the first and last."""
    return mirrored_indices(np.arange(middle - channels // 2, middle - channels // 2 + channels), length)


def window_indices(middle: int, side: int, length: int) -> npt.NDArray[np.intp]:
    """Indices of a window round a place, inside as far as it fits, mirrored beyond where the volume is smaller."""
    start = middle - side // 2
    if side <= length:
        start = min(max(start, 0), length - side)
    return mirrored_indices(np.arange(start, start + side), length)


def mirrored_indices(index: npt.NDArray[np.intp], length: int) -> npt.NDArray[np.intp]:
    """Indices mirrored at the first and last of ``length``."""
    if length == 1:
        return np.zeros_like(index)
    place = index % (2 * (length - 1))
    return np.minimum(place, 2 * (length - 1) - place)


def _places(item: Taught, classes: int, picked: np.random.Generator) -> list[Places]:
    """For each class, places (n, 3) of some of its voxels in every slice."""
    found: list[list[Array]] = [[] for _ in range(classes)]
    for index, plane in enumerate(item.labels):
        if (plane == IGNORE).all():
            continue
        for value in range(classes):
            flat = np.flatnonzero(plane == value)
            if len(flat) > _MOST_A_SLICE:
                flat = picked.choice(flat, _MOST_A_SLICE, replace=False)
            rows, columns = np.unravel_index(flat, plane.shape)
            found[value].append(np.stack([np.full(len(flat), index), rows, columns], 1).astype(np.int32))
    return [np.concatenate(parts) if parts else np.zeros((0, 3), np.int32) for parts in found]
