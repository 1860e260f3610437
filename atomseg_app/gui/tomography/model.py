"""What is open in the tomography tab: tilt series and volumes, which one is shown, and where in it the user looks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from atomseg_app.alignment import Alignment
from atomseg_app.data import Image, ImageSeries, TiltSeries, Volume
from atomseg_app.gui.volumes.model import VolumeModel
from atomseg_app.io.patterns import is_pattern

Curve = npt.NDArray[np.float64]


R_BY_VIEW, TILTS = "R-factor of each view", "tilt of each view"
"""Curves of a volume that was compared with its views; others are over the iterations."""


@dataclass(frozen=True, eq=False)
class Entry:
    """One open series or volume. Never changed; replaced as a whole.

    ``name`` is how it is called where its file's name would not tell ("HAADF, mlem"); ``origin`` the id of the series
    that a volume was reconstructed from; ``curves`` what its computation reported: a residual over the iterations...
    """

    data: TiltSeries | Volume
    name: str = ""
    origin: int = -1
    curves: Mapping[str, Curve] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Name as shown."""
        source = self.data.source
        if is_pattern(source.path):  # several files: their folder says more than "*.dm3"
            return self.name or Path(source.path).parent.name or source.name
        plain = f"{source.name} · {source.dataset}" if source.path and source.dataset else source.name
        return self.name or plain


def as_series(data: ImageSeries) -> TiltSeries:
    """A series as a tilt series; where its views have no angles they are unknown, never guessed."""
    if isinstance(data, TiltSeries):
        return data
    angles = data.metadata.get("tilt_deg")
    count = len(data.values)
    known = isinstance(angles, list | tuple) and len(angles) == count
    tilt_deg = tuple(float(angle) for angle in angles) if known and angles else (float("nan"),) * count
    return TiltSeries(data.values, data.pixel_size_nm, data.source, data.metadata, data.history, tilt_deg=tilt_deg)


def angles_known(series: TiltSeries) -> bool:
    """Whether every view that is used has an angle."""
    return bool(np.isfinite(np.asarray(series.tilt_deg, float)[series.used]).all())


def alignment_of(series: TiltSeries) -> Alignment:
    """Its alignment, or that of views which lie where they are."""
    return series.alignment or Alignment.none(len(series.values))


class TomoModel(VolumeModel[Entry]):
    """Series and volumes that are open.

    ``changed`` speaks of the current entry's data (angles, alignment, calibration), ``place_changed`` of where the
    user looks: view, sinogram row, cross-hair.
    """

    def __init__(self) -> None:
        super().__init__()
        self.views: dict[int, int] = {}
        self.rows: dict[int, int] = {}

    # -- asking

    def series(self) -> TiltSeries | None:
        """The series that is shown, if one is."""
        entry = self.entry
        return entry.data if entry is not None and isinstance(entry.data, TiltSeries) else None

    def origin(self) -> int | None:
        """Id of the series that was reconstructed to the volume that is shown, while that series is open."""
        entry = self.entry
        if entry is None or isinstance(entry.data, TiltSeries):
            return None
        known = self.entries.get(entry.origin)
        return entry.origin if known is not None and isinstance(known.data, TiltSeries) else None

    def working_series(self) -> TiltSeries | None:
        """The series that is shown, or the one that the volume shown was reconstructed from."""
        origin = self.origin()
        found = self.entry if origin is None else self.entries[origin]
        return found.data if found is not None and isinstance(found.data, TiltSeries) else None

    @property
    def view(self) -> int:
        """Index of the view that is shown; at first the one that is tilted least."""
        series = self.series()
        if series is None:
            return 0
        return self.views.setdefault(self.current_id, least_tilted(series))

    @property
    def row(self) -> int:
        """Row along the tilt axis whose sinogram is shown; at first the middle one."""
        series = self.series()
        return 0 if series is None else self.rows.setdefault(self.current_id, rows_of(series) // 2)

    def image(self) -> Image | None:
        """The view that is shown."""
        series = self.series()
        return None if series is None or not len(series.values) else series.frame(self.view)

    # -- telling

    def clear(self) -> None:
        """Close everything."""
        self.views.clear()
        self.rows.clear()
        super().clear()

    def show_view(self, view: int) -> None:
        """Look at another view of the series that is shown."""
        series = self.series()
        if series is not None and 0 <= view < len(series.values) and view != self.view:
            self.views[self.current_id] = view
            self.place_changed.emit()

    def show_row(self, row: int) -> None:
        """Show the sinogram of another row along the tilt axis."""
        series = self.series()
        if series is not None and 0 <= row < rows_of(series) and row != self.row:
            self.rows[self.current_id] = row
            self.place_changed.emit()

    def _replaced(self, entry_id: int, old: Entry, new: Entry) -> None:
        if old.data.shape != new.data.shape:
            self._keep_places(entry_id, new)
        self.entries_changed.emit()
        if entry_id == self.current_id:
            if old.data.values is new.data.values:
                self.changed.emit()
            else:
                self.current_changed.emit()

    def _keep_places(self, entry_id: int, entry: Entry) -> None:
        """Cropped or binned: what pointed outside points to the middle again."""
        if isinstance(entry.data, TiltSeries):
            if self.views.get(entry_id, 0) >= len(entry.data.values):
                self.views.pop(entry_id, None)
            self.rows.pop(entry_id, None)
        self.places.pop(entry_id, None)


def rows_of(series: TiltSeries) -> int:
    """Number of rows along the tilt axis: one slice of the volume each."""
    return series.shape[1] if series.tilt_axis == "y" else series.shape[2]


def least_tilted(series: TiltSeries) -> int:
    """Index of the view with the smallest angle, of those that are used and known; the middle one otherwise."""
    angles = np.abs(np.asarray(series.tilt_deg, float))
    used = np.zeros(len(angles), bool)
    used[series.used] = True
    angles[~used] = np.nan
    return int(np.nanargmin(angles)) if np.isfinite(angles).any() else len(angles) // 2


def with_data(entry: Entry, data: TiltSeries | Volume) -> Entry:
    """An entry with other data."""
    return replace(entry, data=data)
