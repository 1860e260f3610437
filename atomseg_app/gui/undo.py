"""One undo stack for the whole project: commands know how to do, undo and merge; the stack knows their cost."""

from __future__ import annotations

from PySide6.QtCore import QObject, Signal

BUDGET_BYTES = 512 << 20
MAX_STEPS = 1000


class Command:
    """A step of the user. ``text`` completes "Undo ..." ("Move column"); ``cost_bytes`` is what it holds in memory."""

    text: str = ""
    cost_bytes: int = 0

    def do(self) -> None:
        """Make the change; also called to redo it."""
        raise NotImplementedError

    def undo(self) -> None:
        """Take the change back."""
        raise NotImplementedError

    def merge(self, following: Command) -> bool:
        """Take ``following`` (already done) into this step, as the moves of one drag; False if it stands alone."""
        return False


class UndoStack(QObject):
    """Steps done and undone. The oldest are forgotten beyond ``budget_bytes``; the newest is always kept."""

    changed = Signal()

    def __init__(self, budget_bytes: int = BUDGET_BYTES) -> None:
        super().__init__()
        self._budget_bytes = budget_bytes
        self._done: list[Command] = []
        self._undone: list[Command] = []
        self._clean: Command | None = None  # the newest step at the last save
        self._clean_known = True  # False once that step was forgotten or merged into
        self.edits = 0  # every do, undo and redo counts: the journal looks at this

    def __len__(self) -> int:
        return len(self._done)

    def push(self, command: Command) -> None:
        """Do a command and remember it. Whatever was undone is forgotten."""
        command.do()
        self._undone.clear()
        top = self._done[-1] if self._done else None
        if top is not None and not (self._clean_known and top is self._clean) and top.merge(command):
            self._finish()
            return
        self._done.append(command)
        self._forget_oldest()
        self._finish()

    def undo(self) -> None:
        """Take back the newest step, if any."""
        if self._done:
            command = self._done.pop()
            command.undo()
            self._undone.append(command)
            self._finish()

    def redo(self) -> None:
        """Do the step that was undone last again, if any."""
        if self._undone:
            command = self._undone.pop()
            command.do()
            self._done.append(command)
            self._finish()

    def clear(self) -> None:
        """Forget everything (another project was opened)."""
        self._done.clear()
        self._undone.clear()
        self._clean, self._clean_known = None, True
        self.changed.emit()

    def undo_text(self) -> str:
        """What undo would take back ("Move column"), or nothing."""
        return self._done[-1].text if self._done else ""

    def redo_text(self) -> str:
        """What redo would do again, or nothing."""
        return self._undone[-1].text if self._undone else ""

    def is_clean(self) -> bool:
        """Whether the project is as it was at the last :meth:`set_clean`."""
        return self._clean_known and (self._done[-1] if self._done else None) is self._clean

    def set_clean(self) -> None:
        """The project was saved as it is now."""
        self._clean, self._clean_known = (self._done[-1] if self._done else None), True
        self.changed.emit()

    def cost_bytes(self) -> int:
        """Memory that the remembered steps hold."""
        return sum(command.cost_bytes for command in (*self._done, *self._undone))

    def _forget_oldest(self) -> None:
        cost = self.cost_bytes()
        while len(self._done) > 1 and (cost > self._budget_bytes or len(self._done) > MAX_STEPS):
            oldest = self._done.pop(0)
            cost -= oldest.cost_bytes
            if self._clean is None or self._clean is oldest:
                self._clean_known = False

    def _finish(self) -> None:
        self.edits += 1
        self.changed.emit()
