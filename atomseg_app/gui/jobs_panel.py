"""Jobs panel at the bottom of the window: what runs, how far it is, its log, and Cancel."""

from __future__ import annotations

from PySide6.QtCore import Qt, QTimer
from PySide6.QtGui import QGuiApplication, QShowEvent
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPlainTextEdit,
    QPushButton,
    QSplitter,
    QTreeView,
    QVBoxLayout,
    QWidget,
)

from atomseg_app.gui.jobs_model import PROGRESS_COLUMN, JobsModel, ProgressDelegate
from atomseg_app.gui.theme import Theme
from atomseg_app.jobs.engine import JobEngine
from atomseg_app.jobs.job import Job

_TICK_MS = 500
_LOG_DELAY_MS = 150  # a job may log a hundred lines a second


class JobsPanel(QWidget):
    """Table of jobs and the log of the selected one."""

    def __init__(self, jobs: JobEngine, theme: Theme) -> None:
        super().__init__()
        self.setObjectName("panel.jobs")
        self.setAccessibleName("Jobs")
        self._engine = jobs
        self.model = JobsModel(theme)
        self.table = QTreeView()
        self.table.setRootIsDecorated(False)
        self.table.setUniformRowHeights(True)
        self.table.setAlternatingRowColors(True)
        self.table.setModel(self.model)
        self.table.setAccessibleName("List of jobs")
        self.table.setItemDelegateForColumn(PROGRESS_COLUMN, ProgressDelegate(self.table))
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.table.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        header = self.table.header()
        header.setStretchLastSection(False)
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        for column in (0, PROGRESS_COLUMN):
            header.setSectionResizeMode(column, QHeaderView.ResizeMode.Stretch)
        self.log = QPlainTextEdit(readOnly=True)
        self.log.setAccessibleName("Log of the job")
        self.log.setProperty("role", "mono")
        self.log.setPlaceholderText("The log of the selected job appears here.")
        self.empty = QLabel("No jobs yet. What takes time runs here, with its progress and log.")
        self.empty.setProperty("role", "muted")
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.clicked.connect(self.cancel_selected)
        self.copy_button = QPushButton("Copy report")
        self.copy_button.clicked.connect(self.copy_report)
        self._lay_out()
        self.table.selectionModel().currentChanged.connect(self._show_selected)
        self._log_timer = QTimer(self, interval=_LOG_DELAY_MS, singleShot=True)
        self._log_timer.timeout.connect(self._show_selected)
        jobs.job_added.connect(self._added)
        jobs.job_finished.connect(self._finished)
        jobs.job_changed.connect(self._changed)
        self._timer = QTimer(self, interval=_TICK_MS)
        self._timer.timeout.connect(self._tick)
        self._show_selected()

    def selected(self) -> Job | None:
        """The selected job."""
        return self.model.job(self.table.currentIndex())

    def cancel_selected(self) -> None:
        """Cancel the selected job."""
        job = self.selected()
        if job is not None:
            self._engine.cancel(job.id)

    def copy_report(self) -> None:
        """Copy everything known of the selected job to the clipboard."""
        job = self.selected()
        if job is not None:
            QGuiApplication.clipboard().setText(job.report_text())

    def showEvent(self, event: QShowEvent) -> None:
        """Catch up with what happened while it was hidden."""
        super().showEvent(event)
        self._show_selected()

    def _lay_out(self) -> None:
        buttons = QVBoxLayout()
        buttons.addWidget(self.cancel_button)
        buttons.addWidget(self.copy_button)
        buttons.addStretch()
        right = QWidget()
        row = QHBoxLayout(right)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.log, 1)
        row.addLayout(buttons)
        splitter = QSplitter()
        splitter.addWidget(self.table)
        splitter.addWidget(right)
        splitter.setStretchFactor(0, 3)
        splitter.setStretchFactor(1, 2)
        splitter.setChildrenCollapsible(False)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(8, 6, 8, 6)
        layout.addWidget(self.empty, 1)
        layout.addWidget(splitter, 1)
        self._content = splitter
        self.table.setMinimumHeight(4 * self.fontMetrics().height())
        self.log.setMinimumHeight(3 * self.fontMetrics().height())

    def _added(self, job: Job) -> None:
        follow = self.selected() is None or not self._engine.active()[:-1]
        self.model.set_jobs(self._engine.jobs())
        if follow:
            self.table.setCurrentIndex(self.model.index(0, 0))
        self._timer.start()
        self._show_selected()

    def _changed(self, job: Job) -> None:
        self.model.job_changed(job)
        if job is self.selected() and self.isVisible() and not self._log_timer.isActive():
            self._log_timer.start()

    def _finished(self, job: Job) -> None:
        self.model.job_changed(job)
        self._show_selected()

    def _tick(self) -> None:
        self.model.tick()
        if not self._engine.active():
            self._timer.stop()

    def _show_selected(self) -> None:
        job = self.selected()
        some = self.model.rowCount() > 0
        self.empty.setVisible(not some)
        self._content.setVisible(some)
        running = job is not None and not job.finished
        self.cancel_button.setEnabled(running)
        self.cancel_button.setToolTip("Stop this job." if running else "Only a waiting or running job can be stopped.")
        self.copy_button.setEnabled(job is not None)
        self.copy_button.setToolTip("Copy versions, parameters, error and log of this job.")
        text = "\n".join(job.log) if job is not None else ""
        if text != self.log.toPlainText():
            self.log.setPlainText(text)
            self.log.verticalScrollBar().setValue(self.log.verticalScrollBar().maximum())
