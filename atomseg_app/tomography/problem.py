"""The problem that reconstruction algorithms solve: projection of one part of the volume, weights, and limits.

The part is a block of slices where slices are independent, all blocks where an algorithm looks across slices, or the
volume where views mix slices; see :mod:`~atomseg_app.tomography.problems`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from atomseg_app.rays.blocks import Rays
from atomseg_app.rays.kernels import REPLACE

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.int64]
SMALLEST_LENGTH = 1e-3
"""Rays that pass less of the volume than this many voxels, and voxels seen so little, say nothing."""


@dataclass(frozen=True)
class Limits:
    """What an image has to be: at or above ``least`` (0 for positivity), 0 outside ``support`` (z, x) or (z, y, x)."""

    least: float = 0.0
    support: npt.NDArray[np.bool_] | None = None


class Problem(ABC):
    """Projection of one part of the volume to the ``views`` in use, with weights and scratch space.

    ``scratch`` is in the layout of the measured data, of which ``tilt_deg`` are the angles. Subclasses project.
    """

    scratch: Floats
    geometry: Rays

    def __init__(self, views: Indices, limits: Limits, relaxation: float) -> None:
        self.views, self.limits, self.relaxation = views, limits, relaxation

    @abstractmethod
    def new_image(self, value: float = 0.0) -> Floats:
        """New image, filled with a value where it is inside the volume."""

    @abstractmethod
    def new_data(self, value: float = 0.0) -> Floats:
        """New data in the layout of the measured ones, filled with a value."""

    @abstractmethod
    def forward(self, image: Floats, data: Floats, views: Indices) -> None:
        """Write the projections of an image to views of data."""

    @abstractmethod
    def back(
        self, data: Floats, image: Floats, views: Indices, how: int = REPLACE, weight: Floats | None = None,
        step: float = 1.0, least: float = -np.inf,
    ) -> None:  # fmt: skip
        """Write the adjoint to an image, or add or multiply it, as :func:`kernels.back` does."""

    @abstractmethod
    def flat(self, data: Floats) -> Floats:
        """One number a ray of what is the same in all slices; the data itself where slices differ."""

    @abstractmethod
    def flat_image(self, image: Floats) -> Floats:
        """One number a voxel of what is the same in all slices; the image itself where slices differ."""

    def spread(self, weight: Floats) -> Floats:
        """A weight of voxels as it multiplies an image without its border."""
        return weight

    def as_data(self, weight: Floats) -> Floats:
        """A weight of rays as it multiplies data, borders and all."""
        return weight

    @property
    def ray_axes(self) -> tuple[int, ...]:
        """Axes of data other than that of views."""
        return tuple(axis for axis in range(self.scratch.ndim) if axis != self.scratch.ndim - 3)

    def inside(self, image: Floats) -> Floats:
        """View of an image without its border."""
        return image

    @abstractmethod
    def as_blocks(self, image: Floats) -> Floats:
        """View of an image without its border as [block, i, j, lane], for what looks at neighbours in all directions.

        Neighbours along the lanes go on from the last lane of a block to the first of the next.
        """

    @property
    def piece(self) -> Problem:
        """Problem of one block at a time: this one, but for the problem of all blocks."""
        return self

    def pieces(self, array: Floats) -> list[Floats]:
        """An image, or data, as those of :attr:`piece`, one a block."""
        return [array]

    @property
    def border(self) -> int:
        """How wide the border of an image is."""
        return 0

    @property
    @abstractmethod
    def lane_count(self) -> int:
        """How many lanes of all blocks together are slices; those after them are empty."""

    @abstractmethod
    def subtract(self, measured: Floats, weight: Floats, views: Indices, misfit: Floats) -> None:
        """Scratch becomes ``weight * (measured - scratch)`` in these views, ``misfit`` the sums of |difference|."""

    @abstractmethod
    def divide(self, measured: Floats, least: float, views: Indices, misfit: Floats) -> None:
        """Scratch becomes ``measured / scratch`` in these views, 1 where scratch is below ``least``."""

    def per_ray(self, views: Indices) -> Floats:
        """One over the length of every ray in the volume, 0 for rays that miss it and for other views."""
        lengths = self.new_data()
        self.forward(self.new_image(1.0), lengths, views)
        return _inverse(self.flat(lengths))

    def per_voxel(self, views: Indices) -> Floats:
        """One over what every voxel is seen in, 0 outside the support and where no view looks."""
        coverage = self.new_image()
        self.back(self.new_data(1.0), coverage, views)
        inverse = _inverse(self.flat_image(coverage))
        return inverse if self.limits.support is None else inverse * self.limits.support

    @cached_property
    def ray_weight(self) -> Floats:
        """:meth:`per_ray` of the views in use."""
        return self.per_ray(self.views)

    @cached_property
    def voxel_weight(self) -> Floats:
        """:meth:`per_voxel` of the views in use."""
        return self.per_voxel(self.views)

    def confine(self, image: Floats) -> None:
        """Put an image within its limits, in place."""
        inner = self.inside(image)
        if np.isfinite(self.limits.least):
            np.maximum(inner, np.float32(self.limits.least), out=inner)
        if self.limits.support is not None:
            inner *= self.spread(self.limits.support.astype(np.float32))


def _inverse(lengths: Floats) -> Floats:
    """One over lengths, 0 for those that are almost nothing."""
    known = lengths > SMALLEST_LENGTH
    return np.where(known, 1 / np.maximum(lengths, SMALLEST_LENGTH), 0).astype(np.float32)
