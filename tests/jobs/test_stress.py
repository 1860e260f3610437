"""The compute process is killed at random moments, over and over: every job ends, and nothing is left behind."""

import contextlib
import gc
import os
import random
import signal
import sys
import threading
import time

import numpy as np
import psutil
import pytest

from atomseg_app.data import Image
from atomseg_app.jobs.failures import TaskFailed
from atomseg_app.jobs.tasks import Task
from atomseg_app.operations import Report
from tests.jobs.conftest import alive

SECONDS = float(os.environ.get("ATOMSEG_STRESS_SECONDS", "5"))


def open_descriptors():
    gc.collect()
    return psutil.Process().num_fds()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are those of POSIX")
@pytest.mark.timeout(SECONDS + 60)
def test_random_kills(make_host):
    host = make_host()
    host.run(Task("echo"), Report())
    descriptors = open_descriptors()
    rng, values = random.Random(11), np.random.default_rng(11).random((1000, 1000))
    stop, pids, reasons = threading.Event(), set(), set()

    def kill():
        while not stop.wait(rng.uniform(0, 0.4)):
            process = host._process
            if process is not None and process.ready.wait(10) and not stop.wait(rng.uniform(0, 0.2)):
                pids.add(process.pid)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    good = failed = 0
    end = time.monotonic() + SECONDS
    try:
        while time.monotonic() < end:
            name = rng.choice(["add-one", "flood", "big-result"])
            inputs = (Image(values),) if name == "add-one" else ()
            previews = []
            try:
                result = host.run(
                    Task(name, {"seconds": 0.05}, inputs),
                    Report(on_preview=lambda name, array, p=previews: p.append(array)),
                )
            except TaskFailed as problem:
                reasons.add(problem.failure.reason)
                failed += 1
            else:
                good += 1
                if name == "add-one":
                    np.testing.assert_array_equal(result.items[0].values, values + 1)
                assert all(array[0, 0] >= 0 for array in previews)
    finally:
        stop.set()
        killer.join()
    assert good > 3
    assert failed > 1
    assert reasons == {"ended"}
    host.run(Task("echo"), Report())
    assert [path for folder in host._session.folders for path in folder.iterdir()] == [], "array files are left"
    assert not any(alive(pid) for pid in pids - {host.pid})
    assert open_descriptors() <= descriptors + 2
    assert sum(thread.name.startswith("compute process") for thread in threading.enumerate()) == 2
