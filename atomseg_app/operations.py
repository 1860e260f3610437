"""Operations: one plain function and one parameter model, registered once.

From the registration come the form in the window, the command, the batch line, the history entry and the reference
page. A declaration is torch-free: it names the function by its import path, imported only where it runs.
"""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from atomseg_app import __version__
from atomseg_app.data import Array, Data, Step
from atomseg_app.errors import Cancelled, UserError

DECLARATIONS = (
    "atomseg_app.atoms.operations",
    "atomseg_app.atoms.network_operations",
    "atomseg_app.atoms.physics_operations",
    "atomseg_app.atoms.defect_operations",
    "atomseg_app.tomography.operations",
    "atomseg_app.tomography.align_operations",
    "atomseg_app.segmentation.operations",
)
"""Modules whose import registers operations."""


class Parameters(BaseModel):
    """Base of every parameter model: immutable, unknown names refused; checks are made up when first needed."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


def parameter(default: Any, description: str, *, unit: str = "", advanced: bool = False, **bounds: Any) -> Any:
    """Field of a parameter model: default, one sentence, unit and bounds (``ge``, ``le``, ``gt``, ``lt``)."""
    return Field(default, description=description, json_schema_extra={"unit": unit, "advanced": advanced}, **bounds)


@dataclass
class RunFacts:
    """What the history keeps of a run beside its parameters: the device used and notes for the user.

    ``beside`` holds what came out beside the result, by name.
    """

    device: str = "cpu"
    notes: list[str] = field(default_factory=list)
    beside: dict[str, Data] = field(default_factory=dict)


class Report:
    """What an operation tells its caller while it runs; the base class is silent and never cancels.

    ``progress(fraction, message)`` with fraction 0..1 also checks for cancellation, so a loop needs only that call.
    ``stopping`` asks an iteration to end early and give what it has.
    """

    def __init__(
        self,
        on_progress: Callable[[float, str], None] | None = None,
        on_log: Callable[[str, str], None] | None = None,
        on_preview: Callable[[str, Array], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
        stopping: Callable[[], bool] | None = None,
    ) -> None:
        self._on_progress, self._on_log, self._on_preview, self._cancelled, self._stopping = (
            on_progress,
            on_log,
            on_preview,
            cancelled,
            stopping,
        )
        self._span = (0.0, 1.0)
        self.facts = RunFacts()

    @property
    def cancelled(self) -> bool:
        """Whether the user asked to stop."""
        return self._cancelled is not None and self._cancelled()

    @property
    def stopping(self) -> bool:
        """Whether the user asked to stop and keep what there is: an iteration that sees it ends with its result."""
        return self._stopping is not None and self._stopping()

    def check(self) -> None:
        """Raise :class:`Cancelled` if the user asked for it."""
        if self.cancelled:
            raise Cancelled

    def progress(self, fraction: float, message: str = "") -> None:
        """Report a fraction done (0..1 of this report's span) and what is being done."""
        self.check()
        if self._on_progress is not None:
            low, high = self._span
            self._on_progress(low + (high - low) * float(np.clip(fraction, 0, 1)), message)

    def log(self, text: str, level: str = "info") -> None:
        """Add a line to the job's log (level ``info`` or ``warning``)."""
        if self._on_log is not None:
            self._on_log(level, text)

    def note(self, text: str) -> None:
        """Tell the user something that changed the result (a fallback, a masked NaN); kept in the history."""
        self.facts.notes.append(text)
        self.log(text, "warning")

    def preview(self, name: str, array: Array) -> None:
        """Show an intermediate array; only the latest of a name is kept."""
        if self._on_preview is not None:
            self._on_preview(name, array)

    def beside(self, name: str, item: Data) -> None:
        """Give one more result, such as an uncertainty; it gets the same entry in its history."""
        self.facts.beside[name] = item

    def part(self, start: float, end: float) -> Report:
        """Report whose 0..1 fills ``start..end`` of this one; facts are shared."""
        child = Report(self._on_progress, self._on_log, self._on_preview, self._cancelled, self._stopping)
        low, high = self._span
        child._span = (low + (high - low) * start, low + (high - low) * end)
        child.facts = self.facts
        return child


@dataclass(frozen=True)
class Operation:
    """Declaration of an operation: ``find-columns`` takes an ``image`` and parameters, and gives ``columns``.

    ``function`` is ``package.module:name``; it is called as ``function(*inputs, parameters, report)``. ``suffix``
    ends the names of result files, the last word of the name where empty; ``figures`` are the quantities (of columns),
    vectors (``polar`` is ``polar_x_px`` and ``polar_y_px``) or layers that are drawn if asked for, columns with errors
    if none.
    """

    name: str
    title: str
    description: str
    parameters: type[Parameters]
    function: str
    inputs: tuple[str, ...]
    output: str
    suffix: str = ""
    figures: tuple[str, ...] = ()

    @property
    def result_name(self) -> str:
        """What the names of result files end with, before the extension: ``columns`` of ``find-columns``."""
        return self.suffix or self.name.rpartition("-")[2]

    def load(self) -> Callable[..., Data]:
        """Import and return the function."""
        module, _, name = self.function.partition(":")
        function: Callable[..., Data] = getattr(importlib.import_module(module), name)
        return function

    def parse(self, values: Mapping[str, Any]) -> Parameters:
        """Parameter model from loose values. Raises UserError naming the value, the bound and the default."""
        try:
            return self.parameters.model_validate(dict(values))
        except ValidationError as problem:
            first = problem.errors()[0]
            where = ".".join(str(part) for part in first["loc"]) or "parameters"
            raise UserError(f"{self.name}: {where} = {first.get('input')!r}: {first['msg']}.") from None


_registry: dict[str, Operation] = {}


def register(operation: Operation) -> Operation:
    """Add an operation; a name is taken once."""
    if operation.name in _registry:
        raise RuntimeError(f"operation {operation.name!r} is registered twice")
    _registry[operation.name] = operation
    return operation


def all_operations() -> dict[str, Operation]:
    """Every operation by name."""
    for module in DECLARATIONS:
        importlib.import_module(module)
    return dict(_registry)


def get(name: str) -> Operation:
    """Operation of that name. Raises UserError listing the known ones."""
    known = all_operations()
    if name not in known:
        raise UserError(f"There is no operation {name!r}; known: {', '.join(sorted(known))}.")
    return known[name]


def run(operation: Operation, inputs: tuple[Data, ...], parameters: Parameters, report: Report) -> Data:
    """Check the kinds, run the function, and return its result with this step added to its history.

    What it gave beside the result is in ``report.facts.beside`` afterwards.
    """
    kinds = tuple(item.kind for item in inputs)
    if kinds != operation.inputs:
        raise UserError(f"{operation.title} needs {', '.join(operation.inputs)}, but was given {', '.join(kinds)}.")
    report.facts = RunFacts()
    start = time.perf_counter()
    result = operation.load()(*inputs, parameters, report)
    step = Step(
        operation.name,
        parameters.model_dump(mode="json"),
        __version__,
        report.facts.device,
        round(time.perf_counter() - start, 3),
        datetime.now(UTC).isoformat(timespec="seconds"),
        tuple(report.facts.notes),
    )
    report.facts.beside = {name: item.with_step(step) for name, item in report.facts.beside.items()}
    return result.with_step(step)
