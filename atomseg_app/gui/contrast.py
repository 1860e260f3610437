"""How values become colours: limits, scaling, colour map. A value object, so that views can share it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from atomseg_app.gui.colour_maps import NOT_A_NUMBER, colour_table

Scaling = Literal["linear", "log", "gamma"]
SCALINGS: dict[Scaling, str] = {"linear": "Linear", "log": "Log", "gamma": "Gamma"}
AUTO_PERCENTILES = (0.1, 99.9)

_LEVELS = 4096
_DECADES = 3.0


@dataclass(frozen=True)
class Contrast:
    """``low`` and ``high`` are the values drawn in the first and last colour. ``gamma`` < 1 brightens the dark."""

    low: float = 0.0
    high: float = 1.0
    scaling: Scaling = "linear"
    gamma: float = 0.5
    colour_map: str = "grey"
    invert: bool = False

    def colours(self, values: npt.NDArray[np.float32]) -> npt.NDArray[np.uint32]:
        """Colours of values as 0xffRRGGBB, what Qt calls Format_RGB32; values without a number are magenta."""
        span = self.high - self.low
        with np.errstate(invalid="ignore", over="ignore"):
            place = np.subtract(values, np.float32(self.low))
            place *= np.float32((_LEVELS - 1) / span if span > 0 else 0.0)
            some_unknown = not np.isfinite(place.sum())  # one pass, where asking every pixel takes three
        if some_unknown:
            known = np.isfinite(place)
            place[~known] = 0
        index = np.clip(place, 0, _LEVELS - 1, out=place).astype(np.uint16)
        if some_unknown:
            index[~known] = _LEVELS
        table = _table(self.scaling, self.gamma, self.colour_map, self.invert)
        colours: npt.NDArray[np.uint32] = np.take(table, index)
        return colours


@functools.lru_cache(maxsize=16)
def _table(scaling: Scaling, gamma: float, colour_map: str, invert: bool) -> npt.NDArray[np.uint32]:
    """Colour of each of the levels between the limits, and of what is no number."""
    place = np.linspace(0, 1, _LEVELS)
    if scaling == "log":
        place = np.log1p((10**_DECADES - 1) * place) / (_DECADES * np.log(10))
    elif scaling == "gamma":
        place = place**gamma
    colours = colour_table(colour_map, invert, 1024)[np.round(place * 1023).astype(int)]
    return _packed(np.vstack([colours, [NOT_A_NUMBER]]))


def _packed(colours: npt.NDArray[np.integer]) -> npt.NDArray[np.uint32]:
    red, green, blue = (colours[:, channel].astype(np.uint32) for channel in range(3))
    return np.uint32(0xFF000000) | red << np.uint32(16) | green << np.uint32(8) | blue


def auto_limits(sample: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Limits that leave out the darkest and the brightest 0.1 %."""
    if not len(sample):
        return 0.0, 1.0
    low, high = (float(v) for v in np.percentile(sample, AUTO_PERCENTILES))
    return (low, high) if high > low else full_limits(sample)


def full_limits(sample: npt.NDArray[np.float32]) -> tuple[float, float]:
    """Smallest and largest value; a range around it where all are the same."""
    if not len(sample):
        return 0.0, 1.0
    low, high = float(sample.min()), float(sample.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)
