"""Opening files: look into each as a job, ask which dataset if there are several, read it as a job, show it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from PySide6.QtCore import QObject, Signal
from PySide6.QtWidgets import QWidget

from atomseg_app.data import Data
from atomseg_app.gui.background import Background
from atomseg_app.gui.context import Context
from atomseg_app.gui.dataset_dialog import DatasetDialog
from atomseg_app.io.files import SUPPORTED, find_inputs
from atomseg_app.jobs.job import Job
from atomseg_app.jobs.tasks import Task, TaskResult

PROJECT_EXTENSION = ".atomseg"


@dataclass
class _Batch:
    """Files opened together: what failed is told once, when the last of them is through."""

    waiting: int
    total: int
    failures: dict[str, str] = field(default_factory=dict)
    opened: int = 0


class Opener(QObject):
    """Turns paths into items. ``opened`` carries an item and its path; ``project`` a project file to open."""

    opened = Signal(object, str)
    project = Signal(str)

    def __init__(self, context: Context, background: Background, window: QWidget) -> None:
        super().__init__(window)
        self._context = context
        self._background = background
        self._window = window

    def open_paths(self, paths: Sequence[str | Path]) -> None:
        """Open files, and every readable file of folders; a project file opens as the project."""
        projects = [p for p in paths if str(p).lower().endswith(PROJECT_EXTENSION)]
        files = [Path(p) for p in paths if p not in projects]
        if projects:
            self.project.emit(str(projects[0]))
        if files:
            self._background.run(lambda: _expand(files), self._inspect, partial(self._context.notify.error, "Open"))

    def read(self, path: str, dataset: str | None, on_done: Callable[[Data], object], on_failed: Any) -> Job:
        """Read one dataset as a job."""

        def done(result: TaskResult) -> None:
            on_done(result.items[0])

        task = Task("open", {"path": path, "dataset": dataset})
        return self._context.jobs.submit(task, f"Open {Path(path).name}", done, on_failed)

    def _inspect(self, found: tuple[list[Path], list[Path]]) -> None:
        files, empty = found
        batch = _Batch(len(files), len(files) + len(empty))
        batch.failures = {str(folder): f"no file in it can be opened; known are {_known()}" for folder in empty}
        for path in files:
            self._context.jobs.submit(
                Task("inspect", {"path": str(path)}),
                f"Look into {path.name}",
                partial(self._choose, batch, path),
                partial(self._failed, batch, path),
            )
        if not files:
            self._finish(batch)

    def _choose(self, batch: _Batch, path: Path, result: TaskResult) -> None:
        datasets = [info for info in result.value if not info["refusal"]]
        if not datasets:
            reasons = dict.fromkeys(info["refusal"] for info in result.value)
            self._done_with(batch, path, "; ".join(reasons) or "it holds no image")
            return
        names = [datasets[0]["name"]]
        if len(datasets) > 1:
            chooser = DatasetDialog(self._window, path, result.value)
            chooser.exec()
            names = chooser.chosen()
            chooser.deleteLater()
        batch.waiting += len(names)
        self._done_with(batch, path, "")
        for name in names:
            self.read(str(path), name, partial(self._show, batch, path), partial(self._failed, batch, path))

    def _show(self, batch: _Batch, path: Path, item: Data) -> None:
        batch.opened += 1
        self.opened.emit(item, str(path))
        self._done_with(batch, path, "")

    def _failed(self, batch: _Batch, path: Path, job: Job) -> None:
        self._done_with(batch, path, job.error or "cancelled")

    def _done_with(self, batch: _Batch, path: Path, problem: str) -> None:
        if problem:
            batch.failures[str(path)] = problem
        batch.waiting -= 1
        if not batch.waiting:
            self._finish(batch)

    def _finish(self, batch: _Batch) -> None:
        problems = {p: text for p, text in batch.failures.items() if text != "cancelled"}
        if problems:
            title = "The file could not be opened" if batch.total == 1 else (
                f"{len(problems)} of {batch.total} files could not be opened")  # fmt: skip
            self._context.notify.error(title, failure_text(problems))


def failure_text(problems: dict[str, str]) -> str:
    """One message for all files: which, why, and what can be opened, unless a reason says that already."""
    shown = list(problems.items())[:8]
    lines = [text if path in text or Path(path).name in text else f"{Path(path).name}: {text}" for path, text in shown]
    if len(problems) > len(shown):
        lines.append(f"... and {len(problems) - len(shown)} more.")
    if not any(_known() in line for line in lines):
        lines.append(f"Supported formats: {_known()}.")
    return "\n\n".join(lines)


def _known() -> str:
    return ", ".join(SUPPORTED)


def file_filter() -> str:
    """Filter of the file dialog."""
    patterns = " ".join(f"*{extension}" for extension in SUPPORTED)
    return f"Images and projects ({patterns} *{PROJECT_EXTENSION});;All files (*)"


def _expand(paths: list[Path]) -> tuple[list[Path], list[Path]]:
    """Files in the order given, folders replaced by what they hold; and the folders that hold nothing."""
    files: list[Path] = []
    empty: list[Path] = []
    for path in paths:
        found = find_inputs([path]) if path.is_dir() else [path]
        files += found
        empty += [] if found else [path]
    return files, empty
