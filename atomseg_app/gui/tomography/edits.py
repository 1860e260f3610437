"""Changes of a series (angles, axis, excluded views, shifts) as new data, and the undo steps that put them in place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from atomseg_app.alignment import Alignment
from atomseg_app.data import TiltSeries
from atomseg_app.errors import UserError
from atomseg_app.gui import entry_edits
from atomseg_app.gui.tomography.model import Entry, TomoModel, alignment_of
from atomseg_app.gui.undo import Command

_STEP_BYTES = 4096


class ChangeEntry(entry_edits.ChangeEntry[Entry]):
    """Puts another state in an entry's place. Steps with the same ``drag`` are one: a drag, or keys held down."""

    def __init__(self, model: TomoModel, entry_id: int, text: str, after: Entry, drag: object = None) -> None:
        before = model.entries[entry_id].data.values
        cost_bytes = _STEP_BYTES if after.data.values is before else before.nbytes
        super().__init__(model, entry_id, text, after, cost_bytes)
        self._drag = drag

    def _takes(self, following: Any) -> bool:
        """The next move of the same drag."""
        return self._drag is not None and following._drag == self._drag


class CompareViews(Command):
    """Keeps the curves of a volume that was compared with its views, and opens what is left of these beside it."""

    text = "Compare with the views"

    def __init__(self, model: TomoModel, entry_id: int, after: Entry, residual: Entry) -> None:
        self._model, self._entry_id = model, entry_id
        self._before, self._after, self._residual = model.entries[entry_id], after, residual
        self._residual_id = -1
        self.cost_bytes = residual.data.values.nbytes

    def do(self) -> None:
        """Open it; the volume stays in front."""
        if self._residual_id < 0:
            self._residual_id = self._model.add(self._residual, show=False)
        else:
            self._model.insert(self._residual_id, self._residual, len(self._model.entries))
            self._model.show_entry(self._entry_id)
        self._model.replace(self._entry_id, self._after)

    def undo(self) -> None:
        """Close it, in the state it has now."""
        self._residual = self._model.entries[self._residual_id]
        self._model.remove(self._residual_id)
        self._model.replace(self._entry_id, self._before)


def with_angles(series: TiltSeries, angles: Mapping[int, float]) -> TiltSeries:
    """A series with other angles (degrees) at some views. Raises UserError for what cannot be an angle."""
    tilt_deg = list(series.tilt_deg)
    for view, angle in angles.items():
        if not np.isfinite(angle) or abs(angle) > 360:
            raise UserError(f"View {view + 1}: {angle:g} is no angle; give degrees between -360 and 360.")
        tilt_deg[view] = float(angle)
    return replace(series, tilt_deg=tuple(tilt_deg), euler_deg=None)


def with_all_angles(series: TiltSeries, angles: Sequence[float]) -> TiltSeries:
    """A series with other angles at all views. Raises UserError telling both counts where they differ."""
    if len(angles) != len(series.values):
        raise UserError(f"The series has {len(series.values)} images, but {len(angles)} angles were given.")
    return with_angles(series, dict(enumerate(angles)))


def with_used(series: TiltSeries, views: Iterable[int], *, used: bool) -> TiltSeries:
    """A series with some views excluded, or used again. Raises UserError where none would be left."""
    excluded = set(series.excluded) - set(views) if used else set(series.excluded) | set(views)
    if len(excluded) >= len(series.values):
        raise UserError("All views would be excluded; keep at least one.")
    return replace(series, excluded=tuple(sorted(excluded)))


def with_axis(series: TiltSeries, axis: Literal["x", "y"]) -> TiltSeries:
    """A series whose tilt axis has the other direction in the images; an alignment of the old one is gone."""
    return series if axis == series.tilt_axis else replace(series, tilt_axis=axis, alignment=None)


def shifted(series: TiltSeries, view: int, across_px: float, along_px: float) -> TiltSeries:
    """A series with one view moved on the detector, px across and along the tilt axis."""
    now = alignment_of(series)
    shift_x, shift_y = list(now.shift_x_px), list(now.shift_y_px)
    shift_x[view] += across_px
    shift_y[view] += along_px
    return replace(series, alignment=replace(now, shift_x_px=tuple(shift_x), shift_y_px=tuple(shift_y)))


def with_alignment(series: TiltSeries, alignment: Alignment | None) -> TiltSeries:
    """A series that lies elsewhere on the detector."""
    return replace(series, alignment=alignment)


def with_shift(series: TiltSeries, view: int, name: str, value: float) -> TiltSeries:
    """A series with one number of one view's alignment changed: ``shift_x_px``, ``shift_y_px``, ``rotation_deg``."""
    if not np.isfinite(value):
        raise UserError(f"View {view + 1}: give a finite number.")
    now = alignment_of(series)
    numbers: dict[str, tuple[float, ...]] = {
        known: getattr(now, known) for known in ("shift_x_px", "shift_y_px", "rotation_deg")
    }
    numbers[name] = (*numbers[name][:view], float(value), *numbers[name][view + 1 :])
    alignment = Alignment(**numbers, axis_offset_px=now.axis_offset_px, axis_rotation_deg=now.axis_rotation_deg)
    return replace(series, alignment=alignment)
