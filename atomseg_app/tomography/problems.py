"""Problems of the three kinds: a block of slices, all blocks, the volume of any geometry."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

import numpy as np

from atomseg_app.rays import kernels
from atomseg_app.rays.blocks import Block, BlockProjector, aligned
from atomseg_app.rays.kernels import ADD, MULTIPLY, PAD, REPLACE
from atomseg_app.rays.threads import in_pieces
from atomseg_app.tomography.geometry import Geometry
from atomseg_app.tomography.problem import Floats, Indices, Limits, Problem
from atomseg_app.tomography.projector import Operator, projector


class BlockProblem(Problem):
    """A block of neighbouring slices of a series tilted round one axis; weights are those of one slice."""

    def __init__(
        self, projector: BlockProjector, views: Indices, limits: Limits | None = None, relaxation: float = 1.0
    ) -> None:
        super().__init__(views, limits or Limits(), relaxation)
        self.projector, self.geometry = projector, projector.geometry
        self.scratch = projector.sinogram()

    def new_image(self, value: float = 0.0) -> Block:
        return self.projector.image(value)

    def new_data(self, value: float = 0.0) -> Block:
        return self.projector.sinogram(value)

    def forward(self, image: Block, data: Block, views: Indices) -> None:
        self.projector.forward(image, data, views)

    def back(
        self, data: Block, image: Block, views: Indices, how: int = REPLACE, weight: Floats | None = None,
        step: float = 1.0, least: float = -np.inf,
    ) -> None:  # fmt: skip
        self.projector.back(data, image, views, how, weight, step, least)

    def flat(self, data: Floats) -> Floats:
        return np.ascontiguousarray(data[:, PAD:-PAD, 0])

    def flat_image(self, image: Floats) -> Floats:
        return np.ascontiguousarray(image[PAD:-PAD, PAD:-PAD, 0])

    def spread(self, weight: Floats) -> Floats:
        return weight[:, :, None]

    def as_data(self, weight: Floats) -> Floats:
        return np.pad(weight, ((0, 0), (PAD, PAD)))[:, :, None]

    def inside(self, image: Block) -> Floats:
        return image[PAD:-PAD, PAD:-PAD]

    def as_blocks(self, image: Block) -> Floats:
        return self.inside(image)[None]

    @property
    def border(self) -> int:
        return PAD

    @property
    def lane_count(self) -> int:
        return self.projector.lanes

    def subtract(self, measured: Floats, weight: Floats, views: Indices, misfit: Floats) -> None:
        in_pieces(
            lambda first, last: kernels.residual(measured, weight, views, first, last, self.scratch, misfit),
            len(views),
        )

    def divide(self, measured: Floats, least: float, views: Indices, misfit: Floats) -> None:
        smallest = np.float32(least)
        in_pieces(
            lambda first, last: kernels.ratio(measured, smallest, views, first, last, self.scratch, misfit), len(views)
        )


class StackProblem(Problem):
    """All blocks of a series tilted round one axis, for algorithms that look across slices.

    Images are [block, z, x, slice] and data [block, view, t, slice], with borders; weights are those of one slice.
    """

    def __init__(self, block: BlockProblem) -> None:
        super().__init__(block.views, block.limits, block.relaxation)
        self._block, self.geometry = block, block.geometry
        self._count = len(block.projector.starts)

    @cached_property
    def scratch(self) -> Floats:  # type: ignore[override]
        """Made when it is asked for: algorithms that go block by block do without."""
        return self.new_data()

    def new_image(self, value: float = 0.0) -> Floats:
        one = self._block.new_image(value)
        stack = aligned((self._count, *one.shape))
        stack[...] = one
        return stack

    def new_data(self, value: float = 0.0) -> Floats:
        one = self._block.new_data(value)
        stack = aligned((self._count, *one.shape))
        stack[...] = one
        return stack

    def forward(self, image: Floats, data: Floats, views: Indices) -> None:
        for one, projected in zip(image, data, strict=True):
            self._block.forward(one, projected, views)

    def back(
        self, data: Floats, image: Floats, views: Indices, how: int = REPLACE, weight: Floats | None = None,
        step: float = 1.0, least: float = -np.inf,
    ) -> None:  # fmt: skip
        for projected, one in zip(data, image, strict=True):
            self._block.back(projected, one, views, how, weight, step, least)

    def flat(self, data: Floats) -> Floats:
        return self._block.flat(data[0])

    def flat_image(self, image: Floats) -> Floats:
        return self._block.flat_image(image[0])

    def spread(self, weight: Floats) -> Floats:
        return weight[None, :, :, None]

    def as_data(self, weight: Floats) -> Floats:
        return self._block.as_data(weight)[None]

    def inside(self, image: Floats) -> Floats:
        return image[:, PAD:-PAD, PAD:-PAD]

    def as_blocks(self, image: Floats) -> Floats:
        return self.inside(image)

    @property
    def piece(self) -> Problem:
        return self._block

    def pieces(self, array: Floats) -> list[Floats]:
        return list(array)

    @property
    def border(self) -> int:
        return PAD

    @property
    def lane_count(self) -> int:
        return self.geometry.volume_zyx[1]

    def subtract(self, measured: Floats, weight: Floats, views: Indices, misfit: Floats) -> None:
        self._each(measured, views, misfit, lambda one, part: self._block.subtract(one, weight, views, part))

    def divide(self, measured: Floats, least: float, views: Indices, misfit: Floats) -> None:
        self._each(measured, views, misfit, lambda one, part: self._block.divide(one, least, views, part))

    def _each(
        self, measured: Floats, views: Indices, misfit: Floats, work: Callable[[Floats, Floats], None]
    ) -> None:  # fmt: skip
        """Do something with the scratch space of every block; the misfits of all blocks add up."""
        misfit[views] = 0
        part = np.zeros_like(misfit)
        for one, projected in zip(measured, self.scratch, strict=True):
            self._block.scratch = projected
            work(one, part)
            misfit[views] += part[views]


class VolumeProblem(Problem):
    """The whole volume (z, y, x) and views (view, y, x) of any geometry; weights have their shapes."""

    def __init__(
        self, geometry: Geometry, views: Indices, limits: Limits | None = None, relaxation: float = 1.0,
        device: str = "cpu",
    ) -> None:  # fmt: skip
        limits = limits or Limits()
        if limits.support is not None and limits.support.ndim == 2:
            limits = replace(limits, support=np.broadcast_to(limits.support[:, None], geometry.volume_zyx))
        super().__init__(views, limits, relaxation)
        self.geometry, self._whole, self._device = geometry, geometry, device
        self._operators: dict[bytes, Operator] = {}
        self.scratch = self.new_data()

    def _operator(self, views: Indices) -> Operator:
        """Projector of these views alone, made once."""
        key = views.tobytes()
        if key not in self._operators:
            self._operators[key] = projector(self._whole.of_views(views), self._device)
        return self._operators[key]

    def new_image(self, value: float = 0.0) -> Floats:
        return np.full(self.geometry.volume_zyx, value, np.float32)

    def new_data(self, value: float = 0.0) -> Floats:
        return np.full((self.geometry.views, *self.geometry.detector_yx), value, np.float32)

    def forward(self, image: Floats, data: Floats, views: Indices) -> None:
        data[views] = self._operator(views)(image)

    def back(
        self, data: Floats, image: Floats, views: Indices, how: int = REPLACE, weight: Floats | None = None,
        step: float = 1.0, least: float = -np.inf,
    ) -> None:  # fmt: skip
        gathered = self._operator(views).T(data[views])
        if how == REPLACE or weight is None:
            image[...] = gathered
            return
        gathered *= weight
        if how == ADD:
            gathered *= np.float32(step)
            image += gathered
        elif how == MULTIPLY:
            image *= gathered
        np.maximum(image, np.float32(least), out=image)

    def flat(self, data: Floats) -> Floats:
        return data

    def flat_image(self, image: Floats) -> Floats:
        return image

    def as_blocks(self, image: Floats) -> Floats:
        return image[None]

    @property
    def lane_count(self) -> int:
        return self.geometry.volume_zyx[2]

    def subtract(self, measured: Floats, weight: Floats, views: Indices, misfit: Floats) -> None:
        for view in views:
            difference = measured[view] - self.scratch[view]
            misfit[view] = np.abs(difference).sum()
            np.multiply(difference, weight[view], out=self.scratch[view])

    def divide(self, measured: Floats, least: float, views: Indices, misfit: Floats) -> None:
        for view in views:
            found = self.scratch[view]
            misfit[view] = np.abs(measured[view] - found).sum()
            known = found > least
            self.scratch[view] = np.where(known, measured[view] / np.where(known, found, 1), 1)
