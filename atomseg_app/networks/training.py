"""The training loop that every network of this project uses: checkpoints, resume, early stop, a log of lines.

A run lives in a folder: ``log.jsonl`` (one line every few steps), ``checkpoint.safetensors`` with ``checkpoint.json``
(everything that a later start needs to go on as if it had never stopped), ``best.safetensors`` (averaged weights of
the best validation). The learning rate warms up, stays, and falls to zero over the last part of the steps, so a run is
continued with more steps by starting again from a checkpoint that lies before the fall.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

import safetensors.torch
import torch
from torch import nn

from atomseg_app.errors import UserError
from atomseg_app.io.atomic_write import atomic_open, write_text
from atomseg_app.operations import Report

CHECKPOINT = "checkpoint"
BEST = "best"
LOG = "log.jsonl"

_LOG_EVERY = 25
_EMA_HORIZON = 500  # steps over which weights are averaged


@dataclass(frozen=True)
class Plan:
    """How long and how: ``decay`` is the part of the steps over which the rate falls to zero at the end.

    ``patience`` validations without a better one end the run early; 0 never does.
    """

    steps: int
    batch: int = 8
    learning_rate: float = 2e-3
    weight_decay: float = 1e-4
    warmup: int = 200
    decay: float = 0.25
    seed: int = 1
    validate_every: int = 500
    patience: int = 0
    checkpoint_s: float = 120.0

    def rate(self, step: int) -> float:
        """Learning rate of a step: linear warm-up, constant, linear fall."""
        fall = max(1.0, self.decay * self.steps)
        return self.learning_rate * min(1.0, (step + 1) / max(1, self.warmup), max(0.0, (self.steps - step) / fall))


class Course(Protocol):
    """What is taught: the network's loss on the next batch, and how good it is on a fixed set."""

    def loss(self, module: nn.Module, batch: int) -> tuple[torch.Tensor, dict[str, float]]:
        """Loss of the next ``batch`` samples, and its parts for the log."""

    def validate(self, module: nn.Module) -> dict[str, float]:
        """Figures of a module in evaluation mode; ``loss`` is what decides which weights are best."""

    def generators(self) -> dict[str, torch.Generator]:
        """Random generators whose states belong to a checkpoint."""


@dataclass
class Progress:
    """Where a run stands."""

    step: int = 0
    samples: int = 0
    seconds: float = 0.0
    best: float = math.inf
    best_step: int = 0
    stale: int = 0


def train(module: nn.Module, course: Course, plan: Plan, folder: Path, report: Report) -> Progress:
    """Train until the plan ends, patience ends, or the user stops; ``folder`` may hold a checkpoint to go on from.

    Cancelling keeps the checkpoint of the moment and raises Cancelled. The module ends with the averaged weights of
    the best validation. Under ``torchrun`` every process takes its share of the batches and gradients are averaged.
    """
    folder.mkdir(parents=True, exist_ok=True)
    workers = _Workers.join()
    optimiser = torch.optim.AdamW(module.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay)
    average = _Average(module)
    progress = _resume(folder, module, average, optimiser, course)
    started, saved = time.monotonic() - progress.seconds, time.monotonic()
    recent: dict[str, list[float]] = {}
    while progress.step < plan.steps and not (plan.patience and progress.stale >= plan.patience):
        for group in optimiser.param_groups:
            group["lr"] = plan.rate(progress.step)
        module.train()
        loss, parts = course.loss(module, plan.batch)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        workers.average_gradients(module)
        norm = nn.utils.clip_grad_norm_(module.parameters(), 5.0)
        if not torch.isfinite(norm):
            raise UserError(f"Training diverged at step {progress.step}; start again with a smaller learning rate.")
        optimiser.step()
        progress.step += 1
        progress.samples += plan.batch * workers.count
        average.update(module, progress.step)
        progress.seconds = time.monotonic() - started
        for name, value in {"loss": float(loss.detach()), **parts}.items():
            recent.setdefault(name, []).append(value)
        if not workers.first:
            continue
        if progress.step % _LOG_EVERY == 0 or progress.step == plan.steps:
            _log(folder, progress, {name: sum(v) / len(v) for name, v in recent.items()}, plan)
            recent.clear()
        if progress.step % plan.validate_every == 0 or progress.step == plan.steps:
            _validate(folder, progress, average, module, course)
            saved = -math.inf
        if time.monotonic() - saved > plan.checkpoint_s or report.cancelled:
            _save(folder, progress, module, average, optimiser, course)
            saved = time.monotonic()
        report.progress(progress.step / plan.steps, f"step {progress.step} of {plan.steps}")
    if (folder / f"{BEST}.safetensors").exists():
        module.load_state_dict(safetensors.torch.load_file(folder / f"{BEST}.safetensors"))
    module.eval()
    return progress


def read_log(folder: Path) -> list[dict[str, Any]]:
    """Lines of a run's log so far; a last line that is being written is left out."""
    try:
        lines = (folder / LOG).read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []
    entries = []
    for line in lines:
        try:
            entries.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return entries


class _Average:
    """Exponential average of weights, which validates better than the weights themselves; buffers too."""

    def __init__(self, module: nn.Module) -> None:
        self.state = {name: value.detach().clone() for name, value in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        keep = min(1 - 1 / _EMA_HORIZON, (1 + step) / (10 + step))
        for name, value in module.state_dict().items():
            if value.is_floating_point():
                self.state[name].lerp_(value, 1 - keep)
            else:
                self.state[name].copy_(value)

    @contextmanager
    def within(self, module: nn.Module) -> Iterator[None]:
        """The module with averaged weights, in evaluation mode."""
        own = {name: value.detach().clone() for name, value in module.state_dict().items()}
        module.load_state_dict(self.state)
        module.eval()
        try:
            yield
        finally:
            module.load_state_dict(own)


def _log(folder: Path, progress: Progress, values: dict[str, float], plan: Plan) -> None:
    entry = {
        "step": progress.step, "samples": progress.samples, "seconds": round(progress.seconds, 1),
        "learning_rate": plan.rate(progress.step), **{name: round(value, 5) for name, value in values.items()},
    }  # fmt: skip
    with (folder / LOG).open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def _validate(folder: Path, progress: Progress, average: _Average, module: nn.Module, course: Course) -> None:
    with average.within(module), torch.no_grad():
        figures = course.validate(module)
        better = figures["loss"] < progress.best
        if better:
            _write(folder / f"{BEST}.safetensors", safetensors.torch.save(_plain(module.state_dict())))
    progress.stale = 0 if better else progress.stale + 1
    if better:
        progress.best, progress.best_step = figures["loss"], progress.step
    entry = {"step": progress.step, "seconds": round(progress.seconds, 1), "validation": figures}
    with (folder / LOG).open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def _save(
    folder: Path,
    progress: Progress,
    module: nn.Module,
    average: _Average,
    optimiser: torch.optim.Optimizer,
    course: Course,
) -> None:
    tensors = {f"model.{name}": value for name, value in module.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in average.state.items()}
    for index, state in optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": torch.as_tensor(value) for name, value in state.items()}
    tensors |= {f"random.{name}": generator.get_state() for name, generator in course.generators().items()}
    payload = safetensors.torch.save(_plain(tensors), {"progress": json.dumps(asdict(progress))})
    _write(folder / f"{CHECKPOINT}.safetensors", payload)
    write_text(folder / f"{CHECKPOINT}.json", json.dumps(asdict(progress), indent=1) + "\n")


def _resume(
    folder: Path, module: nn.Module, average: _Average, optimiser: torch.optim.Optimizer, course: Course
) -> Progress:
    path = folder / f"{CHECKPOINT}.safetensors"
    if not path.exists():
        return Progress()
    with safetensors.safe_open(path, framework="pt") as file:
        metadata = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    if "progress" not in metadata:
        raise UserError(f"{path} is no checkpoint of a training run; remove it or choose another folder.")

    def part(prefix: str) -> dict[str, torch.Tensor]:
        return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}

    try:
        module.load_state_dict(part("model."))
    except RuntimeError:
        raise UserError(f"{path} belongs to another network; choose another folder to train this one.") from None
    for name, value in part("average.").items():
        average.state[name].copy_(value)
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, value in part("optimiser.").items():
        index, _, key = name.partition(".")
        state.setdefault(int(index), {})[key] = value
    optimiser.load_state_dict({**optimiser.state_dict(), "state": state})
    for name, generator in course.generators().items():
        generator.set_state(tensors[f"random.{name}"])
    return Progress(**json.loads(metadata["progress"]))


def _write(path: Path, payload: bytes) -> None:
    with atomic_open(path) as stream:
        stream.write(payload)


def _plain(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Dense, unshared copies on the CPU, as a file wants them."""
    return {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}


@dataclass(frozen=True)
class _Workers:
    """The processes of ``torchrun``, or this one alone."""

    count: int
    rank: int

    @property
    def first(self) -> bool:
        return self.rank == 0

    @classmethod
    def join(cls) -> _Workers:
        count = int(os.environ.get("WORLD_SIZE", "1"))
        if count > 1 and not torch.distributed.is_initialized():
            torch.distributed.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
        return cls(count, int(os.environ.get("RANK", "0")))

    def average_gradients(self, module: nn.Module) -> None:
        """Mean of the gradients of all processes, in every process."""
        if self.count == 1:
            return
        for parameter in module.parameters():
            if parameter.grad is not None:
                torch.distributed.all_reduce(parameter.grad)
                parameter.grad /= self.count
