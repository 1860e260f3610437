"""A workspace of the window: one tab with its data, view and forms."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QShowEvent
from PySide6.QtWidgets import QHBoxLayout, QSplitter, QWidget

from atomseg_app.data import Data
from atomseg_app.gui.context import Context


@dataclass(frozen=True)
class TourStep:
    """One stop of the guided tour: the widget it points at and what there is to know, in a sentence or two."""

    widget: QWidget
    title: str
    text: str


class Tab(QWidget):
    """Base of every workspace. ``changed`` says that the project differs from what was saved, beyond the undo stack.

    A workspace is made in two steps, so that a window need not wait for one that it does not show. With the window come
    ``__init__`` (the models, and what actions ask) and :meth:`register_actions`. Views, tables and forms come with
    ``_build``, which imports them and shows in them what the models hold. The window has it called, once and through
    :meth:`build`, before the workspace is first shown, gets an item or a state, or tells its tour; so does an action
    that can be used while nothing is open and needs what is built. Until then the window makes it bit by bit, while the
    user does nothing else, through :meth:`build_more`: ``_build`` yields where it may pause.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    purpose: ClassVar[str] = ""
    """What is done here, in half a sentence: told where data can be opened with more than one workspace."""

    changed = Signal()
    _built = _building = False
    _stages: Iterator[None] | None = None

    def __init__(self, context: Context, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.context = context
        self.setObjectName(f"workspace.{self.name}")
        self.setAccessibleName(self.title)

    def register_actions(self) -> None:
        """Add this workspace's actions to the registry; called once, when the window is made."""

    @property
    def built(self) -> bool:
        """Whether views and forms are there."""
        return self._built

    def build(self) -> None:
        """Be there with views and forms; nothing happens the second time."""
        while self.build_more():
            pass

    def build_more(self) -> bool:
        """Make some more of the views and forms, for less than a tenth of a second; whether there is more to make."""
        if self._built or self._building:
            return False
        self._building = True
        try:
            if self._stages is None:
                self._stages = iter(self._build() or ())
            next(self._stages)
        except StopIteration:
            self._built = True
        finally:
            self._building = False
        if self._built:
            self.context.actions.refresh()
        return not self._built

    def showEvent(self, event: QShowEvent) -> None:
        """Be there when shown."""
        self.build()
        super().showEvent(event)

    def in_columns(self, left: QWidget, middle: QWidget, right: QWidget, widths: Sequence[int]) -> Iterator[None]:
        """Lay out what a workspace consists of; the middle one gets what room there is."""
        splitter = QSplitter(Qt.Orientation.Horizontal)
        for widget in (left, middle, right):
            splitter.addWidget(widget)
        splitter.setStretchFactor(1, 1)
        splitter.setSizes(list(widths))
        splitter.setCollapsible(1, False)
        yield
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(splitter)

    def _build(self) -> Iterator[None] | None:
        """Make views and forms of the models and the registered actions, at once or yielding on the way."""

    def accepts(self, item: Data) -> bool:
        """Whether this workspace can show ``item``."""
        raise NotImplementedError

    def prefers(self, item: Data) -> bool:
        """Whether ``item`` belongs here even while another workspace that accepts it is in front."""
        return False

    def gather(self, paths: Sequence[str]) -> list[str]:
        """Paths to open in place of those given while this workspace is in front; may ask. Raises UserError."""
        return list(paths)

    def add_item(self, item: Data) -> None:
        """Show one more item. Opening is no undo step."""
        raise NotImplementedError

    def is_empty(self) -> bool:
        """Whether nothing is open here."""
        raise NotImplementedError

    def clear(self) -> None:
        """Close everything (another project is coming)."""
        raise NotImplementedError

    def save_state(self) -> tuple[dict[str, Any], list[Data]]:
        """JSON-able state and the data it speaks of, for the project file and the journal; quick, no copies."""
        raise NotImplementedError

    def restore_state(self, state: dict[str, Any], items: list[Data]) -> None:
        """Inverse of :meth:`save_state`, on an empty workspace."""
        raise NotImplementedError

    def tour(self) -> list[TourStep]:
        """At most seven stops of the guided tour."""
        return []
