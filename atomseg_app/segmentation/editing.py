"""Edits of labels that look at the volume: connected parts, slices between slices, smoothing, holes, specks.

Each gives parts to paint: a mask within a box, and whether it gains the class or loses it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from atomseg_app.data import Array
from atomseg_app.errors import UserError
from atomseg_app.operations import Report

Mask = npt.NDArray[np.bool_]
Zyx = tuple[int, int, int]

_SEED_PX = 1
_SPECK_VOXELS = 27
_MOST_SHARE = 0.5
_SAMPLE = 1 << 19


@dataclass(frozen=True)
class Part:
    """Voxels to paint: ``mask`` begins at voxel ``start`` (z, y, x); with ``erase`` they lose the class."""

    start: Zyx
    mask: Mask
    erase: bool = False


def grown(values: Array, seed: Zyx, tolerance: float, report: Report) -> list[Part]:
    """Voxels connected by their faces to ``seed``, of grey levels within ``tolerance`` of those round it.

    ``tolerance`` is a share of the range between the 0.1th and the 99.9th percentile. Raises UserError where that is
    more than half of the volume.
    """
    from scipy import ndimage

    around = tuple(slice(max(0, place - _SEED_PX), place + _SEED_PX + 1) for place in seed)
    middle = float(np.median(values[around]))
    step = max(1, round((values.size / _SAMPLE) ** (1 / 3)))
    low, high = np.percentile(values[::step, ::step, ::step], (0.1, 99.9))
    reach = tolerance * float(high - low)
    report.progress(0.1, "looking for like grey levels")
    like = np.abs(np.asarray(values, np.float32) - np.float32(middle)) <= reach
    like[seed] = True
    report.progress(0.3, "looking for what is connected")
    parts, _ = ndimage.label(like)
    return [_connected(parts, seed, values.size, "Lower the tolerance: it grew over")]


def component(labels: Array, seed: Zyx, report: Report) -> list[Part]:
    """Voxels of the class at ``seed`` that are connected to it, by faces, edges or corners."""
    from scipy import ndimage

    report.progress(0.1, "looking for what is connected")
    parts, _ = ndimage.label(labels == labels[seed], ndimage.generate_binary_structure(3, 3))
    return [_connected(parts, seed, labels.size, "That part is connected to")]


def between(labels: Array, value: int, report: Report) -> list[Part]:
    """The class in the slices between each two labelled ones, along z: shape-based interpolation (Raya, Udupa 1990).

    Signed distances to the outline are mixed linearly. Slices that have the class already are left as they are.
    """
    has = [z for z in range(len(labels)) if (labels[z] == value).any()]
    found = []
    for number, (first, last) in enumerate(itertools.pairwise(has)):
        report.progress(number / max(1, len(has) - 1), f"slices {first} to {last}")
        if last - first > 1:
            begin, end = _distance(labels[first] == value), _distance(labels[last] == value)
            shares = (np.arange(first + 1, last) - first) / (last - first)
            masks = np.stack([(1 - share) * begin + share * end > 0 for share in shares])
            found.append(Part((first + 1, 0, 0), masks))
    if not found:
        raise UserError("There is no slice between those that have the class; paint it some slices apart.")
    return found


def smoothed(mask: Mask) -> Mask:
    """A majority of 3 x 3 x 3 voxels."""
    from scipy import ndimage

    return np.asarray(ndimage.uniform_filter(mask.astype(np.float32), 3, mode="nearest") > 0.5)


def dilated(mask: Mask) -> Mask:
    """One voxel more on every face."""
    from scipy import ndimage

    return np.asarray(ndimage.binary_dilation(mask))


def eroded(mask: Mask) -> Mask:
    """One voxel less on every face; beyond the volume it goes on."""
    from scipy import ndimage

    return np.asarray(ndimage.binary_erosion(mask, border_value=1))


def filled(mask: Mask) -> Mask:
    """Without holes that are closed on all sides."""
    from scipy import ndimage

    return np.asarray(ndimage.binary_fill_holes(mask))


def without_specks(mask: Mask, voxels: int = _SPECK_VOXELS) -> Mask:
    """Without connected parts of fewer voxels."""
    from scipy import ndimage

    parts, _ = ndimage.label(mask, ndimage.generate_binary_structure(3, 3))
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return np.asarray((sizes >= voxels)[parts])


CLEANERS: Mapping[str, Callable[[Mask], Mask]] = {
    "smooth": smoothed, "dilate": dilated, "erode": eroded, "holes": filled, "specks": without_specks,
}  # fmt: skip


def cleaned(labels: Array, value: int, how: str, report: Report) -> list[Part]:
    """What a class gains and what it loses by one of :data:`CLEANERS`. Raises UserError where nothing changes."""
    report.progress(0.1, how)
    before = labels == value
    after = CLEANERS[how](before)
    found = [_cropped(after & ~before, erase=False), _cropped(before & ~after, erase=True)]
    parts = [part for part in found if part is not None]
    if not parts:
        raise UserError("That changes nothing here.")
    return parts


def edited(how: str, asked: Mapping[str, Any], arrays: Sequence[Array], report: Report) -> list[Part]:
    """An edit by its name: ``grow``, ``component``, ``between``, or one of :data:`CLEANERS`."""
    (values,) = arrays
    if how in CLEANERS:
        return cleaned(values, int(asked["value"]), how, report)
    if how == "between":
        return between(values, int(asked["value"]), report)
    z, y, x = (int(place) for place in asked["seed"])
    if how == "component":
        return component(values, (z, y, x), report)
    if how == "grow":
        return grown(values, (z, y, x), float(asked["tolerance"]), report)
    raise UserError(f"There is no edit {how!r} of labels.")


def _connected(parts: Array, seed: Zyx, size: int, words: str) -> Part:
    found = parts == parts[seed]
    share = np.count_nonzero(found) / size
    if share > _MOST_SHARE:
        raise UserError(f"{words} {100 * share:.0f} % of the volume, so nothing was changed.")
    part = _cropped(found, erase=False)
    assert part is not None
    return part


def _cropped(mask: Mask, *, erase: bool) -> Part | None:
    if not mask.any():
        return None
    spans = []
    for axis in range(3):
        there = np.flatnonzero(mask.any(axis=tuple(other for other in range(3) if other != axis)))
        spans.append(slice(int(there[0]), int(there[-1]) + 1))
    return Part((spans[0].start, spans[1].start, spans[2].start), mask[tuple(spans)], erase)


def _distance(mask: Mask) -> npt.NDArray[np.float32]:
    """Distance to the outline in pixels, positive within."""
    from scipy import ndimage

    inside, outside = ndimage.distance_transform_edt(mask), ndimage.distance_transform_edt(~mask)
    return np.asarray(np.where(mask, inside - 0.5, 0.5 - outside), np.float32)
