"""How noisy the views of a series are, from themselves: what a reconstruction cannot and should not explain."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

_TILE = 16  # pixels; noise of counts differs from place to place
_LAPLACIAN = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
_GAIN = 6.0  # of the noise through it: the root of the sum of its squares
_TO_SIGMA = 1.4826  # from the median of absolute values of a normal distribution


def noise_rms(views: npt.NDArray[np.float32]) -> float:
    """Rms noise of views (view, y, x), each pixel's own: from second differences, whose median no edge moves.

    J. Immerkaer, Comput. Vis. Image Underst. 64 (1996) 300, in tiles. Of single rows, from differences along them.
    """
    if min(views.shape[1:]) < 3:
        rows = views.reshape(len(views), -1)
        return float(_TO_SIGMA * np.median(np.abs(np.diff(rows, n=2, axis=1))) / np.sqrt(6)) if rows.shape[1] > 2 else 0
    variances = []
    for view in views:
        response = np.abs(ndimage.convolve(view, _LAPLACIAN, mode="nearest"))
        rows, columns = (max(1, size // _TILE) for size in response.shape)
        variances += [
            (_TO_SIGMA * np.median(tile) / _GAIN) ** 2
            for part in np.array_split(response, rows)
            for tile in np.array_split(part, columns, axis=1)
        ]
    return float(np.sqrt(np.mean(variances)))
