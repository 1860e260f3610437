"""Problem of a series round one axis whose views are turned in their plane or moved along the axis.

Slices mix then, but only in the views: images stay in blocks, as the projector of one axis takes them, and views are
whole (view, y, x), where :class:`~atomseg_app.tomography.warp.Warp` takes them to where the detector saw them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from atomseg_app.rays.blocks import Block, BlockProjector, aligned
from atomseg_app.rays.compiled import kernel
from atomseg_app.rays.kernels import ADD, MULTIPLY, PAD, REPLACE
from atomseg_app.rays.threads import in_pieces
from atomseg_app.tomography.geometry import Geometry
from atomseg_app.tomography.problem import Floats, Indices, Limits, Problem
from atomseg_app.tomography.warp import Warp


class TurnedProblem(Problem):
    """Images [block, z, x, slice] with borders, views (view, y, x), weights one number a voxel and a ray."""

    def __init__(
        self, geometry: Geometry, views: Indices, limits: Limits | None = None, relaxation: float = 1.0
    ) -> None:
        limits = limits or Limits()
        if limits.support is not None:
            limits = replace(limits, support=limits.support[None, :, :, None])
        super().__init__(views, limits, relaxation)
        self.geometry = self._rays = geometry
        self.projector = BlockProjector(geometry)
        self.scratch = self.new_data()
        self._ideal, self._sinogram = self.new_data(), self.projector.sinogram()
        self._gathered = self.projector.image()
        self._warps: dict[bytes, Warp] = {}

    def _warp(self, views: Indices) -> Warp:
        """Warp of these views alone, made once."""
        key = views.tobytes()
        if key not in self._warps:
            self._warps[key] = Warp(self._rays.of_views(views))
        return self._warps[key]

    def _these(self, views: Indices) -> Indices | slice:
        """Index of views in data; of all of them one that does not copy."""
        return slice(None) if len(views) == self._rays.views else views

    def new_image(self, value: float = 0.0) -> Floats:
        one = self.projector.image(value)
        stack = aligned((len(self.projector.starts), *one.shape))
        stack[...] = one
        if value:
            stack[-1, :, :, self._rays.volume_zyx[1] - self.projector.starts[-1] :] = 0
        return stack

    def new_data(self, value: float = 0.0) -> Floats:
        return np.full((self._rays.views, *self._rays.detector_yx), value, np.float32)

    def forward(self, image: Floats, data: Floats, views: Indices) -> None:
        for start, one in zip(self.projector.starts, image, strict=True):
            self.projector.forward(one, self._sinogram, views)
            self.projector.put_views(self._sinogram, self._ideal, start)
        these = self._these(views)
        data[these] = self._warp(views)(self._ideal[these])

    def back(
        self, data: Floats, image: Floats, views: Indices, how: int = REPLACE, weight: Floats | None = None,
        step: float = 1.0, least: float = -np.inf,
    ) -> None:  # fmt: skip
        these = self._these(views)
        self._ideal[these] = self._warp(views).adjoint(data[these])
        for number, (start, one) in enumerate(zip(self.projector.starts, image, strict=True)):
            self._sinogram[...] = 0
            self.projector.take_views(self._ideal, start, self._sinogram)
            if how == REPLACE or weight is None:
                self.projector.back(self._sinogram, one, views)
                continue
            self.projector.back(self._sinogram, self._gathered, views)
            _applied(self._gathered, weight[number], how, step, least, one)

    def flat(self, data: Floats) -> Floats:
        return data

    def flat_image(self, image: Floats) -> Floats:
        return np.ascontiguousarray(self.inside(image))

    def inside(self, image: Floats) -> Floats:
        return image[:, PAD:-PAD, PAD:-PAD]

    def as_blocks(self, image: Floats) -> Floats:
        return self.inside(image)

    @property
    def lane_count(self) -> int:
        return self._rays.volume_zyx[1]

    def subtract(self, measured: Floats, weight: Floats, views: Indices, misfit: Floats) -> None:
        def piece(first: int, last: int) -> None:
            for view in views[first:last]:
                difference = measured[view] - self.scratch[view]
                misfit[view] = np.abs(difference).sum()
                np.multiply(difference, weight[view], out=self.scratch[view])

        in_pieces(piece, len(views))

    def divide(self, measured: Floats, least: float, views: Indices, misfit: Floats) -> None:
        def piece(first: int, last: int) -> None:
            for view in views[first:last]:
                found = self.scratch[view]
                misfit[view] = np.abs(measured[view] - found).sum()
                known = found > least
                self.scratch[view] = np.where(known, measured[view] / np.where(known, found, 1), 1)

        in_pieces(piece, len(views))


def _applied(gathered: Block, weight: Floats, how: int, step: float, least: float, image: Block) -> None:
    """Add ``step * weight`` times what was gathered to an image, or multiply it, and raise it to ``least``."""
    assert how in (ADD, MULTIPLY)
    numbers = np.float32(step), np.float32(least)
    in_pieces(
        lambda first, last: _apply(gathered, weight, how == ADD, *numbers, first, last, image), len(weight)
    )  # fmt: skip


@kernel
def _apply(
    gathered: Any, weight: Any, adds: bool, step: Any, least: Any, first: int, last: int, image: Any
) -> None:  # fmt: skip
    for i in range(first, last):
        for j in range(weight.shape[1]):
            for lane in range(weight.shape[2]):
                factor = weight[i, j, lane] * gathered[i + PAD, j + PAD, lane]
                old = image[i + PAD, j + PAD, lane]
                image[i + PAD, j + PAD, lane] = max(old + step * factor if adds else old * factor, least)
