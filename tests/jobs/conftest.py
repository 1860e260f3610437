"""A host whose compute process knows the tasks of :mod:`tests.jobs.faulty`, with its files in a folder of the test."""

import os
import threading
import time

import psutil
import pytest

from atomseg_app.jobs import session
from atomseg_app.jobs.host import Host
from atomseg_app.jobs.tasks import EXTRA_TASKS
from atomseg_app.operations import Report

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")  # these tests show no window


@pytest.fixture(autouse=True)
def own_folders(tmp_path_factory, monkeypatch):
    """The faulty tasks are known, and no test touches the shared memory of the machine."""
    monkeypatch.setenv(EXTRA_TASKS, "tests.jobs.faulty:TASKS")
    monkeypatch.setattr(session, "_TMPFS", tmp_path_factory.mktemp("memory"))


@pytest.fixture
def make_host():
    """Makes hosts that are closed at the end of the test, leaving neither files nor processes."""
    hosts = []

    def make(**options):
        hosts.append(Host(**{"warm": False, **options}))
        return hosts[-1]

    yield make
    pids = [host.pid for host in hosts if host.pid]
    for host in hosts:
        host.close()
    assert files_of_sessions() == []
    assert not [pid for pid in pids if alive(pid)]


@pytest.fixture
def host(make_host):
    return make_host()


class Listener:
    """Collects what a report is told; ``cancel`` is set to cancel, ``heard(n)`` waits for n lines of the log."""

    def __init__(self):
        self.progress, self.lines, self.previews = [], [], []
        self.cancel, self.stop = threading.Event(), threading.Event()
        self.report = Report(
            lambda fraction, message: self.progress.append((fraction, message)),
            lambda level, text: self.lines.append((level, text)),
            lambda name, array: self.previews.append((name, array)),
            self.cancel.is_set,
            self.stop.is_set,
        )

    def heard(self, count=1):
        wait_until(lambda: len(self.lines) >= count)
        return self.lines[count - 1][1]


@pytest.fixture
def listener():
    return Listener()


def wait_until(condition, seconds=10.0):
    """Wait for a condition, failing the test if it does not come."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this did not happen in time"
        time.sleep(0.005)


def alive(pid):
    """Whether a process runs (a zombie does not)."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def files_of_sessions():
    """Everything that sessions have left in their folders."""
    return [path for root in session.roots() for path in root.glob("atomseg-jobs-*")]


def in_background(function, *arguments):
    """Run a function in a thread; ``result()`` joins it and gives its value or raises its exception."""
    outcome = {}

    def call():
        try:
            outcome["value"] = function(*arguments)
        except BaseException as problem:  # noqa: BLE001 - handed to the test
            outcome["problem"] = problem

    thread = threading.Thread(target=call, daemon=True)
    thread.start()

    def result(seconds=30):
        thread.join(seconds)
        assert not thread.is_alive(), "the call did not return"
        if "problem" in outcome:
            raise outcome["problem"]
        return outcome["value"]

    return result
