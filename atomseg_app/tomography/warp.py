"""Turning views in their plane and moving them along the tilt axis: a linear map with its exact adjoint.

Shifts across the axis are no part of it: rays take them up. So a view is interpolated once at most.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from atomseg_app.rays.compiled import kernel
from atomseg_app.rays.threads import in_pieces
from atomseg_app.tomography.geometry import Geometry

Floats = npt.NDArray[np.float32]


class Warp:
    """Takes ideal views (view, y, x), shifts across the axis applied, to where the detector saw them; ``T`` back."""

    def __init__(self, geometry: Geometry) -> None:
        angle = np.deg2rad(geometry.rotation_deg)
        middle_x, middle_y = (geometry.detector_yx[1] - 1) / 2, (geometry.detector_yx[0] - 1) / 2
        centre_x = middle_x + geometry.t_shift_px
        to_y = middle_y + geometry.y_shift_px
        # Lengths turn, not numbers of pixels: along y these are fewer by the aspect.
        aspect = geometry.pixel_aspect
        cos, sin = np.cos(angle), np.sin(angle)
        self.table = np.stack([cos, sin * aspect, sin / aspect, centre_x, np.full_like(angle, middle_y), to_y], axis=1)

    def undone(self, seen: Floats) -> Floats:
        """Views as they would be neither turned nor moved along the axis, for methods that invert the projection."""
        cos, x_by_y, y_by_x, centre_x, from_y, to_y = self.table.T
        table = np.stack([cos, -x_by_y, -y_by_x, centre_x, to_y, from_y], axis=1)
        ideal = np.empty_like(seen)
        in_pieces(lambda first, last: _pull(seen, table, first, last, ideal), len(seen))
        return ideal

    @staticmethod
    def is_needed(geometry: Geometry) -> bool:
        """Whether any view is turned or moved along the axis."""
        return bool(np.any(geometry.rotation_deg) or np.any(geometry.y_shift_px))

    def __call__(self, ideal: Floats) -> Floats:
        """Views as the detector saw them."""
        seen = np.empty_like(ideal)
        in_pieces(lambda first, last: _pull(ideal, self.table, first, last, seen), len(ideal))
        return seen

    def adjoint(self, seen: Floats) -> Floats:
        """The adjoint, which is not the inverse."""
        ideal = np.zeros_like(seen)
        in_pieces(lambda first, last: _push(seen, self.table, first, last, ideal), len(seen))
        return ideal


@kernel
def _pull(ideal: Any, table: Any, first: int, last: int, seen: Any) -> None:
    """Every pixel of ``seen`` from the four of ``ideal`` round where it lies."""
    rows, columns = ideal.shape[1], ideal.shape[2]
    for view in range(first, last):
        cos, x_by_y, y_by_x, centre_x, from_y, to_y = table[view]
        for v in range(rows):
            for u in range(columns):
                x = cos * (u - centre_x) + x_by_y * (v - to_y) + centre_x
                y = cos * (v - to_y) - y_by_x * (u - centre_x) + from_y
                left, top = int(np.floor(x)), int(np.floor(y))
                right, below = np.float32(x - left), np.float32(y - top)
                total = np.float32(0)
                for j in range(2):
                    for i in range(2):
                        if 0 <= top + j < rows and 0 <= left + i < columns:
                            share = (right if i else 1 - right) * (below if j else 1 - below)
                            total += share * ideal[view, top + j, left + i]
                seen[view, v, u] = total


@kernel
def _push(seen: Any, table: Any, first: int, last: int, ideal: Any) -> None:
    """Every pixel of ``seen`` spread over the four of ``ideal`` that it was made from."""
    rows, columns = ideal.shape[1], ideal.shape[2]
    for view in range(first, last):
        cos, x_by_y, y_by_x, centre_x, from_y, to_y = table[view]
        for v in range(rows):
            for u in range(columns):
                x = cos * (u - centre_x) + x_by_y * (v - to_y) + centre_x
                y = cos * (v - to_y) - y_by_x * (u - centre_x) + from_y
                left, top = int(np.floor(x)), int(np.floor(y))
                right, below = np.float32(x - left), np.float32(y - top)
                for j in range(2):
                    for i in range(2):
                        if 0 <= top + j < rows and 0 <= left + i < columns:
                            share = (right if i else 1 - right) * (below if j else 1 - below)
                            ideal[view, top + j, left + i] += share * seen[view, v, u]
