"""What the lines of a scan differ by: noise of one number a row (or a column), which lies on an axis of k-space."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Floats = npt.NDArray[np.float64]

_QUANTILE = 0.25


@dataclass(frozen=True)
class LineNoise:
    """Line noise across one axis: ``density`` is its variance per line against frequency ``k`` (rad/px).

    ``profile`` (n,) is the mean of every line. The spectrum overrates a step in line with the scan, the profile a
    lattice in line with it; the noise is no more than the lesser of the two says.
    """

    k: Floats
    density: Floats
    profile: Floats

    def response(self, scale_px: float, gain: Floats) -> tuple[float, float]:
        """Variance of the LoG response of scale t, whose ``gain`` is given at ``k``, and its part times ``k^2``."""
        variance = float(np.trapezoid(self.density * gain, self.k)) / np.pi
        if variance <= 0:
            return 0.0, 0.0
        lines = scale_px**2 * ndimage.gaussian_filter1d(self.profile, scale_px, order=2, mode="reflect")
        robust = float((1.4826 * np.median(np.abs(lines))) ** 2)
        moment = float(np.trapezoid(self.density * gain * self.k**2, self.k)) / np.pi
        share = min(1.0, robust / variance)
        return share * variance, share * moment


def line_noise(axis_power: npt.NDArray[np.float32], profile: Floats, k: Floats, noise: Floats) -> LineNoise:
    """Line noise from the power on one axis of a windowed transform, 0 to pi rad/px, above the ``noise`` of its rings.

    The running quantile passes over lattices in line with the scan, whose spots are sharp.
    """
    floor = ndimage.percentile_filter(axis_power, 100 * _QUANTILE, size=21, mode="nearest") / -np.log(1 - _QUANTILE)
    found = np.interp(k, np.linspace(0, np.pi, len(axis_power), endpoint=False), floor)
    # Below three times the rings' power it is their own scatter. A Hann window of length n weighs a line by 2 n / 3.
    return LineNoise(k, np.where(found > 3 * noise, found - noise, 0) * 1.5, profile)
