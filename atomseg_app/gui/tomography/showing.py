"""Takes pictures and movies of what the tab shows."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtGui import QImage

from atomseg_app.errors import UserError
from atomseg_app.gui.volumes import pictures
from atomseg_app.gui.volumes.film import Scenario
from atomseg_app.gui.volumes.filming import Filming, slices_picture, volume_scenarios
from atomseg_app.gui.volumes.model import SHOWN_AS

if TYPE_CHECKING:
    from atomseg_app.gui.tomography.tab import TomographyTab


class Showing:
    """Pictures and movies of one tab."""

    def __init__(self, tab: TomographyTab) -> None:
        self._tab = tab
        self.filming = Filming(tab, self._place, tab.saver.remember)

    # -- pictures

    def picture(self) -> QImage:
        """What the middle of the tab shows. Raises UserError where that is nothing."""
        tab = self._tab
        if tab.model.series() is not None:
            return pictures.of_canvas(tab.series_page.projection.canvas)
        if tab.comparing:
            return pictures.in_grid([pictures.of_canvas(pane) for pane in tab.compare_view.panes], 3)
        return slices_picture(tab.slices, tab.volume3d)

    def ask_picture(self) -> None:
        """Ask where, and write what is shown."""
        self.filming.ask_picture(self.picture)

    def slice_to_atoms(self) -> None:
        """Open the XY slice that is shown as an image of its own, for the 2D atoms tab."""
        model, window = self._tab.model, self._tab.window()
        volume, entry = model.volume(), model.entry
        if volume is not None and entry is not None and hasattr(window, "show_item"):
            z = model.place[0]
            image = volume.slice_z(z)
            source = replace(image.source, path="", dataset=f"{entry.title}, z {z}")
            window.show_item(replace(image, values=np.array(image.values), source=source))

    def volume_to_segmentation(self) -> None:
        """Open the volume that is shown in the 3D segmentation tab, under the name that it has here; no copy."""
        entry, volume, window = self._tab.model.entry, self._tab.model.volume(), self._tab.window()
        if entry is not None and volume is not None and hasattr(window, "show_item"):
            named = replace(volume, metadata={**volume.metadata, SHOWN_AS: entry.title})
            window.show_item(named, workspace="segmentation")

    # -- movies

    def scenarios(self) -> list[Scenario]:
        """What of the entry that is shown can be filmed."""
        tab, model = self._tab, self._tab.model
        series = model.series()
        if series is not None:
            views = [int(view) for view in series.used]
            canvas = tab.series_page.projection.canvas

            def draw_view(number: int) -> QImage:
                if model.series() is not series:
                    raise UserError("Another series is shown now, or it was changed; film it again.")
                before = model.view
                model.show_view(views[number])
                try:
                    return pictures.of_canvas(canvas)
                finally:
                    model.show_view(before)

            return [Scenario("Views of the series", len(views), draw_view)]
        return volume_scenarios(model, tab.slices, tab.volume3d)

    def ask_movie(self) -> None:
        """Ask what and where, then film."""
        self.filming.ask_movie(self.scenarios())

    def _place(self, ending: str) -> Path:
        entry = self._tab.model.entry
        if entry is None:
            raise UserError("Nothing is shown; open a tilt series first.")
        return self._tab.saver.place(entry, ending)
