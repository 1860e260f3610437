"""A training of a segmentation network in the window: on the labels of the volume that is shown."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from PySide6.QtCore import QObject

from atomseg_app.errors import UserError
from atomseg_app.gui.background import Background
from atomseg_app.gui.context import Context
from atomseg_app.gui.networks.training_run import TrainingRun
from atomseg_app.gui.segmentation.model import SegModel
from atomseg_app.io.live_arrays import file_of
from atomseg_app.jobs.tasks import Task
from atomseg_app.networks.card import user_folder
from atomseg_app.networks.run_folder import runs_folder, unfinished
from atomseg_app.operations import Parameters
from atomseg_app.segmentation.settings import TrainSegmentation


class SegmentationRun(TrainingRun):
    """Runs lie in a folder of their own. What is painted while one runs is not part of it."""

    model: ClassVar[type[Parameters]] = TrainSegmentation

    def __init__(self, context: Context, background: Background, parent: QObject, model: SegModel) -> None:
        super().__init__(context, background, parent)
        self._volumes = model

    def folder(self, name: str) -> Path:
        """Where the run of a model lies."""
        return runs_folder() / "segmentation" / name

    def interrupted_runs(self) -> list[Path]:
        """Folders of runs that can be continued."""
        return unfinished(runs_folder() / "segmentation")

    def train_task(self, settings: Any, folder: Path, *, resume: bool) -> Task:
        """What trains, on a copy of the labels as they are now. Raises UserError where nothing is painted."""
        entry = self._volumes.entry
        labels = None if entry is None else entry.annotation()
        if entry is None or labels is None or not entry.painted:
            raise UserError("Paint at least two classes in some slices first: that is what the network learns from.")
        arguments = {
            "settings": settings.model_dump(mode="json"), "folder": str(folder), "shelf": str(user_folder()),
            "resume": resume,
        }  # fmt: skip
        assert entry.store is not None
        if file_of(entry.store.values) is None:
            return Task("train-segmentation", arguments, (entry.data, replace(labels, values=np.array(labels.values))))
        # Of a large volume only the slices with labels are copied; the process that trains puts them in their places.
        slices = entry.store.painted_slices()
        arguments["slices"] = [int(z) for z in slices]
        return Task("train-segmentation", arguments, (entry.data, replace(labels, values=labels.values[slices])))

    def keep_task(self, folder: Path) -> Task:
        """What saves the best network of a run that was stopped."""
        return Task("keep-segmentation", {"folder": str(folder), "shelf": str(user_folder())})
