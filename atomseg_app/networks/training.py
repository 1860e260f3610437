"""The training loop that every network of this project uses: checkpoints, resume, early stop, a log of lines.

A run lives in a folder: ``log.jsonl`` (``training_log.py``), ``checkpoint.safetensors`` (``checkpoint.py``), and
``best.safetensors`` (averaged weights of the best validation). The learning rate warms up, stays, and falls to zero
over the last part of the run, so a run is continued with more steps by starting again from a checkpoint that lies
before the fall.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import safetensors.torch
import torch
from torch import nn

from atomseg_app.errors import Cancelled, UserError
from atomseg_app.io.atomic_write import atomic_open
from atomseg_app.networks import checkpoint
from atomseg_app.networks.checkpoint import BEST, CHECKPOINT, Progress, State
from atomseg_app.networks.training_log import LOG, add_line, read_log, take_back
from atomseg_app.networks.workers import Workers
from atomseg_app.operations import Report

__all__ = ["BEST", "CHECKPOINT", "LOG", "Course", "Plan", "Progress", "read_log", "train"]

_EMA_HORIZON = 500  # steps over which weights are averaged


@dataclass(frozen=True)
class Plan:
    """How long and how: the run ends after ``steps``, or after ``minutes`` of training where that is not 0.

    ``decay`` is the part of the run over which the rate falls to zero at the end. ``patience`` validations without a
    better one end the run early; 0 never does.
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
    minutes: float = 0.0
    log_every: int = 25

    def rate(self, step: int, seconds: float = 0.0) -> float:
        """Learning rate of a step: linear warm-up, constant, linear fall."""
        left = max(0.0, (self.steps - step) / max(1.0, self.decay * self.steps))
        if self.minutes:
            budget_s = 60 * self.minutes
            left = min(left, max(0.0, (budget_s - seconds) / max(1.0, self.decay * budget_s)))
        return self.learning_rate * min(1.0, (step + 1) / max(1, self.warmup), left)

    def fraction(self, progress: Progress) -> float:
        """How much of the run is done, 0..1."""
        done = progress.step / self.steps if self.steps else 1.0
        return min(1.0, max(done, progress.seconds / (60 * self.minutes)) if self.minutes else done)

    def ended(self, progress: Progress) -> bool:
        """Whether steps, minutes or patience have ended."""
        return self.fraction(progress) >= 1 or bool(self.patience and progress.stale >= self.patience)


class Course(Protocol):
    """What is taught: the network's loss on the next batch, and how good it is on a fixed set."""

    def loss(self, module: nn.Module, batch: int) -> tuple[torch.Tensor, dict[str, float]]:
        """Loss of the next ``batch`` samples, and its parts for the log."""

    def validate(self, module: nn.Module) -> dict[str, float]:
        """Figures of a module in evaluation mode; ``loss`` is what decides which weights are best.

        May raise Cancelled.
        """

    def generators(self) -> dict[str, torch.Generator]:
        """Random generators whose states belong to a checkpoint."""


def train(module: nn.Module, course: Course, plan: Plan, folder: Path, report: Report) -> Progress:
    """Train until the plan ends, patience ends, or the user stops; ``folder`` may hold a checkpoint to go on from.

    Stopping (``report.stopping``) ends as the plan's end does; cancelling keeps the checkpoint of the moment and raises
    Cancelled. The module ends with the averaged weights of the best validation. Under ``torchrun`` every process takes
    its share of the batches and gradients are averaged. Raises UserError where training diverges or the checkpoint is
    not of this run.
    """
    folder.mkdir(parents=True, exist_ok=True)
    workers = Workers.join()
    optimiser = torch.optim.AdamW(module.parameters(), lr=plan.learning_rate, weight_decay=plan.weight_decay)
    average = _Average(module)
    state = State(module, average.state, optimiser, course)
    progress = checkpoint.load(folder, state, report, workers.rank)
    if progress.step > plan.steps:
        raise UserError(
            f"The run in {folder} has done {progress.step} steps already; ask for more than that, or choose another "
            "folder."
        )
    if workers.first:
        take_back(folder, progress.step, progress.validated)
    started, saved = time.monotonic() - progress.seconds, time.monotonic()
    while True:
        ended = plan.ended(progress) or report.stopping
        if workers.first and _validation_due(plan, progress, ended=ended):
            with suppress(Cancelled):  # seen to below, by all processes alike
                _validate(folder, progress, average, module, course)
            checkpoint.save(folder, state, progress)
            saved = time.monotonic()
            ended = ended or plan.ended(progress)
        ended, cancelled = (value > 0 for value in workers.largest(ended, report.cancelled))
        if cancelled and workers.first:
            checkpoint.save(folder, state, progress)
        if cancelled:
            raise Cancelled
        if ended:
            break
        _step(module, course, plan, optimiser, progress, workers)
        average.update(module, progress.step)
        (progress.seconds,) = workers.largest(time.monotonic() - started)
        if not workers.first:
            continue
        if progress.step % plan.log_every == 0 or plan.ended(progress):
            _log(folder, progress, plan)
        if time.monotonic() - saved > plan.checkpoint_s:
            checkpoint.save(folder, state, progress)
            saved = time.monotonic()
        with suppress(Cancelled):
            report.progress(plan.fraction(progress), _words(plan, progress))
    if workers.first and (folder / BEST).exists():
        module.load_state_dict(safetensors.torch.load_file(folder / BEST))
    module.eval()
    return progress


def _step(
    module: nn.Module,
    course: Course,
    plan: Plan,
    optimiser: torch.optim.Optimizer,
    progress: Progress,
    workers: Workers,
) -> None:
    """One step of all processes. Raises UserError where the gradients are no numbers."""
    for group in optimiser.param_groups:
        group["lr"] = plan.rate(progress.step, progress.seconds)
    module.train()
    loss, parts = course.loss(module, plan.batch)
    optimiser.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    workers.average_gradients(module)
    norm = nn.utils.clip_grad_norm_(module.parameters(), 5.0)
    value = float(loss.detach())
    if not (torch.isfinite(norm) and math.isfinite(value)):
        raise UserError(
            f"Training diverged at step {progress.step}; start again in another folder with a smaller learning rate "
            f"than {plan.learning_rate:g}."
        )
    optimiser.step()
    progress.step += 1
    progress.samples += plan.batch * workers.count
    for name, part in {"loss": value, **parts}.items():
        progress.recent.setdefault(name, []).append(part)


def _validation_due(plan: Plan, progress: Progress, *, ended: bool) -> bool:
    """Whether the step that was just done is to be validated and has not been."""
    due = progress.step > 0 and (ended or progress.step % plan.validate_every == 0)
    return due and progress.validated != progress.step


def _words(plan: Plan, progress: Progress) -> str:
    """Where the run stands, in words."""
    until = f"minute {progress.seconds / 60:.1f} of {plan.minutes:g}" if plan.minutes else f"of {plan.steps:,}"
    best = f", best {progress.best:.4f} at step {progress.best_step:,}" if progress.best_step else ""
    return f"step {progress.step:,}{', ' if plan.minutes else ' '}{until}{best}"


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


def _log(folder: Path, progress: Progress, plan: Plan) -> None:
    means = {name: round(sum(values) / len(values), 5) for name, values in progress.recent.items()}
    progress.recent.clear()
    rate = plan.rate(progress.step, progress.seconds)
    add_line(
        folder,
        {"step": progress.step, "samples": progress.samples, "seconds": round(progress.seconds, 1),
         "learning_rate": rate, **means},
    )  # fmt: skip


def _validate(folder: Path, progress: Progress, average: _Average, module: nn.Module, course: Course) -> None:
    """Validate the averaged weights and keep them if they are the best so far."""
    with average.within(module), torch.no_grad():
        figures = course.validate(module)
        better = figures["loss"] < progress.best
        if better:
            with atomic_open(folder / BEST) as stream:
                stream.write(safetensors.torch.save(checkpoint.plain(module.state_dict())))
    progress.stale = 0 if better else progress.stale + 1
    progress.validated = progress.step
    if better:
        progress.best, progress.best_step = figures["loss"], progress.step
    add_line(folder, {"step": progress.step, "seconds": round(progress.seconds, 1), "validation": figures})
