"""What the user is told when a job fails, and the details kept for a report."""

from __future__ import annotations

import signal
import sys
import traceback
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

from atomseg_app.errors import UserError

Reason = Literal["user", "memory", "missing", "program", "ended"]

_MEMORY_PHRASES = ("out of memory", "not enough memory", "can't allocate memory", "cannot allocate memory")


@dataclass(frozen=True)
class Failure:
    """Why a job failed: the sentence for the user, the traceback or crash log, and the kind of reason.

    ``user``: input or a refusal; ``memory``; ``missing``: a package is not installed; ``program``: a defect;
    ``ended``: the compute process died or did not start.
    """

    reason: Reason
    sentence: str
    details: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for a message."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> Self:
        """Inverse of :meth:`to_json`."""
        return cls(**fields)


class TaskFailed(Exception):  # noqa: N818 - what happened to the task, not a defect of the caller
    """Raised by :meth:`Host.run` for a task that failed in the compute process, or with it."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.sentence)
        self.failure = failure


def _out_of_memory(problem: BaseException) -> bool:
    """Whether numpy, Python or torch (whose errors are known by name, as torch may not be imported) lacked memory."""
    names = {cls.__name__ for cls in type(problem).__mro__}
    if isinstance(problem, MemoryError) or "OutOfMemoryError" in names:
        return True
    return isinstance(problem, RuntimeError | OSError) and any(p in str(problem).lower() for p in _MEMORY_PHRASES)


def from_exception(title: str, problem: BaseException) -> Failure:
    """Failure of the task ``title`` from the exception that ended it."""
    details = "".join(traceback.format_exception(problem))
    if isinstance(problem, UserError):
        return Failure("user", str(problem), details)
    if _out_of_memory(problem):
        first = str(problem).splitlines()[0] if str(problem) else "no size is known"
        return Failure(
            "memory",
            f"{title} ran out of memory ({first}); choose a smaller region or image, or close other programs.",
            details,
        )
    if isinstance(problem, ModuleNotFoundError) and not (problem.name or "").startswith("atomseg_app"):
        return Failure(
            "missing",
            f"{title} needs the package {problem.name!r}, which is not installed where jobs run; "
            "'atomseg doctor' lists what is missing.",
            details,
        )
    text = f"{type(problem).__name__}: {problem}".rstrip(": ")
    return Failure(
        "program", f"{title} failed inside the program: {text}; copy the report and send it to the developers.", details
    )


def exit_text(code: int) -> str:
    """Words for an exit code of the compute process; negative ones are signals."""
    if code < 0:
        killed = code == -getattr(signal, "SIGKILL", 9)
        return f"signal {-code}" + (", often for lack of memory" if killed and sys.platform != "win32" else "")
    return f"exit code {code}"


def from_end(title: str, code: int, damage: str, log: str) -> Failure:
    """Failure of a task whose compute process ended while it ran, or had to be ended for the reason ``damage``."""
    if damage:
        why = f"the compute process was ended, since {damage}"
    else:
        why = f"the compute process ended ({exit_text(code)})"
    return Failure("ended", f"{title} failed: {why}; the next job runs in a new one.", log)


def from_start(title: str, code: int, damage: str, log: str) -> Failure:
    """Failure of a task for which no compute process could be started; the last line of its log says why."""
    last = log.splitlines()[-1] if log else ""
    why = damage or ": ".join(filter(None, [exit_text(code), last]))
    return Failure(
        "ended", f"{title} failed: the compute process did not start ({why}); 'atomseg doctor' checks it.", log
    )
