"""*Align*: where the views of a tilt series lie on the detector, by steps that each tell what they did.

Every step adds an entry to ``metadata["alignment_steps"]``: its name, R-factors before and after
(:func:`atomseg_app.tomography.residual.r_factor`), the axis, and the shifts of all views after it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from atomseg_app.alignment import Alignment
from atomseg_app.data import TiltSeries
from atomseg_app.errors import UserError
from atomseg_app.operations import Report
from atomseg_app.tomography import align_steps as steps
from atomseg_app.tomography.align_operations import (
    Align,
    AlignAxis,
    AlignCentreOfMass,
    AlignCommonLine,
    AlignMatch,
    AlignNeighbours,
)
from atomseg_app.tomography.align_views import align_views
from atomseg_app.tomography.geometry import pixel_aspect_of
from atomseg_app.tomography.matching import Course, match
from atomseg_app.tomography.residual import r_factor
from atomseg_app.tomography.warm_up import warm_up

Floats = npt.NDArray[np.float64]

STEPS_KEY = "alignment_steps"
_WORSE = 1.02  # R-factor after a step of the automatic chain, over that before, above which it is taken back
_ANY_AXIS_PX = 64  # finest size of views in several directions, whose projector is far slower
_COMMON_LINE_REACH = 1 / 6  # of the views along the axis


class _Chain:
    """A series being aligned, step after step; with ``may_undo``, steps that make the R-factor rise are taken back."""

    def __init__(self, series: TiltSeries, report: Report, *, start_over: bool = False, may_undo: bool = False) -> None:
        warm_up(report)
        report.progress(0, "reading the views")
        self._series, self._may_undo = series, may_undo
        values = series.values if series.tilt_axis == "y" else series.values.transpose(0, 2, 1)
        angles = np.asarray(series.tilt_deg if series.euler_deg is None else series.euler_deg)
        self._views = align_views(values, angles, series.excluded, report, pixel_aspect_of(series))
        given = None if start_over else series.alignment
        self._alignment = given or Alignment.none(len(series.values))
        self._earlier = list(series.metadata.get(STEPS_KEY, ())) if given else []
        self._entries: list[dict[str, Any]] = []
        self._r = r_factor(self._views, self._alignment, report)
        self.height_px = self._views.values.shape[1] * self._views.factor / self._views.aspect

    def neighbours(self, finest_px: int, reach_px: float | None, report: Report) -> None:
        """Phase correlation of neighbours."""
        found = steps.neighbours(self._views, self._alignment, finest_px, reach_px, report)
        self._took("neighbours", found, report)

    def common_line(self, resolution_px: float, reach_px: float, report: Report) -> None:
        """Common line."""
        report.progress(0, "common line")
        self._took("common line", steps.along_axis(self._views, self._alignment, resolution_px, reach_px), report)

    def centre_of_mass(self, resolution_px: float, report: Report, *, axis: bool, along: bool) -> None:
        """Centre of mass."""
        found = steps.across_axis(self._views, self._alignment, resolution_px, axis=axis, along=along, report=report)
        self._took("centre of mass", found, report)

    def axis(self, settings: AlignAxis, report: Report) -> None:
        """The tilt axis."""
        if settings.method == "mass":
            found = steps.axis_from_mass(self._views, self._alignment, rotation=settings.rotation, report=report)
        else:
            found = steps.axis_from_slices(
                self._views, self._alignment, rotation=settings.rotation, slices=settings.slices,
                reach_px=settings.reach_px, report=report,
            )  # fmt: skip
        self._took("axis", found, report)

    def matching(self, course: Course, report: Report) -> None:
        """Projection matching."""
        found = match(self._views, self._alignment, course, report)
        self._took("matching", found.alignment, report, found.angles_deg)

    def _took(self, name: str, found: Alignment, report: Report, angles_deg: Floats | None = None) -> None:
        """Keep what a step found, or not, and write its entry."""
        if found == self._alignment:
            return
        if name != "axis":
            found = steps.axis_in_the_mean(found, self._views.usable)
        found = _plain(found)
        views = self._views if angles_deg is None else replace(self._views, angles_deg=angles_deg)
        r_after = r_factor(views, found, report)
        kept = not (self._may_undo and r_after > _WORSE * self._r)
        self._entries.append({
            "step": name, "kept": kept, "r_before": round(self._r, 6), "r_after": round(r_after, 6),
            "axis_offset_px": round(found.axis_offset_px, 4), "axis_rotation_deg": round(found.axis_rotation_deg, 5),
            "shift_x_px": [round(x, 4) for x in found.shift_x_px],
            "shift_y_px": [round(y, 4) for y in found.shift_y_px],
        })  # fmt: skip
        report.log(f"{name}: R {self._r:.4f} -> {r_after:.4f}, axis {round(found.axis_offset_px, 2) + 0:+.2f} px, "
                   f"{found.axis_rotation_deg:+.3f} degrees")  # fmt: skip
        if not kept:
            report.note(f"{name} was taken back: the R-factor would have risen from {self._r:.4f} to {r_after:.4f}.")
            return
        self._alignment, self._views, self._r = found, views, r_after
        report.preview("shifts", np.stack([found.shift_x_px, found.shift_y_px], axis=1).astype(np.float32))

    def result(self) -> TiltSeries:
        """The series with its alignment, refined angles, and the entries of all steps."""
        metadata = {**self._series.metadata, STEPS_KEY: [*self._earlier, *self._entries]}
        tilt_deg = tuple(float(tilt) for tilt in self._views.tilt_deg)
        aligned = replace(self._series, alignment=self._alignment, tilt_deg=tilt_deg, metadata=metadata)
        if self.single_axis:
            return aligned
        triples = tuple((float(a), float(b), float(c)) for a, b, c in self._views.angles_deg)
        return replace(aligned, euler_deg=triples)

    @property
    def single_axis(self) -> bool:
        """Whether all views were tilted round one axis, as all steps but matching need."""
        return self._views.single_axis


def _plain(alignment: Alignment) -> Alignment:
    """The same with plain numbers, as files and other processes take them."""
    return Alignment.from_json({
        name: [float(x) for x in value] if isinstance(value, tuple) else float(value)
        for name, value in vars(alignment).items()
    })  # fmt: skip


def align(series: TiltSeries, settings: Align, report: Report) -> TiltSeries:
    """Align a series by all steps that are switched on; the images stay as they are.

    Steps after which the views agree less with one volume are taken back, with a note. Raises UserError for unknown
    angles and for fewer than three views that show something.
    """
    chain = _Chain(series, report, start_over=settings.start_over, may_undo=True)
    if not chain.single_axis:
        report.note("The views were tilted in several directions: they are aligned by projection matching alone.")
    if settings.neighbours and chain.single_axis:
        chain.neighbours(settings.finest_px, settings.reach_px, report.part(0.05, 0.2))
    if settings.common_line and chain.single_axis:
        chain.common_line(settings.resolution_px, chain.height_px * _COMMON_LINE_REACH, report.part(0.2, 0.3))
    if settings.centre_of_mass and chain.single_axis:
        chain.centre_of_mass(settings.resolution_px, report.part(0.3, 0.5), axis=True, along=settings.common_line)
    if settings.matching:
        course = Course(finest_px=settings.finest_px if chain.single_axis else min(settings.finest_px, _ANY_AXIS_PX))
        if settings.refine_angles:  # they show at the outline, which less blur leaves sharp, and settle slowly
            course = replace(course, angles=True, blur_px=1.0, rounds=2 * course.rounds)
        chain.matching(course, report.part(0.5, 1))
    return chain.result()


def align_neighbours(series: TiltSeries, settings: AlignNeighbours, report: Report) -> TiltSeries:
    """One step: phase correlation of neighbours. Raises as :func:`align` does."""
    chain = _single_axis_chain(series, report)
    chain.neighbours(settings.finest_px, settings.reach_px, report)
    return chain.result()


def align_common_line(series: TiltSeries, settings: AlignCommonLine, report: Report) -> TiltSeries:
    """One step: common line. Raises as :func:`align` does."""
    chain = _single_axis_chain(series, report)
    chain.common_line(settings.resolution_px, settings.reach_px or chain.height_px * _COMMON_LINE_REACH, report)
    return chain.result()


def align_centre_of_mass(series: TiltSeries, settings: AlignCentreOfMass, report: Report) -> TiltSeries:
    """One step: centre of mass. Raises as :func:`align` does."""
    chain = _single_axis_chain(series, report)
    chain.centre_of_mass(1.0, report, axis=settings.axis, along=False)
    return chain.result()


def align_axis(series: TiltSeries, settings: AlignAxis, report: Report) -> TiltSeries:
    """One step: the tilt axis of views that are aligned with each other. Raises as :func:`align` does."""
    chain = _single_axis_chain(series, report)
    chain.axis(settings, report)
    return chain.result()


def _single_axis_chain(series: TiltSeries, report: Report) -> _Chain:
    """Chain of a series tilted round one axis. Raises UserError for others."""
    if series.euler_deg is not None:
        raise UserError(
            f"{series.source.name} was tilted in several directions; this step needs one tilt axis. Use projection "
            "matching."
        )
    return _Chain(series, report)


def align_match(series: TiltSeries, settings: AlignMatch, report: Report) -> TiltSeries:
    """One step: projection matching. Raises as :func:`align` does."""
    chain = _Chain(series, report)
    course = Course(
        finest_px=settings.finest_px, blur_px=settings.blur_px, rounds=settings.rounds,
        tolerance_px=settings.tolerance_px, rotation=settings.rotation, angles=settings.refine_angles,
    )  # fmt: skip
    chain.matching(course, report)
    return chain.result()
