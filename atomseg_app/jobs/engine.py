"""Jobs of the window: a queue in front of the compute process, with all news delivered in the window's thread.

The only module of this package that knows Qt.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from PySide6.QtCore import QObject, QRunnable, Qt, QThreadPool, Signal, Slot

from atomseg_app.data import Array
from atomseg_app.errors import Cancelled
from atomseg_app.jobs.arrays import allow_many_descriptors
from atomseg_app.jobs.failures import Failure, TaskFailed, from_exception
from atomseg_app.jobs.host import Host
from atomseg_app.jobs.job import Job, State
from atomseg_app.jobs.tasks import Task, TaskResult
from atomseg_app.operations import Report

OnDone = Callable[[TaskResult], None]
OnFailed = Callable[[Job], None]
OnPreview = Callable[[str, Array], None]

_KEPT_JOBS = 200
_PRIORITIES = {"operation": -1, "batch-file": -2}  # the rest is quick and awaited by the user
_LONG = ("train", "train-segmentation", "adapt-network")
"""Tasks that take minutes or hours run in a second compute process, so that nobody waits for them to open a file."""
_log = logging.getLogger(__name__)


class _Lane:
    """A compute process and the queue in front of it."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.pool = QThreadPool()
        self.pool.setMaxThreadCount(1)


@dataclass
class _News:
    """What has happened to a job since its news was last delivered; of what repeats, only the latest."""

    began: bool = False
    fraction: float | None = None
    message: str | None = None
    device: str = ""
    lines: list[str] = field(default_factory=list)
    previews: dict[str, Array] = field(default_factory=dict)
    outcome: TaskResult | Failure | Cancelled | None = None


class _Run(QRunnable):
    """A job in the pool: runs its task, and gathers news until the window's thread has time for it."""

    def __init__(self, job: Job, task: Task, lane: _Lane, wake: Callable[[_Run], None]) -> None:
        super().__init__()
        self.setAutoDelete(False)
        self.job, self.lane = job, lane
        self.on_done: OnDone | None = None
        self.on_failed: OnFailed | None = None
        self.on_preview: OnPreview | None = None
        self._task, self._wake = task, wake
        self._lock = threading.Lock()
        self._news: _News | None = None

    def run(self) -> None:
        """Run the task; called in a thread of the pool."""
        with self._latest() as news:
            news.began = True
        report = Report(
            lambda fraction, message: self._progressed(fraction, message, report.facts.device),
            self._logged,
            self._previewed,
            self.job.cancelling.is_set,
            self.job.stopping.is_set,
        )
        outcome: TaskResult | Failure | Cancelled
        try:
            outcome = self.lane.host.run(self._task, report)
        except Cancelled as cancelled:
            outcome = cancelled
        except TaskFailed as failed:
            outcome = failed.failure
        except Exception as problem:  # noqa: BLE001 - a defect of the host must not leave a job running for ever
            outcome = from_exception(self.job.title, problem)
        with self._latest() as news:
            news.outcome, news.device = outcome, report.facts.device

    def take(self) -> _News:
        """The news since the last call; called in the window's thread."""
        with self._lock:
            news, self._news = self._news, None
        return news or _News()

    @contextmanager
    def _latest(self) -> Iterator[_News]:
        """The news not yet taken; the window's thread is woken once for all that gathers until it takes them."""
        with self._lock:
            wake = self._news is None
            self._news = self._news or _News()
            yield self._news
        if wake:
            self._wake(self)

    def _progressed(self, fraction: float, message: str, device: str) -> None:
        with self._latest() as news:
            news.fraction, news.message, news.device = fraction, message, device

    def _logged(self, level: str, text: str) -> None:
        with self._latest() as news:
            news.lines.append(text if level == "info" else f"{level}: {text}")

    def _previewed(self, name: str, array: Array) -> None:
        with self._latest() as news:
            news.previews[name] = array


class JobEngine(QObject):
    """Queue of jobs in front of the compute process. Everything but the computing happens in the window's thread.

    ``job_added``, ``job_changed`` (progress, log, device, state) and ``job_finished`` carry the :class:`Job`.
    """

    job_added = Signal(object)
    job_changed = Signal(object)
    job_finished = Signal(object)
    _woken = Signal(object)

    def __init__(self, host: Host | None = None, parent: QObject | None = None) -> None:
        super().__init__(parent)
        allow_many_descriptors()
        self._lane = _Lane(host or Host())
        self._long: _Lane | None = None
        self._numbers = itertools.count(1)
        self._jobs: dict[int, Job] = {}
        self._runs: dict[int, _Run] = {}
        self._adopted: dict[int, tuple[Job, Callable[[], object]]] = {}
        self._finished: deque[int] = deque()
        self._closed = False
        self._woken.connect(self._deliver, Qt.ConnectionType.QueuedConnection)

    @property
    def worker_pid(self) -> int | None:
        """Process id of the compute process, None while there is none."""
        return self._lane.host.pid

    @property
    def long_worker_pid(self) -> int | None:
        """Process id of the compute process of tasks that take hours, None while there is none."""
        return None if self._long is None else self._long.host.pid

    def start(self) -> None:
        """Start the compute process in a thread; call it once the window is shown."""
        self._lane.pool.start(self._start_host)

    def submit(
        self,
        task: Task,
        title: str,
        on_done: OnDone | None = None,
        on_failed: OnFailed | None = None,
        on_preview: OnPreview | None = None,
    ) -> Job:
        """Queue a task. Callbacks run in the window's thread; ``on_failed`` is called for a cancelled job, too.

        Files are opened and tables written before operations that are still waiting, so that a long queue of
        measurements does not keep the user from looking at another file.
        """
        if self._closed:
            raise RuntimeError("the job engine is shut down")
        job = Job(next(self._numbers), title, task)
        run = _Run(job, task, self._lane_of(task), self._woken.emit)
        run.on_done, run.on_failed, run.on_preview = on_done, on_failed, on_preview
        self._jobs[job.id], self._runs[job.id] = job, run
        self.job_added.emit(job)
        # 0 for files: a pool with an idle thread takes the next job with priority 0 whatever is asked
        run.lane.pool.start(run, _PRIORITIES.get(task.name, 0))
        return job

    def cancel(self, job_id: int) -> None:
        """Cancel a job: at once if it waits, else as soon as it stops by itself or its process has been ended."""
        if job_id in self._adopted:
            job, give_up = self._adopted[job_id]
            job.cancelling.set()
            give_up()
            self.ended(job, Cancelled())
        run = self._runs.get(job_id)
        if run is None:
            return
        run.job.cancelling.set()
        if run.lane.pool.tryTake(run):
            self._finish(run, Cancelled())
        else:
            run.job.message = "Cancelling…"
            self.job_changed.emit(run.job)

    def stop(self, job_id: int) -> None:
        """Ask a running job to end early with what it has; tasks that cannot go on as they are."""
        run = self._runs.get(job_id)
        if run is not None and not run.job.cancelling.is_set():
            run.job.stopping.set()
            run.job.message = "Stopping…"
            self.job_changed.emit(run.job)

    def jobs(self) -> list[Job]:
        """All jobs that are still known, oldest first."""
        return list(self._jobs.values())

    def active(self) -> list[Job]:
        """Jobs that wait or run, oldest first."""
        found = [*(run.job for run in self._runs.values()), *(job for job, _ in self._adopted.values())]
        return sorted(found, key=lambda job: job.id)

    # -- what the window does by itself, shown and cancelled like the others

    def adopt(self, title: str, told: Mapping[str, object], give_up: Callable[[], object]) -> Job:
        """A job of which the window does the work in pieces; ``told`` is what its report says of it.

        Whoever does it tells of :meth:`progressed` and :meth:`ended`. ``give_up`` ends it at once and leaves nothing.
        """
        if self._closed:
            raise RuntimeError("the job engine is shut down")
        job = Job(next(self._numbers), title, Task("film", dict(told)))
        self._jobs[job.id], self._adopted[job.id] = job, (job, give_up)
        self.job_added.emit(job)
        job.begin()
        self.job_changed.emit(job)
        return job

    def progressed(self, job: Job, fraction: float, message: str) -> None:
        """How far an adopted job is."""
        if job.id in self._adopted:
            job.fraction, job.message = fraction, message
            self.job_changed.emit(job)

    def ended(self, job: Job, problem: Exception | None = None) -> None:
        """An adopted job is done, was cancelled (:class:`Cancelled`) or failed; said once, the first time."""
        if self._adopted.pop(job.id, None) is None:
            return
        if problem is None:
            job.fraction = 1.0
            self._close(job, "done")
        elif isinstance(problem, Cancelled):
            self._close(job, "cancelled")
        else:
            self._close(job, "failed", from_exception(job.title, problem))
        self.job_finished.emit(job)

    def shutdown(self) -> None:
        """Cancel everything and end the compute process at once; returns when nothing is left running."""
        if self._closed:
            return
        self._closed = True
        lanes = [lane for lane in (self._lane, self._long) if lane is not None]
        for lane in lanes:
            lane.pool.clear()
            lane.host.close()
        for lane in lanes:
            lane.pool.waitForDone()
        for job in [job for job, _ in self._adopted.values()]:
            self.cancel(job.id)
        for run in list(self._runs.values()):
            run.job.cancelling.set()
            run.job.end("cancelled")
            del self._runs[run.job.id]
            self.job_finished.emit(run.job)

    def _lane_of(self, task: Task) -> _Lane:
        if task.name not in _LONG:
            return self._lane
        if self._long is None:
            self._long = _Lane(Host(warm=False))
        return self._long

    def _start_host(self) -> None:
        try:
            self._lane.host.start()
        except OSError as problem:  # the first job tells the user
            _log.warning("the compute process cannot be started: %s", problem)

    @Slot(object)
    def _deliver(self, run: _Run) -> None:
        if run.job.id not in self._runs:  # shut down meanwhile
            return
        news, job = run.take(), run.job
        if news.began:
            job.begin()
        job.device = news.device or job.device
        if news.fraction is not None:
            job.fraction = news.fraction
        if news.message is not None and not job.cancelling.is_set():
            job.message = news.message
        for line in news.lines:
            job.add_line(line)
        if run.on_preview is not None:
            for name, array in news.previews.items():
                run.on_preview(name, array)
        if news.outcome is None:
            self.job_changed.emit(job)
        else:
            self._finish(run, news.outcome)

    def _finish(self, run: _Run, outcome: TaskResult | Failure | Cancelled) -> None:
        job = run.job
        del self._runs[job.id]
        job.versions = run.lane.host.versions
        if isinstance(outcome, TaskResult):
            job.fraction = 1.0
            self._close(job, "done")
        elif isinstance(outcome, Failure):
            self._close(job, "failed", outcome)
        else:
            self._close(job, "cancelled")
        try:
            if isinstance(outcome, TaskResult):
                if run.on_done is not None:
                    run.on_done(outcome)
            elif run.on_failed is not None:
                run.on_failed(job)
        finally:
            self.job_finished.emit(job)

    def _close(self, job: Job, state: State, failure: Failure | None = None) -> None:
        """A job has reached its last state: note it, log it, and forget the oldest where there are many."""
        self._finished.append(job.id)
        if len(self._finished) > _KEPT_JOBS:
            del self._jobs[self._finished.popleft()]
        if failure is not None:
            job.error, job.details = failure.sentence, failure.details
            job.add_line(f"error: {failure.sentence}")
        job.end(state)
        level = logging.WARNING if state == "failed" else logging.INFO
        text = f"job {job.id} {job.title}: {state} after {job.elapsed_s():.2f} s. {job.error}".rstrip()
        _log.log(level, "%s%s", text, f"\n{job.details}" if job.details else "")
        self.job_changed.emit(job)
