"""Colour pictures as one grey image."""

from __future__ import annotations

import numpy as np

from atomseg_app.data import Array
from atomseg_app.operations import Report

_LUMINANCE = (0.299, 0.587, 0.114)
_NOTE = "The colours of this picture differ: its luminance (ITU-R BT.601) is used, which no detector measured."


def grey(rgb: Array, report: Report) -> Array:
    """Grey image (..., y, x) of a colour one (..., y, x, 3), same dtype.

    Equal channels give the values of one; others the luminance of ITU-R BT.601, rounded, and a note for the user.
    """
    red, green, blue = rgb[..., 0], rgb[..., 1], rgb[..., 2]
    if np.array_equal(red, green) and np.array_equal(red, blue):
        return np.ascontiguousarray(red)
    if _NOTE not in report.facts.notes:  # once for all strips of a picture
        report.note(_NOTE)
    result = np.empty(red.shape, rgb.dtype)
    for index in np.ndindex(red.shape[:-1]):  # a row at a time, to take little memory
        row = rgb[index] @ np.asarray(_LUMINANCE)
        result[index] = np.rint(row) if rgb.dtype.kind in "iu" else row
    return result
