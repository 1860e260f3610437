"""What a tab shows while nothing is open: what to drop, and what happens then."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from atomseg_app.gui.rows import IconLabel
from atomseg_app.gui.sections import ActionButton, muted
from atomseg_app.gui.theme import Theme


class DropPage(QWidget):
    """A frame in the middle with an icon, a heading, which files are read, and buttons."""

    def __init__(
        self, theme: Theme, icon: str, heading: str, formats: str, buttons: Sequence[ActionButton], name: str
    ) -> None:
        """``name`` is what the frame is called for those who cannot see it."""
        super().__init__()
        frame = QFrame()
        frame.setProperty("role", "drop")
        frame.setAccessibleName(name)
        title = QLabel(heading)
        title.setProperty("role", "heading")
        title.setWordWrap(True)
        row = QHBoxLayout()
        row.setSpacing(8)
        for button in buttons:
            row.addWidget(button)
        row.addStretch(1)
        words = QVBoxLayout()
        words.setSpacing(8)
        words.addWidget(title)
        words.addWidget(muted(formats))
        words.addLayout(row)
        inside = QHBoxLayout(frame)
        inside.setContentsMargins(22, 20, 22, 20)
        inside.setSpacing(16)
        inside.addWidget(IconLabel(theme.icon(icon, "accent"), 2.4), 0, Qt.AlignmentFlag.AlignTop)
        inside.addLayout(words, 1)
        frame.setMaximumWidth(720)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(24, 24, 24, 24)
        layout.addStretch(1)
        middle = QHBoxLayout()
        middle.addStretch(1)
        middle.addWidget(frame, 6)
        middle.addStretch(1)
        layout.addLayout(middle)
        layout.addStretch(2)
