"""What the tab shows while nothing is open: what to drop, and a sample to begin with."""

from __future__ import annotations

from PySide6.QtGui import QAction

from atomseg_app.gui.drop_page import DropPage
from atomseg_app.gui.sections import ActionButton
from atomseg_app.gui.theme import Theme


class EmptyPage(DropPage):
    """Says what can be dropped here."""

    def __init__(self, theme: Theme, open_file: QAction, sample: QAction) -> None:
        super().__init__(
            theme,
            "mdi6.rotate-3d-variant",
            "Drop a tilt series or a volume here",
            "MRC, ST, ALI with .rawtlt, .tlt or .mdoc beside them, DM3/DM4, EMD, HSPY, TIFF stacks, MAT, or a folder "
            "with one image a view. Angles are read from wherever the microscope left them; where there are none, "
            "you give them in step 1.",
            [ActionButton(open_file, text="Open files…", primary=True), ActionButton(sample)],
            "Drop a tilt series here",
        )
        self.setObjectName("tomography.empty")
