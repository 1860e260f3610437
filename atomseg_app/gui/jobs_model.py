"""The list of jobs as a Qt model, and how a job's progress is drawn."""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QRect, Qt
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QStyledItemDelegate, QStyleOptionViewItem

from atomseg_app.gui.theme import Theme
from atomseg_app.jobs.job import Job

COLUMNS = ("Job", "Progress", "Elapsed", "Left", "Device")
PROGRESS_COLUMN = 1
_STATES = {"queued": "Waiting", "running": "Running", "done": "Done", "failed": "Failed", "cancelled": "Cancelled"}
_STATE_ICONS = {
    "queued": "mdi6.clock-outline", "running": "mdi6.progress-clock", "done": "mdi6.check-circle-outline",
    "failed": "mdi6.alert-circle-outline", "cancelled": "mdi6.cancel",
}  # fmt: skip
AnyIndex = QModelIndex | QPersistentModelIndex


class JobsModel(QAbstractTableModel):
    """Jobs, the newest first."""

    def __init__(self, theme: Theme) -> None:
        super().__init__()
        self._jobs: list[Job] = []
        self._icons = {state: theme.icon(name) for state, name in _STATE_ICONS.items()}

    def job(self, index: AnyIndex) -> Job | None:
        """Job of a row."""
        return self._jobs[index.row()] if index.isValid() else None

    def set_jobs(self, jobs: list[Job]) -> None:
        """Show these, given oldest first; rows are kept where the list only grew."""
        newest_first = jobs[::-1]
        grown = len(newest_first) - len(self._jobs)
        if grown > 0 and newest_first[grown:] == self._jobs:
            self.beginInsertRows(QModelIndex(), 0, grown - 1)
            self._jobs = newest_first
            self.endInsertRows()
        elif newest_first != self._jobs:
            self.beginResetModel()
            self._jobs = newest_first
            self.endResetModel()

    def job_changed(self, job: Job) -> None:
        """Draw a job anew."""
        if job in self._jobs:
            row = self._jobs.index(job)
            self.dataChanged.emit(self.index(row, 0), self.index(row, len(COLUMNS) - 1))

    def tick(self) -> None:
        """Times go on."""
        for job in self._jobs:
            if job.state == "running":
                self.job_changed(job)

    def rowCount(self, parent: AnyIndex = QModelIndex()) -> int:  # noqa: B008 - Qt's own signature
        return 0 if parent.isValid() else len(self._jobs)

    def columnCount(self, parent: AnyIndex = QModelIndex()) -> int:  # noqa: B008
        return len(COLUMNS)

    def headerData(self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if role == Qt.ItemDataRole.DisplayRole and orientation == Qt.Orientation.Horizontal:
            return COLUMNS[section]
        return None

    def data(self, index: AnyIndex, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        job = self.job(index)
        if job is None:
            return None
        if role == Qt.ItemDataRole.DisplayRole:
            return (
                job.title,
                progress_text(job),
                duration_text(job.elapsed_s()) if job.started else "",
                "" if job.eta_s() is None else duration_text(job.eta_s() or 0.0),
                job.device,
            )[index.column()]
        if role == Qt.ItemDataRole.DecorationRole and index.column() == 0:
            return self._icons[job.state]
        if role == Qt.ItemDataRole.ToolTipRole:
            return job.error or f"{job.title}: {progress_text(job)}"
        if role == Qt.ItemDataRole.TextAlignmentRole and index.column() in (2, 3):
            return Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
        return None


class ProgressDelegate(QStyledItemDelegate):
    """Draws the fraction done as a bar under the words."""

    def paint(self, painter: QPainter, option: QStyleOptionViewItem, index: AnyIndex) -> None:
        """Draw one cell."""
        model = index.model()
        job = model.job(index) if isinstance(model, JobsModel) else None
        if job is not None and job.state == "running":
            bar = QRect(option.rect.adjusted(2, 3, -2, -3))
            painter.save()
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(option.palette.mid().color())
            painter.setBrush(option.palette.alternateBase())
            painter.drawRoundedRect(bar, 3, 3)
            bar.setWidth(round(bar.width() * job.fraction))
            painter.setPen(Qt.PenStyle.NoPen)
            done = QColor(option.palette.accent().color())
            done.setAlphaF(0.35)  # seen on selected rows, and the words on it are
            painter.setBrush(done)
            painter.drawRoundedRect(bar, 3, 3)
            painter.restore()
        super().paint(painter, option, index)


def progress_text(job: Job) -> str:
    """State, or percentage and what is being done."""
    if job.state == "running":
        return f"{job.fraction:.0%}  {job.message}".strip()
    return f"{_STATES[job.state]}: {job.error}" if job.error else _STATES[job.state]


def duration_text(seconds: float) -> str:
    """Time to read at a glance: "0.4 s", "12 s", "3:05 min", "2:10 h"."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}:{rest:02} min" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02} h"
