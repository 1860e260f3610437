"""Undo steps of the segmentation tab: strokes, classes, results. Strokes keep only the voxels that they changed."""

from __future__ import annotations

from dataclasses import replace

from atomseg_app.errors import UserError
from atomseg_app.gui import entry_edits
from atomseg_app.gui.segmentation.label_store import Box, LabelStore, Patch
from atomseg_app.gui.segmentation.model import Entry, Result, SegModel
from atomseg_app.gui.undo import Command
from atomseg_app.label_classes import IGNORE, LabelClass, checked

_STEP_BYTES = 4096


class Paint(Command):
    """A stroke that was painted already; undoing takes it back."""

    def __init__(self, model: SegModel, entry_id: int, store: LabelStore, patch: Patch, text: str) -> None:
        self.text, self.cost_bytes = text, patch.cost_bytes
        self._model, self._entry_id, self._store, self._patch = model, entry_id, store, patch
        self._there = True

    def do(self) -> None:
        """Paint it, unless it is there."""
        if not self._there:
            self._turn()

    def undo(self) -> None:
        """Take it back."""
        if self._there:
            self._turn()

    def _turn(self) -> None:
        self._store.apply(self._patch)
        self._there = not self._there
        self._model.tell_painted(self._entry_id, self._patch.box)


class ChangeEntry(entry_edits.ChangeEntry[Entry]):
    """Puts another state (classes, locks, results) in an entry's place."""

    def __init__(self, model: SegModel, entry_id: int, text: str, after: Entry, cost_bytes: int = _STEP_BYTES) -> None:
        super().__init__(model, entry_id, text, after, cost_bytes)


class RemoveClass(Command):
    """Removes a class; its voxels become those of another one, or nobody's (``IGNORE``)."""

    def __init__(self, model: SegModel, entry_id: int, value: int, becomes: int) -> None:
        self._model, self._entry_id = model, entry_id
        self._before = model.entries[entry_id]
        classes = tuple(each for each in self._before.classes if each.value != value)
        self._after = replace(
            self._before, classes=classes, locked=self._before.locked - {value}, hidden=self._before.hidden - {value}
        )
        self._value, self._becomes = value, becomes
        self._patch: Patch | None = None
        self.text = f"Remove class {self._before.class_name(value)}"
        self.cost_bytes = _STEP_BYTES

    def do(self) -> None:
        """Remove it."""
        store = self._before.store
        if store is not None:
            if self._patch is None:
                self._patch = recoloured(store, self._value, self._becomes)
                self.cost_bytes += 0 if self._patch is None else self._patch.cost_bytes
            else:
                store.apply(self._patch)
        self._model.replace(self._entry_id, self._after)
        self._model.tell_painted(self._entry_id, None)

    def undo(self) -> None:
        """Bring it back with its voxels."""
        if self._before.store is not None and self._patch is not None:
            self._before.store.apply(self._patch)
        self._model.replace(self._entry_id, self._before)
        self._model.tell_painted(self._entry_id, None)


def recoloured(store: LabelStore, value: int, becomes: int) -> Patch | None:
    """Turn every voxel of a value into another, slice by slice; locks do not hold here."""
    locked, store.locked = store.locked, frozenset()
    only_empty, store.only_empty = store.only_empty, False
    store.begin()
    for z in range(store.shape[0]):
        mask = store.values[z : z + 1] == value
        if mask.any():
            store.paint(Box((z, 0, 0), (z + 1, *store.shape[1:])), mask, becomes)
    patch = store.end()
    store.locked, store.only_empty = locked, only_empty
    return patch


def with_class(entry: Entry, name: str) -> tuple[Entry, int]:
    """An entry with one more class, of the smallest value that is free, and this value."""
    taken = {each.value for each in entry.classes}
    value = next((free for free in range(IGNORE) if free not in taken), None)
    if value is None:
        raise UserError(f"There are {len(taken)} classes already; labels have room for no more.")
    return replace(entry, classes=checked((*entry.classes, LabelClass(value, name)))), value


def renamed(entry: Entry, value: int, name: str = "", colour: str = "") -> Entry:
    """An entry with another name or colour of a class. Raises UserError for a name that is taken or no colour."""
    classes = tuple(
        LabelClass(each.value, name or each.name, colour or each.colour) if each.value == value else each
        for each in entry.classes
    )
    return replace(entry, classes=checked(classes))


def with_result(entry: Entry, result: Result) -> Entry:
    """An entry with one more result; of one name there is one, so a number is added."""
    known, name, count = {each.name for each in entry.results}, result.name, 2
    while name in known:
        name, count = f"{result.name} ({count})", count + 1
    return replace(entry, results=(*entry.results, replace(result, name=name)))


def without_result(entry: Entry, index: int) -> Entry:
    """An entry with one result less."""
    return replace(entry, results=(*entry.results[:index], *entry.results[index + 1 :]))


def cost_of(result: Result) -> int:
    """Memory that a result holds."""
    beside = [result.uncertainty] if result.uncertainty is not None else []
    return int(sum(each.values.nbytes for each in (result.labels, *beside, *result.probabilities.values())))
