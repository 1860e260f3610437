"""Tasks that misbehave, given to the compute process of tests by ATOMSEG_EXTRA_TASKS; never part of the program."""

import ctypes
import itertools
import os
import subprocess
import sys
import time
import weakref

import numpy as np

from atomseg_app.data import Image
from atomseg_app.errors import UserError
from atomseg_app.io.atomic_write import atomic_path
from atomseg_app.jobs.tasks import TaskResult


def _steps(report, seconds):
    """Cooperative work: reports progress every 5 ms."""
    end = time.monotonic() + seconds
    start = time.monotonic()
    while time.monotonic() < end:
        report.progress((time.monotonic() - start) / seconds, "working")
        time.sleep(0.005)


def echo(task, report):
    return TaskResult(dict(task.arguments), task.inputs)


def add_one(task, report):
    (image,) = task.inputs
    return TaskResult(None, (Image(image.values + 1, image.pixel_size_nm),))


def work(task, report):
    _steps(report, task.arguments["seconds"])
    return TaskResult("worked")


def iterate(task, report):
    """An iteration that can be ended with what it has."""
    count = 0
    while not report.stopping:
        count += 1
        report.progress(0.5, "iterating")
        time.sleep(0.005)
    return TaskResult(count)


def hang(task, report):
    report.log("hanging")
    time.sleep(600)


def hang_holding_interpreter(task, report):
    report.log("hanging")
    time.sleep(0.1)  # the line is sent
    ctypes.PyDLL(None).sleep(600)  # PyDLL does not release the interpreter lock


def segfault(task, report):
    report.log("about to crash")
    ctypes.string_at(0)


def leave(task, report):
    os._exit(task.arguments["code"])


def fail(task, report):
    report.progress(0.5, "half way")
    raise {"value": ValueError, "user": UserError, "memory": MemoryError, "exit": SystemExit}[task.arguments["kind"]](
        task.arguments.get("text", "")
    )


def too_much_memory(task, report):
    if task.arguments["library"] == "torch":
        import torch

        torch.empty(1 << 50)
    np.ones(1 << 50)


def hang_while_writing(task, report):
    with atomic_path(task.arguments["path"]) as path:
        path.write_text("half")
        report.log("hanging")
        time.sleep(600)


def needs_missing(task, report):
    import a_package_that_is_not_there  # noqa: F401


def unpack(task, report):
    """As a reader of compressed files does: a mapped temporary file that goes with its array."""
    path = task.arguments["path"]
    array = np.memmap(path, np.float32, "w+", shape=(40, 50))
    weakref.finalize(array, os.unlink, path)
    array.flags.writeable = False
    return TaskResult(None, (Image(array),))


def unsendable(task, report):
    return TaskResult(object())


def child(task, report):
    """Start a process of its own, tell its id, and hang."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    report.log(f"{process.pid} {os.getpid()}")
    report.progress(0.1, str(process.pid))
    if task.arguments.get("holding"):
        time.sleep(0.1)
        ctypes.PyDLL(None).sleep(600)
    time.sleep(600)


def leave_child(task, report):
    """Start a process of its own, which keeps every descriptor it can get, and end without a word."""
    if os.fork() == 0:
        time.sleep(600)
        os._exit(0)
    os._exit(7)


def flood(task, report):
    """Report far more often than anybody can look, for the given time."""
    end = time.monotonic() + task.arguments["seconds"]
    picture = np.zeros((256, 256), np.float32)
    for n in itertools.count():
        picture[0, 0] = n
        report.progress(min(0.999, n / 1e7), f"step {n}")
        report.preview("picture", picture)
        report.log(f"line {n}")
        if time.monotonic() > end:
            break
    return TaskResult(n)


def speak(task, report):
    """Write where a library would."""
    sys.stdout.write("printed by a library\n")
    sys.stdout.flush()
    os.write(1, b"written by an extension\n")
    return TaskResult(sys.stdin.read())


def facts(task, report):
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
    return TaskResult(
        {
            "pid": os.getpid(),
            "argv": sys.orig_argv,
            "threads": {name: os.environ.get(name) for name in names},
            "modules": [name for name in ("torch", "PySide6", "scipy", "__mp_main__") if name in sys.modules],
        }
    )


def big_result(task, report):
    return TaskResult(None, tuple(Image(np.full((512, 512), n, np.float32)) for n in range(8)))


TASKS = {
    function.__name__.replace("_", "-"): function
    for function in (
        echo, add_one, work, iterate, hang, hang_holding_interpreter, segfault, leave, fail, too_much_memory,
        needs_missing, unsendable, unpack, hang_while_writing, child, leave_child, flood, speak, facts, big_result,
    )
}  # fmt: skip
