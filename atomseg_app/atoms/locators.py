"""Columns from a mask image, in the ways of the field: watershed, circular Hough transform, Laplacian of Gaussian."""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.spatial import cKDTree

from atomseg_app.atoms import hough
from atomseg_app.atoms.log_peaks import Filters, maxima, subpixel
from atomseg_app.atoms.watershed import centroids, regions

Floats = npt.NDArray[np.float64]
Method = Literal["watershed", "split-watershed", "hough", "log"]

_DISC_RESPONSE = 2 / np.e
"""Answer of the Laplacian of Gaussian of width R / sqrt 2 in the middle of a disc of radius R and height 1."""
_LEAST = 0.4
"""Part of a whole disc's answer, or of the typical column's votes, that a column needs."""


def locate(mask: npt.ArrayLike, method: Method, radius_px: float | None = None) -> Floats:
    """Centres x, y (n, 2) of the columns in a mask (y, x) that is near 1 in columns and near 0 between them.

    ``watershed`` is AtomSegNet's way, ``split-watershed`` the same with touching columns cut apart; ``hough`` that of
    Ge & Xin; ``log`` the maxima of the Laplacian of Gaussian. The last two need the radius of a column's disc: without
    it, that of the typical region. Raises ValueError for an unknown method or a mask that is no finite image.
    """
    values = np.asarray(mask, np.float32)
    if method in ("watershed", "split-watershed"):
        return centroids(regions(values, split=method == "split-watershed"))
    if method not in ("hough", "log"):
        raise ValueError(f"no way to locate columns is named {method!r}")
    radius = typical_radius(values) if radius_px is None else radius_px
    if radius is None or min(values.shape) < 3:
        return np.zeros((0, 2))
    return _hough(values, radius) if method == "hough" else _log(values, radius)


def typical_radius(mask: npt.ArrayLike) -> float | None:
    """Median radius, in px, of circles with the areas above one half of a mask's regions; None if it has none."""
    areas = np.bincount(regions(mask, split=True)[np.asarray(mask) > 0.5])[1:]
    areas = areas[areas > 0]
    return float(np.sqrt(np.median(areas) / np.pi)) if len(areas) else None


def _log(mask: npt.NDArray[np.float32], radius_px: float) -> Floats:
    width = radius_px / np.sqrt(2)
    response = Filters(mask, 4 * width + 1).log(width)
    return np.column_stack(subpixel(response, *maxima(response, _LEAST * _DISC_RESPONSE)))


def _hough(mask: npt.NDArray[np.float32], radius_px: float) -> Floats:
    """Maxima of the votes that lie in columns and have enough of them; of two in one disc, the one with more."""
    x, y = hough.centres(np.asarray(ndimage.gaussian_filter(mask, 0.7), np.float32), radius_px)
    rows, columns = np.rint(y).astype(np.intp), np.rint(x).astype(np.intp)
    votes = ndimage.gaussian_filter(hough.votes(mask, radius_px), 0.5 * radius_px, mode="constant")[rows, columns]
    lit = ndimage.gaussian_filter(mask, 0.5 * radius_px)[rows, columns] > _LEAST
    if not lit.any():
        return np.zeros((0, 2))
    kept = lit & (votes > _LEAST * np.median(votes[lit]))
    places, votes = np.column_stack([x, y])[kept], votes[kept]
    weaker = np.zeros(len(places), bool)
    for a, b in cKDTree(places).query_pairs(radius_px):
        weaker[a if votes[a] < votes[b] else b] = True
    return np.asarray(places[~weaker])
