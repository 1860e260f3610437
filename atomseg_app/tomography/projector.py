"""The linear operator from a volume to the views of a tilt series, and its exact adjoint."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from atomseg_app.errors import UserError
from atomseg_app.tomography.blocks import BlockProjector
from atomseg_app.tomography.geometry import Geometry

Floats = npt.NDArray[np.float32]


class Operator(Protocol):
    """``A(x)`` maps an array of ``domain_shape`` to one of ``range_shape``, ``A.T(y)`` back; float32 numpy arrays."""

    @property
    def domain_shape(self) -> tuple[int, ...]:
        """Shape of what it is applied to."""
        ...

    @property
    def range_shape(self) -> tuple[int, ...]:
        """Shape of what it gives."""
        ...

    @property
    def T(self) -> Operator:
        """The adjoint."""
        ...

    def __call__(self, array: Floats) -> Floats:
        """Apply."""
        ...


class Adjoint:
    """The adjoint of an operator, from its ``adjoint`` method."""

    def __init__(self, operator: SingleAxis) -> None:
        self.T = operator
        self.domain_shape = operator.range_shape
        self.range_shape = operator.domain_shape

    def __call__(self, array: Floats) -> Floats:
        return self.T.adjoint(array)


class SingleAxis:
    """Projector of a series tilted round y: volume (z, y, x) to views (view, y, x), shifts across the axis included."""

    def __init__(self, geometry: Geometry) -> None:
        self.geometry = geometry
        self.domain_shape: tuple[int, ...] = geometry.volume_zyx
        self.range_shape: tuple[int, ...] = (geometry.views, *geometry.detector_yx)
        self._blocks = BlockProjector(geometry)

    @property
    def T(self) -> Adjoint:
        """The adjoint."""
        return Adjoint(self)

    def __call__(self, volume: Floats) -> Floats:
        """Views of a volume. Raises UserError for another shape."""
        volume = checked(volume, self.domain_shape)
        views = np.empty(self.range_shape, np.float32)
        sinogram = self._blocks.sinogram()
        for start, block in self._blocks.blocks(volume):
            self._blocks.forward(block, sinogram)
            self._blocks.put_views(sinogram, views, start)
        return views

    def adjoint(self, views: Floats) -> Floats:
        """Volume that views are smeared over. Raises UserError for another shape."""
        views = checked(views, self.range_shape)
        volume = np.empty(self.domain_shape, np.float32)
        image = self._blocks.image()
        for start in self._blocks.starts:
            self._blocks.back(self._blocks.take_views(views, start), image)
            self._blocks.put_volume(image, volume, start)
        return volume


def checked(array: Floats, shape: tuple[int, ...]) -> Floats:
    """Contiguous float32 array of that shape. Raises UserError with both shapes where it has another."""
    if array.shape != shape:
        raise UserError(f"The projector takes an array of shape {shape}, but was given {array.shape}.")
    return np.ascontiguousarray(array, np.float32)


def projector(geometry: Geometry, device: str = "cpu") -> SingleAxis:
    """Projector of a geometry on a device."""
    return SingleAxis(geometry)
