"""Cropping and binning the images of a tilt series, and what that does to its alignment."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from atomseg_app.alignment import Alignment
from atomseg_app.data import TiltSeries
from atomseg_app.errors import UserError

Region = tuple[int, int, int, int]


def crop_region(shape_yx: tuple[int, int], region_px: Region | None, binning: int) -> Region:
    """Left, top, right, bottom (excluded) of what is kept, its sides a multiple of ``binning``. Raises UserError."""
    height, width = shape_yx
    left, top, right, bottom = region_px if region_px is not None else (0, 0, width, height)
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise UserError(
            f"The part {left}, {top}, {right}, {bottom} does not lie in images of {width} x {height} pixels."
        )
    right, bottom = right - (right - left) % binning, bottom - (bottom - top) % binning
    if right <= left or bottom <= top:
        raise UserError(f"Images of {width} x {height} pixels are too small for a binning of {binning}.")
    return left, top, right, bottom


def framed_alignment(series: TiltSeries, region: Region, binning: int) -> Alignment | None:
    """Alignment of the cropped and binned images: the specimen's axis stays where it was seen.

    With c from the old centre to the new, a view seen at q is seen at q - c. Along the axis the volume is cropped with
    the images; across it the axis stays, so its offset becomes that much less. None where there was and is nothing.
    """
    height, width = series.shape[1:]
    left, top, right, bottom = region
    moved = np.array([(left + right - width) / 2, (top + bottom - height) / 2])  # x, y
    across, along = moved if series.tilt_axis == "y" else moved[::-1]
    given = series.alignment
    if given is None and abs(across) < 1e-9:
        return None
    given = given or Alignment.none(len(series.values))
    angle = np.radians(given.axis_rotation_deg + np.asarray(given.rotation_deg))
    # q - c = R p + s - c with p = p' + (0, along): the shift of p' is R (0, along) + s - c
    shift_x = np.asarray(given.shift_x_px) - np.sin(angle) * along
    shift_y = np.asarray(given.shift_y_px) + (np.cos(angle) - 1) * along
    return replace(
        given,
        shift_x_px=tuple(map(float, shift_x / binning)),
        shift_y_px=tuple(map(float, shift_y / binning)),
        axis_offset_px=(given.axis_offset_px - float(across)) / binning,
    )


def binned(view: npt.NDArray[np.float32], binning: int) -> npt.NDArray[np.float32]:
    """Mean of blocks of ``binning`` x ``binning`` pixels of a view whose sides are multiples of it."""
    if binning == 1:
        return view
    height, width = view.shape
    blocks = view.reshape(height // binning, binning, width // binning, binning)
    return np.asarray(blocks.mean(axis=(1, 3), dtype=np.float64), np.float32)
