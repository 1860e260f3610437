"""What is open in the 2D atoms tab: images with their columns, which one is shown, and what is selected."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import Signal

from atomseg_app.data import Columns, Image, ImageSeries, TiltSeries, Volume, column_table
from atomseg_app.gui.entries import EntryModel

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


class AtomsModel(EntryModel[Entry]):
    """Images that are open, the frame of each that is shown, and what is selected.

    ``columns_changed`` and ``calibration_changed`` speak of the current entry.
    """

    frame_changed = Signal()
    columns_changed = Signal()
    calibration_changed = Signal()
    selection_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.frames: dict[int, int] = {}
        self.selection: Ids = np.empty(0, np.int64)
        self.region_px: tuple[int, int, int, int] | None = None
        self._shown: tuple[Entry, int, Columns] | None = None

    # -- asking

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

    def _forget(self, entry_id: int) -> None:
        self.frames.pop(entry_id, None)

    def _replaced(self, entry_id: int, old: Entry, new: Entry) -> None:
        if entry_id != self.current_id:
            self.entries_changed.emit()
            return
        if old.data is not new.data:
            self.calibration_changed.emit()
        self.columns_changed.emit()
        self.select(self.selection)
