"""What the tab shows while nothing is open: what to drop, and what happens then."""

from __future__ import annotations

from PySide6.QtGui import QAction

from atomseg_app.gui.drop_page import DropPage
from atomseg_app.gui.sections import ActionButton
from atomseg_app.gui.theme import Theme


class EmptyPage(DropPage):
    """Says what can be dropped here."""

    def __init__(self, theme: Theme, open_file: QAction) -> None:
        super().__init__(
            theme,
            "mdi6.cube-scan",
            "Drop a reconstructed volume here",
            "MRC, REC, TIFF stacks, NRRD, HDF5, EMD, OME-Zarr, VTI, NPY. A network that comes with the program gives a "
            "first answer; paint a few slices to teach it your specimen, then measure the particles.",
            [ActionButton(open_file, text="Open files…", primary=True)],
            "Drop a volume here",
        )
        self.setObjectName("segmentation.empty")
