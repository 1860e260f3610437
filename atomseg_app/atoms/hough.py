"""Circular Hough transform: each slope of an image votes for the centre of the blob that it may belong to."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from atomseg_app.atoms.background import Grey
from atomseg_app.atoms.log_peaks import maxima, subpixel

Floats = npt.NDArray[np.float64]

_RADII = (0.6, 0.8, 1.0, 1.2, 1.4)  # in units of the width, where a Gaussian's flank is
_STEEPEST = 0.95  # quantile of slopes against which the others count
_FLAT = 0.1  # part of it under which a slope is no flank


def votes(smooth: Grey, width_px: float) -> Grey:
    """Accumulator (y, x): votes for bright blobs of a Gaussian width, from the slopes of an image blurred before.

    A pixel votes at the distances of a flank uphill from it, with the root of its slope: so a faint blob gathers votes
    beside a bright one (Duda & Hart, Commun. ACM 15, 11, 1972; with gradients, Kimme et al., ibid. 18, 120, 1975).
    """
    ny, nx = smooth.shape
    gy, gx = (np.asarray(part) for part in np.gradient(smooth))
    slope = np.hypot(gx, gy)
    rows, cols = np.nonzero(slope > _FLAT * np.quantile(slope, _STEEPEST))
    steep = slope[rows, cols]
    ux, uy, weight = gx[rows, cols] / steep, gy[rows, cols] / steep, np.sqrt(steep)
    total = np.zeros(ny * nx)
    for radius in _RADII:
        x = np.rint(cols + radius * width_px * ux).astype(np.intp)
        y = np.rint(rows + radius * width_px * uy).astype(np.intp)
        inside = (x >= 0) & (x < nx) & (y >= 0) & (y < ny)
        total += np.bincount(y[inside] * nx + x[inside], weights=weight[inside], minlength=ny * nx)
    return np.asarray(total.reshape(ny, nx), np.float32)


def centres(smooth: Grey, width_px: float) -> tuple[Floats, Floats]:
    """Places (x, y) of the maxima of :func:`votes`, blurred by half the width; noise among them is not yet refused."""
    counted = ndimage.gaussian_filter(votes(smooth, width_px), 0.5 * width_px, mode="constant")
    return subpixel(counted, *maxima(counted, 0.0))
