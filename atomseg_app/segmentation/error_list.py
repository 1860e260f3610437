"""Where labels differ from a reference: connected places by size, and counts slice by slice."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atomseg_app.data import Array
from atomseg_app.errors import UserError
from atomseg_app.operations import Report
from atomseg_app.segmentation.error_codes import MISSED, RIGHT, TOO_MUCH, error_codes

_MOST = 2000


@dataclass(frozen=True)
class ErrorList:
    """``places`` (n, 5): voxel (z, y, x) within each connected error, its size in voxels, and its code; the largest
    first. ``profile`` (3, slices): voxels right, too much and missed in each slice along z.
    """

    places: npt.NDArray[np.int64]
    profile: npt.NDArray[np.int64]
    total: int


def list_errors(predicted: Array, reference: Array, value: int, report: Report) -> ErrorList:
    """The errors of a class. Raises UserError where shapes differ.

    Places are connected by faces, edges and corners, those of too much apart from those missed; at most 2000 are told.
    """
    from scipy import ndimage

    if predicted.shape != reference.shape:
        raise UserError(f"The labels have the shape {predicted.shape}, but the reference has {reference.shape}.")
    codes = np.stack([error_codes(*planes, value) for planes in zip(predicted, reference, strict=True)])
    profile = np.stack([np.count_nonzero(codes == code, axis=(1, 2)) for code in (RIGHT, TOO_MUCH, MISSED)])
    corners = ndimage.generate_binary_structure(3, 3)
    rows: list[npt.NDArray[np.int64]] = []
    for number, code in enumerate((TOO_MUCH, MISSED)):
        report.progress(0.2 + 0.4 * number, "looking for connected errors")
        parts, count = ndimage.label(codes == code, corners)
        if count:
            rows.append(_places(parts, count, code))
    places = np.concatenate(rows) if rows else np.empty((0, 5), np.int64)
    order = np.argsort(-places[:, 3], kind="stable")
    return ErrorList(places[order][:_MOST], profile.astype(np.int64), len(places))


def _places(parts: Array, count: int, code: int) -> npt.NDArray[np.int64]:
    """Of each part the voxel that is nearest to its middle, its size, and the code."""
    where = np.flatnonzero(parts)
    numbers = parts.ravel()[where] - 1
    voxels = np.stack(np.unravel_index(where, parts.shape), axis=1)
    sizes = np.bincount(numbers, minlength=count)
    middles = np.stack([np.bincount(numbers, voxels[:, axis], count) / sizes for axis in range(3)], axis=1)
    distance = ((voxels - middles[numbers]) ** 2).sum(1)
    order = np.lexsort((distance, numbers))
    nearest = voxels[order[np.searchsorted(numbers[order], np.arange(count))]]
    return np.column_stack([nearest, sizes, np.full(count, code)]).astype(np.int64)
