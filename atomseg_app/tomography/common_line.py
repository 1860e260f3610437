"""Shifts along the tilt axis from the common line: the sums over each slice are the same in every view.

The idea is that of the common-line step of M. C. Scott et al., Nature 483, 444 (2012). Profiles are compared where
they overlap, each with a gain and an offset of its own, so a sample that leaves the field along the axis and a
background that changes with the tilt do no harm.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from atomseg_app.tomography.slice_moments import shifted_rows

Floats = npt.NDArray[np.float64]

_OVERLAP = 0.5  # of the profile: what must still overlap at the longest shift that is tried
_ROUNDS = 8


def common_line(profiles: Floats, tilt_deg: Floats, start_px: Floats, resolution_px: float, reach_px: float) -> Floats:
    """Shift of each profile (view, y) along y, such that profiles read at y + shift agree; of the untilted one 0.

    ``start_px`` (view,) is corrected by at most ``reach_px`` and iterated until no shift changes by more than a tenth
    of ``resolution_px``; the reference starts as the least tilted profile and becomes the mean of all.
    """
    first = int(np.argmin(np.abs(tilt_deg)))
    reference = shifted_rows(profiles[first : first + 1], start_px[first : first + 1])[0]
    shift = np.array([start + _coarse(row, reference, start, reach_px)
                      for row, start in zip(profiles, start_px, strict=True)])  # fmt: skip
    for _ in range(_ROUNDS):
        reference = _mean(profiles, shift)
        step = np.array([_step(row, reference, at) for row, at in zip(profiles, shift, strict=True)])
        shift += step
        if np.abs(step).max() < resolution_px / 10:
            break
    return np.asarray(shift - shift[first] + start_px[first])


def _mean(profiles: Floats, shift: Floats) -> Floats:
    """Median of the profiles where at least half of them reach, after gain and offset to the mean; NaN elsewhere."""
    rows = shifted_rows(profiles, shift)
    covered = np.isfinite(rows).mean(axis=0) > 0.5
    middle = np.nanmedian(rows[:, covered], axis=0)
    for row in rows:
        known = covered & np.isfinite(row)
        gain, offset = _gain_offset(row[known], middle[known[covered]])
        row[known] = gain * row[known] + offset
    reference = np.full(rows.shape[1], np.nan)
    # The mean of what is not far off: nearly as precise as the mean of all, nearly as robust as the median.
    centre = np.nanmedian(rows[:, covered], axis=0)
    off = np.abs(rows[:, covered] - centre)
    width = np.maximum(3 * 1.4826 * np.nanmedian(off, axis=0), 1e-12 * np.nanmax(np.abs(centre)))
    reference[covered] = np.nanmean(np.where(off <= width, rows[:, covered], np.nan), axis=0)
    return reference


def _gain_offset(row: Floats, target: Floats) -> tuple[float, float]:
    """Gain and offset that bring a row nearest to the target; none where that is not determined."""
    centred = row - row.mean()
    power = float(centred @ centred)
    gain = float(centred @ (target - target.mean())) / power if power > 0 else 0.0
    if gain <= 0:  # of another shape altogether: leave it to the median
        return 1.0, 0.0
    return gain, float(target.mean() - gain * row.mean())


def _coarse(row: Floats, reference: Floats, start_px: float, reach_px: float) -> float:
    """Whole-pixel correction of the shift with the highest correlation of the parts that overlap."""
    moved = shifted_rows(row[None], np.array([start_px]))[0]
    size = len(row)
    furthest = int(min(np.ceil(reach_px), size * (1 - _OVERLAP)))
    scores = [(_correlation(moved, reference, step), -abs(step), step) for step in range(-furthest, furthest + 1)]
    return float(max(scores)[2])


def _correlation(moved: Floats, reference: Floats, step: int) -> float:
    """Correlation of ``moved`` read at y + step with the reference, over what both have."""
    size = len(moved)
    ours, theirs = moved[max(0, step) : size + min(0, step)], reference[max(0, -step) : size + min(0, -step)]
    known = np.isfinite(ours) & np.isfinite(theirs)
    if known.sum() < size * _OVERLAP / 2:
        return -1.0
    ours, theirs = ours[known] - ours[known].mean(), theirs[known] - theirs[known].mean()
    norm = np.sqrt((ours @ ours) * (theirs @ theirs))
    return float(ours @ theirs / norm) if norm > 0 else -1.0


def _step(row: Floats, reference: Floats, shift_px: float) -> float:
    """Correction of a shift by robust least squares of reference, gain and offset; at most a pixel."""
    moved = shifted_rows(row[None], np.array([shift_px]))[0]
    known = np.isfinite(moved) & np.isfinite(reference)
    known[1:-1] &= known[:-2] & known[2:]
    if known.sum() < 8:
        return 0.0
    slope = np.gradient(reference)[known]
    design = np.stack([slope, reference[known], np.ones(known.sum())], axis=1)
    target = moved[known]
    weight = np.ones(len(target))
    for _ in range(6):
        part = design * weight[:, None]
        solved = np.linalg.lstsq(part.T @ design, part.T @ target, rcond=None)[0]
        off = np.abs(target - design @ solved)
        scale = 1.4826 * float(np.median(off))
        weight = 1 / np.maximum(1, off / max(2 * scale, 1e-12 * float(np.abs(target).max()) + 1e-300))
    slip, gain = solved[0], solved[1]
    # moved(y) = g ref(y - d): the slope's share is -g d, and reading d further along undoes it.
    return float(np.clip(-slip / gain, -1, 1)) if gain > 0 else 0.0
