"""Undo steps that open, close and change the entries of a workspace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Generic, TypeVar

from atomseg_app.gui.entries import EntryModel, Titled
from atomseg_app.gui.undo import Command

E = TypeVar("E", bound=Titled)


class ChangeEntry(Command, Generic[E]):
    """Puts another state in an entry's place."""

    def __init__(self, model: EntryModel[E], entry_id: int, text: str, after: E, cost_bytes: int) -> None:
        self.text, self.cost_bytes = text, cost_bytes
        self._model, self._entry_id = model, entry_id
        self._before, self._after = model.entries[entry_id], after

    def do(self) -> None:
        """Show the new state."""
        self._model.replace(self._entry_id, self._after)

    def undo(self) -> None:
        """Show the old state."""
        self._model.replace(self._entry_id, self._before)

    def merge(self, following: Command) -> bool:
        """Take in a step that belongs to this one."""
        if not isinstance(following, ChangeEntry) or following._model is not self._model:
            return False
        if following._entry_id != self._entry_id or not self._takes(following):
            return False
        self._after = following._after
        return True

    def _takes(self, following: Any) -> bool:
        """Whether a step of the same entry belongs to this one."""
        return False


class OpenEntry(Command, Generic[E]):
    """Opens what was computed; undoing closes it."""

    def __init__(self, model: EntryModel[E], entry: E, text: str) -> None:
        self.text = text
        self._model, self._entry = model, entry
        self._entry_id = -1
        self._from = model.current_id
        self.cost_bytes = int(entry.data.values.nbytes)

    def do(self) -> None:
        """Show it, under the same id when redone."""
        if self._entry_id < 0:
            self._entry_id = self._model.add(self._entry)
        else:
            self._model.insert(self._entry_id, self._entry, len(self._model.entries))

    def undo(self) -> None:
        """Close it, in the state it has now, and show what was shown before."""
        self._entry = self._model.entries[self._entry_id]
        self._model.remove(self._entry_id)
        if self._from in self._model.entries:
            self._model.show_entry(self._from)


class OpenEntries(Command, Generic[E]):
    """Opens what was computed together, the first in front; undoing closes all of it."""

    def __init__(self, model: EntryModel[E], entries: Sequence[E], text: str) -> None:
        self.text = text
        self._model, self._entries = model, list(entries)
        self._ids: list[int] = []
        self._from = model.current_id
        self.cost_bytes = sum(int(entry.data.values.nbytes) for entry in entries)

    def do(self) -> None:
        """Show the first, under the same ids when redone."""
        if not self._ids:
            self._ids = [self._model.add(entry, show=False) for entry in self._entries]
        else:
            for entry_id, entry in zip(self._ids, self._entries, strict=True):
                self._model.insert(entry_id, entry, len(self._model.entries))
        self._model.show_entry(self._ids[0])

    def undo(self) -> None:
        """Close them, in the state they have now, and show what was shown before."""
        open_ids = [entry_id for entry_id in self._ids if entry_id in self._model.entries]
        self._entries = [self._model.entries[entry_id] for entry_id in open_ids]
        self._ids = open_ids
        for entry_id in reversed(open_ids):
            self._model.remove(entry_id)
        if self._from in self._model.entries:
            self._model.show_entry(self._from)


class CloseEntry(Command, Generic[E]):
    """Closes an entry; undoing opens it again."""

    def __init__(self, model: EntryModel[E], entry_id: int, text: str = "", cost_bytes: int | None = None) -> None:
        self._model, self._entry_id = model, entry_id
        self._entry = model.entries[entry_id]
        self._place = list(model.entries).index(entry_id)
        self.text = text or f"Close {self._entry.title}"
        self.cost_bytes = int(self._entry.data.values.nbytes) if cost_bytes is None else cost_bytes

    def do(self) -> None:
        """Close it, in the state it has now."""
        self._entry = self._model.entries[self._entry_id]
        self._model.remove(self._entry_id)

    def undo(self) -> None:
        """Open it again."""
        self._model.insert(self._entry_id, self._entry, self._place)
