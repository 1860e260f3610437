"""What reconstruction algorithms share: the problem they solve for a block of slices, and the iterates they give.

An algorithm is a generator over one block of slices: it keeps its own state, gives its image after every iteration,
and goes on for as long as it is asked. So all slices advance together, and any iteration can be shown, judged, or last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import numpy.typing as npt

from atomseg_app.tomography import kernels
from atomseg_app.tomography.blocks import Block, BlockProjector
from atomseg_app.tomography.threads import in_pieces

Floats = npt.NDArray[np.float32]
_SMALLEST_LENGTH = 1e-3  # voxels; rays that pass less of the volume say nothing


@dataclass
class Problem:
    """A projector with what does not depend on the slice: weights, scratch space, which views are used, and limits.

    ``least`` is the smallest value allowed (0 for positivity); ``support`` (z, x) is False where nothing can be.
    """

    projector: BlockProjector
    views: npt.NDArray[np.int64]
    relaxation: float = 1.0
    least: float = 0.0
    support: npt.NDArray[np.bool_] | None = None
    scratch: Block = field(init=False)

    def __post_init__(self) -> None:
        self.scratch = self.projector.sinogram()

    def per_ray(self, views: npt.NDArray[np.int64]) -> Floats:
        """One over the length of every ray in the volume (view, t), 0 for rays that miss it."""
        lengths = self.projector.lengths(views)
        return np.where(lengths > _SMALLEST_LENGTH, 1 / np.maximum(lengths, _SMALLEST_LENGTH), 0).astype(np.float32)

    def per_voxel(self, views: npt.NDArray[np.int64]) -> Floats:
        """One over what every voxel (z, x) is seen in, 0 outside the support and where no view looks."""
        coverage = self.projector.coverage(views)
        inverse = np.where(coverage > _SMALLEST_LENGTH, 1 / np.maximum(coverage, _SMALLEST_LENGTH), 0)
        if self.support is not None:
            inverse *= self.support
        return inverse.astype(np.float32)

    @cached_property
    def ray_weight(self) -> Floats:
        """:meth:`per_ray` of all used views."""
        return self.per_ray(self.views)

    @cached_property
    def voxel_weight(self) -> Floats:
        """:meth:`per_voxel` of all used views."""
        return self.per_voxel(self.views)

    def subtract(self, measured: Block, weight: Floats, views: npt.NDArray[np.int64], misfit: Floats) -> None:
        """Scratch becomes ``weight * (measured - scratch)`` in these views, ``misfit`` the sums of |difference|."""
        in_pieces(
            lambda first, last: kernels.residual(measured, weight, views, first, last, self.scratch, misfit),
            len(views),
        )

    def divide(self, measured: Block, least: float, views: npt.NDArray[np.int64], misfit: Floats) -> None:
        """Scratch becomes ``measured / scratch`` in these views, 1 where scratch is below ``least``."""
        smallest = np.float32(least)
        in_pieces(
            lambda first, last: kernels.ratio(measured, smallest, views, first, last, self.scratch, misfit), len(views)
        )


@dataclass(frozen=True)
class Iterate:
    """An image after an iteration, and the sum of |measured - projected| of each view before it."""

    image: Block
    misfit: Floats


Algorithm = Callable[[Problem, Block, Block], Iterator[Iterate]]
"""``algorithm(problem, measured, image)`` improves ``image``, which it may start from, in place."""
