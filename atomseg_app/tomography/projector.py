"""The linear operator from a volume to the views of a tilt series, and its exact adjoint."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from atomseg_app.errors import UserError
from atomseg_app.rays.blocks import BlockProjector
from atomseg_app.tomography.any_axis import AnyAxis
from atomseg_app.tomography.geometry import Geometry
from atomseg_app.tomography.warp import Warp

Floats = npt.NDArray[np.float32]


class Operator:
    """``A(x)`` maps float32 of ``domain_shape`` to float32 of ``range_shape``, ``A.T(y)`` is the adjoint.

    Raises UserError with both shapes for an array of another one.
    """

    def __init__(
        self,
        domain_shape: tuple[int, ...],
        range_shape: tuple[int, ...],
        apply: Callable[[Floats], Floats],
        adjoint: Callable[[Floats], Floats],
    ) -> None:
        self.domain_shape, self.range_shape = domain_shape, range_shape
        self._apply, self._adjoint = apply, adjoint

    @property
    def T(self) -> Operator:
        """The adjoint."""
        return Operator(self.range_shape, self.domain_shape, self._adjoint, self._apply)

    def __call__(self, array: npt.NDArray[np.floating]) -> Floats:
        """Apply."""
        if array.shape != self.domain_shape:
            raise UserError(f"The projector takes an array of shape {self.domain_shape}, but was given {array.shape}.")
        return self._apply(np.ascontiguousarray(array, np.float32))


def projector(geometry: Geometry, device: str = "cpu") -> Operator:
    """Operator from a volume (z, y, x) to views (view, y, x) of a geometry, its alignment included."""
    shapes = geometry.volume_zyx, (geometry.views, *geometry.detector_yx)
    if not geometry.is_single_axis:
        anyhow = AnyAxis(geometry)
        return Operator(*shapes, lambda x: _filled(anyhow.forward, x, shapes[1]),
                        lambda y: _filled(anyhow.back, y, shapes[0]))  # fmt: skip
    blocks = BlockProjector(geometry)
    if not Warp.is_needed(geometry):
        return Operator(*shapes, blocks.views_of, blocks.volume_of)
    warp = Warp(geometry)
    return Operator(*shapes, lambda x: warp(blocks.views_of(x)), lambda y: blocks.volume_of(warp.adjoint(y)))


def _filled(work: Callable[[Floats, Floats], None], given: Floats, shape: tuple[int, ...]) -> Floats:
    """A new array of that shape, filled by ``work``."""
    result = np.empty(shape, np.float32)
    work(given, result)
    return result
