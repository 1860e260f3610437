"""What a job can be asked to do: a task is a name, JSON-able arguments and data; a result is the same.

:func:`run_task` is the one entry for the compute process, the command line and tests. Functions are named by their
import path and imported only where they run, so that the window can build tasks without importing torch.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from atomseg_app import operations
from atomseg_app.data import Data
from atomseg_app.errors import UserError
from atomseg_app.operations import Report

EXTRA_TASKS = "ATOMSEG_EXTRA_TASKS"
"""Environment variable ``module:NAME`` naming a dictionary of further task functions, for tests and extensions."""

BUILT_IN: Mapping[str, str] = {
    "operation": "atomseg_app.jobs.functions:run_operation",
    "inspect": "atomseg_app.jobs.functions:inspect_file",
    "open": "atomseg_app.jobs.functions:open_file",
    "export": "atomseg_app.jobs.functions:export_columns",
    "save-volume": "atomseg_app.jobs.functions:save_volume",
    "make-surface": "atomseg_app.jobs.functions:make_surface",
    "unexplained": "atomseg_app.jobs.functions:find_unexplained",
    "edit-labels": "atomseg_app.jobs.segmentation_functions:edit_labels",
    "label-surfaces": "atomseg_app.jobs.segmentation_functions:label_surfaces",
    "preview-labels": "atomseg_app.jobs.segmentation_functions:preview_labels",
    "baseline-labels": "atomseg_app.jobs.segmentation_functions:baseline",
    "save-meshes": "atomseg_app.jobs.segmentation_functions:save_meshes",
    "measure-labels": "atomseg_app.jobs.segmentation_functions:measure_labels",
    "find-errors": "atomseg_app.jobs.segmentation_functions:find_errors",
    "save-errors": "atomseg_app.jobs.segmentation_functions:save_errors",
    "compare-labels": "atomseg_app.jobs.segmentation_functions:compare_with",
    "open-labels": "atomseg_app.jobs.segmentation_functions:open_labels",
    "save-labels": "atomseg_app.jobs.segmentation_functions:save_labels",
    "train-segmentation": "atomseg_app.jobs.segmentation_functions:train",
    "keep-segmentation": "atomseg_app.jobs.segmentation_functions:keep",
    "fourier-view": "atomseg_app.jobs.functions:view_in_fourier_space",
    "filled-series": "atomseg_app.jobs.functions:fill_series",
    "batch-file": "atomseg_app.jobs.functions:process_file",
    "simulate": "atomseg_app.jobs.functions:simulate_pictures",
    "train": "atomseg_app.jobs.functions:train_network",
    "keep-network": "atomseg_app.jobs.functions:keep_network",
    "adapt-network": "atomseg_app.jobs.functions:adapt_network",
    "warm": "atomseg_app.jobs.functions:warm_up",
    "devices": "atomseg_app.jobs.functions:list_devices",
}

_TITLES = {
    "inspect": "Look into file",
    "open": "Open file",
    "export": "Export",
    "save-volume": "Save a volume",
    "make-surface": "Make a surface",
    "unexplained": "Compare with the views",
    "edit-labels": "Edit labels",
    "label-surfaces": "Make surfaces",
    "preview-labels": "Preview of a slice",
    "baseline-labels": "Baseline",
    "save-meshes": "Save meshes",
    "measure-labels": "Measure particles",
    "find-errors": "Find errors",
    "save-errors": "Save an error map",
    "compare-labels": "Compare labels",
    "open-labels": "Open labels",
    "save-labels": "Save labels",
    "train-segmentation": "Train a network",
    "keep-segmentation": "Keep a network",
    "fourier-view": "Look at a volume in Fourier space",
    "filled-series": "Fill a series",
    "batch-file": "Measure a file",
    "simulate": "Simulate pictures",
    "train": "Train a network",
    "keep-network": "Keep a network",
    "adapt-network": "Adapt a network",
    "warm": "Prepare the compute process",
    "devices": "List devices",
}


_TRAINING = ("train", "keep-network", "train-segmentation", "keep-segmentation")


@dataclass(frozen=True)
class Task:
    """``operation`` with arguments ``{"operation": name, "parameters": {...}}``, ``open`` with ``{"path": ...}``..."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    inputs: tuple[Data, ...] = ()

    @property
    def title(self) -> str:
        """What the user knows it as."""
        if self.name == "operation":
            return operations.get(self.arguments["operation"]).title
        return _TITLES.get(self.name, self.name)

    @property
    def targets(self) -> tuple[str, ...]:
        """Files that it writes."""
        if self.name in ("export", "save-volume", "save-labels", "save-errors"):
            return (self.arguments["path"],)
        if self.name == "save-meshes":
            return tuple(self.arguments["paths"])
        if self.name in _TRAINING:  # what it writes in these folders has the name of its process
            return tuple(os.path.join(self.arguments[folder], "any") for folder in ("folder", "shelf"))
        if self.name == "adapt-network":
            return (os.path.join(self.arguments["folder"], "any"),)
        return tuple(self.arguments["outputs"].values()) if self.name == "batch-file" else ()


@dataclass(frozen=True)
class TaskResult:
    """JSON-able value and data objects, either may be empty."""

    value: Any = None
    items: tuple[Data, ...] = ()


TaskFunction = Callable[[Task, Report], TaskResult]


def _load(path: str) -> Any:
    module, _, name = path.partition(":")
    return getattr(importlib.import_module(module), name)


def task_function(name: str) -> TaskFunction:
    """Function of a task. Raises UserError for a name that nobody serves."""
    if name in BUILT_IN:
        function: TaskFunction = _load(BUILT_IN[name])
        return function
    extra: Mapping[str, TaskFunction] = _load(os.environ[EXTRA_TASKS]) if os.environ.get(EXTRA_TASKS) else {}
    if name not in extra:
        raise UserError(f"There is no task {name!r}; known: {', '.join(sorted({*BUILT_IN, *extra}))}.")
    return extra[name]


def run_task(task: Task, report: Report) -> TaskResult:
    """Do a task in this process. Raises UserError, Cancelled, or whatever the function raises."""
    report.check()
    return task_function(task.name)(task, report)
