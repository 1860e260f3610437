"""What comes in and goes out of the tab beside volumes: label files, pictures, movies. Asks first, then does."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from PySide6.QtCore import Qt
from PySide6.QtGui import QImage
from PySide6.QtWidgets import QDialogButtonBox, QFileDialog

from atomseg_app.data import Labels
from atomseg_app.errors import UserError
from atomseg_app.gui import figure_export
from atomseg_app.gui.alive import while_alive
from atomseg_app.gui.background import Background
from atomseg_app.gui.settings import Setting
from atomseg_app.gui.volumes import pictures
from atomseg_app.gui.volumes.movie_dialog import MovieDialog, Scenario
from atomseg_app.gui.volumes.slice_pane import AXES, PLANES
from atomseg_app.gui.volumes.volume3d import step_for
from atomseg_app.io.volume_writer import VOLUME_EXTENSIONS
from atomseg_app.jobs.job import Job
from atomseg_app.jobs.tasks import Task, TaskResult

if TYPE_CHECKING:
    from atomseg_app.gui.segmentation.tab import SegmentationTab

SAVE_FOLDER = Setting("segmentation.save_folder", "")
_TITLES = {
    ".tif": "TIFF stack", ".mrc": "MRC", ".h5": "HDF5", ".ome.zarr": "OME-Zarr", ".vti": "VTK image", ".npy": "NumPy",
    ".nrrd": "NRRD",
}  # fmt: skip
MESH_FORMATS = {".stl": "STL", ".ply": "PLY", ".obj": "OBJ"}
_OPEN = "Labels (*.tif *.tiff *.mrc *.rec *.nrrd *.h5 *.hdf5 *.npy *.zarr *.vti);;All files (*)"
_TURN_FRAMES = 90
_MOST_MESHED = 512**3


class Files:
    """Files of one tab."""

    def __init__(self, tab: SegmentationTab) -> None:
        self._tab = tab
        self._background = Background()
        self.movie: MovieDialog | None = None

    # -- labels

    def ask_labels(self) -> None:
        """Ask for a file with labels of the volume that is shown."""
        folder = self._tab.context.settings.get(SAVE_FOLDER)
        path, _ = QFileDialog.getOpenFileName(self._tab, "Open labels", folder, _OPEN)
        if path:
            self.open_labels(Path(path))

    def open_labels(self, path: Path) -> Job:
        """Read labels as a job; they become a result of the volume of their shape."""

        def done(result: TaskResult) -> None:
            try:
                self._tab.add_labels(cast(Labels, result.items[0]))
            except UserError as problem:
                self._tab.context.notify.error(f"{path.name} does not fit", problem)

        return self._tab.computing.task(Task("open-labels", {"path": str(path)}), f"Open {path.name}", done)

    def ask_save_labels(self) -> None:
        """Ask where, and write the result that is shown, else what was painted."""
        labels = self.labels()
        filters = {f"{_TITLES[end]} (*{end})": end for end in _TITLES if end in VOLUME_EXTENSIONS}
        chosen, kind = QFileDialog.getSaveFileName(
            self._tab, "Save labels", str(self.place("_labels.tif")), ";;".join(filters)
        )
        if chosen:
            path, end = Path(chosen), filters.get(kind, ".tif")
            known = any(path.name.lower().endswith(known) for known in VOLUME_EXTENSIONS)
            self.save_labels(labels, path if known else path.with_name(path.name + end))

    def save_labels(self, labels: Labels, path: Path) -> Job:
        """Write labels as a job."""
        return self._tab.computing.task(
            Task("save-labels", {"path": str(path)}, (labels,)), f"Save {path.name}", lambda _: self.remember(path)
        )

    def ask_save_meshes(self) -> None:
        """Ask where, and write the surface of each class of the result, else of what was painted."""
        labels = self.labels()
        filters = {f"{title}, one file a class (*{end})": end for end, title in MESH_FORMATS.items()}
        chosen, kind = QFileDialog.getSaveFileName(
            self._tab, "Save meshes", str(self.place(".stl")), ";;".join(filters)
        )
        if chosen:
            path = Path(chosen)
            known = path.suffix.lower() in MESH_FORMATS
            self.save_meshes(labels, path if known else path.with_name(path.name + filters.get(kind, ".stl")))

    def save_meshes(self, labels: Labels, path: Path) -> Job:
        """Write NAME_CLASS.stl for each class but 0 as a job."""
        classes = [each for each in labels.classes if each.value]
        paths = [path.with_name(f"{path.stem}_{_in_name(each.name)}{path.suffix}") for each in classes]
        step = step_for(labels.shape, max(labels.shape), _MOST_MESHED)

        def done(result: TaskResult) -> None:
            for written in result.value:
                self.remember(Path(written))

        arguments = {"values": [each.value for each in classes], "paths": [str(each) for each in paths], "step": step}
        return self._tab.computing.task(Task("save-meshes", arguments, (labels,)), f"Save meshes of {path.stem}", done)

    def labels(self) -> Labels:
        """The result that is shown, else what was painted. Raises UserError where there is neither."""
        result, entry = self._tab.model.result(), self._tab.model.entry
        found = result.labels if result is not None else None if entry is None else entry.annotation()
        if found is None:
            raise UserError("Nothing is labelled yet; segment the volume, or paint some slices.")
        return found

    # -- pictures and movies

    def picture(self) -> QImage:
        """What the middle of the tab shows."""
        tab = self._tab
        found = [pictures.of_canvas(tab.slices.panes[name]) for name in ("XY", "YZ", "XZ")
                 if tab.slices.wide in ("", name)]  # fmt: skip
        rendered = tab.volume3d.picture() if tab.slices.wide in ("", "3D") else None
        if rendered is not None:
            found.append(pictures.of_pixels(rendered))
        return pictures.in_grid(found, 2)

    def ask_picture(self) -> None:
        """Ask where, and write what is shown."""
        chosen, _ = QFileDialog.getSaveFileName(
            self._tab, "Save picture", str(self.place(".png")), "PNG (*.png);;TIFF (*.tif)"
        )
        if chosen:
            path = Path(chosen)
            self.write_picture(path if path.suffix.lower() in (".png", ".tif", ".tiff") else Path(f"{path}.png"))

    def write_picture(self, path: Path) -> None:
        """Write what is shown; it is packed on another thread."""
        write = figure_export.raster_writer(self.picture(), path, pictures.DPI)
        failed = partial(self._tab.context.notify.error, "The picture could not be written")
        self._background.run(write, while_alive(self._tab, self.remember), while_alive(self._tab, failed))

    def scenarios(self) -> list[Scenario]:
        """What can be filmed."""
        found = [self._sweep(plane.cut, plane.name) for plane in PLANES]
        view = self._tab.volume3d
        if view.drawn is not None:
            found.append(Scenario("Turn in 3D", _TURN_FRAMES, self._turned, view.reset_camera))
        return found

    def ask_movie(self) -> None:
        """Ask what and where, then film."""
        tab = self._tab
        dialog = MovieDialog(tab, self.scenarios())
        dialog.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.movie = dialog

        def ask_place() -> None:
            ending = ".gif" if dialog.form.currentData() == "gif" else ".png"
            chosen, _ = QFileDialog.getSaveFileName(tab, "Save movie", str(self.place(ending)), f"Movie (*{ending})")
            if chosen:
                path = Path(chosen)
                dialog.start(path if path.suffix.lower() == ending else path.with_name(path.name + ending))

        dialog.buttons.button(QDialogButtonBox.StandardButton.Save).clicked.connect(lambda _checked: ask_place())
        dialog.written.connect(self.remember)
        dialog.failed.connect(partial(tab.context.notify.error, "The movie could not be written"))
        dialog.open()

    def place(self, ending: str) -> Path:
        """Where a file goes unless the user says otherwise."""
        entry, settings = self._tab.model.entry, self._tab.context.settings
        if entry is None:
            return Path(f"volume{ending}")
        folder = settings.get(SAVE_FOLDER) or str(Path(entry.data.source.path or ".").parent)
        name = entry.title.replace(", ", "_").replace(" ", "_").replace("/", "_")
        return Path(folder) / f"{name}{ending}"

    def remember(self, path: Path) -> None:
        """Tell that a file was written, and offer its folder the next time."""
        self._tab.context.settings.set(SAVE_FOLDER, str(path.parent))
        self._tab.context.notify.info(f"Written: {path.name}")

    def _sweep(self, axis: int, name: str) -> Scenario:
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
        view = self._tab.volume3d
        if view.scene is not None:
            view.scene.set_view(30.0 + 360.0 * number / _TURN_FRAMES, 20.0)
        rendered = view.picture()
        if rendered is None:
            raise UserError("The volume is not drawn in 3D.")
        return pictures.of_pixels(rendered)


def _in_name(name: str) -> str:
    """The name of a class as part of a file's."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)
