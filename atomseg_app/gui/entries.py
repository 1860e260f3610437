"""What is open in a workspace: entries by id, in the order of opening, and which one is shown."""

from __future__ import annotations

from typing import Any, Generic, Protocol, TypeVar

from PySide6.QtCore import QObject, Signal


class Titled(Protocol):
    """What every entry has: its data, and its name as shown."""

    @property
    def data(self) -> Any:
        """The data object that is open."""

    @property
    def title(self) -> str:
        """Name as shown."""


E = TypeVar("E", bound=Titled)


class EntryModel(QObject, Generic[E]):
    """Entries that are never changed, only replaced as a whole. Signals tell what to draw again; nothing here draws."""

    entries_changed = Signal()
    current_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.entries: dict[int, E] = {}
        self.current_id = -1
        self._next_id = 1

    @property
    def entry(self) -> E | None:
        """The entry that is shown."""
        return self.entries.get(self.current_id)

    def add(self, entry: E, *, show: bool = True) -> int:
        """Open an entry and show it; returns its id."""
        entry_id = self._next_id
        self._next_id += 1
        self.entries[entry_id] = entry
        self.entries_changed.emit()
        if show:
            self.show_entry(entry_id)
        return entry_id

    def insert(self, entry_id: int, entry: E, place: int) -> None:
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
        self._forget(entry_id)
        self.entries_changed.emit()
        if entry_id == self.current_id:
            rest = list(self.entries)
            self.show_entry(rest[min(place, len(rest) - 1)] if rest else -1)

    def clear(self) -> None:
        """Close everything."""
        gone = list(self.entries)
        self.entries.clear()
        for entry_id in gone:
            self._forget(entry_id)
        self.entries_changed.emit()
        self.show_entry(-1)

    def show_entry(self, entry_id: int) -> None:
        """Show another entry, or none (-1)."""
        self.current_id = entry_id
        self.current_changed.emit()

    def replace(self, entry_id: int, entry: E) -> None:
        """Put another state in an entry's place; an entry that was closed meanwhile stays closed."""
        old = self.entries.get(entry_id)
        if old is not None:
            self.entries[entry_id] = entry
            self._replaced(entry_id, old, entry)

    def _forget(self, entry_id: int) -> None:
        """An entry was closed: what is known of it beside its state may go."""

    def _replaced(self, entry_id: int, old: E, new: E) -> None:
        """Tell of another state of an entry."""
        self.entries_changed.emit()
