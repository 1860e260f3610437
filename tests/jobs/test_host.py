"""Tasks in the compute process: the same results as here, reports, cancelling, and all that can go wrong."""

import gc
import os
import signal
import sys
import time

import numpy as np
import psutil
import pytest

from atomseg_app.data import Columns, Image, Source, Step, TiltSeries, column_table
from atomseg_app.errors import Cancelled
from atomseg_app.jobs.failures import TaskFailed
from atomseg_app.jobs.process import worker_command
from atomseg_app.jobs.tasks import Task, run_task
from atomseg_app.operations import Report
from tests.jobs.conftest import alive, files_of_sessions, in_background, wait_until


def failure(host, task, report=None):
    with pytest.raises(TaskFailed) as caught:
        host.run(task, report or Report())
    return caught.value.failure


def works(host):
    """The next job works."""
    return host.run(Task("echo", {"x": 1}), Report()).value == {"x": 1}


# --- what crosses


def test_every_kind_of_data_comes_back(host):
    table = column_table(3)
    table["x_px"] = [1, 2, 3]
    history = (Step("find-columns", {"a": 1}, "0.1", notes=("a note",)),)
    items = (
        Image(np.eye(3, dtype=">u2"), (0.1, None), Source("/a b/ä.dm4", "x"), {"kV": np.float32(300)}, history),
        TiltSeries(np.zeros((2, 3, 4), "f2"), tilt_deg=(-1.5, 1.5)),
        Columns(table, (10, 12), (0.1, 0.2)),
        Columns(column_table(0), (10, 12)),
    )
    back = host.run(Task("echo", {"text": "Å"}, items), Report())
    assert back.value == {"text": "Å"}
    for item, other in zip(items, back.items, strict=True):
        assert type(other) is type(item)
        left, right = (x.table if isinstance(x, Columns) else x.values for x in (item, other))
        assert left.dtype == right.dtype
        assert left.tobytes() == right.tobytes()
        assert (other.pixel_size_nm, other.source, other.history) == (item.pixel_size_nm, item.source, item.history)
    assert back.items[0].metadata == {"kV": 300.0}
    assert back.items[1].tilt_deg == (-1.5, 1.5)
    assert back.items[2].image_shape == (10, 12)


def test_the_same_task_gives_the_same_here_and_there(host):
    task = Task("add-one", {}, (Image(np.arange(12.0).reshape(3, 4)),))
    here, there = run_task(task, Report()), host.run(task, Report())
    np.testing.assert_array_equal(here.items[0].values, there.items[0].values)


def test_results_leave_no_files(host):
    host.run(Task("big-result"), Report())
    host.run(Task("echo", {}, (Image(np.zeros((64, 64))),)), Report())
    assert [path for folder in host._session.folders for path in folder.iterdir()] == []


def test_results_are_read_only_and_small_ones_hold_no_descriptor(host):
    before = psutil.Process().num_fds()
    kept = [host.run(Task("big-result"), Report()) for _ in range(20)]
    assert psutil.Process().num_fds() <= before + 6, "the pipes of the process"
    assert not any(item.values.flags.writeable for result in kept for item in result.items)


def test_a_large_result_is_mapped(host):
    (image,) = host.run(Task("add-one", {}, (Image(np.zeros((3000, 3000), np.float32)),)), Report()).items
    assert isinstance(image.values.base, np.memmap)
    assert not image.values.flags.writeable
    assert image.values.sum() == 9e6


def test_a_mapped_image_is_not_copied(host, tmp_path):
    path = tmp_path / "image.raw"
    path.write_bytes(np.arange(64, dtype="u1").tobytes())
    image = Image(np.memmap(path, "u1", "r", shape=(8, 8)))
    back = host.run(Task("echo", {}, (image,)), Report()).items[0].values
    assert back.base.filename == str(path)  # the result refers to the very file, as the compute process did
    np.testing.assert_array_equal(back, image.values)


def test_a_decoded_file_stays_while_its_array_lives(host, tmp_path):
    """A file that the compute process unpacked is not copied for each job, and goes when nobody needs it."""
    image = host.run(Task("unpack", {"path": str(tmp_path / "unpacked")}), Report()).items[0]
    back = host.run(Task("echo", {}, (image,)), Report()).items[0]
    assert back.values.base.filename == str(tmp_path / "unpacked")
    del image, back
    gc.collect()
    assert works(host)
    wait_until(lambda: not (tmp_path / "unpacked").exists())


def test_what_cannot_be_sent_is_a_failed_task(host):
    objects = Task("echo", {}, (Image(np.array([[{}]], object)),))
    assert "Python objects" in failure(host, objects).sentence
    assert "cannot cross" in failure(host, Task("echo", {"x": object()})).sentence
    assert "cannot cross" in failure(host, Task("unsendable")).sentence
    assert works(host)


def test_reports_arrive(host, listener):
    host.run(Task("flood", {"seconds": 0.5}), listener.report)
    fractions = [fraction for fraction, _ in listener.progress]
    assert fractions == sorted(fractions)
    assert 5 <= len(fractions) <= 0.5 * 50 + 3
    assert 2 <= len(listener.previews) <= 8
    name, last = listener.previews[-1]
    assert name == "picture"
    assert last.shape == (256, 256)
    assert listener.progress[-1][1] == f"step {int(last[0, 0])}", "the last word of a task arrives"
    assert any("earlier lines were dropped" in text for _, text in listener.lines)
    assert len(listener.lines) < 30 * 502


def test_the_compute_process_is_set_up(host):
    facts = host.run(Task("facts"), Report()).value
    assert facts["modules"] == [], "a cold start imports nothing heavy, no Qt, and main.py not again"
    assert facts["pid"] == host.pid != os.getpid()
    assert int(facts["threads"]["OMP_NUM_THREADS"]) >= 1
    assert host.versions["numpy"] == np.__version__


def test_printing_does_not_disturb_the_messages(host):
    assert host.run(Task("speak"), Report()).value == ""
    assert works(host)


# --- cancelling


def test_cancel_stops_a_task_that_asks(host, listener):
    result = in_background(host.run, Task("work", {"seconds": 60}), listener.report)
    wait_until(lambda: listener.progress)
    pid, start = host.pid, time.monotonic()
    listener.cancel.set()
    with pytest.raises(Cancelled):
        result()
    assert time.monotonic() - start < 1
    assert host.pid == pid, "the process stays"
    assert works(host)


def test_stop_ends_an_iteration_with_what_it_has(host, listener):
    result = in_background(host.run, Task("iterate"), listener.report)
    wait_until(lambda: listener.progress)
    pid = host.pid
    listener.stop.set()
    assert result().value >= 1
    assert host.pid == pid, "the process stays"
    listener.stop.clear()
    assert works(host), "the next task is not stopped"


def test_cancel_before_it_starts(host, listener):
    listener.cancel.set()
    with pytest.raises(Cancelled):
        host.run(Task("hang"), listener.report)


@pytest.mark.parametrize("task", ["hang", "hang-holding-interpreter"])
def test_cancel_ends_the_process_of_a_task_that_does_not_ask(make_host, listener, task):
    host = make_host(grace_s=0.3)
    result = in_background(host.run, Task(task), listener.report)
    listener.heard()
    pid, start = host.pid, time.monotonic()
    listener.cancel.set()
    with pytest.raises(Cancelled):
        result()
    assert time.monotonic() - start < 1.5
    assert not alive(pid)
    assert works(host)


def test_cancel_leaves_nothing_half_written(make_host, listener, tmp_path, monkeypatch):
    monkeypatch.setattr(Task, "targets", property(lambda task: (task.arguments["path"],)))
    (tmp_path / "table.csv").write_text("as it was")
    (tmp_path / ".atomseg-1-of-another-process.csv").write_text("")
    host = make_host(grace_s=0.2)
    task = Task("hang-while-writing", {"path": str(tmp_path / "table.csv")})
    result = in_background(host.run, task, listener.report)
    listener.heard()
    assert len(list(tmp_path.iterdir())) == 3
    listener.cancel.set()
    with pytest.raises(Cancelled):
        result()
    assert sorted(path.name for path in tmp_path.iterdir()) == [".atomseg-1-of-another-process.csv", "table.csv"]
    assert (tmp_path / "table.csv").read_text() == "as it was"


def test_cancel_after_the_end_does_not_touch_the_next_task(host, listener):
    host.run(Task("echo"), listener.report)
    listener.cancel.set()
    assert works(host)


# --- failures


def test_a_users_error_is_its_own_sentence(host):
    problem = failure(host, Task("fail", {"kind": "user", "text": "Take another file."}))
    assert (problem.reason, problem.sentence) == ("user", "Take another file.")


def test_a_defect_says_what_to_do_and_keeps_the_traceback(host):
    problem = failure(host, Task("fail", {"kind": "value", "text": "odd"}))
    assert problem.sentence == (
        "fail failed inside the program: ValueError: odd; copy the report and send it to the developers."
    )
    assert 'faulty.py", line' in problem.details
    assert works(host)


@pytest.mark.parametrize(
    "task",
    [
        Task("fail", {"kind": "memory"}),
        Task("too-much-memory", {"library": "numpy"}),
        Task("too-much-memory", {"library": "torch"}),
    ],
)
def test_lack_of_memory_is_named(host, task):
    problem = failure(host, task)
    assert problem.reason == "memory"
    assert "ran out of memory" in problem.sentence
    assert "choose a smaller region" in problem.sentence
    assert works(host)


def test_a_missing_package_is_named(host):
    problem = failure(host, Task("needs-missing"))
    assert problem.reason == "missing"
    assert "needs the package 'a_package_that_is_not_there'" in problem.sentence


def test_an_unknown_task_is_refused(host):
    assert "There is no task 'fly'" in failure(host, Task("fly")).sentence


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
def test_a_crash_is_a_failed_task_with_its_traceback(host):
    problem = failure(host, Task("segfault"))
    assert problem.reason == "ended"
    assert f"signal {signal.SIGSEGV.value})" in problem.sentence
    assert "Segmentation fault" in problem.details
    assert "in segfault" in problem.details
    assert works(host)


def test_leaving_without_a_word_is_a_failed_task(host):
    assert "exit code 3" in failure(host, Task("leave", {"code": 3})).sentence
    assert "the compute process ended" in failure(host, Task("leave", {"code": 0})).sentence
    assert "exit code" in failure(host, Task("fail", {"kind": "exit"})).sentence
    assert works(host)


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
def test_kill_in_the_middle_of_a_task(host, listener):
    result = in_background(host.run, Task("work", {"seconds": 60}), listener.report)
    wait_until(lambda: listener.progress)
    pid = host.pid
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(TaskFailed, match=r"the compute process ended \(signal 9, often for lack of memory\)"):
        result()
    wait_until(lambda: host.pid not in (None, pid))
    assert works(host), "and a new one was started before it was asked for"


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
def test_kill_between_tasks_fails_no_task(host):
    assert works(host)
    for _ in range(5):
        os.kill(host.pid, signal.SIGKILL)
        assert works(host)


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_the_end_is_seen_though_a_child_holds_the_pipe(host):
    start = time.monotonic()
    assert "exit code 7" in failure(host, Task("leave-child")).sentence
    assert time.monotonic() - start < 5
    assert works(host)


def test_a_callback_that_raises_leaves_no_task_running(host):
    def raises(fraction, message):
        raise ZeroDivisionError

    pid = None
    with pytest.raises(ZeroDivisionError):
        host.run(Task("work", {"seconds": 60}), Report(on_progress=raises))
    wait_until(lambda: host.pid not in (None, pid))
    assert works(host)


def test_a_full_pipe_of_reports_does_not_block_cancelling(host, listener):
    result = in_background(host.run, Task("flood", {"seconds": 60}), listener.report)
    wait_until(lambda: len(listener.progress) > 5)
    listener.cancel.set()
    with pytest.raises(Cancelled):
        result(5)


# --- processes that do not speak as they should

HELLO = "import sys, os, time, struct, json\ndef send(v, body): os.write(1, struct.pack('>HI', v, len(body)) + body)\n"
READY = HELLO + "send(1, json.dumps(['ready', {'versions': {}}]).encode())\nsys.stdin.buffer.read(6)\n"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("raise ImportError('no numpy here')", r"did not start \(exit code 1: ImportError: no numpy here\)"),
        (HELLO + "send(2, b'[]'); time.sleep(60)", "did not start .it sent no message: protocol version 2"),
        ("print('Welcome here', flush=True); import time; time.sleep(60)", "did not start .it sent no message"),
        (READY + "time.sleep(.3); send(1, json.dumps(['started', {'job': 1}]).encode())\n"
         "os.write(1, b'\\0\\1\\0\\0\\1\\0[cut'); sys.exit(4)", r"ended \(exit code 4\)"),
        (READY + "time.sleep(.3); send(1, json.dumps(['started', {'job': 1}]).encode())\n"
         "os.write(1, b'rubbish'); time.sleep(60)", "was ended, since it sent no message: protocol version"),
        (READY + "time.sleep(.3); send(1, json.dumps(['started', {'job': 1}]).encode())\n"
         "os.close(1); time.sleep(60)", "its messages end, but it does not"),
    ],
)  # fmt: skip
def test_a_process_that_fails_or_speaks_wrongly(make_host, script, words):
    host = make_host(command=[sys.executable, "-c", script])
    with pytest.raises(TaskFailed, match=words):
        host.run(Task("echo"), Report())


def test_without_torch_other_tasks_work(make_host, tmp_path):
    """The window and its files go on where torch cannot be imported; what needs it says so."""
    (tmp_path / "torch.py").write_text("raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')\n")
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); from atomseg_app.jobs.worker import main; main()"
    host = make_host(command=[sys.executable, "-P", "-c", code], warm=True)
    time.sleep(0.5)  # it tries to import torch when idle
    assert works(host)
    problem = failure(host, Task("devices"))
    assert problem.reason == "missing"
    assert "needs the package 'torch'" in problem.sentence


def test_a_program_that_is_not_there(make_host, tmp_path):
    host = make_host(command=[str(tmp_path / "nothing")])
    with pytest.raises(TaskFailed, match="cannot be started"):
        host.run(Task("echo"), Report())


def test_the_command_is_this_interpreter_or_the_frozen_program(monkeypatch):
    assert worker_command() == [sys.executable, "-P", "-m", "atomseg_app.jobs.worker"]
    monkeypatch.setattr(sys, "frozen", True, raising=False)
    assert worker_command() == [sys.executable, "--worker"]


def test_closing_ends_a_running_task(make_host, listener):
    host = make_host()
    result = in_background(host.run, Task("hang-holding-interpreter"), listener.report)
    listener.heard()
    start = time.monotonic()
    host.close()
    with pytest.raises(Cancelled):
        result()
    assert time.monotonic() - start < 1
    assert files_of_sessions() == []
    with pytest.raises(Cancelled):
        host.run(Task("echo"), Report())
