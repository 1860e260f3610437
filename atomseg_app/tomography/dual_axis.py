"""Two tilt series of one sample, turned in its plane between them, as one series of views in any direction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from atomseg_app.alignment import Alignment
from atomseg_app.data import TiltSeries
from atomseg_app.errors import UserError
from atomseg_app.tomography.geometry import EQUAL
from atomseg_app.tomography.views import views_along_y


def dual_axis(first: TiltSeries, second: TiltSeries, turned_deg: float = 90.0) -> TiltSeries:
    """One series with Euler angles of the used views of two, each about its own tilt axis.

    ``turned_deg`` is how far the sample was turned in its plane, x towards y, before the second series. Alignments are
    kept. Raises UserError for views and pixels of different sizes and for series that have Euler angles already.
    """
    if first.euler_deg is not None or second.euler_deg is not None:
        raise UserError("Two series are joined by their tilt angles; one of them has Euler angles already.")
    views = [views_along_y(series) for series in (first, second)]
    if views[0].shape[1:] != views[1].shape[1:]:
        raise UserError(f"Views of {views[0].shape[1:]} and {views[1].shape[1:]} pixels cannot be joined; crop them.")
    one, other = (_size_nm(series) for series in (first, second))
    both = [(a, b) for a, b in zip(one, other, strict=True) if a is not None and b is not None]
    if any(abs(a - b) > EQUAL * max(a, b) for a, b in both):
        raise UserError(f"Pixels of {one} and {other} nm (along and across the axis) cannot be joined; resample one.")
    tilts = [tuple(float(series.tilt_deg[view]) for view in series.used) for series in (first, second)]
    euler = [(0.0, -tilt, 0.0) for tilt in tilts[0]] + [(-turned_deg, -tilt, 0.0) for tilt in tilts[1]]
    alignment = None
    if first.alignment is not None or second.alignment is not None:
        alignment = _joined(first, second)
    return replace(
        first, values=np.concatenate(views), pixel_size_nm=one, tilt_deg=tilts[0] + tilts[1], tilt_axis="y",
        alignment=alignment, excluded=(), euler_deg=tuple(euler),
    )  # fmt: skip


def _size_nm(series: TiltSeries) -> tuple[float | None, ...]:
    """Size of pixels along and across the tilt axis."""
    return series.pixel_size_nm if series.tilt_axis == "y" else series.pixel_size_nm[::-1]


def _joined(first: TiltSeries, second: TiltSeries) -> Alignment:
    """Alignments of the used views of both, offsets and rotations of their axes moved into the views."""
    shift_x: list[float] = []
    shift_y: list[float] = []
    rotation: list[float] = []
    for series in (first, second):
        one = series.alignment or Alignment.none(len(series.values))
        shift_x += [one.shift_x_px[view] + one.axis_offset_px for view in series.used]
        shift_y += [one.shift_y_px[view] for view in series.used]
        rotation += [one.rotation_deg[view] + one.axis_rotation_deg for view in series.used]
    return Alignment(tuple(shift_x), tuple(shift_y), tuple(rotation))
