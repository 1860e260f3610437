"""Projection of blocks of neighbouring slices, in the layout that the kernels work in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from atomseg_app.tomography import kernels
from atomseg_app.tomography.compiled import LANES
from atomseg_app.tomography.geometry import Geometry
from atomseg_app.tomography.kernels import PAD
from atomseg_app.tomography.threads import in_pieces

Block = npt.NDArray[np.float32]
"""Slices side by side: [z, x, slice] or [view, t, slice], with a border of zeros round all but the slices and views."""

_RAY = np.dtype(
    [
        ("cos", "f8"), ("sin", "f8"), ("corner", "f8"), ("sharp", "f4"), ("length", "f4"),
        ("slope", "f8"), ("per_bin", "f8"), ("zero", "f8"), ("limit", "f8"),
        ("origin", "i8"), ("step", "i8"), ("across", "i8"), ("steps", "i8"),
    ],
    align=True,
)  # fmt: skip


def ray_table(geometry: Geometry) -> npt.NDArray[Any]:
    """One record a view: where its rays run in a block.

    ``cos x + sin z + corner`` is the bin (with the border) that voxel (x, z) is seen in; ``sharp`` is 1 / c. A ray of
    bin t takes ``steps`` steps of ``step`` elements from ``origin``, each of ``length`` voxels; at step k it is at
    ``(t - zero) * per_bin - k * slope`` columns of ``across`` elements.
    """
    depth, _, width = geometry.volume_zyx
    tilt = np.deg2rad(geometry.tilt_deg)
    table = np.zeros(geometry.views, _RAY)
    cos, sin = np.cos(tilt), np.sin(tilt)
    zero = (geometry.detector_yx[1] - 1) / 2 + geometry.t_shift_px - cos * (width - 1) / 2 - sin * (depth - 1) / 2
    steep = np.abs(sin) > np.abs(cos)
    across, along = np.where(steep, sin, cos), np.where(steep, cos, sin)
    row, column = (width + 2 * PAD) * LANES, LANES
    table["cos"], table["sin"], table["corner"] = cos, sin, zero + PAD
    table["sharp"] = table["length"] = 1 / np.abs(across)
    table["slope"], table["per_bin"], table["zero"] = along / across, 1 / across, zero
    table["limit"] = np.where(steep, depth, width) + 2.0
    table["step"], table["across"] = np.where(steep, column, row), np.where(steep, row, column)
    table["origin"] = PAD * table["step"]
    table["steps"] = np.where(steep, width, depth)
    return table


class BlockProjector:
    """Projection and back projection of blocks of ``LANES`` slices, all views or those of ``views``."""

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        self.rays = ray_table(geometry)
        self.every_view = np.arange(geometry.views)
        self._depth, self._slices, self._width = geometry.volume_zyx
        self._no_weight = np.zeros((1, 1), np.float32)

    @property
    def starts(self) -> range:
        """First slice of each block."""
        return range(0, self._slices, LANES)

    def image(self, value: float = 0.0) -> Block:
        """New block of an image, filled inside its border."""
        block = np.zeros((self._depth + 2 * PAD, self._width + 2 * PAD, LANES), np.float32)
        if value:
            block[PAD:-PAD, PAD:-PAD] = value
        return block

    def sinogram(self, value: float = 0.0) -> Block:
        """New block of a sinogram, filled inside its border."""
        block = np.zeros((self.geometry.views, self.geometry.detector_yx[1] + 2 * PAD, LANES), np.float32)
        if value:
            block[:, PAD:-PAD] = value
        return block

    def forward(self, image: Block, sinogram: Block, views: npt.NDArray[np.int64] | None = None) -> None:
        """Write the projections of an image to the views of a sinogram."""
        chosen = self.every_view if views is None else views
        in_pieces(lambda first, last: kernels.forward(image, self.rays, chosen, first, last, sinogram), len(chosen))

    def back(
        self,
        sinogram: Block,
        image: Block,
        views: npt.NDArray[np.int64] | None = None,
        how: int = kernels.REPLACE,
        weight: npt.NDArray[np.float32] | None = None,
        step: float = 1.0,
        least: float = -np.inf,
    ) -> None:
        """Write the adjoint to an image, or add or multiply it (:func:`kernels.back`)."""
        chosen = self.every_view if views is None else views
        factor = self._no_weight if weight is None else weight
        numbers = np.float32(step), np.float32(least)
        in_pieces(
            lambda first, last: kernels.back(
                sinogram, self.rays, chosen, how, factor, *numbers, first, last, image
            ),
            self._depth,
        )  # fmt: skip

    def lengths(self, views: npt.NDArray[np.int64] | None = None) -> npt.NDArray[np.float32]:
        """Length of every ray inside the volume (view, t) in voxels: the sums of the matrix's rows."""
        sinogram = self.sinogram()
        self.forward(self.image(1.0), sinogram, views)
        return np.ascontiguousarray(sinogram[:, PAD:-PAD, 0])

    def coverage(self, views: npt.NDArray[np.int64] | None = None) -> npt.NDArray[np.float32]:
        """How much of the views every voxel is seen in (z, x): the sums of the matrix's columns."""
        image = self.image()
        self.back(self.sinogram(1.0), image, views)
        return np.ascontiguousarray(image[PAD:-PAD, PAD:-PAD, 0])

    def take_views(self, views: npt.NDArray[np.float32], first_slice: int) -> Block:
        """Block of a sinogram from views (view, y, x) that begin at ``first_slice``."""
        block = self.sinogram()
        inside = block[:, PAD:-PAD]
        in_pieces(lambda first, last: kernels.interleave(views, first_slice, first, last, inside), len(views))
        return block

    def take_volume(self, volume: npt.NDArray[np.float32], first_slice: int) -> Block:
        """Block of an image from a volume (z, y, x)."""
        block = self.image()
        inside = block[PAD:-PAD, PAD:-PAD]
        in_pieces(lambda first, last: kernels.interleave(volume, first_slice, first, last, inside), self._depth)
        return block

    def put_views(self, block: Block, views: npt.NDArray[np.float32], first_slice: int) -> None:
        """Copy a block of a sinogram into views (view, y, x)."""
        inside = block[:, PAD:-PAD]
        in_pieces(lambda first, last: kernels.separate(inside, first_slice, first, last, views), len(views))

    def put_volume(self, block: Block, volume: npt.NDArray[np.float32], first_slice: int) -> None:
        """Copy a block of an image into a volume (z, y, x)."""
        inside = block[PAD:-PAD, PAD:-PAD]
        in_pieces(lambda first, last: kernels.separate(inside, first_slice, first, last, volume), self._depth)

    def blocks(self, volume: npt.NDArray[np.float32]) -> Iterator[tuple[int, Block]]:
        """Blocks of a volume with their first slice."""
        for start in self.starts:
            yield start, self.take_volume(volume, start)
