"""A tilt series over the whole half circle: views as they were measured, and views of a volume where none was."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from atomseg_app.alignment import Alignment
from atomseg_app.data import Source, TiltSeries, Volume
from atomseg_app.errors import UserError
from atomseg_app.operations import Report
from atomseg_app.tomography.directions import round_one_axis
from atomseg_app.tomography.geometry import geometry_of
from atomseg_app.tomography.missing_wedge import gaps_of, missing_angles, missing_text
from atomseg_app.tomography.projector import projector
from atomseg_app.tomography.series_doubts import LEVELS_KEY

INFERRED = "inferred_views"
"""Metadata of a filled series: indices of the views that were inferred."""


def filled_series(series: TiltSeries, volume: Volume, report: Report) -> TiltSeries:
    """Series (view, y, x) in ascending order of angle: every measured view, bit for bit, and inferred ones between.

    Inferred views are projections of the volume at the angles that continue the usual step through the gaps; they lie
    where the axis is, shifted and turned by nothing else, on the background of the others. Metadata ``inferred_views``
    tells which they are, as does the note in the history. Excluded views stay excluded. Raises UserError where the
    volume is of another series, or nothing is missing.
    """
    depth, slices, width = volume.shape
    series = round_one_axis(series)
    measured = geometry_of(series, depth, width)
    if measured.detector_yx[0] != slices or not measured.is_single_axis:
        raise UserError(f"The volume of {slices} slices is not of this series; fill the series first.")
    angles = missing_angles(measured.tilt_deg)
    if not len(angles):
        raise UserError("The views of this series leave no wedge out; there is no view to infer.")
    report.progress(0, f"projecting at {len(angles)} angles that were not measured")
    alignment = _alone(series.alignment, len(angles))
    geometry = replace(measured, tilt_deg=tuple(angles.tolist()), alignment=alignment)
    views = projector(geometry)(np.nan_to_num(np.asarray(volume.values, np.float32)))
    levels = volume.metadata.get(LEVELS_KEY)
    if levels:  # what was taken off the measured views, the inferred ones have, too
        views += np.float32(np.median(levels))
    if series.tilt_axis == "x":
        views = views.transpose(0, 2, 1)
    count = len(series.values)
    tilts = np.concatenate([np.asarray(series.tilt_deg, np.float64), angles])
    order = np.argsort(tilts, kind="stable")
    place = np.argsort(order)  # of what was at an index
    values = np.empty((len(order), *series.shape[1:]), _exact_type(series))
    for index, where in enumerate(place):
        values[where] = series.values[index] if index < count else views[index - count]
    inferred = sorted(int(where) for where in place[count:])
    report.note(
        f"{len(inferred)} views at {missing_text(gaps_of(measured.tilt_deg))} are inferred (projections of the filled "
        f"volume): {_ranges(inferred)}, counted from 0; the others are as measured."
    )
    return replace(
        series, values=values, source=Source("", f"{series.source.name}, filled"),
        tilt_deg=tuple(float(tilt) for tilt in tilts[order]),
        alignment=series.alignment and _together(series.alignment, len(angles), order),
        excluded=tuple(sorted(int(place[view]) for view in series.excluded)),
        metadata={**series.metadata, INFERRED: inferred}, history=volume.history,
    )  # fmt: skip


def told_series(series: TiltSeries, volume: Volume, report: Report) -> TiltSeries:
    """:func:`filled_series` whose history, that of the volume, also says which views are inferred."""
    before = len(report.facts.notes)
    filled = filled_series(series, volume, report)
    if not filled.history:
        return filled
    *earlier, step = filled.history
    notes = (*step.notes, *report.facts.notes[before:])
    return replace(filled, history=(*earlier, replace(step, notes=notes)))


def _exact_type(series: TiltSeries) -> np.dtype[np.floating]:
    """Float type that holds the measured values as they are."""
    small = np.can_cast(series.values.dtype, np.float32, "safe")
    return np.dtype(np.float32 if small else np.float64)


def _alone(alignment: Alignment | None, count: int) -> Alignment | None:
    """Alignment of views that lie where the axis does."""
    if alignment is None:
        return None
    plain = Alignment.none(count)
    return replace(plain, axis_offset_px=alignment.axis_offset_px, axis_rotation_deg=alignment.axis_rotation_deg)


def _together(alignment: Alignment, more: int, order: np.ndarray) -> Alignment:
    """Alignment of the measured views and of so many that are shifted by nothing, in an order."""

    def put(values: tuple[float, ...]) -> tuple[float, ...]:
        every = (*values, *(0.0,) * more)
        return tuple(every[index] for index in order)

    return replace(
        alignment, shift_x_px=put(alignment.shift_x_px), shift_y_px=put(alignment.shift_y_px),
        rotation_deg=put(alignment.rotation_deg),
    )  # fmt: skip


def _ranges(numbers: list[int]) -> str:
    """Ascending numbers as ranges: 0-11, 60-74."""
    ends = [index for index in range(1, len(numbers)) if numbers[index] != numbers[index - 1] + 1]
    groups = [numbers[a:b] for a, b in zip([0, *ends], [*ends, len(numbers)], strict=True)]
    return ", ".join(str(group[0]) if len(group) == 1 else f"{group[0]}-{group[-1]}" for group in groups)
