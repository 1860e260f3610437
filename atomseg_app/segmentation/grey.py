"""Grey levels as the networks see them: scaled by percentiles of the whole volume, whatever the file's units."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from atomseg_app.data import Array
from atomseg_app.errors import UserError

NORMALISATION = "percentiles-5-98"
"""Name of the convention on model cards: the 5th percentile becomes 0, the 98th 1.

Of a catalyst the first lies in the pores and the second in the upper half of the support, for shares of support from
5 to 90 % and of metal below 2 %.
"""
LOW_PERCENT, HIGH_PERCENT = 5.0, 98.0
LOWEST, HIGHEST = -3.0, 12.0
"""Normalised values are kept between these: a hot voxel must not decide what a network sees."""

_SAMPLED_VOXELS = 4_000_000


@dataclass(frozen=True)
class GreyRange:
    """Grey levels that become 0 and 1."""

    low: float
    high: float

    @classmethod
    def of(cls, values: Array) -> GreyRange:
        """Of a volume, from a regular sample where it is large. Raises UserError where no voxel is a finite number."""
        step = max(1, int(np.ceil((values.size / _SAMPLED_VOXELS) ** (1 / 3))))
        sample = np.asarray(values[::step, ::step, ::step], np.float32)
        sample = sample[np.isfinite(sample)]
        if not sample.size:
            raise UserError("The volume has no voxel with a finite value; there is nothing to segment.")
        low, high = np.percentile(sample, (LOW_PERCENT, HIGH_PERCENT))
        if high <= low:  # mostly one value, with something small in it
            low, high = float(sample.min()), float(sample.max())
        return cls(float(low), float(high) if high > low else float(low) + 1.0)

    def apply(self, values: Array) -> npt.NDArray[np.float32]:
        """Normalised float32 copy; what is no number becomes 0."""
        scaled = (np.asarray(values, np.float32) - np.float32(self.low)) / np.float32(self.high - self.low)
        np.nan_to_num(scaled, copy=False, nan=0.0, posinf=HIGHEST, neginf=LOWEST)
        return np.clip(scaled, LOWEST, HIGHEST, out=scaled)
