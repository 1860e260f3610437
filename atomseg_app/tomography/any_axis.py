"""Projector of views in any direction (Euler triples, dual axis): Joseph's method in three dimensions.

A ray steps through the planes across the axis of the volume that it is closest to, and in each interpolates between
four voxels. The adjoint spreads each ray over the same voxels with the same weights; threads share out the planes.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from atomseg_app.rays.compiled import kernel
from atomseg_app.rays.threads import in_pieces
from atomseg_app.tomography.directions import tilted, turned
from atomseg_app.tomography.geometry import Geometry

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


class AnyAxis:
    """Volume (z, y, x) to views (view, y, x) in any direction; rays take up shifts and rotations."""

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        self.domain_shape: tuple[int, ...] = geometry.volume_zyx
        self.range_shape: tuple[int, ...] = (geometry.views, *geometry.detector_yx)
        self._main, self._table = ray_tables(geometry)

    def forward(self, volume: Floats, views: Floats, chosen: npt.NDArray[np.int64] | None = None) -> None:
        """Write the projections of a volume to the ``chosen`` views, all if None."""
        rows = views.shape[1]
        for axis, group in self._groups(chosen):
            planes = np.moveaxis(volume, axis, 0)

            def piece(first: int, last: int, planes: Floats = planes, group: Any = group) -> None:
                _gather(planes, self._table, group, first, last, views)

            in_pieces(piece, len(group) * rows)

    def back(self, views: Floats, volume: Floats, chosen: npt.NDArray[np.int64] | None = None) -> None:
        """Write the adjoint of the ``chosen`` views to a volume."""
        volume[...] = 0
        for axis, group in self._groups(chosen):
            planes = np.moveaxis(volume, axis, 0)

            def piece(first: int, last: int, planes: Floats = planes, group: Any = group) -> None:
                _spread(views, self._table, group, first, last, planes)

            in_pieces(piece, len(planes))

    def _groups(self, chosen: npt.NDArray[np.int64] | None) -> list[tuple[int, npt.NDArray[np.int64]]]:
        """Views by the axis that their rays step along."""
        views = np.arange(self.geometry.views) if chosen is None else np.asarray(chosen, np.int64)
        return [(axis, views[self._main[views] == axis]) for axis in range(3) if np.any(self._main[views] == axis)]


def ray_tables(geometry: Geometry) -> tuple[npt.NDArray[np.int64], Doubles]:
    """The axis of (z, y, x) that the rays of each view step along (view,), and where they run (view, 9).

    A ray of pixel (u, v) is, in plane k, at row ``a0 + a1 u + a2 v + a3 k`` and column ``b0 + b1 u + b2 v + b3 k`` of
    the two other axes in their order; the last entry is how much a step adds, per what a voxel holds.
    """
    voxel, aspect = np.asarray(geometry.voxel_size_zyx), geometry.pixel_aspect
    directions = tilted(geometry.tilt_deg) if geometry.euler_deg is None else turned(geometry.euler_deg)
    matrix = directions[:, :, ::-1]  # sample axes in the order z, y, x
    angle = np.deg2rad(geometry.rotation_deg)
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    across, along, beam = matrix[:, 0], matrix[:, 1], matrix[:, 2] / voxel
    # Pixel (u, v) of the detector lies at u * per_u + v * per_v + origin in the sample, up to a way along the beam:
    # directions of lengths, then divided by the sides of voxels.
    per_u, per_v = (cos * across - sin * along) / voxel, aspect * (sin * across + cos * along) / voxel
    middle = (np.asarray(geometry.detector_yx) - 1) / 2
    u0, v0 = middle[1] + geometry.t_shift_px, middle[0] + geometry.y_shift_px
    origin = -u0[:, None] * per_u - v0[:, None] * per_v
    centre = (np.asarray(geometry.volume_zyx) - 1) / 2
    main = np.argmax(np.abs(beam), axis=1)
    table = np.empty((geometry.views, 9))
    for view, axis in enumerate(main):
        for place, other in enumerate(index for index in range(3) if index != axis):
            slope = beam[view, other] / beam[view, axis]
            parts = [part[view, other] - slope * part[view, axis] for part in (origin, per_u, per_v)]
            table[view, 4 * place : 4 * place + 4] = (
                parts[0] + centre[other] - slope * centre[axis], parts[1], parts[2], slope,
            )  # fmt: skip
        table[view, 8] = aspect / (np.prod(voxel) * abs(beam[view, axis]))
    return main, table


@kernel
def _gather(planes: Any, table: Any, group: Any, first: int, last: int, views: Any) -> None:
    """Sums along the rays of rows ``first..last`` of all views of a group, one after another."""
    rows, columns = planes.shape[1], planes.shape[2]
    for number in range(first, last):
        view, v = group[number // views.shape[1]], number % views.shape[1]
        ray = table[view]
        for u in range(views.shape[2]):
            a, b = ray[0] + ray[1] * u + ray[2] * v, ray[4] + ray[5] * u + ray[6] * v
            total = np.float32(0)
            for k in range(planes.shape[0]):
                row, column = a + ray[3] * k, b + ray[7] * k
                if -1 < row < rows and -1 < column < columns:
                    top, left = int(row + 1) - 1, int(column + 1) - 1
                    below, right = np.float32(row - top), np.float32(column - left)
                    if top >= 0:
                        if left >= 0:
                            total += (1 - below) * (1 - right) * planes[k, top, left]
                        if left + 1 < columns:
                            total += (1 - below) * right * planes[k, top, left + 1]
                    if top + 1 < rows:
                        if left >= 0:
                            total += below * (1 - right) * planes[k, top + 1, left]
                        if left + 1 < columns:
                            total += below * right * planes[k, top + 1, left + 1]
            views[view, v, u] = total * np.float32(ray[8])


@kernel
def _spread(views: Any, table: Any, group: Any, first: int, last: int, planes: Any) -> None:
    """Rays of all views of a group spread over the planes ``first..last``."""
    rows, columns = planes.shape[1], planes.shape[2]
    for k in range(first, last):
        for view in group:
            ray = table[view]
            length = np.float32(ray[8])
            for v in range(views.shape[1]):
                a, b = ray[0] + ray[2] * v + ray[3] * k, ray[4] + ray[6] * v + ray[7] * k
                for u in range(views.shape[2]):
                    row, column = a + ray[1] * u, b + ray[5] * u
                    if -1 < row < rows and -1 < column < columns:
                        top, left = int(row + 1) - 1, int(column + 1) - 1
                        below, right = np.float32(row - top), np.float32(column - left)
                        value = length * views[view, v, u]
                        if top >= 0:
                            if left >= 0:
                                planes[k, top, left] += (1 - below) * (1 - right) * value
                            if left + 1 < columns:
                                planes[k, top, left + 1] += (1 - below) * right * value
                        if top + 1 < rows:
                            if left >= 0:
                                planes[k, top + 1, left] += below * (1 - right) * value
                            if left + 1 < columns:
                                planes[k, top + 1, left + 1] += below * right * value
