"""Entries of which some are volumes, and where in each the user looks: what slices and the 3D view show."""

from __future__ import annotations

from typing import TypeVar

from PySide6.QtCore import Signal

from atomseg_app.data import Volume
from atomseg_app.gui.entries import EntryModel, Titled

Zyx = tuple[int, int, int]
SHOWN_AS = "shown_as"
"""Metadata of a volume that one workspace gives another: the name that it has in the window."""
E = TypeVar("E", bound=Titled)


class VolumeModel(EntryModel[E]):
    """``changed`` speaks of the current entry's data (calibration...), ``place_changed`` of the cross-hair."""

    changed = Signal()
    place_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.places: dict[int, Zyx] = {}

    def volume(self) -> Volume | None:
        """The volume that is shown, if one is."""
        entry = self.entry
        return entry.data if entry is not None and isinstance(entry.data, Volume) else None

    def volumes(self) -> dict[int, E]:
        """Entries that are volumes."""
        return {i: entry for i, entry in self.entries.items() if isinstance(entry.data, Volume)}

    @property
    def place(self) -> Zyx:
        """Where the cross-hair is in the volume (z, y, x); at first in the middle."""
        volume = self.volume()
        if volume is None:
            return 0, 0, 0
        z, y, x = (size // 2 for size in volume.shape)
        return self.places.setdefault(self.current_id, (z, y, x))

    def show_place(self, place: tuple[float, float, float]) -> None:
        """Put the cross-hair at the voxel nearest to (z, y, x) of the volume that is shown."""
        volume = self.volume()
        if volume is None:
            return
        z, y, x = (min(max(round(p), 0), size - 1) for p, size in zip(place, volume.shape, strict=True))
        if (z, y, x) != self.place:
            self.places[self.current_id] = (z, y, x)
            self.place_changed.emit()

    def clear(self) -> None:
        """Close everything."""
        self.places.clear()
        super().clear()
