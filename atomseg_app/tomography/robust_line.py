"""A straight line that outliers do not pull: iteratively reweighted least squares with Tukey's biweight."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

_TUKEY = 4.685  # 95 % efficiency where there are no outliers
_ROUNDS = 30


def robust_line(x: Floats, y: Floats, weight: Floats | None = None) -> tuple[float, float]:
    """Offset and slope of y = offset + slope x; starts from medians of the slopes between points (Theil and Sen).

    Raises ValueError for fewer than two different x.
    """
    weight = np.ones(len(x)) if weight is None else weight
    known = np.isfinite(x) & np.isfinite(y) & (weight > 0)
    x, y, weight = x[known], y[known], weight[known]
    if len(np.unique(x)) < 2:
        raise ValueError("a line needs points at two different places")
    apart = x[:, None] - x[None, :]
    pairs = np.triu(apart != 0)
    slope = float(np.median((y[:, None] - y[None, :])[pairs] / apart[pairs]))
    offset = float(np.median(y - slope * x))
    for _ in range(_ROUNDS):
        off = np.abs(y - offset - slope * x)
        scale = 1.4826 * float(np.median(off))
        reach = max(_TUKEY * scale, 1e-9 * (1 + float(np.abs(y).max())))
        share = weight * np.maximum(0, 1 - (off / reach) ** 2) ** 2
        middle = float(share @ x / share.sum())
        spread = float(share @ (x - middle) ** 2)
        if spread <= 0:
            break
        before = (offset, slope)
        slope = float(share @ ((x - middle) * y) / spread)
        offset = float(share @ y / share.sum()) - slope * middle
        if abs(offset - before[0]) + abs(slope - before[1]) < 1e-10:
            break
    return offset, slope
