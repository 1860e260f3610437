"""What is open in the segmentation tab: volumes, the labels painted on each, and the segmentations made of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from PySide6.QtCore import Signal

from atomseg_app.data import Labels, Volume
from atomseg_app.gui.segmentation.label_store import Box, LabelStore
from atomseg_app.gui.volumes.model import VolumeModel
from atomseg_app.label_classes import IGNORE, LabelClass

FIRST_CLASSES = (LabelClass(0, "pores"), LabelClass(1, "support"), LabelClass(2, "metal"))
"""Classes of a volume that nobody has painted yet: those of a catalyst."""


@dataclass(frozen=True, eq=False)
class Result:
    """A whole segmented volume: predicted, or opened to be compared with. ``uncertainty`` (0..1) says where it may be
    wrong; ``probabilities`` are those of the classes, by value.
    """

    labels: Labels
    name: str
    uncertainty: Volume | None = None
    probabilities: Mapping[int, Volume] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Entry:
    """One open volume. Replaced as a whole, but for the voxels of ``store``, which are painted in place."""

    data: Volume
    name: str = ""
    classes: tuple[LabelClass, ...] = FIRST_CLASSES
    store: LabelStore | None = None
    results: tuple[Result, ...] = ()
    locked: frozenset[int] = frozenset()
    hidden: frozenset[int] = frozenset()

    @property
    def title(self) -> str:
        """Name as shown."""
        source = self.data.source
        return self.name or (f"{source.name} · {source.dataset}" if source.path and source.dataset else source.name)

    @property
    def painted(self) -> bool:
        """Whether any voxel was given a class."""
        return self.store is not None and bool(self.store.counts[:IGNORE].any())

    def class_named(self, value: int) -> LabelClass | None:
        """The class of a value."""
        return next((each for each in self.classes if each.value == value), None)

    def class_name(self, value: int) -> str:
        """Name of the class of a value, as shown under the cursor."""
        found = self.class_named(value)
        return found.name if found is not None else "ignored" if value == IGNORE else f"class {value}"

    def annotation(self) -> Labels | None:
        """What was painted as data, sharing its voxels; None where nothing was."""
        if self.store is None:
            return None
        return Labels(self.store.values, self.data.pixel_size_nm, self.data.source, classes=self.classes)


@dataclass(frozen=True)
class Shown:
    """What of an entry is drawn over its volume. ``result`` and ``reference`` count from 0, ``probability`` is the
    value of a class; -1 is none.
    """

    painted: bool = True
    result: int = -1
    opacity: float = 0.5
    uncertainty: bool = False
    errors: bool = False
    reference: int = -1
    probability: int = -1


class SegModel(VolumeModel[Entry]):
    """Volumes with labels. ``painted(box)`` tells which voxels changed (None: all), ``layers_changed`` of other
    classes, locks, results, or what is shown; ``chosen_changed`` of another class to paint with.
    """

    painted = Signal(object)
    layers_changed = Signal()
    chosen_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.chosen = FIRST_CLASSES[-1].value
        self._shown: dict[int, Shown] = {}
        self._first: dict[int, LabelStore] = {}  # painted on from when nothing was; undo may bring that back
        self.preparing: set[int] = set()

    @property
    def shown(self) -> Shown:
        """What is drawn over the volume that is shown."""
        return self._shown.get(self.current_id, Shown())

    def show(self, **changes: Any) -> None:
        """Draw something else over the volume that is shown."""
        self._shown[self.current_id] = replace(self.shown, **changes)
        self.layers_changed.emit()

    def result(self) -> Result | None:
        """The result that is drawn over the volume."""
        entry, index = self.entry, self.shown.result
        return None if entry is None or not 0 <= index < len(entry.results) else entry.results[index]

    def reference(self) -> Labels | None:
        """What the result is compared with: another result, or what was painted."""
        entry, index = self.entry, self.shown.reference
        if entry is None:
            return None
        return entry.results[index].labels if 0 <= index < len(entry.results) else entry.annotation()

    def reference_name(self) -> str:
        """Name of what the result is compared with."""
        entry, index = self.entry, self.shown.reference
        known = entry is not None and 0 <= index < len(entry.results)
        return entry.results[index].name if entry is not None and known else "painted labels"

    def choose(self, value: int) -> None:
        """Paint with another class."""
        if self.entry is not None and self.entry.class_named(value) is not None and value != self.chosen:
            self.chosen = value
            self.chosen_changed.emit()

    def store(self) -> LabelStore | None:
        """The labels of the volume that is shown, made empty if nobody has painted yet; None without a volume."""
        entry = self.entry
        if entry is None:
            return None
        if entry.store is None:
            self.take_store(self.current_id, LabelStore.empty(entry.data.shape))
            entry = self.entries[self.current_id]
        return entry.store

    def take_store(self, entry_id: int, empty: LabelStore) -> None:
        """Empty labels for an entry that nobody has painted yet; nothing changes for the user."""
        entry = self.entries.get(entry_id)
        self.preparing.discard(entry_id)
        if entry is not None and entry.store is None:
            self._first[entry_id] = empty
            self.entries[entry_id] = entry = replace(entry, store=empty)
            self._keep_locks(entry)

    def replace(self, entry_id: int, entry: Entry) -> None:
        """Put another state in an entry's place; one from before anybody painted gets the labels that are there now."""
        if entry.store is None and entry_id in self._first:
            entry = replace(entry, store=self._first[entry_id])
        super().replace(entry_id, entry)

    def tell_painted(self, entry_id: int, box: Box | None) -> None:
        """Voxels of an entry were painted."""
        if entry_id == self.current_id:
            self.painted.emit(box)

    def show_entry(self, entry_id: int) -> None:
        """Show another entry, or none (-1)."""
        entry = self.entries.get(entry_id)
        if entry is not None and entry.class_named(self.chosen) is None and entry.classes:
            self.chosen = entry.classes[-1].value
        super().show_entry(entry_id)

    def clear(self) -> None:
        """Close everything."""
        self._shown.clear()
        self._first.clear()
        self.preparing.clear()
        super().clear()

    def all_shown(self) -> dict[int, Shown]:
        """What is drawn over each entry, by id."""
        return {entry_id: self._shown.get(entry_id, Shown()) for entry_id in self.entries}

    def restore_shown(self, entry_id: int, shown: Shown) -> None:
        """Draw over an entry what was drawn when it was saved."""
        self._shown[entry_id] = shown

    def _replaced(self, entry_id: int, old: Entry, new: Entry) -> None:
        self._keep_locks(new)
        self.entries_changed.emit()
        if entry_id != self.current_id:
            return
        if self.entry is not None and self.entry.class_named(self.chosen) is None and new.classes:
            self.chosen = new.classes[-1].value
            self.chosen_changed.emit()
        if old.data is not new.data:
            self.changed.emit()
        if old.store is not new.store:
            self.painted.emit(None)
        self.layers_changed.emit()

    @staticmethod
    def _keep_locks(entry: Entry) -> None:
        if entry.store is not None:
            entry.store.locked = entry.locked
