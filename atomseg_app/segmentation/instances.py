"""Particles of a mask: connected parts, cut at necks.

A watershed on the distance to the outside (Beucher and Lantuejoul 1979), from the deepest voxels up: each voxel joins
the basin of its deepest neighbour; where two basins meet, the neck between them is compared with the shallower basin's
depth, and they are one particle where it is not narrow enough (topological persistence: Chazal et al., J. ACM 60
(2013) 41).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from atomseg_app.operations import Report
from atomseg_app.segmentation.measure_settings import SPLITTING

Instances = npt.NDArray[np.int32]

_SMOOTH_PX = 0.6
"""Distances are smoothed by this, so that steps of voxels make no basins."""
_LEAST_DIP_PX = 0.35
"""Necks less deep than this below a basin's depth do not separate, however small the particle."""


def split(
    mask: npt.NDArray[np.bool_],
    splitting: float = SPLITTING,
    least_voxels: int = 1,
    spacing: Sequence[float] | None = None,
    report: Report | None = None,
) -> Instances:
    """Number of the particle (z, y, x) that each voxel of a mask belongs to, 0 outside; 1 is the first along z, y, x.

    ``splitting`` from 0, connected parts (by faces, edges and corners) stay whole, to 1, every neck cuts: a neck cuts
    where it is narrower than that share of the smaller particle's width. Particles of fewer than ``least_voxels`` are
    left out. ``spacing`` is the voxel size (z, y, x) in any unit. Raises ValueError for a splitting outside 0..1.
    """
    from scipy import ndimage

    if not 0 <= splitting <= 1:
        raise ValueError(f"splitting lies from 0 to 1, not {splitting}")
    report = report or Report()
    report.progress(0, "looking for connected parts")
    parts, _ = ndimage.label(mask, ndimage.generate_binary_structure(3, 3))
    numbers = np.zeros(mask.shape, np.int32)
    count = 0
    boxes = ndimage.find_objects(parts)
    for index, box in enumerate(boxes):
        report.progress(index / len(boxes), "separating particles")
        part = parts[box] == index + 1
        found = _cut(part, splitting, spacing) if splitting > 0 else part.astype(np.int32)
        sizes = np.bincount(found.ravel())
        for one in np.flatnonzero(sizes[1:] >= least_voxels) + 1:
            count += 1
            numbers[box][found == one] = count
    return numbers


def _cut(part: npt.NDArray[np.bool_], splitting: float, spacing: Sequence[float] | None) -> Instances:
    """Basins of one connected part."""
    from scipy import ndimage

    from atomseg_app.segmentation.basins import basins

    sampling = np.ones(3) if spacing is None else np.asarray(spacing, float) / min(spacing)
    room = np.pad(part, 2)
    depth = ndimage.distance_transform_edt(room, sampling=sampling)
    smooth = ndimage.gaussian_filter(depth, _SMOOTH_PX / sampling)
    where = np.flatnonzero(room)
    order = where[np.argsort(-smooth.ravel()[where], kind="stable")]
    found = basins(smooth.ravel().astype(np.float32), order, room.shape, splitting, _LEAST_DIP_PX)
    return np.asarray(found.reshape(room.shape)[2:-2, 2:-2, 2:-2])
