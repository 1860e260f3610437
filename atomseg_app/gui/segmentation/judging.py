"""The result against a reference as numbers and as a file: asks first, then has it computed."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from PySide6.QtWidgets import QFileDialog

from atomseg_app.data import Labels
from atomseg_app.errors import UserError
from atomseg_app.gui.alive import while_alive
from atomseg_app.gui.background import Background
from atomseg_app.gui.segmentation.report_dialog import ReportDialog, ScoreReport
from atomseg_app.gui.volumes.saving import asked_path
from atomseg_app.jobs.job import Job
from atomseg_app.jobs.tasks import Task, TaskResult

if TYPE_CHECKING:
    from atomseg_app.gui.segmentation.tab import SegmentationTab


class Judging:
    """Reports and error maps of one tab. ``running`` is the comparison that is being computed."""

    def __init__(self, tab: SegmentationTab) -> None:
        self._tab = tab
        self._background = Background()
        self.running: Job | None = None
        self.dialog: ReportDialog | None = None

    def why_not(self) -> str:
        """Why nothing can be judged now."""
        model = self._tab.model
        if model.result() is None:
            return "Segment the volume, or show a result, first."
        if model.reference() is None:
            return "Paint some labels, or open others of this volume, to compare with."
        return "It is running." if self.running is not None else ""

    def report(self) -> Job:
        """Compare the result with the reference, and show the scores."""
        labels, reference, name = self._pair()
        against = self._tab.model.reference_name()

        def done(result: TaskResult) -> None:
            told = result.value
            found = ScoreReport(
                name, against, tuple(told["header"]), told["rows"], told["matrix"], tuple(told["classes"]),
                told["unit"],
            )  # fmt: skip
            self.dialog = ReportDialog(self._tab, found)
            self.dialog.save_asked.connect(partial(self._ask_save, found))
            self.dialog.show()

        def ended() -> None:
            self.running = None
            self._tab.context.actions.refresh()

        task = Task("compare-labels", {}, (labels, reference))
        self.running = self._tab.computing.task(task, f"Compare {name} with {against}", done, ended)
        self._tab.context.actions.refresh()
        return self.running

    def ask_save_errors(self) -> None:
        """Ask where, and write the error map of the chosen class as labels."""
        self._pair()
        entry, chosen = self._tab.model.entry, self._tab.model.chosen
        name = "class" if entry is None else entry.class_name(chosen).replace(" ", "_")
        path = asked_path(self._tab, "Save error map", self._tab.files.place(f"_errors_{name}.tif"))
        if path is not None:
            self.save_errors(path)

    def save_errors(self, path: Path) -> Job:
        """Write the error map of the chosen class as a job."""
        labels, reference, _ = self._pair()
        task = Task("save-errors", {"path": str(path), "value": self._tab.model.chosen}, (labels, reference))
        return self._tab.computing.task(task, f"Save {path.name}", lambda _: self._tab.files.remember(path))

    def write_report(self, report: ScoreReport, path: Path) -> None:
        """Write the scores as CSV."""
        failed = partial(self._tab.context.notify.error, "The report could not be written")
        self._background.run(
            lambda: report.write(path), while_alive(self._tab, self._tab.files.remember), while_alive(self._tab, failed)
        )

    def _ask_save(self, report: ScoreReport) -> None:
        place = str(self._tab.files.place("_scores.csv"))
        chosen, _ = QFileDialog.getSaveFileName(self.dialog, "Save scores", place, "CSV (*.csv)")
        if chosen:
            path = Path(chosen)
            self.write_report(report, path if path.suffix.lower() == ".csv" else Path(f"{path}.csv"))

    def _pair(self) -> tuple[Labels, Labels, str]:
        result, reference = self._tab.model.result(), self._tab.model.reference()
        if result is None or reference is None:
            raise UserError(self.why_not())
        return result.labels, reference, result.name
