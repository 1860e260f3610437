"""Regions of a mask image, one a column, and their centroids: AtomSegNet's way from a network's answer to columns.

A mask is near 1 in columns and near 0 between them. The sure parts of both grow until they meet where the mask is
steepest (Lin et al., Sci. Rep. 11, 5386, 2021). Columns that touch stay one region; splitting them is ours.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

LOW, HIGH = 30 / 255, 100 / 255
"""Mask values under which a pixel is surely between columns, and over which it is surely in one, as published."""

_LEVELS = 256
_HALF = 0.5  # where a disc that a network has blurred ends; waists are measured there
_WAIST = 0.85
"""A region is cut where its half width falls below this part of that of both its sides."""


def regions(mask: npt.ArrayLike, *, low: float = LOW, high: float = HIGH, split: bool = False) -> Labels:
    """Region of each pixel of a mask (y, x), 1 to n, and 0 between columns; holes are filled.

    With ``split``, regions are cut at their waists, as two columns that touch have one. Raises ValueError for a mask
    that is no finite image or thresholds out of order.
    """
    values = np.asarray(mask, np.float64)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise ValueError(f"a mask of shape {values.shape} is no finite image (y, x)")
    if not low <= high:
        raise ValueError(f"the threshold of the gaps ({low}) is above that of the columns ({high})")
    sure = np.where(values > high, 2, np.where(values < low, 1, 0))
    slope = np.hypot(ndimage.sobel(values, 0), ndimage.sobel(values, 1))
    filled = np.asarray(ndimage.binary_fill_holes(_flooded(slope, sure) == 2), bool)
    whole = np.asarray(ndimage.label(filled)[0], np.int64)
    if not split:
        return whole
    cores = ndimage.binary_opening(filled & (values > _HALF))  # without the specks that noise leaves on a soft edge
    return _grown(_cut(np.asarray(cores, bool)), whole)


def centroids(labels: Labels) -> Floats:
    """Centroid x, y (n, 2) of each region 1 to n of a label image (y, x)."""
    count = int(labels.max(initial=0))
    y, x = np.nonzero(labels)
    region = labels[y, x]
    area = np.maximum(np.bincount(region, minlength=count + 1)[1:], 1)
    sums = [np.bincount(region, weights=place, minlength=count + 1)[1:] for place in (x, y)]
    return np.column_stack(sums) / area[:, None]


def _flooded(height: Floats, sure: Labels) -> Labels:
    """Labels of sure pixels (0: none) grown over the others as water rises, lowest first (Meyer 1991), 4-connected."""
    labels = np.pad(sure, 1).ravel()
    steps = np.array([-1, 1, -(height.shape[1] + 2), height.shape[1] + 2])
    level = np.pad(np.digitize(height, np.linspace(0, height.max(initial=0), _LEVELS)), 1).ravel()
    open_px = np.flatnonzero(np.pad(sure == 0, 1).ravel())
    open_px = open_px[np.argsort(level[open_px], kind="stable")]
    wet = np.zeros(0, np.intp)
    for risen in np.split(open_px, np.flatnonzero(np.diff(level[open_px])) + 1):
        wet = np.concatenate([wet, risen])
        while len(wet):
            reached = labels[wet[:, None] + steps].max(axis=1)
            if not reached.any():
                break
            labels[wet] = reached
            wet = wet[reached == 0]
    return np.asarray(labels.reshape(np.add(height.shape, 2))[1:-1, 1:-1])


def _cut(inside: Flags) -> Labels:
    """Regions of a binary image cut at their waists: hills of the distance to the outside, unless they are one."""
    distance = np.asarray(ndimage.distance_transform_edt(np.pad(inside, 1)), np.float64)
    hills = _hills(ndimage.gaussian_filter(distance, 1.0), np.pad(inside, 1))
    return _merged(hills, distance)[1:-1, 1:-1]


def _grown(parts: Labels, whole: Labels) -> Labels:
    """Parts of regions grown to fill them, each pixel with the nearest part of its region; a region without stays."""
    if not parts.any():
        return whole
    rows, columns = ndimage.distance_transform_edt(parts == 0, return_distances=False, return_indices=True)
    own = whole[rows, columns] == whole
    numbers = np.where(own, parts[rows, columns], parts.max() + whole)
    return np.asarray(np.unique(np.where(whole > 0, numbers, 0), return_inverse=True)[1].reshape(whole.shape), np.int64)


def _hills(height: Floats, inside: Flags) -> Labels:
    """Hill (1 to n) that each inner pixel belongs to: where steepest ascent from it ends.

    The water-drop form of the watershed, without queues: every pixel points to the highest of its neighbours, equal
    heights in order of their places, and pointers are followed by doubling.
    """
    rank = np.empty(height.size, np.int64)
    rank[np.lexsort((np.arange(height.size), np.where(inside, height, -np.inf).ravel()))] = np.arange(height.size)
    ranks = rank.reshape(height.shape)
    top = ranks.copy()
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            np.maximum(top, np.roll(ranks, (dy, dx), (0, 1)), out=top)  # the padding keeps the far side out
    place = np.empty_like(rank)
    place[rank] = np.arange(rank.size)
    target = np.where(inside.ravel(), place[top.ravel()], np.arange(rank.size))
    while not np.array_equal(after := target[target], target):
        target = after
    labels = np.zeros(height.size, np.int64)
    labels[inside.ravel()] = 1 + np.unique(target[inside.ravel()], return_inverse=True)[1]
    return labels.reshape(height.shape)


def _merged(labels: Labels, distance: Floats) -> Labels:
    """Hills joined across passes that are no waist, the widest passes first; regions numbered anew from 1."""
    count = int(labels.max(initial=0))
    peak = np.zeros(count + 1)
    np.maximum.at(peak, labels, distance)
    owner = np.arange(count + 1)
    for one, other, width in _passes(labels, distance):
        a, b = _root(owner, one), _root(owner, other)
        if a != b and width > _WAIST * min(peak[a], peak[b]):
            owner[b] = a
            peak[a] = max(peak[a], peak[b])
    roots = np.array([_root(owner, number) for number in range(count + 1)])
    return np.asarray(np.unique(roots, return_inverse=True)[1][labels], np.int64)


def _passes(labels: Labels, distance: Floats) -> list[tuple[int, int, float]]:
    """Pairs of touching hills with the half width of the region where they meet, the widest first."""
    ones, others, widths = [], [], []
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        near, beside = labels, np.roll(labels, (-dy, -dx), (0, 1))
        meet = (near != beside) & (near > 0) & (beside > 0)
        ones.append(np.minimum(near, beside)[meet])
        others.append(np.maximum(near, beside)[meet])
        widths.append(np.minimum(distance, np.roll(distance, (-dy, -dx), (0, 1)))[meet])
    one, other, width = np.concatenate(ones), np.concatenate(others), np.concatenate(widths)
    pairs, which = np.unique(np.column_stack([one, other]), axis=0, return_inverse=True)
    widest = np.zeros(len(pairs))
    np.maximum.at(widest, which.ravel(), width)
    order = np.argsort(-widest, kind="stable")
    return [(int(pairs[k, 0]), int(pairs[k, 1]), float(widest[k])) for k in order]


def _root(owner: Labels, number: int) -> int:
    while owner[number] != number:
        owner[number] = owner[owner[number]]
        number = int(owner[number])
    return number
