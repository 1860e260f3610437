"""Pixels that no specimen makes: X-rays, hot and dead pixels, found by how far they lie from the median around them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Image = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]

_SIDE, _CLUSTER = 5, 4
_NORMAL = 1.4826  # standard deviation of a normal distribution over its median absolute deviation
_PERSISTENT = 0.6
"""A pixel that strays in this share of the views is one of the detector's, not an event."""
_LEAST_VIEWS = 5
_COUNTED = 1 << 16
"""So many pixels are looked at to tell counts from other numbers."""


def stray_pixels(view: Image, sigmas: float) -> tuple[Mask, Image]:
    """Mask of stray pixels of a view (y, x), and the median of the 5 x 5 pixels around each.

    A pixel strays if it differs from that median, and from all but four of the 25 pixels around it, by more than
    ``sigmas`` times the noise there: the median absolute difference of those or, if larger, of the view, and never less
    than the square root of whole counts. So tips and edges stay, which more than four pixels belong to. Pixels that are
    no number always stray. In a view without any noise nothing else does.
    """
    finite = np.isfinite(view)
    level = np.float32(np.median(view[finite])) if finite.any() else np.float32(0)
    values = np.where(finite, view, level)
    middle = ndimage.median_filter(values, _SIDE, mode="reflect")
    away = np.abs(values - middle)
    noise = _NORMAL * float(np.median(away))
    counts = _are_counts(values)
    if noise == 0 and not counts:
        return ~finite, middle
    least = np.sqrt(np.maximum(middle, 0) + 1) if counts else np.float32(0)
    candidates = np.argwhere(away > sigmas * np.maximum(noise, least))
    mask = ~finite
    if len(candidates):
        y, x = candidates.T
        floor = sigmas * np.broadcast_to(np.maximum(noise, least), values.shape)[y, x]
        allowed = np.maximum(floor, sigmas * _NORMAL * np.median(_around(away, y, x), axis=1))
        near = np.sort(_around(values, y, x), axis=1)
        alone = np.maximum(values[y, x] - near[:, -1 - _CLUSTER], near[:, _CLUSTER] - values[y, x])
        mask[y, x] |= np.minimum(away[y, x], alone) > allowed
    return mask, middle


def _around(values: Image, y: npt.NDArray[np.int64], x: npt.NDArray[np.int64]) -> Image:
    """The 5 x 5 pixels around each place (places, 25)."""
    padded = np.pad(values, _SIDE // 2, mode="reflect")
    return np.lib.stride_tricks.sliding_window_view(padded, (_SIDE, _SIDE))[y, x].reshape(len(y), -1)


def _are_counts(values: Image) -> bool:
    """Whether a view holds whole numbers from 0 on, as electrons are counted."""
    some = values.ravel()[:: max(1, values.size // _COUNTED)]
    return bool(some.min() >= 0 and np.array_equal(some, np.rint(some)))


def persistent_pixels(views: Iterable[Image], sigmas: float) -> Mask | None:
    """Mask (y, x) of pixels that stray, by half of ``sigmas``, in most of the views; None where the views are few."""
    tally: npt.NDArray[np.int32] | None = None
    count = 0
    for view in views:
        mask = stray_pixels(view, sigmas / 2)[0]
        tally = mask.astype(np.int32) if tally is None else tally + mask
        count += 1
    return tally >= _PERSISTENT * count if tally is not None and count >= _LEAST_VIEWS else None
