"""Where the crystal is: the part of an image that columns fill."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy import ndimage, spatial

from atomseg_app.atoms.background import Mask

Floats = npt.NDArray[np.float64]

_REACH = 2.5  # spacings over which a strong column vouches for weak ones
_FAINT = 0.2  # part of the strong columns' amplitude under which a neighbourhood is vacuum


def among_columns(x_px: Floats, y_px: Floats, amplitude: Floats, spacing_px: float) -> Mask:
    """Which of some blobs (n,) lie where columns are: within reach of one that is not faint against the strong ones.

    What a filter leaves in the vacuum, ripples and specks, is faint together; the last thin columns of a wedge have
    stronger ones behind them.
    """
    if len(x_px) < 2 or not np.isfinite(spacing_px):
        return np.ones(len(x_px), bool)
    strong = amplitude > _FAINT * np.quantile(amplitude, 0.9)
    places = np.column_stack([x_px, y_px])
    distance, _ = spatial.cKDTree(places[strong]).query(places)
    return np.asarray(distance <= _REACH * spacing_px)


def mask(x_px: Floats, y_px: Floats, shape: tuple[int, int], spacing_px: float) -> Mask:
    """Pixels (y, x) of the crystal: those within one spacing of a column."""
    inside = np.zeros(shape, bool)
    if not len(x_px):
        return inside
    rows = np.clip(np.rint(y_px).astype(np.intp), 0, shape[0] - 1)
    cols = np.clip(np.rint(x_px).astype(np.intp), 0, shape[1] - 1)
    inside[rows, cols] = True
    return np.asarray(ndimage.distance_transform_edt(~inside) <= spacing_px)
