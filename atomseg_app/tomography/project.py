"""*Project*: the tilt series that a volume would give."""

from __future__ import annotations

import os

import numpy as np

from atomseg_app.data import TiltSeries, Volume
from atomseg_app.errors import UserError
from atomseg_app.operations import Report
from atomseg_app.tomography.angle_lists import parse_angles, read_angle_file
from atomseg_app.tomography.geometry import EQUAL, Geometry
from atomseg_app.tomography.operations import ProjectVolume
from atomseg_app.tomography.projector import projector
from atomseg_app.tomography.warm_up import warm_up

_MOST_VIEWS = 100_000


def project(volume: Volume, settings: ProjectVolume, report: Report) -> TiltSeries:
    """Tilt series (view, y, x) of a volume, axis along y, its pixels as voxels are along y and x.

    Every view holds what the volume does. Raises UserError for angles that are none.
    """
    angles, euler = angles_of(settings.angles)
    depth, slices, width = volume.shape
    shapes = (slices, settings.width_px or width), (depth, slices, width)
    voxel = _voxel_zyx(volume)
    geometry = Geometry(angles, *shapes, None, euler, voxel[1], voxel)
    warm_up(report)
    report.progress(0, f"projecting at {len(angles)} angles")
    values = np.nan_to_num(np.asarray(volume.values, np.float32))
    views = projector(geometry)(values)
    if settings.noise:
        random = np.random.default_rng(settings.seed)
        views += np.float32(settings.noise * views.max()) * random.standard_normal(views.shape, np.float32)
    sizes = volume.pixel_size_nm
    return TiltSeries(views, (sizes[1], sizes[2]), volume.source, {}, volume.history, tilt_deg=angles, euler_deg=euler)


def _voxel_zyx(volume: Volume) -> tuple[float, float, float]:
    """Sides of voxels over that along x, which pixels have across the axis; 1 where equal or unknown."""
    *others, x = volume.pixel_size_nm
    if x is None:
        return 1.0, 1.0, 1.0
    z, y = (1.0 if size is None or abs(size - x) <= EQUAL * x else size / x for size in others)
    return z, y, 1.0


def angles_of(text: str) -> tuple[tuple[float, ...], tuple[tuple[float, float, float], ...] | None]:
    """Tilt and, from files that have them, Euler angles in degrees: of START:STOP:STEP, a list, or a file's name.

    Raises UserError for a text that is none of them.
    """
    parts = text.split(":")
    if len(parts) == 3 and not os.path.exists(text):
        try:
            start, stop, step = (float(part) for part in parts)
            count = int(np.floor((stop - start) / step + 1e-6)) + 1
        except (ValueError, ZeroDivisionError, OverflowError):
            count = 0
        if not 0 < count <= _MOST_VIEWS:
            raise UserError(f"{text} is no range of angles; give START:STOP:STEP such as -70:70:2.")
        return tuple(float(start + step * number) for number in range(count)), None
    if not os.path.exists(text):
        return parse_angles(text, "The list of angles"), None
    table = np.asarray(read_angle_file(text), np.float64)
    if table.ndim == 1:
        return tuple(table.tolist()), None
    return tuple(table[:, 1].tolist()), tuple((float(a), float(b), float(c)) for a, b, c in table)
