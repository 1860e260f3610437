"""What every tab is given: the services of the window."""

from __future__ import annotations

from dataclasses import dataclass

from atomseg_app.gui.actions import ActionRegistry
from atomseg_app.gui.notify import Notifier
from atomseg_app.gui.settings import Settings
from atomseg_app.gui.theme import Theme
from atomseg_app.gui.undo import UndoStack
from atomseg_app.jobs.engine import JobEngine


@dataclass(frozen=True)
class Context:
    """Services shared by the window and its tabs."""

    actions: ActionRegistry
    undo: UndoStack
    jobs: JobEngine
    settings: Settings
    notify: Notifier
    theme: Theme
