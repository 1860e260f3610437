"""A folder of images in one go: a queue with the state and the results of each file as they come."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QCloseEvent, QDragEnterEvent, QDropEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QDialog,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from atomseg_app import batch
from atomseg_app.atoms.operations import FIND_COLUMNS, FindColumns
from atomseg_app.errors import UserError
from atomseg_app.gui.alive import while_alive
from atomseg_app.gui.background import Background
from atomseg_app.gui.context import Context
from atomseg_app.gui.questions import ask
from atomseg_app.gui.sections import muted
from atomseg_app.gui.settings import LAST_FOLDER
from atomseg_app.io.atomic_write import write_text
from atomseg_app.io.files import SUPPORTED, find_inputs
from atomseg_app.jobs.job import Job
from atomseg_app.jobs.tasks import Task, TaskResult

_TITLES = ("File", "State", "Columns", "Spacing", "Median error", "Time", "Message")
_STATE, _COLUMNS, _SPACING, _ERROR, _TIME, _MESSAGE = range(1, 7)


class BatchDialog(QDialog):
    """Not modal. ``open_file(path)`` when a file of the queue is to be looked at."""

    open_file = Signal(str)

    def __init__(self, context: Context, parameters: FindColumns, parent: QWidget) -> None:
        super().__init__(parent)
        self.setObjectName("dialog.batch")
        self.setWindowTitle("Find columns in many files")
        self.setAcceptDrops(True)
        self._context, self._parameters = context, parameters
        self._background = Background()
        self.paths: list[Path] = []
        self.rows: list[batch.SummaryRow | None] = []
        self._roots: list[Path] = []
        self._jobs: dict[int, Job] = {}
        self._waiting = 0
        self._build()
        self._refresh()

    # -- files

    def add_paths(self, paths: Sequence[str | Path]) -> None:
        """Put files, and what folders hold, at the end of the queue."""
        given = [Path(path) for path in paths]

        def look() -> list[tuple[Path, Path]]:
            return [(file, root if root.is_dir() else root.parent) for root in given for file in find_inputs([root])]

        self._run(look, self._take, "Add files")

    def ask_folder(self) -> None:
        """Ask for a folder of images."""
        folder = QFileDialog.getExistingDirectory(self, "Folder of images", self._context.settings.get(LAST_FOLDER))
        if folder:
            self.add_paths([folder])

    def ask_files(self) -> None:
        """Ask for images."""
        pattern = " ".join(f"*{extension}" for extension in SUPPORTED)
        folder = self._context.settings.get(LAST_FOLDER)
        paths, _ = QFileDialog.getOpenFileNames(self, "Images", folder, f"Images ({pattern});;All files (*)")
        if paths:
            self.add_paths(paths)

    def ask_output(self) -> None:
        """Ask for the folder of the results."""
        folder = QFileDialog.getExistingDirectory(self, "Folder of the results", self.output.text())
        if folder:
            self.output.setText(folder)

    def clear(self) -> None:
        """Empty the queue."""
        self.paths, self.rows, self._roots = [], [], []
        self.table.setRowCount(0)
        self._refresh()

    # -- running

    def start(self, *, overwrite: bool | None = None) -> None:
        """Queue every file that is not done. Results that are there already are asked about, once."""
        out = Path(self.output.text()) if self.output.text().strip() else None
        try:
            outputs = batch.output_paths(self.paths, out, self._roots)
        except UserError as problem:
            self._context.notify.error("The batch cannot start", problem)
            return
        todo = [index for index, row in enumerate(self.rows) if row is None or row.error]
        there = [outputs[index].result for index in todo if outputs[index].result.exists()]
        if there and overwrite is None:
            count = f"{len(there)} result{' is' if len(there) == 1 else 's are'} already there"
            text = f"For example {there[0]}."
            answer = ask(self, self._context.theme, count, text, "Replace them", "Cancel")
            if answer != "Replace them":
                return
            overwrite = True
        for index in todo:
            task = batch.FileTask(
                self.paths[index], outputs[index], FIND_COLUMNS.name, self._parameters.model_dump(mode="json"),
                figure=self.figure.isChecked(), overwrite=bool(overwrite),
            )  # fmt: skip
            self._submit(index, task)
        self._refresh()

    def cancel(self) -> None:
        """Stop what runs and what waits; results so far stay."""
        for job in list(self._jobs.values()):
            self._context.jobs.cancel(job.id)

    def running(self) -> bool:
        """Whether files are waiting or being measured."""
        return bool(self._jobs)

    def closeEvent(self, event: QCloseEvent) -> None:
        """Closing stops the batch."""
        self.cancel()
        super().closeEvent(event)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Welcome files and folders."""
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Add what was dropped."""
        paths = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        event.acceptProposedAction()
        self.add_paths(paths)

    # -- inside

    def _take(self, found: list[tuple[Path, Path]]) -> None:
        known = set(self.paths)
        new = [(path, root) for path, root in found if path not in known]
        for path, root in new:
            self.paths.append(path)
            self._roots.append(root)
            self.rows.append(None)
            row = self.table.rowCount()
            self.table.insertRow(row)
            self._write(row, 0, path.name, str(path))
            self._write(row, _STATE, "Ready")
        if not found:
            self._context.notify.error("Add files", "There is no file that can be read.")
        self._refresh()

    def _submit(self, index: int, task: batch.FileTask) -> None:
        arguments = dataclasses.asdict(task)
        arguments["path"] = str(task.path)
        arguments["outputs"] = {name: str(path) for name, path in arguments["outputs"].items()}

        def done(result: TaskResult) -> None:
            row = batch.SummaryRow(**{**result.value, "notes": tuple(result.value["notes"])})
            self._finish(index, row, "Done")

        def failed(job: Job) -> None:
            if job.state == "cancelled":
                self._finish(index, None, "Cancelled")
            else:
                self._finish(
                    index, batch.SummaryRow(str(task.path), seconds=job.elapsed_s(), error=job.error), "Failed"
                )

        job = self._context.jobs.submit(Task("batch-file", arguments), f"Measure {task.path.name}", done, failed)
        self._jobs[index] = job
        self._write(index, _STATE, "Waiting")
        self._write(index, _MESSAGE, "")

    def _finish(self, index: int, row: batch.SummaryRow | None, state: str) -> None:
        self._jobs.pop(index, None)
        self.rows[index] = row
        self._write(index, _STATE, state)
        if row is not None:
            self._write(index, _COLUMNS, "" if row.columns is None else str(row.columns))
            self._write(index, _SPACING, spacing_text(row))
            self._write(index, _ERROR, "" if row.median_error_pm is None else f"{row.median_error_pm:.2f} pm")
            self._write(index, _TIME, "" if row.seconds is None else f"{row.seconds:.1f} s")
            message = row.error or "; ".join(row.notes)
            self._write(index, _MESSAGE, message, message)
        if not self._jobs:
            self._write_summary()
        self._refresh()

    def _write_summary(self) -> None:
        """One table of all files, as the command line writes it."""
        rows = [row for row in self.rows if row is not None]
        if not rows:
            return
        out = Path(self.output.text()) if self.output.text().strip() else self._roots[0]
        path, text = out / batch.SUMMARY_NAME, batch.summary_text(rows)
        done = f"Summary: {path}"
        self._run(lambda: write_text(path, text), lambda _: self.summary.setText(done), "The summary was not written")

    def _run(self, work: Callable[[], Any], on_done: Callable[[Any], object], title: str) -> None:
        """Do file work on another thread; a failure is told under a title."""
        failed = while_alive(self, lambda problem: self._context.notify.error(title, problem))
        self._background.run(work, while_alive(self, on_done), failed)

    def _on_job(self, job: Job) -> None:
        for index, known in self._jobs.items():
            if known is job and job.state == "running":
                self._write(index, _STATE, f"{job.fraction:.0%}")

    def _refresh(self) -> None:
        finished = sum(row is not None for row in self.rows)
        failed = sum(bool(row is not None and row.error) for row in self.rows)
        running, todo = self.running(), len(self.rows) - finished + failed
        self.bar.setRange(0, max(1, len(self.rows)))
        self.bar.setValue(finished)
        if not self.rows:
            words = "Drop files or a folder here, or add them with the buttons above."
        else:
            words = f"{finished} of {len(self.rows)} files measured" + (f", {failed} failed" if failed else "")
        self.state.setText(words)
        reason = "Wait for the batch, or stop it." if running else "" if todo else "Add files first."
        self.run_button.setEnabled(not reason)
        self.run_button.setToolTip(reason or "Find columns in every file of the queue that is not done.")
        self.stop_button.setEnabled(running)
        self.stop_button.setToolTip("Stop; results so far stay." if running else "Nothing is running.")
        for button in (self.folder_button, self.files_button, self.clear_button):
            button.setEnabled(not running)

    def _write(self, row: int, column: int, text: str, tip: str = "") -> None:
        item = QTableWidgetItem(text)
        item.setToolTip(tip)
        if column in (_COLUMNS, _SPACING, _ERROR, _TIME):
            item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        self.table.setItem(row, column, item)

    def _build(self) -> None:
        self.folder_button = _button("Add folder…", "Add every readable file of a folder.", self.ask_folder)
        self.files_button = _button("Add files…", "Add files to the queue.", self.ask_files)
        self.clear_button = _button("Clear", "Empty the queue.", self.clear)
        self.run_button = _button("Start", "", self.start)
        self.run_button.setProperty("role", "primary")
        self.stop_button = _button("Stop", "", self.cancel)
        self.table = QTableWidget(0, len(_TITLES))
        self.table.setObjectName("batch.queue")
        self.table.setAccessibleName("Queue of files")
        self.table.setHorizontalHeaderLabels(_TITLES)
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setShowGrid(False)
        self.table.setWordWrap(False)
        self.table.verticalHeader().hide()
        self.table.horizontalHeader().setSectionResizeMode(_MESSAGE, QHeaderView.ResizeMode.Stretch)
        self.table.setColumnWidth(0, 260)
        self.table.cellActivated.connect(lambda row, _: self.open_file.emit(str(self.paths[row])))
        self._context.jobs.job_changed.connect(self._on_job)
        self.output = QLineEdit()
        self.output.setPlaceholderText("beside each file")
        self.output.setAccessibleName("Folder of the results")
        self.output.setToolTip("Folder of the results; empty writes them beside each file.")
        self.figure = QCheckBox("Write a figure of each file")
        self.figure.setToolTip("A PNG of the image with its columns beside each table.")
        self.bar = QProgressBar()
        self.bar.setAccessibleName("Files measured")
        self.bar.setTextVisible(False)
        self.state, self.summary = muted(), muted()
        layout = QVBoxLayout(self)
        layout.setSpacing(10)
        layout.addLayout(_row(self.folder_button, self.files_button, self.clear_button, None))
        layout.addWidget(self.table, 1)
        choose = _button("Choose…", "Choose the folder of the results.", self.ask_output)
        layout.addLayout(_row(QLabel("Results"), self.output, choose, self.figure))
        layout.addWidget(self.bar)
        layout.addWidget(self.state)
        layout.addWidget(self.summary)
        layout.addLayout(_row(None, self.stop_button, self.run_button))
        self.resize(900, 560)


def spacing_text(row: batch.SummaryRow) -> str:
    """Mean spacing with its unit."""
    if row.mean_spacing_nm is not None:
        return f"{row.mean_spacing_nm:.4f} nm"
    return "" if row.mean_spacing_px is None else f"{row.mean_spacing_px:.3f} px"


def _button(text: str, tip: str, callback: Any) -> QPushButton:
    button = QPushButton(text)
    button.setObjectName(f"batch.{text.strip('…').lower().replace(' ', '_')}")
    button.setToolTip(tip)
    button.setAutoDefault(False)
    button.clicked.connect(lambda _checked: callback())
    return button


def _row(*widgets: QWidget | None) -> QHBoxLayout:
    """Widgets side by side; None is a stretch."""
    row = QHBoxLayout()
    for widget in widgets:
        if widget is None:
            row.addStretch(1)
        else:
            row.addWidget(widget, 1 if isinstance(widget, QLineEdit) else 0)
    return row
