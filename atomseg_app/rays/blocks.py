"""Projection of blocks of neighbouring slices, in the layout that the kernels work in."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from atomseg_app.rays import kernels
from atomseg_app.rays.compiled import LANE_COUNTS, lanes_dtype
from atomseg_app.rays.kernels import PAD
from atomseg_app.rays.threads import in_pieces

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


class Rays(Protocol):
    """Where parallel rays run through slices: what of a tilt series' geometry concerns the plane across its axis.

    A voxel at (x, z) from the volume's centre (N - 1) / 2 is seen at t = x cos(tilt) + z sin(tilt) from the detector's
    centre, moved by ``t_shift_px`` (views,).
    """

    @property
    def tilt_deg(self) -> tuple[float, ...]:
        """One angle a view."""

    @property
    def views(self) -> int:
        """How many views there are."""

    @property
    def detector_yx(self) -> tuple[int, int]:
        """Slices, bins."""

    @property
    def volume_zyx(self) -> tuple[int, int, int]:
        """Voxels along the beam, slices, voxels across the axis."""

    @property
    def t_shift_px(self) -> npt.NDArray[np.float64]:
        """How far each view lies from ideal across the axis."""


def ray_table(geometry: Rays) -> npt.NDArray[Any]:
    """One record a view: where its rays run in a block.

    ``cos x + sin z + corner`` is the bin (with the border) that voxel (x, z) is seen in; ``sharp`` is 1 / c. A ray of
    bin t takes ``steps`` steps of ``step`` pixels from ``origin``, each of ``length`` voxels; at step k it is at
    ``(t - zero) * per_bin - k * slope`` columns of ``across`` pixels.
    """
    depth, _, width = geometry.volume_zyx
    tilt = np.deg2rad(geometry.tilt_deg)
    table = np.zeros(geometry.views, _RAY)
    cos, sin = np.cos(tilt), np.sin(tilt)
    zero = (geometry.detector_yx[1] - 1) / 2 + geometry.t_shift_px - cos * (width - 1) / 2 - sin * (depth - 1) / 2
    steep = np.abs(sin) > np.abs(cos)
    across, along = np.where(steep, sin, cos), np.where(steep, cos, sin)
    row, column = width + 2 * PAD, 1
    table["cos"], table["sin"], table["corner"] = cos, sin, zero + PAD
    table["sharp"] = table["length"] = 1 / np.abs(across)
    table["slope"], table["per_bin"], table["zero"] = along / across, 1 / across, zero
    table["limit"] = np.where(steep, depth, width) + 2.0
    table["step"], table["across"] = np.where(steep, column, row), np.where(steep, row, column)
    table["origin"] = PAD * table["step"]
    table["steps"] = np.where(steep, width, depth)
    return table


_CACHE_LINE = 64


def aligned(shape: tuple[int, ...]) -> Block:
    """Zeros that begin on a cache line, so that no register is filled from two."""
    size = int(np.prod(shape))
    memory = np.zeros(size + _CACHE_LINE // 4, np.float32)
    first = -memory.ctypes.data % _CACHE_LINE // 4
    return memory[first : first + size].reshape(shape)


def as_pixels(block: Block) -> npt.NDArray[Any]:
    """The pixels of a block in one row, each with all its slices."""
    lanes = block.shape[-1]
    return block.reshape(-1, lanes).view(lanes_dtype(lanes))[:, 0]


_LEAST_VIEWS = 8
"""That are projected at once: the image goes through the caches anew for each piece of the views."""


class BlockProjector:
    """Projection and back projection of blocks of ``lanes`` slices, all views or those of ``views``.

    ``lanes`` are 8, 16 or 32, by default as many as the slices need; ``threads`` as many as the process may have.
    """

    def __init__(self, geometry: Rays, lanes: int | None = None, threads: int | None = None) -> None:
        self.geometry, self._threads = geometry, threads
        self.rays = ray_table(geometry)
        self.every_view = np.arange(geometry.views)
        self._depth, self._slices, self._width = geometry.volume_zyx
        self._bins = geometry.detector_yx[1]
        self._no_weight = np.zeros((1, 1), np.float32)
        self.lanes = lanes or next((count for count in LANE_COUNTS if count >= self._slices), LANE_COUNTS[-1])

    @property
    def starts(self) -> range:
        """First slice of each block."""
        return range(0, self._slices, self.lanes)

    def image(self, value: float = 0.0) -> Block:
        """New block of an image, filled inside its border."""
        block = aligned((self._depth + 2 * PAD, self._width + 2 * PAD, self.lanes))
        if value:
            block[PAD:-PAD, PAD:-PAD] = value
        return block

    def sinogram(self, value: float = 0.0) -> Block:
        """New block of a sinogram, filled inside its border."""
        block = aligned((self.geometry.views, self._bins + 2 * PAD, self.lanes))
        if value:
            block[:, PAD:-PAD] = value
        return block

    def forward(self, image: Block, sinogram: Block, views: npt.NDArray[np.int64] | None = None) -> None:
        """Write the projections of an image to the views of a sinogram."""
        chosen = self.every_view if views is None else views
        pixels, cells = as_pixels(image), as_pixels(sinogram)

        def piece(first: int, last: int) -> None:
            kernels.forward(pixels, self.rays, chosen, first, last, self._bins, cells)

        in_pieces(piece, len(chosen), self._threads, _LEAST_VIEWS)

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
        pixels, cells = as_pixels(image), as_pixels(sinogram)

        def piece(first: int, last: int) -> None:
            row = as_pixels(aligned((self._width, self.lanes)))
            kernels.back(
                cells, self.rays, chosen, how, factor, *numbers, first, last, self._width, self._bins, row, pixels
            )

        in_pieces(piece, self._depth, self._threads)

    def convolve(
        self, sinogram: Block, response: npt.NDArray[np.float32], scales: npt.NDArray[np.float32],
        views: npt.NDArray[np.int64], filtered: Block,
    ) -> None:  # fmt: skip
        """Filter views across the axis with a response (2 bins + 2,) centred at bins - 1, each times its scale."""
        cells, results = as_pixels(sinogram), as_pixels(filtered)

        def piece(first: int, last: int) -> None:
            kernels.convolve(cells, response, scales, views, first, last, self._bins, results)

        in_pieces(piece, len(views), self._threads)

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

    def take_views(self, views: npt.NDArray[np.float32], first_slice: int, block: Block | None = None) -> Block:
        """Block of a sinogram from views (view, y, x) from ``first_slice`` on; lanes beyond keep what they have."""
        block = self.sinogram() if block is None else block
        inside = block[:, PAD:-PAD]
        in_pieces(
            lambda first, last: kernels.interleave(views, first_slice, first, last, inside), len(views), self._threads
        )
        return block

    def take_volume(self, volume: npt.NDArray[np.float32], first_slice: int) -> Block:
        """Block of an image from a volume (z, y, x)."""
        block = self.image()
        inside = block[PAD:-PAD, PAD:-PAD]
        in_pieces(
            lambda first, last: kernels.interleave(volume, first_slice, first, last, inside), self._depth, self._threads
        )
        return block

    def put_views(self, block: Block, views: npt.NDArray[np.float32], first_slice: int) -> None:
        """Copy a block of a sinogram into views (view, y, x)."""
        inside = block[:, PAD:-PAD]
        in_pieces(
            lambda first, last: kernels.separate(inside, first_slice, first, last, views), len(views), self._threads
        )

    def put_volume(self, block: Block, volume: npt.NDArray[np.float32], first_slice: int) -> None:
        """Copy a block of an image into a volume (z, y, x)."""
        inside = block[PAD:-PAD, PAD:-PAD]
        in_pieces(
            lambda first, last: kernels.separate(inside, first_slice, first, last, volume), self._depth, self._threads
        )

    def views_of(self, volume: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Views (view, y, x) of a volume (z, y, x), block after block."""
        views = np.empty((self.geometry.views, *self.geometry.detector_yx), np.float32)
        sinogram = self.sinogram()
        for start in self.starts:
            self.forward(self.take_volume(volume, start), sinogram)
            self.put_views(sinogram, views, start)
        return views

    def volume_of(self, views: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Volume (z, y, x) that views (view, y, x) are smeared over, block after block."""
        volume = np.empty(self.geometry.volume_zyx, np.float32)
        image = self.image()
        for start in self.starts:
            self.back(self.take_views(views, start), image)
            self.put_volume(image, volume, start)
        return volume
