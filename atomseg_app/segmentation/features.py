"""What a random forest sees of a voxel: smoothed grey levels, edges, spots and directions at several scales.

Of a slice and of the mean with its neighbours: Gaussians, Laplacians of Gaussians, gradients, and the eigenvalues of
the structure tensor, as trainable segmentation in ilastik and Weka has them.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from atomseg_app.segmentation.dataset import Taught
from atomseg_app.segmentation.sampling import slice_indices

_NEIGHBOURS = 5
_GAUSSIAN_PX = (0.7, 1.5, 3.0)
_SPOTS_PX = (1.0, 2.0, 4.0)
_EDGES_PX = (1.0, 2.0)
_TENSOR_PX = (1.0, 2.0)  # of the gradients, and of what is averaged

Floats = npt.NDArray[np.float32]


def slice_features(item: Taught, index: int) -> Floats:
    """Features (rows, columns, n) of one slice."""
    near = item.grey.apply(item.values[slice_indices(index, _NEIGHBOURS, len(item.values))])
    found = [feature for image in (near[_NEIGHBOURS // 2], near.mean(0)) for feature in _features(image)]
    return np.stack(found, -1)


def _features(image: Floats) -> list[Floats]:
    found = [ndimage.gaussian_filter(image, sigma) for sigma in _GAUSSIAN_PX]
    found += [sigma**2 * ndimage.gaussian_laplace(image, sigma) for sigma in _SPOTS_PX]
    found += [ndimage.gaussian_gradient_magnitude(image, sigma) for sigma in _EDGES_PX]
    return found + _tensor(image)


def _tensor(image: Floats) -> list[Floats]:
    """Larger and smaller eigenvalue of the structure tensor."""
    fine, coarse = _TENSOR_PX
    gy = ndimage.gaussian_filter(image, fine, order=(1, 0))
    gx = ndimage.gaussian_filter(image, fine, order=(0, 1))
    yy, xx, xy = (ndimage.gaussian_filter(product, coarse) for product in (gy * gy, gx * gx, gy * gx))
    half, spread = (yy + xx) / 2, np.sqrt(((yy - xx) / 2) ** 2 + xy**2)
    return [half + spread, half - spread]
