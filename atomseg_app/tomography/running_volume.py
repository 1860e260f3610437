"""A reconstruction that goes on while the alignment it is made with is being improved.

SIRT without negative values, sped up by Nesterov's momentum that restarts where it points uphill (B. O'Donoghue,
E. Candes, Found. Comput. Math. 15, 715 (2015)). Projection matching needs the volume to explain the views as far as it
can: what it has not got round to yet would be taken for a shift.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from atomseg_app.operations import Report
from atomseg_app.tomography.geometry import Geometry
from atomseg_app.tomography.projector import Operator, projector

Floats = npt.NDArray[np.float32]

_LEAST_RAY = 0.02  # of the longest ray, and of the best seen voxel: what is less is not used


class RunningVolume:
    """Volume (z, y, x) made from views (view, y, x); ``use`` gives it another alignment and keeps what there is."""

    def __init__(self, views: Floats, geometry: Geometry, start: Floats | None = None) -> None:
        self._views = views
        self.values = np.zeros(geometry.volume_zyx, np.float32) if start is None else start
        self._ahead = self.values.copy()
        self._momentum = 1.0
        self._total = max(float(np.abs(views).sum(dtype=float)), 1e-30)
        self.use(geometry)
        self._per_ray = _inverse(self.operator(np.ones(geometry.volume_zyx, np.float32)))
        self._per_voxel = _inverse(self.operator.T(np.ones(self.operator.range_shape, np.float32)))

    def use(self, geometry: Geometry) -> None:
        """Go on with another alignment of the same views."""
        self.geometry = geometry
        self.operator: Operator = projector(geometry)

    def improve(self, iterations: int, report: Report) -> None:
        """Iterate; checks for cancellation between iterations."""
        for _ in range(iterations):
            report.check()
            misfit = self._views - self.operator(self._ahead)
            misfit *= self._per_ray
            found = self.operator.T(misfit)
            found *= self._per_voxel
            found += self._ahead
            np.maximum(found, 0, out=found)
            step = found - self.values
            after = (1 + np.sqrt(1 + 4 * self._momentum**2)) / 2
            if float(np.vdot(self._ahead - found, step)) > 0:
                self._momentum = 1.0
                self._ahead = found.copy()
            else:
                self._ahead = found + np.float32((self._momentum - 1) / after) * step
                self._momentum = float(after)
            self.values = found

    def projections(self) -> Floats:
        """Views (view, y, x) of the volume."""
        return self.operator(self.values)

    def r_factor(self, projections: Floats) -> float:
        """Sum of |measured - projected| over the sum of |measured|."""
        return float(np.abs(self._views - projections).sum(dtype=float)) / self._total


def _inverse(sums: Floats) -> Floats:
    """One over the sums of rows or columns, 0 where they are next to nothing."""
    least = np.float32(_LEAST_RAY * float(sums.max(initial=0)))
    return np.where(sums > least, 1 / np.maximum(sums, np.float32(1e-12)), 0).astype(np.float32)


def upsampled(volume: Floats, shape: tuple[int, ...]) -> Floats:
    """Volume on a grid twice as fine, cut or padded to ``shape``; values halve, as rays count twice the voxels."""
    fine = volume / 2
    for axis in range(3):
        fine = np.repeat(fine, 2, axis)
    result = np.zeros(shape, np.float32)
    source, target = [], []
    for have, want in zip(fine.shape, shape, strict=True):
        less = abs(have - want) // 2
        both = min(have, want)
        source.append(slice(less, less + both) if have > want else slice(0, both))
        target.append(slice(less, less + both) if want > have else slice(0, both))
    result[tuple(target)] = fine[tuple(source)]
    return result
