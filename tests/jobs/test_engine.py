"""The queue of the window: states, news in the window's thread, cancelling, closing, and the report a user copies."""

import os
import re
import signal
import sys
import threading
import time

import numpy as np
import pytest
from PySide6.QtCore import QCoreApplication, QThread

from atomseg_app.data import Image, Source
from atomseg_app.errors import UserError
from atomseg_app.jobs.engine import JobEngine
from atomseg_app.jobs.host import Host
from atomseg_app.jobs.job import Job
from atomseg_app.jobs.tasks import Task
from tests.jobs.conftest import alive, files_of_sessions


@pytest.fixture
def engine(qapp):
    engine = JobEngine(Host(warm=False, grace_s=0.3))
    engine.start()
    yield engine
    pid = engine.worker_pid
    engine.shutdown()
    assert pid is None or not alive(pid)
    assert files_of_sessions() == []
    engine.deleteLater()


class Recorder:
    """What the engine told, and in which threads."""

    def __init__(self, engine):
        self.events, self.threads = [], set()
        for name in ("job_added", "job_changed", "job_finished"):
            getattr(engine, name).connect(lambda job, name=name: self.note(name.removeprefix("job_"), job.state))

    def note(self, *event):
        self.events.append(event)
        self.threads.add(threading.get_ident())


def finished(qtbot, *jobs):
    qtbot.waitUntil(lambda: all(job.finished for job in jobs), timeout=20_000)


def running(qtbot, job):
    qtbot.waitUntil(lambda: job.state == "running" and bool(job.log or job.fraction), timeout=20_000)


def test_a_job_from_start_to_result(engine, qtbot):
    recorder, results = Recorder(engine), []
    image = Image(np.arange(6.0).reshape(2, 3), source=Source("/data/a.dm4"))
    job = engine.submit(Task("add-one", {}, (image,)), "Add one", lambda r: (recorder.note("done"), results.append(r)))
    assert (job.state, engine.active(), engine.jobs()) == ("queued", [job], [job])
    finished(qtbot, job)
    assert (job.state, job.fraction, job.error, engine.active()) == ("done", 1.0, "", [])
    np.testing.assert_array_equal(results[0].items[0].values, image.values + 1)
    names = [event[0] for event in recorder.events]
    assert names[0] == "added"
    assert names[-2:] == ["done", "finished"]
    assert recorder.threads == {threading.get_ident()}, "everything is told in the window's thread"


def test_jobs_run_one_after_the_other_and_files_first(engine, qtbot):
    order = []
    first = engine.submit(Task("work", {"seconds": 0.3}), "first", lambda r: order.append("first"))
    running(qtbot, first)
    jobs = [
        engine.submit(Task("operation", {"operation": "nothing"}), f"op {n}", None, lambda job: order.append(job.title))
        for n in range(2)
    ]
    jobs.append(engine.submit(Task("echo"), "file", lambda r: order.append("file")))
    finished(qtbot, first, *jobs)
    assert order == ["first", "file", "op 0", "op 1"]


def test_progress_log_and_previews(engine, qtbot):
    seen = []
    job = engine.submit(
        Task("flood", {"seconds": 0.6}), "Flood", on_preview=lambda name, array: seen.append((name, array.shape))
    )
    fractions = set()
    engine.job_changed.connect(lambda changed: fractions.add(changed.fraction))
    finished(qtbot, job)
    assert 3 < len(fractions) < 45
    assert set(seen) == {("picture", (256, 256))}
    assert any(re.fullmatch(r"\d\d:\d\d:\d\d  line \d+", line) for line in job.log)
    assert len(job.log) <= 2000
    assert job.device == "cpu"


def test_news_is_kept_short_while_the_window_is_busy(engine, qtbot):
    """What a task reports while nobody looks is one delivery, not a thousand."""
    deliveries = []
    engine.job_changed.connect(lambda job: deliveries.append(job.fraction))
    job = engine.submit(Task("flood", {"seconds": 1.0}), "Flood")
    time.sleep(1.5)  # the window's thread is busy
    QCoreApplication.processEvents()
    assert len(deliveries) <= 3
    finished(qtbot, job)


def test_failure(engine, qtbot):
    failed = []
    job = engine.submit(Task("fail", {"kind": "user", "text": "Take another."}), "Try", None, failed.append)
    finished(qtbot, job)
    assert failed == [job]
    assert (job.state, job.error) == ("failed", "Take another.")
    assert any("error: Take another." in line for line in job.log)


def test_the_report_holds_what_a_developer_needs(engine, qtbot):
    image = Image(np.zeros((4, 5), np.float32), source=Source("/data/ä b.dm4"))
    job = engine.submit(Task("fail", {"kind": "value", "text": "odd"}, (image,)), "Find columns")
    finished(qtbot, job)
    text = job.report_text()
    for part in (
        "Find columns: failed after",
        "ValueError: odd; copy the report",
        f"numpy {np.__version__}",
        '"kind": "value"',
        "image 'ä b', shape (4, 5), float32",
        "Traceback (most recent call last)",
        "device    cpu",
    ):
        assert part in text


def test_cancel_a_waiting_job(engine, qtbot):
    failed = []
    first = engine.submit(Task("work", {"seconds": 0.4}), "first")
    second = engine.submit(Task("work", {"seconds": 60}), "second", None, failed.append)
    engine.cancel(second.id)
    assert (second.state, failed) == ("cancelled", [second])
    assert second.elapsed_s() == 0
    finished(qtbot, first)
    assert first.state == "done"


@pytest.mark.parametrize("task", [Task("work", {"seconds": 60}), Task("hang"), Task("hang-holding-interpreter")])
def test_cancel_a_running_job(engine, qtbot, task):
    job = engine.submit(task, "job")
    running(qtbot, job)
    start = time.monotonic()
    engine.cancel(job.id)
    finished(qtbot, job)
    assert time.monotonic() - start < 2
    assert (job.state, job.error) == ("cancelled", "")
    following = engine.submit(Task("echo"), "next")
    finished(qtbot, following)
    assert following.state == "done"


def test_cancel_of_what_is_over_or_unknown_does_nothing(engine, qtbot):
    job = engine.submit(Task("echo"), "job")
    finished(qtbot, job)
    engine.cancel(job.id)
    engine.cancel(999)
    assert job.state == "done"


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
def test_kill_the_compute_process(engine, qtbot):
    job = engine.submit(Task("work", {"seconds": 60}), "Find columns")
    running(qtbot, job)
    os.kill(engine.worker_pid, signal.SIGKILL)
    following = engine.submit(Task("echo"), "next")
    finished(qtbot, job, following)
    assert job.state == "failed"
    assert "the compute process ended (signal 9, often for lack of memory)" in job.error
    assert following.state == "done"


def test_an_error_in_a_callback_does_not_stop_the_queue(engine, qtbot):
    ended = []
    engine.job_finished.connect(lambda job: ended.append(job.title))
    with qtbot.captureExceptions() as caught:
        first = engine.submit(Task("echo"), "first", lambda r: 1 / 0)
        second = engine.submit(Task("echo"), "second")
        finished(qtbot, first, second)
        qtbot.waitUntil(lambda: len(ended) == 2)
    assert [kind for kind, *_ in caught] == [ZeroDivisionError]
    assert second.state == "done"


@pytest.mark.parametrize("task", ["hang", "hang-holding-interpreter", "child"])
def test_shutdown_while_a_job_ignores_everything(qapp, qtbot, task):
    engine = JobEngine(Host(warm=False))
    engine.start()
    called = []
    job = engine.submit(Task(task), "job", called.append, called.append)
    waiting = engine.submit(Task("echo"), "waiting", called.append, called.append)
    running(qtbot, job)
    pids = [engine.worker_pid] + [int(pid) for pid in re.findall(r"\d+", job.log[0].partition("  ")[2])]
    start = time.monotonic()
    engine.shutdown()
    assert time.monotonic() - start < 1
    assert not any(alive(pid) for pid in pids)
    assert (job.state, waiting.state, engine.active()) == ("cancelled", "cancelled", [])
    QCoreApplication.processEvents()
    assert called == [], "nothing is called in a window that closes"
    assert files_of_sessions() == []
    engine.shutdown()  # twice does no harm
    with pytest.raises(RuntimeError, match="shut down"):
        engine.submit(Task("echo"), "late")


def test_shutdown_before_anything_ran(qapp):
    JobEngine(Host(warm=False)).shutdown()
    assert files_of_sessions() == []


def test_starting_does_not_hold_up_the_window(qapp):
    before = QThread.currentThread()
    start = time.perf_counter()
    engine = JobEngine(Host(warm=False))
    engine.start()
    assert time.perf_counter() - start < 0.1
    assert QThread.currentThread() is before
    engine.shutdown()


def test_what_the_window_does_itself_is_a_job_like_the_others(engine, qtbot):
    """Told of from its beginning to its end, counted among the active ones, cancelled through the same call."""
    seen: list[tuple[str, str]] = []
    for name in ("job_added", "job_changed", "job_finished"):
        getattr(engine, name).connect(lambda job, name=name: seen.append((name, job.state)))
    given_up: list[str] = []
    job = engine.adopt("Film a.gif", {"frames": 7}, lambda: given_up.append("first"))
    assert seen == [("job_added", "queued"), ("job_changed", "running")]
    assert engine.active() == [job]
    engine.progressed(job, 0.5, "frame 3 of 7")
    assert (job.fraction, job.message) == (0.5, "frame 3 of 7")
    engine.ended(job)
    engine.ended(job, RuntimeError("said once"))
    assert (job.state, job.fraction, job.error) == ("done", 1.0, "")
    assert seen[-1] == ("job_finished", "done")
    assert '"frames": 7' in job.report_text()
    other = engine.adopt("Film b.gif", {}, lambda: given_up.append("second"))
    engine.cancel(other.id)
    engine.progressed(other, 0.9, "too late")
    assert (other.state, given_up, other.message) == ("cancelled", ["second"], "")
    third = engine.adopt("Film c.gif", {}, lambda: None)
    engine.ended(third, UserError("There is no room on the disk."))
    assert (third.state, third.error) == ("failed", "There is no room on the disk.")
    assert engine.active() == []


def test_shutdown_gives_up_what_the_window_does_itself(engine):
    given_up: list[bool] = []
    job = engine.adopt("Film a.gif", {}, lambda: given_up.append(True))
    engine.shutdown()
    assert given_up == [True]
    assert job.state == "cancelled"
    with pytest.raises(RuntimeError):
        engine.adopt("Film b.gif", {}, lambda: None)


def test_the_list_of_jobs_does_not_grow_for_ever(engine, qtbot, monkeypatch):
    monkeypatch.setattr("atomseg_app.jobs.engine._KEPT_JOBS", 3)
    for n in range(6):
        finished(qtbot, engine.submit(Task("echo"), str(n)))
    assert [job.title for job in engine.jobs()] == ["3", "4", "5"]


def test_the_window_does_not_import_what_is_heavy():
    import subprocess

    code = (
        "import sys, atomseg_app.jobs.engine, atomseg_app.atoms.operations\n"
        "heavy = {'torch', 'scipy', 'skimage', 'h5py', 'rsciio', 'multiprocessing'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# --- times


@pytest.fixture
def clock(monkeypatch):
    now = [100.0]
    monkeypatch.setattr("atomseg_app.jobs.job.time.monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("elapsed", "fraction", "eta"),
    [(1, 0.04, None), (1, 0.05, 19.0), (3, 0.01, 297.0), (10, 0.0, None), (10, 0.5, 10.0), (10, 1.0, 0.0)],
)
def test_time_left_is_told_after_5_percent_or_3_seconds(clock, elapsed, fraction, eta):
    job = Job(1, "job", Task("echo"))
    assert (job.elapsed_s(), job.eta_s()) == (0, None)
    job.begin()
    clock[0] += elapsed
    job.fraction = fraction
    assert job.elapsed_s() == elapsed
    assert job.eta_s() == pytest.approx(eta)
    job.end("done")
    clock[0] += 50
    assert (job.elapsed_s(), job.eta_s()) == (elapsed, None)
