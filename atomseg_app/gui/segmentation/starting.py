"""Labels to paint on: none yet, those of a result, or none again. Large ones are made off the window's thread."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from atomseg_app.gui.alive import while_alive
from atomseg_app.gui.background import Background
from atomseg_app.gui.questions import ask
from atomseg_app.gui.segmentation import edits
from atomseg_app.gui.segmentation.label_store import LabelStore
from atomseg_app.gui.segmentation.model import FIRST_CLASSES
from atomseg_app.io import live_arrays

if TYPE_CHECKING:
    from atomseg_app.gui.segmentation.tab import SegmentationTab


class Starting:
    """What one tab begins to paint from."""

    def __init__(self, tab: SegmentationTab) -> None:
        self._tab = tab
        self._background = Background()

    def prepare(self) -> None:
        """Make room for the labels of a large volume as soon as a tool that paints is in the hand."""
        tab, entry, entry_id = self._tab, self._tab.model.entry, self._tab.model.current_id
        if tab.tool_name == "look" or entry is None or entry.store is not None or entry_id in tab.model.preparing:
            return
        shape = entry.data.shape
        if entry.data.values.size < live_arrays.LIVE_BYTES:
            return

        def failed(problem: Exception) -> None:
            tab.model.preparing.discard(entry_id)
            tab.context.notify.error("The volume cannot be painted", problem)

        def take(store: LabelStore) -> None:
            tab.model.take_store(entry_id, store)

        tab.model.preparing.add(entry_id)
        self._background.run(lambda: LabelStore.empty(shape), while_alive(tab, take), while_alive(tab, failed))

    def clear(self) -> None:
        """Forget everything that was painted on the volume that is shown."""
        entry = self._tab.model.entry
        if entry is not None and entry.store is not None:
            shape = entry.data.shape
            take = self._taker(self._tab.model.current_id, "Clear labels")
            if entry.store.values.size < live_arrays.LIVE_BYTES:
                take(LabelStore.empty(shape))
            else:
                self._background.run(lambda: LabelStore.empty(shape), while_alive(self._tab, take))

    def use_result(self) -> None:
        """Paint on from what the result says; its voxels are copied and counted off the window's thread."""
        tab, result, entry_id = self._tab, self._tab.model.result(), self._tab.model.current_id
        if result is None:
            return
        values, name = result.labels.values, result.name
        change = self._taker(entry_id, f"Paint on from {name}")

        def take(store: LabelStore) -> None:
            change(store)
            if entry_id == tab.model.current_id:
                tab.model.show(painted=True, result=-1)

        def counted(store: LabelStore) -> None:
            if not store.mostly_zero():
                take(store)
                return
            zero = FIRST_CLASSES[0].name if tab.model.entry is None else tab.model.entry.class_name(0)
            answer = ask(
                tab, tab.context.theme, "What do zeros stand for?",
                f"More than 90 % of {name} are zeros, and nothing in it is marked as not labelled. "
                f"They can be {zero}, or voxels that nobody labelled.",
                zero.capitalize(), "Not labelled", "Cancel",
            )  # fmt: skip
            if answer == "Not labelled":
                self._background.run(lambda: LabelStore.copy_of(values, zero_is_empty=True), while_alive(tab, take))
            elif answer != "Cancel":
                take(store)

        self._background.run(lambda: LabelStore.copy_of(values), while_alive(tab, counted))

    def _taker(self, entry_id: int, text: str) -> Callable[[LabelStore], None]:
        """Gives an entry other labels as one undo step."""
        tab = self._tab

        def take(store: LabelStore) -> None:
            entry = tab.model.entries.get(entry_id)
            if entry is not None:
                after = replace(entry, store=store)
                held = store if entry.store is None else entry.store  # one of both is kept for undo or redo
                tab.context.undo.push(edits.ChangeEntry(tab.model, entry_id, text, after, held.cost_bytes))

        return take
