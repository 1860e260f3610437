"""A pool of processes in which a worker that crashes or is killed costs only the task it had."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import connection
from multiprocessing.context import SpawnProcess
from typing import Any, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

_THREAD_LIMITS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True)
class Died:
    """In place of a result: the worker ended before it could answer."""

    reason: str


@dataclass
class _Worker:
    """A process, our end of its pipe, and the number of the task it has."""

    process: SpawnProcess
    pipe: connection.Connection
    task: int


def run_in_pool(
    function: Callable[[Task], Result],
    tasks: Sequence[Task],
    workers: int,
    on_death: Callable[[Task, int], None] = lambda task, process_id: None,
) -> Iterator[tuple[Task, Result | Died]]:
    """Yield each task with its result, in the order they finish; workers are killed when the iterator is closed.

    ``on_death`` gets the task and the process id of a worker that died or was killed, to clear up after it.

    ``function`` is importable, tasks and results can be pickled (all three come from this program, never from a file).
    The cores are shared out among the workers. A process that dies is replaced for the next task.
    """
    waiting = deque(range(len(tasks)))
    busy: list[_Worker] = []
    try:
        with _threads_per_worker(max(1, (os.cpu_count() or 1) // workers)):
            while waiting and len(busy) < workers:
                busy.append(_started(function, tasks, waiting.popleft()))
            while busy:
                ready = connection.wait([worker.pipe for worker in busy])
                for worker in [worker for worker in busy if worker.pipe in ready]:
                    index, answer = worker.task, _answer(worker)
                    alive = not isinstance(answer, Died)
                    if not alive:
                        on_death(tasks[index], worker.process.pid or 0)
                    if not (alive and waiting):
                        busy.remove(worker)
                        _end(worker)
                    if waiting and alive:
                        _give(worker, tasks, waiting.popleft())
                    elif waiting:
                        busy.append(_started(function, tasks, waiting.popleft()))
                    yield tasks[index], answer
    finally:
        for worker in busy:
            worker.process.kill()
            _end(worker)
            on_death(tasks[worker.task], worker.process.pid or 0)


def _started(function: Callable[[Any], Any], tasks: Sequence[Any], index: int) -> _Worker:
    """A new worker with its first task."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(function, theirs), daemon=True)
    with _no_interrupt():
        process.start()
    theirs.close()  # or the end of the worker would never be seen
    worker = _Worker(process, ours, index)
    _give(worker, tasks, index)
    return worker


def _give(worker: _Worker, tasks: Sequence[Any], index: int) -> None:
    worker.task = index
    with contextlib.suppress(BrokenPipeError):  # it died while idle: seen when its answer is awaited
        worker.pipe.send(tasks[index])


def _answer(worker: _Worker) -> Any:
    """Result of a worker, or that it died."""
    try:
        return worker.pipe.recv()
    except (EOFError, ConnectionResetError):
        worker.process.join()
        code = worker.process.exitcode or 0
        return Died(f"{signal.Signals(-code).name}" if code < 0 else f"exit code {code}")


def _end(worker: _Worker) -> None:
    """Close the pipe, which ends an idle worker, and wait for the process."""
    worker.pipe.close()
    worker.process.join()


def _serve(function: Callable[[Any], Any], pipe: connection.Connection) -> None:
    """Life of a worker: answer one task after another until the pipe closes. Interrupts are the parent's to handle."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        try:
            task = pipe.recv()
        except (EOFError, ConnectionResetError):
            return
        answer = function(task)
        try:
            pipe.send(answer)
        except BrokenPipeError:  # the parent is gone
            return


@contextlib.contextmanager
def _no_interrupt() -> Iterator[None]:
    """Start processes with Ctrl+C blocked, which they inherit, so that none of them prints a traceback at it."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _threads_per_worker(count: int) -> Iterator[None]:
    """Environment in which workers start: as many threads each as cores fall to it, unless the user said otherwise."""
    added = [name for name in _THREAD_LIMITS if name not in os.environ]
    os.environ.update(dict.fromkeys(added, str(count)))
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]
