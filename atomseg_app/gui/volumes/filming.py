"""Pictures and movies of a volume: its slices and the 3D view. Asks first, then does; what was shown is shown again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QDialogButtonBox, QFileDialog

from atomseg_app.data import Volume
from atomseg_app.errors import UserError
from atomseg_app.gui import figure_export
from atomseg_app.gui.alive import while_alive
from atomseg_app.gui.background import Background
from atomseg_app.gui.tab import Tab
from atomseg_app.gui.volumes import pictures
from atomseg_app.gui.volumes.film import Film, Scenario
from atomseg_app.gui.volumes.model import VolumeModel
from atomseg_app.gui.volumes.movie_dialog import MovieDialog
from atomseg_app.gui.volumes.slice_pane import AXES, PLANES
from atomseg_app.gui.volumes.slices_view import SlicesView
from atomseg_app.gui.volumes.volume3d import Volume3D
from atomseg_app.io.movies import MOVIE_FORMATS

if TYPE_CHECKING:
    from atomseg_app.gui.volumes.scene3d import Scene

_TURN_FRAMES = 120
_GONE = "Another volume is shown now; show the one that is to be filmed, and film again."
_PICTURES = {".png": "PNG", ".tif": "TIFF"}


class Filming:
    """Writes what a tab shows. ``place(ending)`` is where a file goes by default; ``remember(path)`` hears of it."""

    def __init__(self, tab: Tab, place: Callable[[str], Path], remember: Callable[[Path], object]) -> None:
        self._tab, self._place, self._remember = tab, place, remember
        self._background = Background()
        self.movie: MovieDialog | None = None

    def ask_picture(self, draw: Callable[[], QImage]) -> None:
        """Ask where, and write a picture. Raises UserError where there is nothing to draw."""
        filters = {f"{title} (*{ending})": ending for ending, title in _PICTURES.items()}
        chosen, kind = QFileDialog.getSaveFileName(
            self._tab, "Save picture", str(self._place(".png")), ";;".join(filters)
        )
        if chosen:
            path = Path(chosen)
            known = path.suffix.lower() in (*_PICTURES, ".tiff")
            self.write_picture(draw(), path if known else path.with_name(path.name + filters.get(kind, ".png")))

    def write_picture(self, picture: QImage, path: Path) -> None:
        """Write a picture; it is packed on another thread."""
        write = figure_export.raster_writer(picture, path, pictures.DPI)
        failed = partial(self._tab.context.notify.error, "The picture could not be written")
        self._background.run(write, while_alive(self._tab, self._remember), while_alive(self._tab, failed))

    def ask_movie(self, scenarios: Sequence[Scenario]) -> MovieDialog:
        """Ask what and where, then film. Raises UserError where nothing can be filmed."""
        if not scenarios:
            raise UserError("Nothing is shown that could be filmed.")
        tab, dialog = self._tab, MovieDialog(self._tab, scenarios)
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.movie = dialog

        def ask_place() -> None:
            ending = dialog.ending
            filters = f"{MOVIE_FORMATS[ending]} (*{ending})"
            chosen, _ = QFileDialog.getSaveFileName(tab, "Save movie", str(self._place(ending)), filters)
            if chosen:
                path = Path(chosen)
                dialog.start(path if path.suffix.lower() == ending else path.with_name(path.name + ending))

        dialog.buttons.button(QDialogButtonBox.StandardButton.Save).clicked.connect(lambda _checked: ask_place())
        dialog.begun.connect(self.begin)
        dialog.open()
        return dialog

    def begin(self, scenario: Scenario, path: Path, per_second: int) -> Film:
        """Film as a job of the list."""
        film = Film(self._tab, self._tab.context.jobs, scenario, path, per_second)
        film.written.connect(self._remember)
        film.failed.connect(partial(self._tab.context.notify.error, "The movie could not be written"))
        return film


def slices_picture(slices: SlicesView, view: Volume3D) -> QImage:
    """The slices and the 3D view as they are shown. Raises UserError where that is nothing."""
    found = [pictures.of_canvas(slices.panes[name]) for name in ("XY", "YZ", "XZ") if slices.wide in ("", name)]
    rendered = view.figure(scale=pictures.DPI / figure_export.SCREEN_DPI) if slices.wide in ("", "3D") else None
    if rendered is not None:
        found.append(rendered)
    return pictures.in_grid(found, 2)


def volume_scenarios(model: VolumeModel[Any], slices: SlicesView, view: Volume3D) -> list[Scenario]:
    """What of the volume that is shown can be filmed: a sweep along each axis, and a turn in 3D."""
    volume = model.volume()
    if volume is None:
        return []
    found = [_sweep(model, volume, slices, plane.cut, plane.name) for plane in PLANES]
    if view.scene is not None and view.drawn is not None:
        found.append(_turn(view, view.scene))
    return found


def _sweep(model: VolumeModel[Any], volume: Volume, slices: SlicesView, axis: int, name: str) -> Scenario:
    """Through all slices along an axis, with everything that is drawn over them."""

    def draw(number: int) -> QImage:
        if model.volume() is not volume:
            raise UserError(_GONE)
        return slices.picture_of(name, number, pictures.of_canvas)

    return Scenario(f"{name} slices along {AXES[axis]}", volume.shape[axis], draw)


def _turn(view: Volume3D, scene: Scene) -> Scenario:
    """Once round, from where the user looks now."""
    camera, drawn = scene.camera(), view.drawn

    def draw(number: int) -> QImage:
        if view.drawn is not drawn:
            raise UserError(_GONE)
        rendered = view.figure(scene.turned(camera, 360.0 * number / _TURN_FRAMES))
        if rendered is None:
            raise UserError(_GONE)
        return rendered

    return Scenario("Turn in 3D", _TURN_FRAMES, draw)
