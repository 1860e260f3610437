"""What comes in and goes out of the tab beside volumes: label files, pictures, movies. Asks first, then does."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, cast

from PySide6.QtGui import QImage
from PySide6.QtWidgets import QFileDialog

from atomseg_app.data import Labels, Volume
from atomseg_app.errors import UserError
from atomseg_app.gui.settings import Setting
from atomseg_app.gui.volumes.filming import Filming, slices_picture, volume_scenarios
from atomseg_app.gui.volumes.saving import SavePlaces, asked_path
from atomseg_app.gui.volumes.shrinking import step_for
from atomseg_app.jobs.job import Job
from atomseg_app.jobs.tasks import Task, TaskResult

if TYPE_CHECKING:
    from atomseg_app.gui.segmentation.tab import SegmentationTab

SAVE_FOLDER = Setting("segmentation.save_folder", "")
MESH_FORMATS = {".stl": "STL", ".ply": "PLY", ".obj": "OBJ"}
_OPEN = "Labels (*.tif *.tiff *.mrc *.rec *.nrrd *.h5 *.hdf5 *.npy *.zarr *.vti);;All files (*)"
_MOST_MESHED = 512**3


class Files:
    """Files of one tab."""

    def __init__(self, tab: SegmentationTab) -> None:
        self._tab = tab
        self._places = SavePlaces(tab.context, SAVE_FOLDER)
        self.remember = self._places.remember
        self.filming = Filming(tab, self.place, self.remember)

    # -- labels

    def ask_labels(self) -> None:
        """Ask for a file with labels of the volume that is shown."""
        path, _ = QFileDialog.getOpenFileName(self._tab, "Open labels", self._places.last, _OPEN)
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
        path = asked_path(self._tab, "Save labels", self.place("_labels.tif"))
        if path is not None:
            self.save_labels(labels, path)

    def save_labels(self, labels: Labels, path: Path) -> Job:
        """Write labels as a job."""
        return self._tab.computing.task(
            Task("save-labels", {"path": str(path)}, (labels,)), f"Save {path.name}", lambda _: self.remember(path)
        )

    def ask_save_probability(self) -> None:
        """Ask where, and write the probability of the class that is shown."""
        result, entry, value = self._tab.model.result(), self._tab.model.entry, self._tab.model.shown.probability
        if result is None or entry is None or value not in result.probabilities:
            raise UserError("Show the probability of a class first.")
        place = self.place(f"_probability_{_in_name(entry.class_name(value))}.mrc")
        path = asked_path(self._tab, "Save probabilities", place)
        if path is not None:
            self.save_probability(result.probabilities[value], path)

    def save_probability(self, probability: Volume, path: Path) -> Job:
        """Write a probability as a volume, as a job."""
        task = Task("save-volume", {"path": str(path)}, (probability,))
        return self._tab.computing.task(task, f"Save {path.name}", lambda _: self.remember(path))

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
        return slices_picture(self._tab.slices, self._tab.volume3d)

    def ask_picture(self) -> None:
        """Ask where, and write what is shown."""
        self.filming.ask_picture(self.picture)

    def ask_movie(self) -> None:
        """Ask what and where, then film."""
        self.filming.ask_movie(volume_scenarios(self._tab.model, self._tab.slices, self._tab.volume3d))

    def place(self, ending: str) -> Path:
        """Where a file goes unless the user says otherwise."""
        entry = self._tab.model.entry
        return Path(f"volume{ending}") if entry is None else self._places.of(entry, ending)


def _in_name(name: str) -> str:
    """The name of a class as part of a file's."""
    return "".join(letter if letter.isalnum() or letter in "-_" else "_" for letter in name)
