"""Checkpoints: everything that a later start needs to go on training as if it had never stopped."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from atomseg_app.errors import UserError
from atomseg_app.io.atomic_write import atomic_open
from atomseg_app.operations import Report

CHECKPOINT = "checkpoint.safetensors"
BEST = "best.safetensors"

_RESEED = 104_729  # a prime, so that no two processes and steps share a seed soon


@dataclass
class Progress:
    """Where a run stands; ``recent`` holds what the next line of the log is the mean of."""

    step: int = 0
    samples: int = 0
    seconds: float = 0.0
    best: float = math.inf
    best_step: int = 0
    stale: int = 0
    validated: int = 0
    recent: dict[str, list[float]] = field(default_factory=dict)


class Drawing(Protocol):
    """Whatever draws random numbers while it is trained on."""

    def generators(self) -> dict[str, torch.Generator]:
        """Random generators whose states belong to a checkpoint."""


@dataclass(frozen=True)
class State:
    """What a checkpoint holds beside :class:`Progress`; ``average`` is the running mean of the module's state."""

    module: nn.Module
    average: dict[str, torch.Tensor]
    optimiser: torch.optim.Optimizer
    course: Drawing


def save(folder: Path, state: State, progress: Progress) -> None:
    """Write the checkpoint of a folder, whole or not at all."""
    tensors = {f"model.{name}": value for name, value in state.module.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in state.average.items()}
    for index, moments in state.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser.{index}.{name}": torch.as_tensor(value) for name, value in moments.items()}
    tensors |= {f"random.{name}": generator.get_state() for name, generator in state.course.generators().items()}
    payload = safetensors.torch.save(plain(tensors), {"progress": json.dumps(asdict(progress))})
    with atomic_open(folder / CHECKPOINT) as stream:
        stream.write(payload)


def load(folder: Path, state: State, report: Report, rank: int = 0) -> Progress:
    """Put the checkpoint of a folder, if there is one, into place; returns where it stands.

    Processes beyond the first, and those on another kind of device than the checkpoint's, draw from new seeds.
    Raises UserError for a file that is none or belongs to another network.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return Progress()
    progress, tensors = _read(path)

    def part(prefix: str) -> dict[str, torch.Tensor]:
        return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}

    try:
        state.module.load_state_dict(part("model."))
        for name, value in part("average.").items():
            state.average[name].copy_(value)
        moments: dict[int, dict[str, torch.Tensor]] = {}
        for name, value in part("optimiser.").items():
            index, _, key = name.partition(".")
            moments.setdefault(int(index), {})[key] = value
        state.optimiser.load_state_dict({**state.optimiser.state_dict(), "state": moments})
    except (RuntimeError, KeyError, ValueError):
        raise UserError(f"{path} belongs to another network; choose another folder to train this one.") from None
    for name, generator in state.course.generators().items():
        try:
            if rank:
                raise KeyError(name)
            generator.set_state(tensors[f"random.{name}"])
        except (KeyError, RuntimeError, TypeError):
            generator.manual_seed(generator.initial_seed() + _RESEED * (progress.step + 1) + rank)
            if not rank:
                report.note(
                    f"The checkpoint's random numbers of {name!r} are not those of this device; new ones are drawn."
                )
    return progress


def averaged_weights(folder: Path) -> dict[str, torch.Tensor]:
    """Averaged weights of the best validation, or, before the first one, of the checkpoint.

    Raises UserError if the folder has neither.
    """
    best = folder / BEST
    if best.exists():
        try:
            return dict(safetensors.torch.load_file(best))
        except (SafetensorError, OSError) as problem:
            raise UserError(f"{best} cannot be read: {problem}.") from None
    if not (folder / CHECKPOINT).exists():
        raise UserError(f"{folder} holds no weights yet: the run ended before its first checkpoint.")
    _, tensors = _read(folder / CHECKPOINT)
    return {name.removeprefix("average."): value for name, value in tensors.items() if name.startswith("average.")}


def read_progress(folder: Path) -> Progress | None:
    """Where the checkpoint of a folder stands; None where there is none. Raises UserError for a damaged one."""
    return _read(folder / CHECKPOINT, numbers=False)[0] if (folder / CHECKPOINT).exists() else None


def plain(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Dense, unshared copies on the CPU, as a file wants them."""
    return {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}


def _read(path: Path, *, numbers: bool = True) -> tuple[Progress, dict[str, torch.Tensor]]:
    """Progress and tensors of a checkpoint."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            told = json.loads((file.metadata() or {})["progress"])
            progress = Progress(**{"validated": told["step"], **told})  # the first checkpoints did not tell it
            names = list(file.keys()) if numbers else []
            return progress, {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError, TypeError, KeyError):
        raise UserError(f"{path} is no checkpoint of a training run; remove it or choose another folder.") from None
