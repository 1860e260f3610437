"""Takes results out: volumes, slices and alignments as files. Asks first, then does; the series is never written."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QWidget

from atomseg_app.data import Volume
from atomseg_app.errors import UserError
from atomseg_app.gui.context import Context
from atomseg_app.gui.settings import Setting
from atomseg_app.gui.tomography.computing import Computing
from atomseg_app.gui.tomography.model import Entry
from atomseg_app.io.volume_writer import VOLUME_EXTENSIONS, volume_extension
from atomseg_app.jobs.job import Job
from atomseg_app.jobs.tasks import Task, TaskResult

SAVE_FOLDER = Setting("tomography.save_folder", "")
_TITLES = {
    ".mrc": "MRC volume", ".rec": "MRC volume", ".map": "MRC volume", ".tif": "TIFF stack", ".tiff": "TIFF stack",
    ".h5": "HDF5", ".hdf5": "HDF5", ".emd": "EMD (NCEM)", ".zarr": "OME-Zarr", ".ome.zarr": "OME-Zarr",
    ".vti": "VTK image", ".npy": "NumPy",
}  # fmt: skip


def filters() -> dict[str, str]:
    """Filters of the file dialog to the extension that each adds."""
    return {f"{_TITLES.get(end, end[1:].upper())} (*{end})": end for end in VOLUME_EXTENSIONS}


class Saver:
    """Saves what is shown in one tab."""

    def __init__(self, context: Context, computing: Computing, parent: QWidget) -> None:
        self._context, self._computing, self._parent = context, computing, parent

    def ask_volume(self, entry: Entry) -> None:
        """Ask where and in which format, then write the volume. Raises UserError for a series."""
        volume = entry.data
        if not isinstance(volume, Volume):
            raise UserError("A tilt series is shown; reconstruct it, or show a volume to save.")
        known = filters()
        chosen, kind = QFileDialog.getSaveFileName(
            self._parent, "Save volume", str(self.place(entry, ".mrc")), ";;".join(known)
        )
        if chosen:
            self.write_volume(volume, with_extension(Path(chosen), known.get(kind, ".mrc")))

    def write_volume(self, volume: Volume, path: Path) -> Job:
        """Write a volume as a job."""

        def done(result: TaskResult) -> None:
            self.remember(Path(result.value))

        task = Task("save-volume", {"path": str(path)}, (volume,))
        return self._computing.task(task, f"Save {path.name}", done)

    def place(self, entry: Entry, ending: str) -> Path:
        """Where a result goes unless the user says otherwise: where the last one went, else beside the input."""
        folder = self._context.settings.get(SAVE_FOLDER) or str(Path(entry.data.source.path or ".").parent)
        name = entry.title.replace(", ", "_").replace(" ", "_").replace("/", "_")
        return Path(folder) / f"{name}{ending}"

    def remember(self, path: Path) -> None:
        """Tell that a file was written, and offer its folder the next time."""
        self._context.settings.set(SAVE_FOLDER, str(path.parent))
        self._context.notify.info(f"Written: {path.name}")


def with_extension(path: Path, ending: str) -> Path:
    """A name with an extension that a volume can have; one that was typed counts."""
    try:
        volume_extension(path)
    except UserError:
        return path.with_name(path.name + ending)
    return path
