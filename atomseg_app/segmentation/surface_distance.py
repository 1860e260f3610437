"""Distances between the surfaces of a class in two labellings, in pictures or volumes of any voxel size.

Surfaces are voxels with a face towards a voxel of another class; the border of the volume and ignored voxels are no
surface, as nobody knows what lies there. Distances are between centres of voxels, to the nearest of the other surface
(Huttenlocher et al., IEEE Trans. Pattern Anal. Mach. Intell. 15 (1993) 850), found in a tree, so that empty space costs
nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atomseg_app.data import Array
from atomseg_app.label_classes import IGNORE

_MOST_ASKED = 300_000
"""So many points of a larger surface, evenly spread, are asked for their distance."""


@dataclass(frozen=True)
class Distances:
    """``hd95`` is the larger of both ways' 95th percentiles, ``mean`` that over the points of both surfaces."""

    hd95: float
    mean: float


def surface_distances(found: Array, truth: Array, value: int, spacing: Sequence[float]) -> Distances | None:
    """Distances of class ``value``, in the unit of ``spacing`` (one an axis); None where one has no surface.

    Both 0 where both surfaces are the same.
    """
    from scipy.spatial import cKDTree

    known = truth != IGNORE
    one, other = (surface_points((each == value) & known, known, spacing) for each in (found, truth))
    if not len(one) or not len(other):
        return None
    there = cKDTree(other).query(_thinned(one), workers=-1)[0]
    back = cKDTree(one).query(_thinned(other), workers=-1)[0]
    # Both means stand for all points of their surface.
    mean = (len(one) * there.mean() + len(other) * back.mean()) / (len(one) + len(other))
    return Distances(float(max(np.percentile(there, 95), np.percentile(back, 95))), float(mean))


def surface_points(
    mask: npt.NDArray[np.bool_], known: npt.NDArray[np.bool_], spacing: Sequence[float]
) -> npt.NDArray[np.float64]:
    """Centres (n, axes) of the voxels of a mask that have a face towards a known voxel outside it."""
    surface = np.zeros_like(mask)
    for axis in range(mask.ndim):
        low, high = (np.moveaxis(each, axis, 0) for each in (mask, known))
        edge = np.moveaxis(surface, axis, 0)
        edge[:-1] |= low[:-1] & ~low[1:] & high[1:]
        edge[1:] |= low[1:] & ~low[:-1] & high[:-1]
    points: npt.NDArray[np.float64] = np.argwhere(surface).astype(np.float64) * np.asarray(spacing, np.float64)
    return points


def _thinned(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    if len(points) <= _MOST_ASKED:
        return points
    return points[np.linspace(0, len(points) - 1, _MOST_ASKED).astype(np.int64)]
