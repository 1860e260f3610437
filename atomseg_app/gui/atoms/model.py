"""What is open in the 2D atoms tab: images with their columns, which one is shown, and what is selected."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QObject, Signal

from atomseg_app.data import Columns, Image, ImageSeries, TiltSeries, Volume, column_table

Picture = Image | ImageSeries | TiltSeries | Volume
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Entry:
    """One open image or series and the columns of all its frames. Never changed; replaced as a whole."""

    data: Picture
    columns: Columns

    @property
    def frames(self) -> int:
        """Number of frames; 1 for an image."""
        return 1 if isinstance(self.data, Image) else len(self.data.values)

    def image(self, frame: int) -> Image:
        """One frame as an image."""
        if isinstance(self.data, Image):
            return self.data
        return self.data.slice_z(frame) if isinstance(self.data, Volume) else self.data.frame(frame)

    def of_frame(self, frame: int) -> Columns:
        """The columns of one frame."""
        return replace(self.columns, table=self.columns.table[self.columns.table["frame"] == frame])

    @property
    def title(self) -> str:
        """Name as shown: that of the file, with the dataset if it has a name of its own."""
        source = self.data.source
        return f"{source.name} · {source.dataset}" if source.path and source.dataset else source.name


def new_entry(data: Picture) -> Entry:
    """An item without columns yet."""
    shape = (data.shape[-2], data.shape[-1])
    columns = Columns(
        column_table(0), shape, data.pixel_size_nm[-2:], data.source, dict(data.metadata), data.history
    )  # fmt: skip
    return Entry(data, columns)


class AtomsModel(QObject):
    """Entries by id, in the order of opening. Signals tell what to draw again; nothing here draws.

    ``columns_changed`` and ``calibration_changed`` speak of the current entry.
    """

    entries_changed = Signal()
    current_changed = Signal()
    frame_changed = Signal()
    columns_changed = Signal()
    calibration_changed = Signal()
    selection_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[int, Entry] = {}
        self.current_id = -1
        self.frames: dict[int, int] = {}
        self.selection: Ids = np.empty(0, np.int64)
        self.region_px: tuple[int, int, int, int] | None = None
        self._next_id = 1
        self._shown: tuple[Entry, int, Columns] | None = None

    # -- asking

    @property
    def entry(self) -> Entry | None:
        """The entry that is shown."""
        return self.entries.get(self.current_id)

    @property
    def frame(self) -> int:
        """The frame that is shown."""
        return self.frames.get(self.current_id, 0)

    def image(self) -> Image | None:
        """The image that is shown."""
        return None if self.entry is None else self.entry.image(self.frame)

    def columns(self) -> Columns | None:
        """The columns of the image that is shown."""
        entry, frame = self.entry, self.frame
        if entry is None:
            return None
        if self._shown is None or self._shown[0] is not entry or self._shown[1] != frame:
            self._shown = (entry, frame, entry.of_frame(frame))
        return self._shown[2]

    def selected_rows(self) -> npt.NDArray[np.intp]:
        """Rows of :meth:`columns` that are selected, ascending."""
        columns = self.columns()
        if columns is None or not len(self.selection):
            return np.empty(0, np.intp)
        return np.flatnonzero(np.isin(columns.table["column_id"], self.selection))

    def entry_for(self, columns: Columns) -> int | None:
        """Id of the entry that a table belongs to: of the same file, else the one shown if its image has that shape."""
        fitting = [i for i, entry in self.entries.items() if entry.columns.image_shape == columns.image_shape]
        same = [i for i in fitting if self.entries[i].data.source == columns.source]
        return next(iter(same), self.current_id if self.current_id in fitting else None)

    # -- telling

    def add(self, entry: Entry) -> int:
        """Open an entry and show it; returns its id."""
        entry_id = self._next_id
        self._next_id += 1
        self.entries[entry_id] = entry
        self.entries_changed.emit()
        self.show_entry(entry_id)
        return entry_id

    def insert(self, entry_id: int, entry: Entry, place: int) -> None:
        """Open an entry again that was closed, where it was in the list, and show it."""
        ids = list(self.entries)
        ids.insert(place, entry_id)
        self.entries = {i: entry if i == entry_id else self.entries[i] for i in ids}
        self.entries_changed.emit()
        self.show_entry(entry_id)

    def remove(self, entry_id: int) -> None:
        """Close an entry; its neighbour in the list is shown."""
        ids = list(self.entries)
        place = ids.index(entry_id)
        del self.entries[entry_id]
        self.frames.pop(entry_id, None)
        self.entries_changed.emit()
        if entry_id == self.current_id:
            rest = list(self.entries)
            self.show_entry(rest[min(place, len(rest) - 1)] if rest else -1)

    def clear(self) -> None:
        """Close everything."""
        self.entries.clear()
        self.frames.clear()
        self.entries_changed.emit()
        self.show_entry(-1)

    def show_entry(self, entry_id: int, frame: int | None = None) -> None:
        """Show another entry, or none (-1)."""
        if frame is not None:
            self.frames[entry_id] = frame
        self.current_id = entry_id
        self.region_px = None
        self.selection = np.empty(0, np.int64)
        self.current_changed.emit()
        self.selection_changed.emit()

    def show_frame(self, frame: int) -> None:
        """Show another frame of the current entry."""
        if self.entry is not None and 0 <= frame < self.entry.frames and frame != self.frame:
            self.frames[self.current_id] = frame
            self.selection = np.empty(0, np.int64)
            self.frame_changed.emit()
            self.selection_changed.emit()

    def replace(self, entry_id: int, entry: Entry) -> None:
        """Put another state in an entry's place; an entry that was closed meanwhile stays closed."""
        old = self.entries.get(entry_id)
        if old is None:
            return
        self.entries[entry_id] = entry
        if entry_id != self.current_id:
            self.entries_changed.emit()
            return
        if old.data is not entry.data:
            self.calibration_changed.emit()
        self.columns_changed.emit()
        self.select(self.selection)

    def select(self, ids: Iterable[int] | Ids) -> None:
        """Select columns of the current frame by id; ids that are not there are left out."""
        columns = self.columns()
        known = np.empty(0, np.int64) if columns is None else columns.table["column_id"]
        new = np.intersect1d(np.fromiter(ids, np.int64) if not isinstance(ids, np.ndarray) else ids, known)
        if not np.array_equal(new, self.selection):
            self.selection = new
            self.selection_changed.emit()

    def set_region(self, region_px: tuple[int, int, int, int] | None) -> None:
        """Search a part of the image only; drawn, but no undo step."""
        self.region_px = region_px
        self.selection_changed.emit()
