"""One compute process, from its start to its end, seen from the window's side."""

from __future__ import annotations

import contextlib
import logging
import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

import atomseg_app
from atomseg_app.jobs.arrays import Segments
from atomseg_app.jobs.transport import Channel, CutShortError, Message, ProtocolError

_log = logging.getLogger(__name__)

LIFELINE = "ATOMSEG_LIFELINE"
"""Environment variable with the descriptor of a pipe that ends when the window does."""

_THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_LOG_BYTES = 2 << 20
_TAIL_BYTES = 16 << 10
_LAST_WORDS_S = 1.0


def worker_command() -> list[str]:
    """Command line of a compute process: this program again where it is frozen, else this interpreter.

    ``-P`` keeps the folder the user happens to be in out of the import path.
    """
    if getattr(sys, "frozen", False):
        return [sys.executable, "--worker"]
    return [sys.executable, "-P", "-m", "atomseg_app.jobs.worker"]


def _environment() -> dict[str, str]:
    """Environment of a compute process: the package importable, and one thread per core that it may use."""
    environment = dict(os.environ)
    package_parent = str(Path(atomseg_app.__file__).resolve().parent.parent)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [package_parent, environment.get("PYTHONPATH", "")]))
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    for name in _THREAD_VARIABLES:
        environment.setdefault(name, str(cores))
    # Threads that wait by spinning make a machine with other work up to ten times slower.
    environment.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    return environment


class ComputeProcess:
    """A started compute process. Its messages come through :attr:`events`, closed by None once it has ended.

    ``ready`` is set when it takes tasks (``was_ready``) or will not any more. ``outputs`` are the array files it
    writes, removed when it has ended. ``on_end`` is called in a private thread when it has ended and been reaped.
    """

    def __init__(
        self, command: Sequence[str], log: Path, outputs: Segments, on_end: Callable[[ComputeProcess], None]
    ) -> None:
        self.events: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self.ready = threading.Event()
        self.was_ready = False
        self.versions: dict[str, str] = {}
        self.outputs = outputs
        self.unneeded: deque[int] = deque()  # jobs whose results need not be kept; told before the next job
        self.exit_code: int | None = None
        self.damage = ""  # why it had to be ended
        self._on_end = on_end
        self._log = log
        self._popen, self._lifeline = self._start(command)
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self.channel = Channel(self._popen.stdout, self._popen.stdin)  # type: ignore[arg-type]
        self._reaper = threading.Thread(target=self._reap, name="compute process end", daemon=True)
        self._reader = threading.Thread(target=self._read, name="compute process messages", daemon=True)
        self._reaper.start()
        self._reader.start()
        _log.info("compute process %d started", self.pid)

    @property
    def pid(self) -> int:
        """Process id, which is also the id of its process group."""
        return self._popen.pid

    @property
    def ended(self) -> bool:
        """Whether it has ended and all its messages are in the queue."""
        return self.exit_code is not None

    def kill(self, damage: str = "") -> None:
        """End it and all that it started, at once; ``damage`` says what it did wrong."""
        self.damage = self.damage or damage
        if self._popen.returncode is None:
            self._kill_group()

    def join(self, timeout_s: float = 10) -> None:
        """Wait until it has ended."""
        self._reader.join(timeout_s)

    def log_tail(self) -> str:
        """What it has written to its log, at most the last 16 KiB."""
        try:
            with self._log.open("rb") as file:
                end = file.seek(0, os.SEEK_END)
                file.seek(max(self._log_start if end >= self._log_start else 0, end - _TAIL_BYTES))
                return file.read().decode(errors="replace").strip()
        except OSError as problem:
            return f"(the log of the compute process cannot be read: {problem})"

    def _start(self, command: Sequence[str]) -> tuple[subprocess.Popen[bytes], int | None]:
        if self._log.exists() and self._log.stat().st_size > _LOG_BYTES:
            with contextlib.suppress(OSError):  # another window rotates it, or on Windows holds it open
                self._log.replace(self._log.with_suffix(".1.log"))
        environment = _environment()
        with self._log.open("ab") as log:
            log.write(f"--- compute process started {time.strftime('%Y-%m-%d %H:%M:%S')}\n".encode())
            log.flush()
            self._log_start = log.tell()
            if sys.platform == "win32":
                flags = subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP
                return subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment,
                    creationflags=flags,
                ), None  # fmt: skip
            reading, writing = os.pipe()
            environment[LIFELINE] = str(reading)
            try:
                popen = subprocess.Popen(
                    command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, env=environment,
                    pass_fds=(reading,), start_new_session=True,
                )  # fmt: skip
            except BaseException:
                os.close(writing)
                raise
            finally:
                os.close(reading)
            return popen, writing

    def _kill_group(self) -> None:
        if sys.platform == "win32":
            import psutil

            with contextlib.suppress(psutil.NoSuchProcess):
                for child in psutil.Process(self.pid).children(recursive=True):
                    with contextlib.suppress(psutil.NoSuchProcess):
                        child.kill()
            self._popen.kill()
        else:
            with contextlib.suppress(ProcessLookupError, PermissionError):  # gone; macOS says so by the second
                os.killpg(self.pid, signal.SIGKILL)

    def _reap(self) -> None:
        """Wait for the end, then end what the process had started: its children may hold the pipe open.

        The group's id cannot have been given to others meanwhile, as the guard is in it until it is killed here.
        """
        self._popen.wait()
        self._kill_group()

    def _read(self) -> None:
        try:
            while (message := self.channel.receive()) is not None:
                if message.kind == "ready":
                    self.versions = message.fields["versions"]
                    self.was_ready = True
                    self.ready.set()
                else:
                    self.events.put(message)
        except CutShortError:
            pass  # it died while it wrote, as its exit code tells
        except (ProtocolError, OSError) as problem:
            self.kill(f"it sent no message: {problem}")
        self._reaper.join(_LAST_WORDS_S)  # the pipe ends a moment before the process does
        if self._reaper.is_alive():
            self.kill("its messages end, but it does not")
            self._reaper.join()
        self._close()
        try:
            self._on_end(self)
        finally:
            self.events.put(None)

    def _close(self) -> None:
        """Remove what an ended process leaves, then let it be known."""
        for stream in (self._popen.stdin, self._popen.stdout):
            assert stream is not None
            with contextlib.suppress(OSError):  # what was still to be written to it is lost with it
                stream.close()
        if self._lifeline is not None:
            os.close(self._lifeline)
        self.outputs.remove_all()
        _log.info("compute process %d ended: code %d %s", self.pid, self._popen.returncode, self.damage)
        self.exit_code = self._popen.returncode
        self.ready.set()
