"""Projection matching: views are moved to where the projections of their own reconstruction lie, coarse to fine.

As in the joint alignment of D. Gursoy et al., Sci. Rep. 7, 11818 (2017), but shifts live in the projector, so the
views are never interpolated, and are found by least squares together with the rotation of the tilt axis. Views are
low-passed to where neighbouring ones share what they know: there a wrong shift cannot be explained by a wrong volume.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from atomseg_app.alignment import Alignment
from atomseg_app.operations import Report
from atomseg_app.tomography.align_views import AlignViews
from atomseg_app.tomography.geometry import Geometry, alignment_of_views
from atomseg_app.tomography.projector import projector
from atomseg_app.tomography.running_volume import RunningVolume, upsampled
from atomseg_app.tomography.slip import Slips, slips

Views = npt.NDArray[np.float32]
Floats = npt.NDArray[np.float64]

_COARSEST_PX = 24  # shorter side of the views of the coarsest level
_TAPER = 0.1  # of each side: where the weight of pixels falls to nothing
_LONGEST_STEP = 3.0  # binned pixels that a view may move in one round
_CONTAINED = 0.8  # share of views: with fewer, the sample reaches beyond the field
_MOST_WIDER = 2.5  # a volume than its views, where the sample reaches beyond them
_LEAST_COMMON = 0.2  # of the width of views: what is compared at the steepest tilt at least
_HIGH_PASS = 1 / 16  # of the shorter side: Gaussian whose share of a view is left out then
_ANGLE_STEP_DEG = 0.25  # of the derivative by an angle
_POLISHING_PX = 96  # shorter side of views: in smaller ones blur hides what trials of the turn of the axis tell
_LEAVING = 0.2  # of the brightest row: what the outermost rows show of a sample that goes on
_TURN_STEP_PX = 0.35  # how far trials of the turn move the ends of the axis
_TRIAL_ITERATIONS = 20
_LATE_ROUNDS = 8  # after trials of the turn
_MEMORY = 4  # rounds that Anderson's acceleration looks back on


@dataclass(frozen=True)
class Course:
    """How projection matching goes: sizes of its levels, blur, rounds and iterations, and what is refined.

    ``blur_px`` is the standard deviation of the Gaussian blur in binned pixels; a level ends when no shift of its last
    round was longer than ``tolerance_px`` of the series.
    """

    finest_px: int = 128
    blur_px: float = 2.0
    rounds: int = 30
    warm_iterations: int = 40
    iterations: int = 5
    tolerance_px: float = 0.002
    rotation: bool = True
    angles: bool = False


@dataclass(frozen=True, eq=False)
class Matched:
    """Result of matching: alignment in pixels of the series, angles, R-factors of the finest level, and rounds."""

    alignment: Alignment
    angles_deg: Floats
    r_before: float
    r_after: float
    rounds: tuple[int, ...]


def factors(views: AlignViews, finest_px: int) -> list[int]:
    """Binning of the levels, coarsest first, relative to ``views``."""
    sides = views.values.shape[1:]
    finest = 1
    while max(sides) // (2 * finest) >= finest_px:
        finest *= 2
    found = [finest]
    while min(sides) // (2 * found[0]) >= _COARSEST_PX and len(found) < 3:
        found.insert(0, 2 * found[0])
    return found


def match(views: AlignViews, alignment: Alignment, course: Course, report: Report) -> Matched:
    """Improve an alignment (in pixels of the series) of the usable views; the others keep theirs."""
    levels = factors(views, course.finest_px)
    if is_open(views):
        report.note(
            "The sample reaches beyond the views: they are matched by their detail alone, less well, and the rotation "
            "of the tilt axis stays as it was."
        )
    volume: Views | None = None
    rounds = []
    r_before = r_after = float("nan")
    for number, factor in enumerate(levels):
        level = _Level(views.binned(factor), alignment, course, finest=factor == levels[-1])
        if volume is not None:
            volume = upsampled(volume, level.shape_zyx)
        part = report.part(number / len(levels), (number + 1) / len(levels))
        volume, done, r_before, r_after = level.run(volume, part)
        alignment = level.alignment()
        views = replace(views, angles_deg=level.angles_deg())
        rounds.append(done)
        if report.stopping:
            report.note(f"Matching was stopped after round {done} at views binned {level.binning} times.")
            break
    return Matched(alignment, views.angles_deg, r_before, r_after, tuple(rounds))


def is_open(views: AlignViews) -> bool:
    """Whether the sample reaches beyond the field across the axis in more than a few of the views."""
    return bool(views.contained[views.usable].mean() < _CONTAINED)


class _Level:
    """Rounds at one binning: reconstruct, project, solve for shifts, rotation and angles, move."""

    def __init__(self, views: AlignViews, alignment: Alignment, course: Course, *, finest: bool) -> None:
        self._all, self._course = views, course
        self._whole = alignment
        self._used = views.indices
        self._alignment = alignment_of_views(views.to_binned(alignment), self._used)
        sigma = (0, course.blur_px, course.blur_px)
        self._views = ndimage.gaussian_filter(views.values[self._used], sigma, mode="nearest")
        _, height, width = self._views.shape
        self._angles = views.angles_deg[self._used].copy()
        # What lies beyond the field adds to the views what varies slowly across them, and differs from view to view.
        self._open = is_open(views)
        self._width = _seen_width(self._angles, width) if self._open and views.single_axis else width
        self.shape_zyx = (width, height, self._width)
        # A turn of the axis is one of the Euler angles already; of what is left of open views it cannot be told.
        self._turns = course.rotation and views.single_axis and not self._open
        self._polishes = self._turns and finest and min(height, width) >= _POLISHING_PX and leaves_along(self._views)
        self._lever = float(np.deg2rad(min(height, width) / 4))  # pixels that a degree moves a typical voxel

    @property
    def binning(self) -> int:
        """How many pixels of the series are one here."""
        return self._all.factor

    def run(self, start: Views | None, report: Report) -> tuple[Views, int, float, float]:
        """Do the rounds; gives the volume, the number of rounds, and R-factors before and after."""
        course = self._course
        volume = RunningVolume(self._views, self._geometry(self._angles), start)
        volume.improve(course.warm_iterations - course.iterations, report)
        first = volume.r_factor(volume.projections())
        late = min(_LATE_ROUNDS, course.rounds // 2) if self._polishes else 0
        done, last = self._rounds(volume, course.rounds - late, report)
        if late and not report.stopping:
            self._polish_turn(report)
            volume = RunningVolume(self._views, self._geometry(self._angles))
            volume.improve(course.warm_iterations - course.iterations, report)
            more, last = self._rounds(volume, late, report)
            done += more
        return volume.values, done, first, last

    def _rounds(self, volume: RunningVolume, most: int, report: Report) -> tuple[int, float]:
        """At most so many rounds; gives how many there were, and the R-factor before the last move."""
        speed, last, done = _Accelerated(), float("nan"), 0
        tolerance = self._course.tolerance_px / self._all.factor
        for done in range(1, most + 1):
            report.progress((done - 1) / most, f"matching projections, binned {self._all.factor} times")
            volume.improve(self._course.iterations, report)
            projected = volume.projections()
            last = volume.r_factor(projected)
            longest = self._move(self._slips(volume, projected), speed)
            volume.use(self._geometry(self._angles))
            if longest < tolerance or report.stopping:
                break
        return done, last

    def _polish_turn(self, report: Report) -> None:
        """Put the turn of the axis where volumes made anew explain the views best.

        The running volume has taken a wrong turn up in part, so that rounds go towards the right one ever more slowly.
        """
        step = float(np.rad2deg(2 * _TURN_STEP_PX / self._views.shape[1]))
        turns = [self._alignment.axis_rotation_deg + step * k for k in (-1, 0, 1)]
        below, here, above = (self._misfit(turn, report) for turn in turns)
        bend = below - 2 * here + above
        if bend > 0:
            move = float(np.clip(0.5 * (below - above) / bend, -2, 2)) * step
            self._alignment = replace(self._alignment, axis_rotation_deg=turns[1] + move)

    def _misfit(self, turn_deg: float, report: Report) -> float:
        """Weighted sum of squares that a new volume leaves of the views with the axis turned so."""
        alignment = replace(self._alignment, axis_rotation_deg=turn_deg)
        volume = RunningVolume(self._views, level_geometry(self._angles, self._views.shape, alignment))
        volume.improve(_TRIAL_ITERATIONS, report)
        off = self._views - volume.projections()
        return float((window(off.shape, alignment) * off * off).sum(dtype=float))

    def _geometry(self, angles_deg: Floats) -> Geometry:
        return level_geometry(angles_deg, self._views.shape, self._alignment, self._width)

    def _slips(self, volume: RunningVolume, projected: Views) -> Slips:
        measured = self._views
        if self._open:
            measured, projected = (_high_passed(views) for views in (measured, projected))
        shared = [turn_derivative(projected, self._alignment)] if self._turns else []
        own = self._angle_derivatives(volume) if self._course.angles else []
        weight = window(projected.shape, self._alignment)
        if self._open and self._all.single_axis:
            weight *= _common(projected.shape, self._alignment, self._angles[:, 0])
        return slips(measured, projected, weight, own, shared)

    def _angle_derivatives(self, volume: RunningVolume) -> list[Views]:
        """Derivatives of the projections by each angle of their view, per degree, from two more projections each."""
        found = []
        for column in range(self._angles.shape[1]):
            step = np.zeros_like(self._angles)
            step[:, column] = _ANGLE_STEP_DEG
            above, below = (projector(self._geometry(self._angles + s))(volume.values) for s in (step, -step))
            found.append((above - below) / np.float32(2 * _ANGLE_STEP_DEG))
        return found

    def _move(self, found: Slips, speed: _Accelerated) -> float:
        """Apply what was found, accelerated; returns the longest move of a view in binned pixels."""
        count = len(self._used)
        step = np.clip(found.shift_xy, -_LONGEST_STEP, _LONGEST_STEP)
        step[:, 1] -= step[:, 1].mean()
        turn = np.clip(found.shared, -1, 1) * self._lever
        angles = np.clip(found.further, -1, 1) * self._lever
        angles -= angles.mean(axis=0)  # all views turned alike are another place of the sample
        now = np.concatenate([
            self._alignment.shift_x_px, self._alignment.shift_y_px,
            np.full(len(turn), self._alignment.axis_rotation_deg) * self._lever,
            self._angles[:, : angles.shape[1]].ravel() * self._lever,
        ])  # fmt: skip
        after = speed.next(now, np.concatenate([step[:, 0], step[:, 1], turn, angles.ravel()]))
        self._alignment = replace(
            self._alignment, shift_x_px=tuple(after[:count]), shift_y_px=tuple(after[count : 2 * count])
        )
        if len(turn):
            self._alignment = replace(self._alignment, axis_rotation_deg=float(after[2 * count] / self._lever))
        if angles.size:
            self._angles = after[-angles.size :].reshape(angles.shape) / self._lever
        return float(np.abs(np.concatenate([step.ravel(), turn, angles.ravel()])).max())

    def alignment(self) -> Alignment:
        """The alignment in pixels of the series, views that were not used as before."""
        binned = self._all.to_binned(self._whole)
        x, y = np.array(binned.shift_x_px), np.array(binned.shift_y_px)
        x[self._used], y[self._used] = self._alignment.shift_x_px, self._alignment.shift_y_px
        binned = replace(
            binned, shift_x_px=tuple(x), shift_y_px=tuple(y), axis_rotation_deg=self._alignment.axis_rotation_deg
        )
        return self._all.from_binned(binned)

    def angles_deg(self) -> Floats:
        """Angles of all views."""
        angles = self._all.angles_deg.copy()
        angles[self._used] = self._angles
        return angles


class _Accelerated:
    """Fixed-point iteration with Anderson's acceleration: slow, smooth errors are gone in a few rounds."""

    def __init__(self) -> None:
        self._places: list[Floats] = []
        self._steps: list[Floats] = []

    def next(self, place: Floats, step: Floats) -> Floats:
        """Where to go from ``place``, where the plain step is ``step``."""
        if self._steps and np.linalg.norm(step) > 2 * np.linalg.norm(self._steps[-1]):
            self._places, self._steps = [], []  # the last move was none of the good ones
        self._places.append(place)
        self._steps.append(step)
        del self._places[: -_MEMORY - 1], self._steps[: -_MEMORY - 1]
        if len(self._steps) < 3:
            return np.asarray(place + step)
        steps, places = np.diff(self._steps, axis=0).T, np.diff(self._places, axis=0).T
        count = steps.shape[1]
        damping = 1e-2 * float(np.linalg.norm(steps))
        mixed = np.linalg.lstsq(
            np.vstack([steps, damping * np.eye(count)]), np.append(step, np.zeros(count)), rcond=None
        )[0]
        return np.asarray(place + step - (places + steps) @ mixed)


def _high_passed(views: Views) -> Views:
    """Views (view, y, x) less their own Gaussian blur."""
    sigma = _HIGH_PASS * min(views.shape[1:])
    return np.asarray(views - ndimage.gaussian_filter(views, (0, sigma, sigma), mode="nearest"), np.float32)


def leaves_along(views: Views) -> bool:
    """Whether the sample leaves the field along the axis: what comes and goes there leads coarse levels astray."""
    rows = views.mean(axis=(0, 2), dtype=float)
    strip = max(1, len(rows) // 25)
    return bool(max(rows[:strip].mean(), rows[-strip:].mean()) > _LEAVING * rows.max())


def _seen_width(angles_deg: Floats, width: int) -> int:
    """Voxels across the axis of what views at tilts (view, 1) see of a film, up to a limit."""
    steepest = float(np.cos(np.deg2rad(np.abs(angles_deg).max())))
    return round(width / max(steepest, 1 / _MOST_WIDER))


def _common(shape: tuple[int, ...], alignment: Alignment, tilt_deg: Floats) -> Views:
    """Weight of pixels (view, y, x): 1 in the part of a film that all views see, falling to 0 beyond."""
    _, _, width = shape
    x = np.arange(width) - (width - 1) / 2 - alignment.axis_offset_px
    half = np.maximum(np.abs(np.cos(np.deg2rad(tilt_deg))), _LEAST_COMMON) * width / 2
    off = np.abs(x[None] - np.asarray(alignment.shift_x_px)[:, None])
    return _smooth((half[:, None] - off) / (2 * _TAPER * half[:, None]))[:, None, :].astype(np.float32)


def level_geometry(
    angles_deg: Floats, shape: tuple[int, ...], alignment: Alignment, across: int | None = None
) -> Geometry:
    """Geometry of views of a shape (view, y, x), as deep as wide, at tilts (view, 1) or Euler triples (view, 3).

    ``across`` is the width of the volume where that of the views will not do.
    """
    _, height, width = shape
    rows = [tuple(float(angle) for angle in row) for row in angles_deg]
    triples = None if angles_deg.shape[1] == 1 else tuple((row[0], row[1], row[2]) for row in rows)
    tilt = tuple(row[len(row) // 2] for row in rows)
    return Geometry(tilt, (height, width), (width, height, across or width), alignment, triples)


def turn_derivative(projected: Views, alignment: Alignment) -> Views:
    """Derivative of views (view, y, x) by a turn about the projected centre of the volume, per degree, x towards y."""
    count, height, width = projected.shape
    result = np.empty_like(projected)
    for view in range(count):
        dy, dx = np.gradient(projected[view])
        x = np.arange(width)[None, :] - (width - 1) / 2 - alignment.shift_x_px[view] - alignment.axis_offset_px
        y = np.arange(height)[:, None] - (height - 1) / 2 - alignment.shift_y_px[view]
        result[view] = np.deg2rad(y * dx - x * dy)
    return result


def window(shape: tuple[int, ...], alignment: Alignment) -> Views:
    """Weight of pixels (view, y, x): 1, falling to 0 at the borders of the detector and, along y, of the volume."""
    _, height, width = shape
    x, y = (np.arange(size) - (size - 1) / 2 for size in (width, height))
    across = _smooth((width / 2 - np.abs(x)) / (_TAPER * width / 2))
    return np.stack([
        np.minimum(_smooth((height / 2 - np.abs(y)) / (_TAPER * height)),
                   _smooth((height / 2 - np.abs(y - shift)) / (_TAPER * height)))[:, None] * across[None, :]
        for shift in alignment.shift_y_px
    ]).astype(np.float32)  # fmt: skip


def _smooth(x: Floats) -> Floats:
    x = np.clip(x, 0, 1)
    return np.asarray(x * x * (3 - 2 * x))
