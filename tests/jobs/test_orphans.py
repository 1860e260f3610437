"""No process outlives the window, however it ends and whatever its jobs are doing; by process id."""

import errno
import json
import os
import signal
import subprocess
import sys
import time

import pytest

from atomseg_app.jobs import session
from atomseg_app.jobs.failures import TaskFailed
from atomseg_app.jobs.tasks import Task
from atomseg_app.operations import Report
from tests.jobs.conftest import alive, files_of_sessions, in_background, wait_until

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="kill -9 and process groups are those of POSIX")


def start_window(task, arguments, lines):
    """Start a window's process with a running task; the process and the first lines it prints."""
    window = subprocess.Popen(
        [sys.executable, "-m", "tests.jobs.window", task, json.dumps(arguments)],
        stdout=subprocess.PIPE, text=True, env={**os.environ, "QT_QPA_PLATFORM": "offscreen"},
    )  # fmt: skip
    return window, [window.stdout.readline().strip() for _ in range(lines)]


def gone_within(pids, seconds):
    start = time.monotonic()
    wait_until(lambda: not any(alive(pid) for pid in pids), seconds)
    return time.monotonic() - start


@pytest.mark.parametrize("death", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV])
@pytest.mark.parametrize("task", ["hang", "hang-holding-interpreter"])
def test_the_compute_process_ends_with_the_window(task, death):
    window, (pid, line) = start_window(task, {}, 2)
    assert line == "hanging"
    time.sleep(0.2)  # it holds the interpreter now
    window.send_signal(death)
    window.wait()
    gone_within([int(pid)], 2)
    window.stdout.close()


@pytest.mark.parametrize("holding", [False, True])
def test_processes_started_by_a_task_end_with_the_window(holding):
    window, (pid, line) = start_window("child", {"holding": holding}, 2)
    child, worker = map(int, line.split())
    assert worker == int(pid)
    assert alive(child)
    time.sleep(0.2)
    window.kill()
    window.wait()
    gone_within([worker, child], 2)
    window.stdout.close()


def test_an_idle_compute_process_ends_with_the_window():
    window, (pid, _) = start_window("fail", {"kind": "user", "text": "no"}, 2)
    window.kill()
    window.wait()
    gone_within([int(pid)], 2)
    window.stdout.close()


@pytest.mark.parametrize("task", [Task("child"), Task("child", {"holding": True})])
def test_closing_ends_what_a_task_has_started(make_host, listener, task):
    host = make_host()
    in_background(host.run, task, listener.report)
    pids = [int(pid) for pid in listener.heard().split()]
    host.close()
    gone_within(pids, 1)


def test_cancelling_by_force_ends_what_a_task_has_started(make_host, listener):
    host = make_host(grace_s=0.2)
    in_background(host.run, Task("child"), listener.report)
    pids = [int(pid) for pid in listener.heard().split()]
    listener.cancel.set()
    gone_within(pids, 2)


def test_what_a_killed_compute_process_had_started_ends_too(host, listener):
    result = in_background(host.run, Task("child"), listener.report)
    child, worker = map(int, listener.heard().split())
    os.kill(worker, signal.SIGKILL)
    with pytest.raises(TaskFailed):
        result()
    gone_within([child, worker], 1)


def test_ctrl_c_in_the_terminal_is_not_for_the_compute_process(host):
    host.run(Task("echo"), Report())
    pid = host.pid
    os.kill(pid, signal.SIGINT)
    time.sleep(0.1)
    host.run(Task("echo"), Report())
    assert host.pid == pid


# --- files of dead windows


def test_the_files_of_a_killed_window_are_swept_and_those_of_a_living_one_kept(tmp_path_factory):
    living = session.Session()
    code = (
        "from atomseg_app.jobs import session; import sys, time; from pathlib import Path\n"
        f"session._TMPFS = Path({str(session._TMPFS)!r}); s = session.Session()\n"
        "[(f / 'in-0').write_bytes(bytes(100)) for f in s.folders]\n"
        "print(*s.folders, sep='|', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    dead = process.stdout.readline().strip().split("|")
    assert session.sweep() == [], "both live"
    process.kill()
    process.wait()
    process.stdout.close()
    assert sorted(map(str, session.sweep())) == sorted(dead)
    assert not any(os.path.exists(folder) for folder in dead)
    assert all(folder.is_dir() for folder in living.folders)
    living.close()
    assert files_of_sessions() == []


def test_a_session_is_private(tmp_path):
    own = session.Session()
    assert all(folder.stat().st_mode & 0o077 == 0 for folder in own.folders)
    own.close()


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOTSUP])
def test_without_locks_folders_are_used_and_never_swept(monkeypatch, code):
    def flock(descriptor, operation):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(session.fcntl, "flock", flock)
    own = session.Session()
    assert session.sweep() == []
    assert all(folder.is_dir() for folder in own.folders)
    own.close()
    assert files_of_sessions() == []


def test_a_root_that_cannot_be_written_is_left_out(monkeypatch, tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    monkeypatch.setattr(session, "roots", lambda: [file, tmp_path])
    own = session.Session()
    assert [folder.parent for folder in own.folders] == [tmp_path]
    own.close()
    monkeypatch.setattr(session, "roots", lambda: [file])
    with pytest.raises(OSError, match="Not a directory"):
        session.Session()


def test_another_users_folder_is_left_alone(monkeypatch, tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "atomseg-jobs-1-aa").mkdir()
    (root / "atomseg-jobs-1-aa.lock").touch()
    monkeypatch.setattr(session, "roots", lambda: [root])
    monkeypatch.setattr(session.os, "open", refuse)
    assert session.sweep() == []
    assert (root / "atomseg-jobs-1-aa").is_dir()


def refuse(*arguments):
    raise PermissionError(errno.EACCES, "not yours")
