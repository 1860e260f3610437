"""Where results of the 3D workspaces go: the place that is offered, the dialog, the folder of the next time."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QFileDialog, QWidget

from atomseg_app.errors import UserError
from atomseg_app.gui.context import Context
from atomseg_app.gui.entries import Titled
from atomseg_app.gui.settings import Setting
from atomseg_app.io.volume_writer import VOLUME_EXTENSIONS, volume_extension

_TITLES = {
    ".mrc": "MRC volume", ".rec": "MRC volume", ".map": "MRC volume", ".tif": "TIFF stack", ".tiff": "TIFF stack",
    ".h5": "HDF5", ".hdf5": "HDF5", ".emd": "EMD (NCEM)", ".zarr": "OME-Zarr", ".ome.zarr": "OME-Zarr",
    ".vti": "VTK image", ".npy": "NumPy", ".nrrd": "NRRD",
}  # fmt: skip


class SavePlaces:
    """Places of one workspace; ``folder`` is the setting that keeps where the last file went."""

    def __init__(self, context: Context, folder: Setting[str]) -> None:
        self._context, self._folder = context, folder

    @property
    def last(self) -> str:
        """Folder of the last file, empty before the first."""
        return self._context.settings.get(self._folder)

    def of(self, entry: Titled, ending: str) -> Path:
        """Where a result goes unless the user says otherwise: where the last one went, else beside the input."""
        folder = self.last or str(Path(entry.data.source.path or ".").parent)
        name = entry.title.replace(", ", "_").replace(" ", "_").replace("/", "_")
        return Path(folder) / f"{name}{ending}"

    def remember(self, path: Path) -> None:
        """Tell that a file was written, and offer its folder the next time."""
        self._context.settings.set(self._folder, str(path.parent))
        self._context.notify.info(f"Written: {path.name}")


def filters() -> dict[str, str]:
    """Filters of the file dialog to the extension that each adds."""
    return {f"{_TITLES.get(end, end[1:].upper())} (*{end})": end for end in VOLUME_EXTENSIONS}


def asked_path(parent: QWidget, title: str, place: Path) -> Path | None:
    """Where the user wants a volume or labels to go, in a format that they can have; None for nowhere."""
    known = filters()
    first = next((name for name, end in known.items() if end == place.suffix), "")
    chosen, kind = QFileDialog.getSaveFileName(parent, title, str(place), ";;".join(known), first)
    return with_extension(Path(chosen), known.get(kind, place.suffix)) if chosen else None


def with_extension(path: Path, ending: str) -> Path:
    """A name with an extension that a volume can have; one that was typed counts."""
    try:
        volume_extension(path)
    except UserError:
        return path.with_name(path.name + ending)
    return path
