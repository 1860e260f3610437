"""The body of a porous support, pores and all: what a ball as wide as the widest pore cannot get into from outside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from atomseg_app.data import Array

Mask = npt.NDArray[np.bool_]
_MOST_VOXELS = 16_000_000
"""Of larger volumes, blocks of voxels are taken as one."""


def binning(shape: Sequence[int], most: int = _MOST_VOXELS) -> int:
    """Voxels a side of the blocks that make a volume no larger than so many."""
    return max(1, int(np.ceil((np.prod(np.asarray(shape, float)) / most) ** (1 / 3))))


def share_in_blocks(mask_of: Array, value: int, side: int) -> npt.NDArray[np.float32]:
    """Share of a class in blocks of voxels (z, y, x); blocks at the far ends may be smaller."""
    rows, columns = (np.arange(0, size, side) for size in mask_of.shape[1:])
    shares = np.zeros(tuple(-(-size // side) for size in mask_of.shape), np.float32)
    sizes = np.zeros_like(shares)
    for z in range(len(mask_of)):
        plane = np.add.reduceat((mask_of[z] == value).astype(np.float32), rows, axis=0)
        shares[z // side] += np.add.reduceat(plane, columns, axis=1)
        ones = np.outer(np.diff([*rows, mask_of.shape[1]]), np.diff([*columns, mask_of.shape[2]]))
        sizes[z // side] += ones
    shares /= sizes
    return shares


def envelope(solid: Mask, radius: float, spacing: Sequence[float]) -> Mask:
    """A mask closed with a ball of that radius, in the unit of ``spacing``; nothing is known beyond the array's ends.

    All False where nothing is solid.
    """
    from scipy.ndimage import distance_transform_edt

    if not solid.any():
        return np.zeros_like(solid)
    near = np.asarray(distance_transform_edt(~solid, sampling=spacing) <= radius)
    if near.all():
        return near
    return np.asarray((distance_transform_edt(near, sampling=spacing) > radius) | solid)


def signed_depth(body: Mask, spacing: Sequence[float]) -> npt.NDArray[np.float32]:
    """Distance to the surface of a body, positive inside, negative outside, in the unit of ``spacing``.

    NaN everywhere where there is no surface.
    """
    from scipy.ndimage import distance_transform_edt

    if body.all() or not body.any():
        return np.full(body.shape, np.nan, np.float32)
    half = 0.5 * min(spacing)  # distances are between centres, the surface is half way
    inside = distance_transform_edt(body, sampling=spacing)
    outside = distance_transform_edt(~body, sampling=spacing)
    return np.asarray(np.where(body, inside - half, half - outside), np.float32)
