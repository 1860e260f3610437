"""Pores by size: at each place the largest ball that fits in between the solid and covers it.

Local thickness after Hildebrand and Rueegsegger, J. Microsc. 185 (1997) 67, in steps of diameter.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from atomseg_app.operations import Report

_STEPS = 20


def pore_diameters(
    solid: npt.NDArray[np.bool_], within: npt.NDArray[np.bool_], spacing: Sequence[float], report: Report | None = None
) -> npt.NDArray[np.float32]:
    """Pore diameter (z, y, x) in the unit of ``spacing`` at each voxel that is not solid, 0 in the solid.

    Only voxels ``within`` a mask are told; balls may reach beyond. In 20 steps up to the largest.
    """
    from scipy.ndimage import distance_transform_edt

    report = report or Report()
    wanted = within & ~solid
    found = np.zeros(solid.shape, np.float32)
    if not wanted.any():
        return found
    half = 0.5 * min(spacing)
    room = distance_transform_edt(~solid, sampling=spacing) - half if solid.any() else np.full(solid.shape, np.inf)
    largest = float(room[wanted].max())
    if not np.isfinite(largest):
        return found
    radii = np.linspace(largest, half, _STEPS)
    left = wanted.copy()
    for step, radius in enumerate(radii):
        report.progress(step / _STEPS, "fitting balls into pores")
        centres = room >= radius
        if not centres.any():
            continue
        covered = left & (distance_transform_edt(~centres, sampling=spacing) <= radius)
        found[covered] = 2 * radius
        left &= ~covered
        if not left.any():
            break
    found[left] = 2 * half
    return found
