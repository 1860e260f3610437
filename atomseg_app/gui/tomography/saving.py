"""Takes volumes out as files. Asks first, then does; the series is never written."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QWidget

from atomseg_app.data import Volume
from atomseg_app.errors import UserError
from atomseg_app.gui.context import Context
from atomseg_app.gui.settings import Setting
from atomseg_app.gui.tomography.computing import Computing
from atomseg_app.gui.tomography.model import Entry
from atomseg_app.gui.volumes.saving import SavePlaces, asked_path
from atomseg_app.jobs.job import Job
from atomseg_app.jobs.tasks import Task, TaskResult

SAVE_FOLDER = Setting("tomography.save_folder", "")


class Saver:
    """Saves what is shown in one tab."""

    def __init__(self, context: Context, computing: Computing, parent: QWidget) -> None:
        self._computing, self._parent = computing, parent
        places = SavePlaces(context, SAVE_FOLDER)
        self.place, self.remember = places.of, places.remember

    def ask_volume(self, entry: Entry) -> None:
        """Ask where and in which format, then write the volume. Raises UserError for a series."""
        volume = entry.data
        if not isinstance(volume, Volume):
            raise UserError("A tilt series is shown; reconstruct it, or show a volume to save.")
        path = asked_path(self._parent, "Save volume", self.place(entry, ".mrc"))
        if path is not None:
            self.write_volume(volume, path)

    def write_volume(self, volume: Volume, path: Path) -> Job:
        """Write a volume as a job."""

        def done(result: TaskResult) -> None:
            self.remember(Path(result.value))

        task = Task("save-volume", {"path": str(path)}, (volume,))
        return self._computing.task(task, f"Save {path.name}", done)
