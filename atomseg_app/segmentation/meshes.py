"""The surface of a class as a closed mesh, smoothed by less than a voxel so that the steps of voxels do not show."""

from __future__ import annotations

import numpy as np

from atomseg_app.data import Labels
from atomseg_app.errors import UserError
from atomseg_app.operations import Report
from atomseg_app.segmentation.envelope import share_in_blocks
from atomseg_app.segmentation.particles import scale_of
from atomseg_app.surface import Faces, Floats, surface

_SMOOTH_PX = 0.7


def class_mesh(labels: Labels, value: int, step: int = 1, report: Report | None = None) -> tuple[Floats, Faces, str]:
    """Vertices (n, 3) as x, y, z, triangles (m, 3), and the unit of length, "nm" or "px", of one class.

    Closed, also where the volume ends; front sides outward. ``step`` > 1 makes it of blocks of so many voxels a side.
    Raises UserError for a class that has no voxel.
    """
    from scipy.ndimage import gaussian_filter

    report = report or Report()
    if not (labels.values == value).any():
        raise UserError(f"No voxel has the value {value}; there is no surface to make.")
    spacing, unit = scale_of(labels, report)
    shares = share_in_blocks(labels.values, value, step)
    if step == 1:
        shares = gaussian_filter(shares, _SMOOTH_PX, mode="nearest")
    vertices, faces = surface(shares, 0.5, report)
    if not len(faces):
        raise UserError(f"What has the value {value} is thinner than a voxel; there is no surface to make.")
    places = (vertices * step + (step - 1) / 2) * np.asarray(spacing[::-1], np.float32)
    return np.asarray(places, np.float32), faces, unit
