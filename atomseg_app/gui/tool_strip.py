"""The strip of tools above a picture: groups of buttons that show icons of actions."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QToolButton, QWidget

from atomseg_app.gui.actions import ActionRegistry


def tool_strip(actions: ActionRegistry, groups: Sequence[Sequence[str]]) -> QWidget:
    """A row of buttons for registered actions, given by their ids, with a gap between groups."""
    strip = QWidget()
    strip.setAccessibleName("Tools")
    row = QHBoxLayout(strip)
    row.setContentsMargins(6, 3, 6, 3)
    row.setSpacing(1)
    for group in groups:
        for action_id in group:
            button = QToolButton()
            button.setDefaultAction(actions.qaction(action_id))
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonIconOnly)
            button.setAccessibleName(actions.action(action_id).title)
            row.addWidget(button)
        row.addSpacing(12)
    row.addStretch(1)
    return strip
