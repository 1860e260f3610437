"""Takes pictures and movies of what the tab shows."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QDialogButtonBox, QFileDialog

from atomseg_app.errors import UserError
from atomseg_app.gui import figure_export
from atomseg_app.gui.alive import while_alive
from atomseg_app.gui.background import Background
from atomseg_app.gui.volumes import pictures
from atomseg_app.gui.volumes.model import SHOWN_AS
from atomseg_app.gui.volumes.movie_dialog import MovieDialog, Scenario
from atomseg_app.gui.volumes.slice_pane import AXES, PLANES

if TYPE_CHECKING:
    from atomseg_app.gui.tomography.tab import TomographyTab

_TURN_FRAMES = 90


class Showing:
    """Pictures and movies of one tab."""

    def __init__(self, tab: TomographyTab) -> None:
        self._tab = tab
        self._background = Background()
        self.movie: MovieDialog | None = None

    # -- pictures

    def picture(self) -> QImage:
        """What the middle of the tab shows. Raises UserError where that is nothing."""
        tab = self._tab
        if tab.model.series() is not None:
            return pictures.of_canvas(tab.series_page.projection.canvas)
        if tab.comparing:
            return pictures.in_grid([pictures.of_canvas(pane) for pane in tab.compare_view.panes], 3)
        found = [pictures.of_canvas(tab.slices.panes[plane]) for plane in ("XY", "YZ", "XZ")
                 if tab.slices.wide in ("", plane)]  # fmt: skip
        rendered = tab.volume3d.picture() if tab.slices.wide in ("", "3D") else None
        if rendered is not None:
            found.append(pictures.of_pixels(rendered))
        return pictures.in_grid(found, 2)

    def ask_picture(self) -> None:
        """Ask where, and write what is shown."""
        tab, entry = self._tab, self._tab.model.entry
        if entry is None:
            raise UserError("Nothing is shown; open a tilt series first.")
        place = str(tab.saver.place(entry, ".png"))
        chosen, kind = QFileDialog.getSaveFileName(tab, "Save picture", place, "PNG (*.png);;TIFF (*.tif)")
        if chosen:
            path = Path(chosen)
            if path.suffix.lower() not in (".png", ".tif", ".tiff"):
                path = path.with_name(path.name + (".tif" if "tif" in kind else ".png"))
            self.write_picture(path)

    def write_picture(self, path: Path) -> None:
        """Write what is shown; it is packed on another thread."""
        tab = self._tab
        write = figure_export.raster_writer(self.picture(), path, pictures.DPI)
        failed = partial(tab.context.notify.error, "The picture could not be written")
        self._background.run(write, while_alive(tab, tab.saver.remember), while_alive(tab, failed))

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
        series, volume = model.series(), model.volume()
        if series is not None:
            views = [int(view) for view in series.used]
            canvas = tab.series_page.projection.canvas

            def draw_view(number: int) -> QImage:
                model.show_view(views[number])
                return pictures.of_canvas(canvas)

            return [Scenario("Views of the series", len(views), draw_view, partial(model.show_view, model.view))]
        if volume is None:
            return []
        found = [self._sweep(plane.cut, plane.name) for plane in PLANES]
        if tab.volume3d.drawn is not None:
            found.append(Scenario("Turn in 3D", _TURN_FRAMES, self._turned, tab.volume3d.reset_camera))
        return found

    def ask_movie(self) -> None:
        """Ask what and where, then film."""
        tab, entry = self._tab, self._tab.model.entry
        if entry is None:
            raise UserError("Nothing is shown; open a tilt series first.")
        dialog = MovieDialog(tab, self.scenarios())
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.movie = dialog

        def ask_place() -> None:
            ending = ".gif" if dialog.form.currentData() == "gif" else ".png"
            place = str(tab.saver.place(entry, ending))
            chosen, _ = QFileDialog.getSaveFileName(tab, "Save movie", place, f"Movie (*{ending})")
            if chosen:
                path = Path(chosen)
                dialog.start(path if path.suffix.lower() == ending else path.with_name(path.name + ending))

        dialog.buttons.button(QDialogButtonBox.StandardButton.Save).clicked.connect(lambda _checked: ask_place())
        dialog.written.connect(tab.saver.remember)
        dialog.failed.connect(partial(tab.context.notify.error, "The movie could not be written"))
        dialog.open()

    def _sweep(self, axis: int, name: str) -> Scenario:
        """Through all slices along an axis."""
        model, pane = self._tab.model, self._tab.slices.panes[name]
        volume, before = model.volume(), model.place

        def draw(number: int) -> QImage:
            place = [float(p) for p in before]
            place[axis] = number
            model.show_place((place[0], place[1], place[2]))
            return pictures.of_canvas(pane)

        frames = 0 if volume is None else volume.shape[axis]
        return Scenario(f"{name} slices along {AXES[axis]}", frames, draw, partial(model.show_place, before))

    def _turned(self, number: int) -> QImage:
        """The volume from one side of a full turn."""
        view = self._tab.volume3d
        if view.scene is not None:
            view.scene.set_view(30.0 + 360.0 * number / _TURN_FRAMES, 20.0)
        rendered = view.picture()
        if rendered is None:
            raise UserError("The volume is not drawn in 3D.")
        return pictures.of_pixels(rendered)
