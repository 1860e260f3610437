"""The window's side of the compute process: keeps one running, gives it tasks, and ends it when it does not obey.

:meth:`Host.run` has the form of :func:`atomseg_app.jobs.tasks.run_task`: same task, same report, same result, another
process. No Qt here.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
import time
import weakref
from collections.abc import Sequence
from typing import Any

from atomseg_app import places
from atomseg_app.data import Array, Data, from_parts, to_parts
from atomseg_app.errors import Cancelled, UserError
from atomseg_app.io.atomic_write import remove_unfinished
from atomseg_app.jobs import failures, session, transport
from atomseg_app.jobs.arrays import Reference, SegmentCache, Segments
from atomseg_app.jobs.failures import Failure, TaskFailed
from atomseg_app.jobs.process import ComputeProcess, worker_command
from atomseg_app.jobs.tasks import Task, TaskResult
from atomseg_app.jobs.transport import Message, ProtocolError
from atomseg_app.operations import Report

CANCEL_GRACE_S = 1.5
"""Time a cancelled task has to stop by itself; then its process is ended, so that Cancel never takes 2 s."""

_START_S = 60.0
_POLL_S = 0.05
_FINAL = ("done", "cancelled", "failed")


class _Ended(Exception):  # noqa: N818 - an event; Host decides whether it is an error
    """The compute process ended; if it had not ``started`` the task, that may be given to another process."""

    def __init__(self, *, started: bool) -> None:
        super().__init__()
        self.started = started


class Host:
    """One compute process at a time and the array files shared with it.

    ``warm`` lets the process import torch when it is idle. ``command`` may name another interpreter.
    """

    def __init__(
        self, *, command: Sequence[str] | None = None, warm: bool = True, grace_s: float = CANCEL_GRACE_S
    ) -> None:
        self._command = list(command or worker_command())
        self._warm = warm
        self._grace_s = grace_s
        self._session = session.Session()
        self._inputs = SegmentCache(Segments(self._session.folders, "in-"))
        self._starts, self._jobs = itertools.count(1), itertools.count(1)
        self._process: ComputeProcess | None = None
        self._closed = False
        self._state = threading.Lock()  # guards _process and _closed
        self._running = threading.Lock()  # one task at a time

    @property
    def pid(self) -> int | None:
        """Process id of the compute process, None while there is none."""
        process = self._process
        return None if process is None or process.ended else process.pid

    @property
    def versions(self) -> dict[str, str]:
        """Versions that run in the compute process, empty until it is ready."""
        return dict(self._process.versions) if self._process is not None else {}

    def start(self) -> None:
        """Start the compute process if there is none. Raises OSError if it cannot be started.

        The first time, what killed windows have left is removed, which may take a while.
        """
        with self._state:
            first = self._process is None
            if not self._closed and (self._process is None or self._process.ended):
                self._process = self._spawn()
        if first:
            session.sweep()

    def run(self, task: Task, report: Report) -> TaskResult:
        """Do a task in the compute process. Tasks of several threads wait for each other.

        Raises Cancelled once ``report`` says so and the task has stopped (or its process has been ended) or after
        :meth:`close`, and :class:`TaskFailed` for everything else that goes wrong.
        """
        try:
            title = task.title
        except UserError as problem:
            raise TaskFailed(failures.from_exception(task.name, problem)) from None
        with self._running:
            try:
                return self._run_once(task, title, report)
            except _Ended:  # before it began: the process may have been killed while it was idle
                report.check()
            try:
                return self._run_once(task, title, report)
            except _Ended:
                sentence = f"{title} failed: the compute process ended twice before it could begin."
                raise TaskFailed(Failure("ended", sentence)) from None

    def kill(self) -> None:
        """End the compute process at once; a task it ran fails, and a new process takes its place."""
        process = self._process
        if process is not None:
            process.kill()

    def close(self) -> None:
        """End the compute process and all it started, and remove the array files. A running task raises Cancelled."""
        with self._state:
            self._closed = True
            process = self._process
        if process is not None:
            process.kill()
            process.join()
        self._session.close()

    def _spawn(self) -> ComputeProcess:
        outputs = Segments(self._session.folders, f"out-{next(self._starts)}-")
        process = ComputeProcess(self._command, places.log_folder() / "worker.log", outputs, self._ended)
        with contextlib.suppress(OSError):  # it has already ended, which the next task will tell
            process.channel.send("hello", **outputs.to_json(), warm=self._warm)
        return process

    def _ended(self, process: ComputeProcess) -> None:
        """Have a new process ready before it is asked for, unless the last one could not even start."""
        if process.was_ready:
            with self._state, contextlib.suppress(OSError):  # the next task tries again, and tells
                if not self._closed and process is self._process:
                    self._process = self._spawn()

    def _ready_process(self, title: str, report: Report) -> ComputeProcess:
        try:
            self.start()
        except OSError as problem:
            sentence = f"{title} failed: the compute process cannot be started ({problem})."
            raise TaskFailed(Failure("ended", sentence, str(problem))) from None
        process = self._process
        if self._closed or process is None:
            raise Cancelled
        deadline = time.monotonic() + _START_S
        while not process.ready.wait(_POLL_S):
            report.check()
            if time.monotonic() > deadline:
                process.kill(f"it did not say that it is ready within {_START_S:.0f} s")
        if process.was_ready:
            return process
        if self._closed:
            raise Cancelled
        raise TaskFailed(failures.from_start(title, process.exit_code or 0, process.damage, process.log_tail()))

    def _run_once(self, task: Task, title: str, report: Report) -> TaskResult:
        report.check()
        process = self._ready_process(title, report)
        job = next(self._jobs)
        temporary: list[Reference] = []
        try:
            parts = self._pack(task, title, temporary)
            fields = {"task": task.name, "title": title, "arguments": dict(task.arguments), "inputs": parts}
            with contextlib.suppress(OSError):  # it has just ended, which the queue of events says, too
                while process.unneeded:
                    process.channel.send("release", job=process.unneeded.popleft())
                process.channel.send("run", job=job, **fields)
            return _Run(process, job, report, self._grace_s).follow()
        except _Ended as end:
            for target in task.targets:
                remove_unfinished(target, process.pid)
            if self._closed or _cancelled(report):
                raise Cancelled from None
            if not end.started:
                raise
            raise TaskFailed(
                failures.from_end(title, process.exit_code or 0, process.damage, process.log_tail())
            ) from None
        finally:
            for reference in temporary:
                self._inputs.remove(reference)

    def _pack(self, task: Task, title: str, temporary: list[Reference]) -> list[dict[str, Any]]:
        """Inputs as messages carry them; references to remove after the run are added to ``temporary``."""
        parts = []
        try:
            for item in task.inputs:
                header, array = to_parts(item)
                reference, used_once = self._inputs.reference(array)
                if used_once:
                    temporary.append(reference)
                parts.append({"header": header, "array": reference})
            transport.encode("inputs", {"inputs": parts, "arguments": dict(task.arguments)})
        except (UserError, TypeError, ProtocolError) as problem:
            raise TaskFailed(failures.from_exception(title, problem)) from None
        return parts


def _cancelled(report: Report) -> bool:
    try:
        report.check()
    except Cancelled:
        return True
    return False


class _Run:
    """One task in a compute process: passes on what it reports, and sees that it ends when it is cancelled."""

    def __init__(self, process: ComputeProcess, job: int, report: Report, grace_s: float) -> None:
        self._process, self._job, self._report = process, job, report
        self._grace_s = grace_s
        self._kill_at: float | None = None
        self._told_to_stop = False
        self._started = False

    def follow(self) -> TaskResult:
        """Wait for the end of the task. Raises _Ended, Cancelled or TaskFailed."""
        finished = False
        try:
            while True:
                self._enforce_cancel()
                self._pass_stop_on()
                try:
                    message = self._process.events.get(timeout=_POLL_S)
                except queue.Empty:
                    continue
                if message is None:
                    finished = True
                    raise _Ended(started=self._started)
                if message.fields.get("job") != self._job:  # of a task that was given up
                    continue
                finished = message.kind in _FINAL
                result = self._take(message)
                if result is not None:
                    return result
        finally:
            if not finished:  # a callback of the report raised: leave no task running on its own
                self._process.kill()

    def _enforce_cancel(self) -> None:
        if self._kill_at is None:
            if _cancelled(self._report):
                self._kill_at = time.monotonic() + self._grace_s
                with contextlib.suppress(OSError):
                    self._process.channel.send("cancel", job=self._job)
        elif time.monotonic() > self._kill_at:
            self._process.kill()

    def _pass_stop_on(self) -> None:
        if not self._told_to_stop and self._report.stopping:
            self._told_to_stop = True
            with contextlib.suppress(OSError):
                self._process.channel.send("stop", job=self._job)

    def _take(self, message: Message) -> TaskResult | None:
        """Act on one message; the result if it is the last."""
        fields = message.fields
        self._started = True
        with contextlib.suppress(Cancelled):  # the worker is told, and answers in its own time
            if message.kind == "progress":
                self._report.facts.device = fields["device"]
                self._report.progress(fields["fraction"], fields["message"])
            elif message.kind == "log":
                for level, text in fields["lines"]:
                    self._report.log(text, level)
            elif message.kind == "preview":
                self._preview(fields["name"], fields["array"])
        if message.kind == "cancelled":
            raise Cancelled
        if message.kind == "failed":
            raise TaskFailed(Failure.from_json(fields["failure"]))
        return self._result(fields) if message.kind == "done" else None

    def _preview(self, name: str, reference: Reference) -> None:
        with contextlib.suppress(FileNotFoundError):  # the process has ended since
            self._report.preview(name, self._process.outputs.take(reference)[0])

    def _result(self, fields: dict[str, Any]) -> TaskResult:
        self._report.facts.device = fields["device"]
        items: list[Data] = []
        in_files: list[Array] = []
        try:
            for part in fields["items"]:
                array, in_file = self._process.outputs.take(part["array"])
                items.append(from_parts(part["header"], array))
                if in_file:
                    in_files.append(array)
        except FileNotFoundError:
            raise _Ended(started=True) from None
        if in_files:  # a file unpacked by the compute process goes with its array there: keep that while ours lives
            weakref.finalize(in_files[0], self._process.unneeded.append, self._job).atexit = False
        else:
            with contextlib.suppress(OSError):
                self._process.channel.send("release", job=self._job)
        return TaskResult(fields["value"], tuple(items))
