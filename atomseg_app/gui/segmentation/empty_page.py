"""What the tab shows while nothing is open: what to drop, and what happens then."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from atomseg_app.gui.rows import IconLabel
from atomseg_app.gui.sections import ActionButton, muted
from atomseg_app.gui.theme import Theme


class EmptyPage(QWidget):
    """Says what can be dropped here."""

    def __init__(self, theme: Theme, open_file: QAction) -> None:
        super().__init__()
        self.setObjectName("segmentation.empty")
        frame = QFrame()
        frame.setProperty("role", "drop")
        frame.setAccessibleName("Drop a volume here")
        heading = QLabel("Drop a reconstructed volume here")
        heading.setProperty("role", "heading")
        heading.setWordWrap(True)
        formats = muted(
            "MRC, REC, TIFF stacks, NRRD, HDF5, EMD, OME-Zarr, VTI, NPY. A network that comes with the program gives a "
            "first answer; paint a few slices to teach it your specimen, then measure the particles."
        )
        row = QHBoxLayout()
        row.addWidget(ActionButton(open_file, text="Open files…", primary=True))
        row.addStretch(1)
        words = QVBoxLayout()
        words.setSpacing(8)
        words.addWidget(heading)
        words.addWidget(formats)
        words.addLayout(row)
        inside = QHBoxLayout(frame)
        inside.setContentsMargins(22, 20, 22, 20)
        inside.setSpacing(16)
        inside.addWidget(IconLabel(theme.icon("mdi6.cube-scan", "accent"), 2.4), 0, Qt.AlignmentFlag.AlignTop)
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
