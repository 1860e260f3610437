"""The compute process: takes tasks from its standard input, runs them one at a time, answers on its standard output.

It is started as ``python -m atomseg_app.jobs.worker`` (frozen: ``program --worker``) by :mod:`atomseg_app.jobs.host`,
which also sets the thread counts in its environment. It ends with its window: at the end of its input it kills its
process group, and where there are groups a guard in the same group does so even if Python cannot run just then.

======================  ============================================================================================
from the window         ``hello`` (folders, prefix, warm), ``run``, ``cancel``, ``stop`` (and keep),
                        ``release`` (results are attached)
to the window           ``ready`` (versions), ``started``, ``progress``, ``log``, ``preview``, then one of ``done``,
                        ``cancelled``, ``failed``
======================  ============================================================================================
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib.metadata
import os
import platform
import queue
import signal
import subprocess
import sys
import threading
import traceback
from typing import Any, NoReturn

from atomseg_app import __version__
from atomseg_app.data import from_parts, to_parts
from atomseg_app.errors import Cancelled
from atomseg_app.jobs import failures
from atomseg_app.jobs.arrays import Segments, attach
from atomseg_app.jobs.outbox import Outbox
from atomseg_app.jobs.process import LIFELINE
from atomseg_app.jobs.tasks import Task, TaskResult, run_task
from atomseg_app.jobs.transport import Channel, Message, ProtocolError
from atomseg_app.operations import Report

_IDLE_BEFORE_WARMING_S = 0.2


class _Job:
    """A task that was asked for."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.id: int = fields["job"]
        self.fields = fields
        self.cancel = threading.Event()
        self.stop = threading.Event()


class Worker:
    """Serves one window over a channel until the channel ends."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._waiting: queue.SimpleQueue[_Job] = queue.SimpleQueue()
        self._jobs: dict[int, _Job] = {}
        self._results: dict[int, TaskResult] = {}  # kept until attached, as their files may go with them
        hello = channel.receive()
        if hello is None:
            end_group()
        self._segments = Segments(hello.fields["folders"], hello.fields["prefix"])
        self._warm: bool = hello.fields["warm"]

    def serve(self) -> None:
        """Run tasks as they come; never returns."""
        threading.Thread(target=self._listen, name="commands", daemon=True).start()
        self._channel.send("ready", versions=_versions())
        while True:
            try:
                job = self._waiting.get(timeout=_IDLE_BEFORE_WARMING_S if self._warm else None)
            except queue.Empty:
                self._warm_up()
            else:
                self._do(job)

    def _warm_up(self) -> None:
        """Import torch before it is needed, but not before work that is waiting (opening a file does without)."""
        self._warm = False
        try:
            run_task(Task("warm"), Report())
        except Exception:  # noqa: BLE001 - the job that needs what is missing says so to the user
            traceback.print_exc()

    def _listen(self) -> None:
        """Take commands while the main thread computes; the end of the stream ends the process."""
        try:
            while (message := self._channel.receive()) is not None:
                self._obey(message)
        except (ProtocolError, OSError):
            traceback.print_exc()
        end_group()

    def _obey(self, message: Message) -> None:
        if message.kind == "run":
            job = _Job(message.fields)
            self._jobs[job.id] = job
            self._waiting.put(job)
        elif message.kind in ("cancel", "stop"):
            running = self._jobs.get(message.fields["job"])
            if running is not None:  # else it has just finished
                (running.cancel if message.kind == "cancel" else running.stop).set()
        elif message.kind == "release":
            self._results.pop(message.fields["job"], None)
        else:
            raise ProtocolError(f"the command {message.kind!r} is not known")

    def _do(self, job: _Job) -> None:
        outbox = Outbox(self._channel, self._segments, job.id, job.cancel, job.stop)
        task_title = job.fields["title"]
        self._channel.send("started", job=job.id)
        try:
            inputs = tuple(from_parts(part["header"], attach(part["array"])) for part in job.fields["inputs"])
            task = Task(job.fields["task"], job.fields["arguments"], inputs)
            result = run_task(task, outbox.report)
            outbox.report.check()
            outbox.close()
            self._deliver(job.id, result, outbox.report.facts.device)
        except Cancelled:
            outbox.close()
            self._channel.send("cancelled", job=job.id)
        except Exception as problem:  # noqa: BLE001 - whatever a task raises is a failed job, not a dead process
            outbox.close()
            failure = failures.from_exception(task_title, problem)
            self._channel.send("failed", job=job.id, failure=failure.to_json())
        finally:
            del self._jobs[job.id]

    def _deliver(self, job: int, result: TaskResult, device: str) -> None:
        written = []
        try:
            parts = []
            for item in result.items:
                header, array = to_parts(item)
                reference = self._segments.reference(array)
                written.append(reference)
                parts.append({"header": header, "array": reference})
            self._results[job] = result
            self._channel.send("done", job=job, value=result.value, items=parts, device=device)
        except BaseException:
            self._results.pop(job, None)
            for reference in written:
                self._segments.remove(reference)
            raise


def _versions() -> dict[str, str]:
    """Versions for the report of a job, without importing anything."""
    versions = {"AtomSeg": __version__, "Python": platform.python_version()}
    for name in ("torch", "numpy", "scipy"):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return versions


def end_group() -> NoReturn:
    """End this process and all that it started, at once."""
    if sys.platform != "win32" and os.getpgrp() == os.getpid():  # else the group is somebody else's
        os.killpg(0, signal.SIGKILL)
    os._exit(0)


def _guard() -> None:
    """Start the guard: when the pipe named by LIFELINE ends, it kills this process group.

    Python code cannot do that while an extension holds the interpreter, and no system call does on every system.
    """
    lifeline = os.environ.pop(LIFELINE, None)
    if lifeline is not None:
        with open(int(lifeline), "rb") as pipe:
            subprocess.Popen(["/bin/sh", "-c", "read -r gone; kill -9 0"], stdin=pipe, stdout=subprocess.DEVNULL)


def main() -> None:
    """Entry point of the compute process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the terminal is for the window to answer
    faulthandler.enable()  # to standard error, which is the worker's log
    # The pipes of the channel move aside, so that a print in a library goes to the log and not between messages.
    read, write = os.dup(0), os.dup(1)
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    _guard()
    Worker(Channel(os.fdopen(read, "rb"), os.fdopen(write, "wb"))).serve()


if __name__ == "__main__":
    main()
