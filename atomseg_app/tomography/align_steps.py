"""The steps of an alignment, each from views and an alignment of the series to a better one."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from atomseg_app.alignment import Alignment
from atomseg_app.operations import Report
from atomseg_app.tomography.align_views import AlignViews, between_neighbours
from atomseg_app.tomography.centre_of_mass import MassCentres, mass_centres
from atomseg_app.tomography.common_line import common_line
from atomseg_app.tomography.neighbours import neighbour_shifts
from atomseg_app.tomography.robust_line import robust_line
from atomseg_app.tomography.shifts import Band
from atomseg_app.tomography.slice_moments import shifted_rows, slice_moments, turned, turned_back
from atomseg_app.tomography.trial_slices import best_offset, slice_sinogram

Floats = npt.NDArray[np.float64]

_BAND = Band(0.01, 0.15)
_ROUNDS = 8
_LEAST_TURN_DEG = 0.003
_MOST_TURN_DEG = 5.0  # in one round
_MOST_TURNS_DEG = 20.0  # in all
_UNSTEADY = 0.05  # spread of the views' mass above which material must enter or leave the field across the axis
_CONTAINED = 0.8  # share of the views in which the sample must lie inside across the axis
_TRIAL_PX = 64
_TRIAL_ROUNDS = 3


def total_shift(alignment: Alignment) -> Floats:
    """Shift of each view (view, 2) as x, y, the offset of the axis included."""
    return np.stack(
        [np.asarray(alignment.shift_x_px) + alignment.axis_offset_px, np.asarray(alignment.shift_y_px)], axis=1
    )


def total_turn(alignment: Alignment) -> Floats:
    """Direction of the tilt axis in each view (view,), degrees from y, x towards y."""
    return np.asarray(alignment.rotation_deg) + alignment.axis_rotation_deg


def with_total_shift(alignment: Alignment, shift_xy: Floats) -> Alignment:
    """Alignment with the total shifts (view, 2); what is not the offset of the axis becomes the views' own."""
    return replace(
        alignment, shift_x_px=tuple(shift_xy[:, 0] - alignment.axis_offset_px), shift_y_px=tuple(shift_xy[:, 1])
    )


def axis_in_the_mean(alignment: Alignment, usable: npt.NDArray[np.bool_]) -> Alignment:
    """The same places, with the offset of the axis as the mean of all usable views, whose own shifts are then even."""
    shift = total_shift(alignment)
    return with_total_shift(replace(alignment, axis_offset_px=float(shift[usable, 0].mean())), shift)


def neighbours(
    views: AlignViews, alignment: Alignment, finest_px: int, reach_px: float | None, report: Report
) -> Alignment:
    """Phase correlation of neighbours; moved so that the views' own shifts are even about 0."""
    factor = 1
    while max(views.values.shape[1:]) // (2 * factor) >= finest_px:
        factor *= 2
    level = views.binned(factor)
    binned = level.to_binned(alignment)
    reach = max(level.values.shape[1:]) / 4 if reach_px is None else reach_px / level.factor
    shift = neighbour_shifts(level, total_turn(binned), total_shift(binned), reach, _BAND, report)
    shift = between_neighbours(shift, views.tilt_deg, views.usable)
    shift -= shift[views.usable].mean(axis=0)
    found = level.from_binned(with_total_shift(replace(binned, axis_offset_px=0.0), shift))
    return replace(found, axis_offset_px=alignment.axis_offset_px)


def along_axis(views: AlignViews, alignment: Alignment, resolution_px: float, reach_px: float) -> Alignment:
    """Common line: new shifts along the axis, those across it as they were. The reach is in pixels of the series."""
    binned = views.to_binned(alignment)
    mass, _ = slice_moments(views, total_turn(binned))
    return views.from_binned(_along(views, binned, mass, resolution_px / views.factor, reach_px / views.factor))


def _along(views: AlignViews, binned: Alignment, mass: Floats, resolution: float, reach: float) -> Alignment:
    turn, used = total_turn(binned), views.indices
    own = turned_back(total_shift(binned), turn)
    own[used, 1] = common_line(mass[used], views.tilt_deg[used], own[used, 1], resolution, reach)
    own[:, 1] -= np.median(own[used, 1])
    return with_total_shift(binned, turned(between_neighbours(own, views.tilt_deg, views.usable), turn))


def across_axis(
    views: AlignViews, alignment: Alignment, resolution_px: float, *, axis: bool, along: bool, report: Report
) -> Alignment:
    """Centre of mass: new shifts across the axis, with ``axis`` its rotation too, iterated with the common line.

    Left as it was, with a note, where the sample reaches beyond the views.
    """
    contained = views.contained[views.usable].mean()
    if contained < _CONTAINED:
        report.note(
            f"Centre of mass left out: the sample reaches beyond the view across the axis in {1 - contained:.0%} of "
            "the views."
        )
        return alignment
    binned = views.to_binned(alignment)
    for turn in range(_ROUNDS):
        report.progress(turn / _ROUNDS, "centres of mass")
        mass, first = slice_moments(views, total_turn(binned))
        if along:
            binned = _along(views, binned, mass, resolution_px / views.factor, 2.0)
        centres = _centres(views, binned, mass, first, free=True)
        if centres is None or centres.steady > _UNSTEADY:
            report.note("Centre of mass left out: " + (
                "no slice is heavy enough." if centres is None else
                f"the mass of the views differs by {centres.steady:.0%}; the sample must reach beyond them."
            ))  # fmt: skip
            return alignment
        own = turned_back(total_shift(binned), total_turn(binned))
        own[views.indices, 0] = centres.shift_px
        own = between_neighbours(own, views.tilt_deg, views.usable)
        angle = total_turn(binned)
        binned = with_total_shift(binned, turned(own, angle))
        if not axis:
            break
        step = _turn_of(centres)[1]
        binned = _turned_about_own(binned, step)
        if abs(step) < _LEAST_TURN_DEG:
            break
    turned_by = binned.axis_rotation_deg - alignment.axis_rotation_deg
    if abs(turned_by) > _MOST_TURNS_DEG:
        report.note(
            f"Centre of mass left out: it would turn the tilt axis by {turned_by:.0f} degrees. Does the tilt axis run "
            "along the other direction of the images?"
        )
        return alignment
    return views.from_binned(binned)


def _centres(views: AlignViews, binned: Alignment, mass: Floats, first: Floats, *, free: bool) -> MassCentres | None:
    own = turned_back(total_shift(binned), total_turn(binned))[views.indices]
    used = views.indices
    return mass_centres(mass[used], first[used], views.tilt_deg[used], own[:, 1], None if free else own[:, 0])


def _turn_of(centres: MassCentres) -> tuple[float, float]:
    """Offset of the axis at the middle and how far the views turn, in degrees, from a robust line over the slices."""
    rows = np.asarray(np.arange(len(centres.axis_px)) - (len(centres.axis_px) - 1) / 2, float)
    offset, slope = robust_line(rows, centres.axis_px, centres.weight)
    turn = -float(np.rad2deg(np.arctan(slope)))
    return offset, float(np.clip(turn, -_MOST_TURN_DEG, _MOST_TURN_DEG))


def _turned_about_own(alignment: Alignment, step_deg: float) -> Alignment:
    """Alignment with the axis turned; shifts stay as they are on the detector."""
    return replace(alignment, axis_rotation_deg=alignment.axis_rotation_deg + step_deg)


def axis_from_mass(views: AlignViews, alignment: Alignment, *, rotation: bool, report: Report) -> Alignment:
    """Offset of the axis, and its rotation, of views that are aligned with each other: robust line over the slices."""
    binned = views.to_binned(alignment)
    for turn in range(_ROUNDS):
        report.progress(turn / _ROUNDS, "centres of mass")
        mass, first = slice_moments(views, total_turn(binned))
        centres = _centres(views, binned, mass, first, free=False)
        if centres is None:
            report.note("The axis stays where it was: no slice is heavy enough to have a centre of mass.")
            return alignment
        offset, step = _turn_of(centres)
        if not rotation:
            offset, step = float(np.average(np.nan_to_num(centres.axis_px), weights=centres.weight)), 0.0
        binned = _turned_about_own(
            replace(
                binned, axis_offset_px=binned.axis_offset_px + offset / np.cos(np.deg2rad(total_turn(binned).mean()))
            ),
            step,
        )
        if abs(step) < _LEAST_TURN_DEG and abs(offset) < 0.005:
            break
    return views.from_binned(binned)


def axis_from_slices(
    views: AlignViews,
    alignment: Alignment,
    *,
    rotation: bool,
    slices: tuple[int, ...] | None,
    reach_px: float | None,
    report: Report,
) -> Alignment:
    """Offset of the axis, and its rotation, from trial reconstructions of a few slices (rows of the series)."""
    factor = 1
    while views.values.shape[2] // (2 * factor) >= _TRIAL_PX:
        factor *= 2
    level = views.binned(factor)
    binned = level.to_binned(alignment)
    height, width = level.values.shape[1:]
    if slices is None:
        chosen = _telling_slices(level, binned)
    else:
        along = level.factor / level.aspect
        middle = (height * along - 1) / 2 + level.offset_xy[1]
        chosen = [(row - middle) / along for row in slices]
    reach = width / 10 if reach_px is None else max(1.0, reach_px / level.factor)
    turns = rotation and len(set(chosen)) > 1
    # A slice read along a wrong axis mixes neighbours, so the rotation comes out too small at first.
    rounds = _TRIAL_ROUNDS if turns else 1
    for number in range(rounds):
        part = report.part(number / rounds, (number + 1) / rounds)
        offsets = _trial_offsets(level, binned, chosen, reach, part)
        offset, slope = robust_line(np.array(chosen), offsets) if turns else (float(np.median(offsets)), 0.0)
        binned = replace(binned, axis_offset_px=binned.axis_offset_px + offset)
        binned = _turned_about_own(binned, -float(np.rad2deg(np.arctan(slope))))
        reach = min(reach, 2.0)
    return level.from_binned(binned)


def _trial_offsets(
    level: AlignViews, binned: Alignment, chosen: list[float], reach_px: float, report: Report
) -> Floats:
    """Offset of the axis at each chosen slice."""
    used, offsets = level.indices, []
    for number, along in enumerate(chosen):
        part = report.part(number / len(chosen), (number + 1) / len(chosen))
        part.progress(0, f"trial slice {number + 1} of {len(chosen)}")
        sinogram = slice_sinogram(level.values[used], total_shift(binned)[used], total_turn(binned)[used], along)
        offsets.append(best_offset(sinogram, level.tilt_deg[used], reach_px, part))
    return np.array(offsets)


def _telling_slices(level: AlignViews, binned: Alignment) -> list[float]:
    """Places along the axis of three slices apart from each other, each of the strongest contrast in its third."""
    used = level.indices
    own = turned_back(total_shift(binned), total_turn(binned))[used]
    height = level.values.shape[1]
    contrast = shifted_rows(level.values[used].std(axis=2).astype(float), own[:, 1]).min(axis=0)
    contrast = np.nan_to_num(contrast, nan=0.0)
    inside = np.flatnonzero(contrast > 0.2 * contrast.max())
    edges = np.linspace(inside[0], inside[-1] + 1, 4) if len(inside) else np.linspace(0, height, 4)
    places = []
    for low, high in pairwise(edges):
        rows = np.arange(int(low), max(int(low) + 1, int(high)))
        places.append(float(rows[np.argmax(contrast[rows])]) - (height - 1) / 2)
    return places
