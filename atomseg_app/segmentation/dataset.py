"""From a volume and its labels to what a network is taught and judged by: axis, classes, split by slab with a gap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from atomseg_app.data import Array, Labels, Volume
from atomseg_app.errors import UserError
from atomseg_app.io.scratch import scratch
from atomseg_app.label_classes import IGNORE, LabelClass, numbered
from atomseg_app.segmentation.grey import GreyRange

AxisName = Literal["z", "y", "x"]
AXES: tuple[AxisName, ...] = ("z", "y", "x")


@dataclass(frozen=True, eq=False)
class Taught:
    """A volume as a network is taught it: the slices' axis first, classes as 0, 1, ..., IGNORE where nothing is known.

    ``values`` (slices, rows, columns) are as stored; ``grey`` normalises them. ``voxel_nm`` is in the same order, None
    where not known.
    """

    values: Array
    labels: npt.NDArray[np.uint8]
    grey: GreyRange
    voxel_nm: tuple[float, float, float] | None = None

    def counts(self, classes: int) -> npt.NDArray[np.int64]:
        """Voxels of each class."""
        return sum(
            (np.bincount(plane.ravel(), minlength=IGNORE + 1)[:classes] for plane in self.labels),
            np.zeros(classes, np.int64),
        )


def check_fit(volume: Volume, labels: Labels) -> None:
    """Raise UserError, with both shapes, where labels are not of the volume."""
    if volume.shape != labels.shape:
        raise UserError(
            f"The labels have the shape {_words(labels.shape)} (z, y, x), but the volume has {_words(volume.shape)}; "
            "give the labels of this volume."
        )


def classes_of(labels: Labels) -> tuple[LabelClass, ...]:
    """The labels' classes: those they name, else one for each value that occurs.

    Raises UserError for fewer than two, of which at least one must be painted.
    """
    present = sum((np.bincount(plane.ravel(), minlength=IGNORE + 1) for plane in labels.values), np.zeros(IGNORE + 1))
    found = [int(value) for value in np.flatnonzero(present) if value != IGNORE]
    named = {each.value: each for each in labels.classes}
    classes = tuple(named.get(value) or numbered([value])[0] for value in sorted({*found, *named}))
    if len(found) < 2:
        what = f"only {named[found[0]].name if found and found[0] in named else found[0]!r}" if found else "no class"
        raise UserError(f"The labels hold {what}; paint at least two classes to train a network.")
    return classes


def painted_axis(labels: Array) -> AxisName:
    """Axis across which whole slices are painted: the one along which the fewest positions are touched.

    Along y where all are touched alike (a dense volume): slices across the tilt axis hold what the missing wedge does.
    """
    along = [np.zeros(length, bool) for length in labels.shape]
    for index, plane in enumerate(labels):
        known = plane != IGNORE
        along[0][index] = known.any()
        along[1] |= known.any(1)
        along[2] |= known.any(0)
    touched = {name: float(each.mean()) for name, each in zip(AXES, along, strict=True)}
    least = min(touched.values())
    return next(name for name in ("y", "z", "x") if touched[name] == least)


def taught(
    volume: Volume, labels: Labels, classes: Sequence[LabelClass], axis: AxisName, grey: GreyRange | None = None
) -> Taught:
    """Volume and labels as a network is taught them. Raises UserError where their shapes differ."""
    check_fit(volume, labels)
    table = np.full(IGNORE + 1, IGNORE, np.uint8)
    for index, each in enumerate(classes):
        table[each.value] = index
    first = AXES.index(axis)
    indices = scratch(labels.shape, np.uint8)
    for place, plane in enumerate(labels.values):
        indices[place] = table[plane]
    return Taught(
        np.moveaxis(volume.values, first, 0), np.moveaxis(indices, first, 0), grey or GreyRange.of(volume.values),
        _voxel_nm(volume, first),
    )  # fmt: skip


def _voxel_nm(volume: Volume, first: int) -> tuple[float, float, float] | None:
    """Voxel size with that axis first, None where not all of it is known."""
    sizes = [size for size in volume.pixel_size_nm if size is not None]
    if len(sizes) != 3:
        return None
    sizes.insert(0, sizes.pop(first))
    return (sizes[0], sizes[1], sizes[2])


def split(item: Taught, share: float, gap: int, classes: int) -> tuple[Taught, Taught]:
    """What is taught and what is judged by: a slab of about ``share`` of the painted slices is held back.

    Slices within ``gap`` of the slab belong to neither. Of all places of the slab the one is taken that holds the
    most classes while none is lost to teaching, and of those the one nearest to the end. A single painted slice, or
    slices that are all within the gap, are cut across instead. Raises UserError where too little is painted.
    """
    counts = np.array([np.bincount(plane.ravel(), minlength=IGNORE + 1)[:classes] for plane in item.labels])
    painted = np.flatnonzero(counts.sum(1))
    best: tuple[tuple[float, ...], int, int] | None = None
    size = max(1, round(share * len(painted)))
    for start in range(len(painted) - size + 1):
        first, last = int(painted[start]), int(painted[start + size - 1])
        rest = (painted < first - gap) | (painted > last + gap)
        judged, left = counts[first : last + 1].sum(0), counts[painted[rest]].sum(0)
        if not left.any():
            continue
        lost = int(((counts.sum(0) > 0) & (left == 0)).sum())
        # More classes to judge, none lost, few slices lost to the gap, the rarest class well represented.
        rarest = min((float(j / max(1, j + k)) for j, k in zip(judged, left, strict=True) if j + k), default=0.0)
        merit = (-lost, float((judged > 0).sum()), float(rest.sum()), -abs(rarest - share), start)
        if best is None or merit > best[0]:
            best = (merit, first, last)
    if best is None:
        return _split_across(item, share, gap)
    _, first, last = best
    place = np.arange(len(item.labels))
    return (
        replace(item, labels=_only(item.labels, (place < first - gap) | (place > last + gap))),
        replace(item, labels=_only(item.labels, (place >= first) & (place <= last))),
    )


def _split_across(item: Taught, share: float, gap: int) -> tuple[Taught, Taught]:
    """The painted slices cut along their rows: the last part judges."""
    rows = np.flatnonzero((item.labels != IGNORE).any((0, 2)))
    if len(rows) < 2 * gap + 8:
        raise UserError(
            "Too little is painted to hold something back that judges the network; paint a second slice, some way off."
        )
    border = int(rows[0] + (1 - share) * (rows[-1] + 1 - rows[0]))
    before, after = item.labels.copy(), item.labels.copy()
    before[:, max(int(rows[0]) + 1, border - gap) :] = IGNORE
    after[:, :border] = IGNORE
    return replace(item, labels=before), replace(item, labels=after)


def _only(labels: npt.NDArray[np.uint8], kept: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Copy in which only slices that are kept are known."""
    result = scratch(labels.shape, np.uint8)
    for index, plane in enumerate(labels):
        result[index] = plane if kept[index] else IGNORE
    return result


def _words(shape: Sequence[int]) -> str:
    return " x ".join(str(length) for length in shape)
