"""Batches of slices (slices, z, x) on the CPU: the compiled projector's lanes filled, iterated on, and emptied.

Blocks of 8, 16 or 32 slices are independent of each other, so that each runs through all its iterations on one thread;
where there are fewer blocks than threads, these share the views and rows of one block after the other.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from atomseg_app.rays import lane_kernels
from atomseg_app.rays.blocks import Block, BlockProjector, aligned, as_pixels
from atomseg_app.rays.kernels import ADD, PAD, residual
from atomseg_app.rays.threads import in_pieces

Floats = npt.NDArray[np.float32]
_COSTS = {8: 1.0, 16: 1.45, 32: 2.85}
"""Lanes that slices are put in, and how long a block of so many takes, relative to each other."""
_ALONE = 0.3
"""Share of the work on a block that only one thread can do, and what sharing costs."""


@dataclass(frozen=True)
class SliceRays:
    """Rays through square slices of ``size`` voxels to as many bins (:class:`~atomseg_app.rays.blocks.Rays`)."""

    tilt_deg: tuple[float, ...]
    t_shift_px: npt.NDArray[np.float64]
    size: int

    @property
    def views(self) -> int:
        """How many there are."""
        return len(self.tilt_deg)

    @property
    def detector_yx(self) -> tuple[int, int]:
        """One slice, bins."""
        return 1, self.size

    @property
    def volume_zyx(self) -> tuple[int, int, int]:
        """Voxels of one slice."""
        return self.size, 1, self.size


class LaneBeam:
    """Projector pair and iterations of total variation and SIRT for float32 batches (slices, ...) of any length.

    All take ``threads``, how many there are to work on; iterations call ``check``, which may raise, on any of them.
    """

    def __init__(self, rays: SliceRays) -> None:
        self._rays = rays
        self._projector = cache(lambda lanes, threads: BlockProjector(rays, lanes, threads))

    def project(self, slices: Floats, threads: int) -> Floats:
        """Sinograms (slices, view, t) of slices (slices, z, x)."""
        sinograms = np.empty((len(slices), self._rays.views, self._rays.size), np.float32)

        def work(projector: BlockProjector, first: int) -> None:
            cells = projector.sinogram()
            projector.forward(_spread(slices, first, projector.image()), cells)
            _gather(cells, first, sinograms)

        self._each(work, len(slices), threads)
        return sinograms

    def smear(self, sinograms: Floats, threads: int) -> Floats:
        """Slices (slices, z, x) that sinograms (slices, view, t) are smeared over."""
        slices = np.empty((len(sinograms), self._rays.size, self._rays.size), np.float32)

        def work(projector: BlockProjector, first: int) -> None:
            pixels = projector.image()
            projector.back(_spread(sinograms, first, projector.sinogram()), pixels)
            _gather(pixels, first, slices)

        self._each(work, len(sinograms), threads)
        return slices

    def sirt(
        self, sinograms: Floats, start: Floats, ray_weight: Floats, voxel_weight: Floats, iterations: int,
        least: float, threads: int, check: Callable[[], None],
    ) -> Floats:  # fmt: skip
        """``start`` after so many iterations of SIRT with weights (view, t) and (z, x)."""
        answer = np.empty_like(start)
        views = np.arange(self._rays.views)

        def work(projector: BlockProjector, first: int) -> None:
            measured = _spread(sinograms, first, projector.sinogram())
            image = _spread(start, first, projector.image())
            cells, misfit = projector.sinogram(), np.empty(len(views), np.float32)
            for _ in range(iterations):
                check()
                projector.forward(image, cells)
                residual(measured, ray_weight, views, 0, len(views), cells, misfit)
                projector.back(cells, image, how=ADD, weight=voxel_weight, least=least)
            _gather(image, first, answer)

        self._each(work, len(start), threads)
        return answer

    def total_variation(
        self, sinograms: Floats, start: Floats, limit: Floats, ray_step: Floats, voxel_step: Floats, edge_step: float,
        iterations: int, least: float, threads: int, check: Callable[[], None],
    ) -> Floats:  # fmt: skip
        """``start`` after so many iterations of Chambolle and Pock, whose steps are ``ray_step`` (view, t) for views,
        ``edge_step`` for differences, ``voxel_step`` (z, x) for voxels; variation weighs ``limit`` (slices,)."""
        answer, views, size = np.empty_like(start), self._rays.views, self._rays.size
        keep = (1 / (1 + ray_step)).astype(np.float32)
        change = (ray_step / (1 + ray_step)).astype(np.float32)

        def work(projector: BlockProjector, first: int) -> None:
            measured = _spread(sinograms, first, projector.sinogram())
            image, ahead = (_spread(start, first, projector.image()) for _ in range(2))
            pull, down, right = (projector.image() for _ in range(3))
            cells, dual, most = projector.sinogram(), projector.sinogram(), aligned((1, projector.lanes))
            most[0, : len(limit) - first] = limit[first : first + projector.lanes]
            flat = [as_pixels(each) for each in (pull, most, image, ahead, down, right, cells, measured, dual)]
            for _ in range(iterations):
                check()
                projector.forward(ahead, cells)
                lane_kernels.relax(flat[6], flat[7], keep, change, views, size, flat[8])
                projector.back(dual, pull)
                lane_kernels.vary(
                    flat[0], voxel_step, flat[1], np.float32(edge_step), np.float32(least), size, size, *flat[2:6]
                )
            _gather(image, first, answer)

        self._each(work, len(start), threads)
        return answer

    def _each(self, work: Callable[[BlockProjector, int], None], slices: int, threads: int) -> None:
        """Call ``work(projector, first slice)`` for all blocks, on so many threads."""
        lanes, sharing = arrangement(slices, threads)
        projector = self._projector(lanes, sharing)

        def piece(first: int, last: int) -> None:
            for block in range(first, last):
                work(projector, block * lanes)

        in_pieces(piece, -(-slices // lanes), threads if sharing == 1 else 1)


def arrangement(slices: int, threads: int) -> tuple[int, int]:
    """Lanes that so many slices are done soonest in, and threads that share a block: one, or all."""

    def cost(choice: tuple[int, int]) -> float:
        lanes, sharing = choice
        blocks = -(-slices // lanes)
        in_a_row = -(-blocks // threads) if sharing == 1 else blocks * (_ALONE + (1 - _ALONE) / sharing)
        return in_a_row * _COSTS[lanes]

    return min(((lanes, sharing) for sharing in (1, threads) for lanes in _COSTS), key=cost)


def _spread(stack: Floats, first: int, block: Block) -> Block:
    lane_kernels.spread(stack, first, block[_inside(block, stack)])
    return block


def _gather(block: Block, first: int, stack: Floats) -> None:
    lane_kernels.gather(block[_inside(block, stack)], first, stack)


def _inside(block: Block, stack: Floats) -> tuple[Any, ...]:
    """A block without its border, which views have across only."""
    return tuple(slice(PAD, -PAD) if block.shape[axis] > stack.shape[axis + 1] else slice(None) for axis in (0, 1))
