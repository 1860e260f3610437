"""Which angles a tilt series did not measure: the gaps of its list of angles on the half circle."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Doubles = npt.NDArray[np.float64]

_WIDEST = 3.0  # median steps: a wider gap is missing, not coarsely measured
_SAME_DEG = 1e-3


@dataclass(frozen=True)
class Gap:
    """Angles in degrees, ``first`` to ``last`` measured, between which nothing was; ``last`` may be beyond 90.

    Each view stands for half a ``step`` to its sides, which the ``start`` and ``stop`` of the gap allow for.
    """

    first: float
    last: float
    step: float

    @property
    def start(self) -> float:
        """Where the missing wedge begins."""
        return self.first + self.step / 2

    @property
    def stop(self) -> float:
        """Where it ends."""
        return self.last - self.step / 2

    @property
    def width_deg(self) -> float:
        """How wide it is."""
        return self.stop - self.start

    def inside(self, angle_deg: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Which angles are in it, whatever turn they are given in."""
        offset = np.mod(np.asarray(angle_deg, np.float64) - self.start, 180)
        return np.asarray((offset > 0) & (offset < self.width_deg))


def different_angles(tilt_deg: npt.ArrayLike) -> Doubles:
    """Angles from 0 to 180 degrees, ascending, each once; a view at tilt + 180 degrees is that at tilt, mirrored."""
    tilts = np.sort(np.mod(np.asarray(tilt_deg, np.float64), 180))
    apart = np.diff(tilts, append=tilts[:1] + 180) > _SAME_DEG
    return np.asarray(tilts[apart] if apart.any() else tilts[:1], np.float64)


def usual_step(tilt_deg: npt.ArrayLike) -> float:
    """Median step in degrees between neighbouring angles on the half circle."""
    angles = different_angles(tilt_deg)
    return float(np.median(np.diff(angles, append=angles[0] + 180)))


def gaps_of(tilt_deg: npt.ArrayLike) -> tuple[Gap, ...]:
    """Gaps of more than three usual steps, the widest first; they begin between -90 and 90 degrees."""
    angles = different_angles(tilt_deg)
    steps = np.diff(angles, append=angles[0] + 180)
    step = float(np.median(steps))
    found = []
    for angle, width in zip(angles, steps, strict=True):
        if width > _WIDEST * step:
            first = float(np.mod(angle + 90, 180) - 90)
            found.append(Gap(first, first + float(width), step))
    return tuple(sorted(found, key=lambda gap: -gap.width_deg))


def missing_angles(tilt_deg: npt.ArrayLike) -> Doubles:
    """Angles in degrees, from -90 to 90, that would fill the gaps in steps near the usual one."""
    found: list[float] = []
    for gap in gaps_of(tilt_deg):
        count = max(1, round((gap.last - gap.first) / gap.step))
        found += np.linspace(gap.first, gap.last, count + 1)[1:-1].tolist()
    return np.sort(np.mod(np.asarray(found, np.float64) + 90, 180) - 90)


def missing_text(gaps: tuple[Gap, ...]) -> str:
    """The gaps in words: ``65 to 115 degrees``."""
    return " and ".join(f"{gap.start:.4g} to {gap.stop:.4g} degrees" for gap in gaps)
