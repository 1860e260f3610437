"""Measures the window from inside, for ``window-check`` and ``atomseg bench window``: one line of JSON."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PySide6.QtCore import QCoreApplication, QEvent, QEventLoop, QObject, QTimer

from atomseg_app.data import Data, Image
from atomseg_app.gui.watchdog import StallWatchdog
from atomseg_app.jobs.engine import JobEngine
from atomseg_app.jobs.job import Job
from atomseg_app.jobs.tasks import Task, TaskResult
from atomseg_app.simulate.columns import poisson, render, square_lattice

HEAVY = ("torch", "scipy", "skimage", "h5py", "rsciio")
"""What the window's process never imports."""

Probe = Callable[[], dict[str, Any]]

_CHECK_MS = 1000
_RUNS = 5
_JOB_LIMIT_S = 120


class FirstFrame(QObject):
    """Notes when the first frame has been painted; made before the window is shown.

    ``seconds`` is counted from the start of the process, ``processor_s`` is what it computed until then, which other
    programs do not change; both are None before.
    """

    def __init__(self) -> None:
        super().__init__()
        self.seconds: float | None = None
        self.processor_s: float | None = None
        QCoreApplication.instance().installEventFilter(self)  # type: ignore[union-attr]

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """See the first paint event; what it is part of has been painted when the loop turns again."""
        if event.type() == QEvent.Type.Paint:
            QCoreApplication.instance().removeEventFilter(self)  # type: ignore[union-attr]
            QTimer.singleShot(0, self._painted)
        return False

    def _painted(self) -> None:
        self.seconds, self.processor_s = _process_age_s(), time.process_time()


def _process_age_s() -> float:
    """Time since this process was started; with ``main.py`` that is when the user started that."""
    if sys.platform != "linux":
        import psutil

        return time.time() - float(psutil.Process().create_time())
    # psutil's time there is counted from a boot known to the second only
    ticks = int(Path("/proc/self/stat").read_text("ascii").rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


def check(
    first_frame: FirstFrame, jobs: JobEngine, show: Callable[[Data], object], *, measure: bool,
    first: Probe, then: Probe,
) -> int:  # fmt: skip
    """Run the event loop for a second and print what was seen as one line of JSON; returns an exit code.

    With ``measure``, ``first`` measures from the first frame on; then jobs are run, cancelled and killed under the
    window, ``show`` gets their images and results; and ``then`` measures the rest.
    """
    found: dict[str, Any] = {}
    if measure:
        while first_frame.seconds is None:
            _wait(1)
        found |= first()
    _wait(_CHECK_MS)
    facts: dict[str, Any] = {
        "torch_imported": "torch" in sys.modules,
        "first_frame_s": None if first_frame.seconds is None else round(first_frame.seconds, 3),
        "first_frame_processor_s": None if first_frame.processor_s is None else round(first_frame.processor_s, 3),
        "heavy_modules": [name for name in HEAVY if name in sys.modules],
    }
    if measure:
        facts |= _Measurement(jobs, show).run()
        facts |= found | then()
    sys.stdout.write(json.dumps(facts) + "\n")
    sys.stdout.flush()
    return 0 if first_frame.seconds is not None and not facts["heavy_modules"] else 1


class _Measurement:
    """Jobs under a shown window, each kind several times; the figures are lists, one entry a run."""

    def __init__(self, jobs: JobEngine, show: Callable[[Data], object]) -> None:
        self._jobs, self._show = jobs, show

    def run(self) -> dict[str, Any]:
        """All figures in seconds, by name."""
        self._finished(Task("warm"))
        small, image, large = (_lattice(size) for size in (256, 1024, 2048))
        self._show(image)
        return {
            "stalls_s": [self._longest_stall(image) for _ in range(_RUNS)],
            "cancel_s": [self._time_to_cancel(large) for _ in range(_RUNS)],
            "kill_to_next_s": [self._time_from_kill(large, small) for _ in range(_RUNS)],
        }

    def _longest_stall(self, image: Image) -> float:
        """Longest delay of the event loop from submitting *Find columns* until its result is on the screen."""
        watchdog = StallWatchdog()
        watchdog.start()
        for item in self._finished(_find(image)).items:
            self._show(item)
        _wait(200)  # the result is painted
        watchdog.stop()
        return round(watchdog.longest_s, 4)

    def _time_to_cancel(self, image: Image) -> float:
        job = self._begun(_find(image))
        start = time.perf_counter()
        self._jobs.cancel(job.id)
        self._wait_for(job)
        return round(time.perf_counter() - start, 4)

    def _time_from_kill(self, victim: Image, following: Image) -> float:
        """Time from killing the compute process in the middle of a job until the next job is done."""
        job = self._begun(_find(victim))
        start = time.perf_counter()
        if self._jobs.worker_pid is not None:
            os.kill(self._jobs.worker_pid, getattr(signal, "SIGKILL", signal.SIGTERM))
        self._wait_for(job)
        self._finished(_find(following, refine=False))
        return round(time.perf_counter() - start, 4)

    def _finished(self, task: Task) -> TaskResult:
        results: list[TaskResult] = []
        job = self._jobs.submit(task, task.title, results.append)
        self._wait_for(job)
        if not results:
            raise RuntimeError(f"{job.title}: {job.state}: {job.error}")
        return results[0]

    def _begun(self, task: Task) -> Job:
        """A job that is well under way."""
        job = self._jobs.submit(task, task.title)
        while job.state == "queued":
            _wait(5)
        _wait(300)
        return job

    def _wait_for(self, job: Job) -> None:
        deadline = time.monotonic() + _JOB_LIMIT_S
        while not job.finished and time.monotonic() < deadline:
            _wait(2)


def _wait(milliseconds: int) -> None:
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def _find(image: Image, **parameters: object) -> Task:
    return Task("operation", {"operation": "find-columns", "parameters": parameters}, (image,))


def _lattice(size_px: int) -> Image:
    """Columns 20 px apart at 50 counts, the image of the figures in the README at 1024 px."""
    rng = np.random.default_rng(7)
    truth = square_lattice(size_px, 20.0, rng, displacement_px=0.35)
    return Image(poisson(render(truth, (size_px, size_px)), rng), (0.01, 0.01))
