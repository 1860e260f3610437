"""Which way the tilt axis runs in the images: an offer to the user, never applied by itself.

Summed across the tilt axis, every view of a body gives the same profile along the axis, whatever the tilt (the common
line of all views); summed along it, the profiles differ. So profiles are compared between views far apart in tilt.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from atomseg_app.data import TiltSeries

_MOST_VIEWS, _SIDE_PX = 24, 256
_LEAST_SPAN_DEG = 20.0
_CLEAR = 1.5
"""By this factor the profiles must agree better one way than the other."""

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class AxisOffer:
    """The direction that the images speak for, None if unclear, and how far profiles differ (0 equal, 1 unlike)."""

    axis: Literal["y", "x"] | None
    unlike_along_y: float
    unlike_along_x: float


def offer_axis(series: TiltSeries) -> AxisOffer:
    """Direction of the tilt axis as the images show it, from a few views; unclear where the tilts are too few."""
    used = series.used[np.argsort(np.asarray(series.tilt_deg)[series.used], kind="stable")]
    if len(used) < 3 or np.ptp(np.asarray(series.tilt_deg)[used]) < _LEAST_SPAN_DEG:
        return AxisOffer(None, 1.0, 1.0)
    chosen = used[np.unique(np.linspace(0, len(used) - 1, min(_MOST_VIEWS, len(used))).astype(int))]
    along_y, along_x = [], []
    for view in chosen:
        image = np.asarray(series.values[view], np.float64)
        image = np.where(np.isfinite(image), image, 0.0)
        image -= np.median(image)
        along_y.append(_tapered(image.sum(axis=1)))
        along_x.append(_tapered(image.sum(axis=0)))
    y, x = _unlike(along_y), _unlike(along_x)
    axis: Literal["y", "x"] | None = "y" if x > _CLEAR * y else "x" if y > _CLEAR * x else None
    return AxisOffer(axis, y, x)


def axis_doubt(series: TiltSeries) -> str:
    """A sentence where the images speak for another direction of the axis than the series has; else empty."""
    offer = offer_axis(series) if series.euler_deg is None else None
    if offer is None or offer.axis is None or offer.axis == series.tilt_axis:
        return ""
    return (
        f"The views agree along {offer.axis}, not along {series.tilt_axis}: the tilt axis seems to run along "
        f"{offer.axis}; choose it if so (--tilt-axis {offer.axis})."
    )


def _tapered(profile: Floats) -> Floats:
    """Profile of at most 256 points that fades to 0 at its ends, its mean taken off."""
    step = max(1, len(profile) // _SIDE_PX)
    binned = profile[: len(profile) // step * step].reshape(-1, step).mean(axis=1)
    window = np.hanning(len(binned) + 2)[1:-1]
    faded: Floats = window * (binned - np.average(binned, weights=window))
    return faded


def _unlike(profiles: list[Floats]) -> float:
    """Median of 1 - correlation, at the best shift, of profiles half of the tilt range apart."""
    half = len(profiles) // 2
    found = [1 - _correlation(one, other) for one, other in zip(profiles[:-half], profiles[half:], strict=True)]
    return float(np.median(found))


def _correlation(one: Floats, other: Floats) -> float:
    """Largest normalised cross-correlation over all shifts."""
    norm = float(np.sqrt((one**2).sum() * (other**2).sum()))
    size = 2 * len(one)
    across = np.fft.irfft(np.fft.rfft(one, size) * np.conj(np.fft.rfft(other, size)), size)
    return float(across.max()) / norm if norm > 0 else 0.0
