"""A workspace without pictures: what the window's own tests put into it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from PySide6.QtWidgets import QLabel, QPushButton, QVBoxLayout

from atomseg_app.data import Data
from atomseg_app.gui.actions import Action
from atomseg_app.gui.context import Context
from atomseg_app.gui.tab import Tab, TourStep
from atomseg_app.gui.undo import Command


class Calibrate(Command):
    """Gives every item another pixel size; steps of 1 nm merge as those of a drag do."""

    text = "Calibrate"
    cost_bytes = 100

    def __init__(self, tab: PlainTab, pixel_size_nm: float, merges: bool = False) -> None:
        self.tab, self.pixel_size_nm, self.merges, self.before = tab, pixel_size_nm, merges, list(tab.items)

    def do(self) -> None:
        self.tab.items = [item.with_pixel_size(self.pixel_size_nm) for item in self.tab.items]

    def undo(self) -> None:
        self.tab.items = list(self.before)

    def merge(self, following: Command) -> bool:
        if not (self.merges and isinstance(following, Calibrate) and following.merges):
            return False
        self.pixel_size_nm = following.pixel_size_nm
        return True


class PlainTab(Tab):
    """Keeps images in a list."""

    name = "plain"
    title = "Plain"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.items: list[Any] = []
        self.note = ""
        self.label = QLabel("Items")
        self.button = QPushButton("Calibrate")
        layout = QVBoxLayout(self)
        layout.addWidget(self.label)
        layout.addWidget(self.button)

    def register_actions(self) -> None:
        self.context.actions.add(
            Action("plain.calibrate", "Calibrate", self.calibrate, "Set the pixel size of all items.", "Image", "C",
                   "mdi6.ruler", lambda: "" if self.items else "Open an image first.")
        )  # fmt: skip

    def calibrate(self, pixel_size_nm: float = 0.25, merges: bool = False) -> None:
        """Push one step."""
        self.context.undo.push(Calibrate(self, pixel_size_nm, merges))

    def accepts(self, item: Data) -> bool:
        return item.kind == "image"

    def add_item(self, item: Data) -> None:
        self.items.append(item)

    def is_empty(self) -> bool:
        return not self.items

    def clear(self) -> None:
        self.items, self.note = [], ""

    def save_state(self) -> tuple[dict[str, Any], list[Data]]:
        return {"note": self.note}, [replace(item) for item in self.items]

    def restore_state(self, state: dict[str, Any], items: list[Data]) -> None:
        self.note, self.items = state.get("note", ""), list(items)

    def tour(self) -> list[TourStep]:
        return [TourStep(self.label, "Items", "What is open."), TourStep(self.button, "Calibrate", "Set the scale.")]
