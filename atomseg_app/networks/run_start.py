"""What every kind of training does before it begins: refuse what would end hours later or spoil another run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from atomseg_app.errors import UserError
from atomseg_app.networks import checkpoint, run_folder
from atomseg_app.networks.card import find_model, list_models, user_folder
from atomseg_app.networks.training import Plan
from atomseg_app.networks.training_log import convergence, loss_curve, read_log

_MOST_STEPS = 100_000_000


def check_start(
    folder: Path, shelf: Path, settings: BaseModel, name: str, lasting: Sequence[str], *, resume: bool
) -> None:
    """Raise UserError where the folder holds another run, or none to resume, or the name is taken in ``shelf``."""
    there = (folder / checkpoint.CHECKPOINT).exists()
    if resume and not there:
        raise UserError(f"{folder} holds no checkpoint to go on from; start without resuming.")
    if there and not resume:
        raise UserError(f"{folder} holds a run already; resume it (--resume), or choose another folder.")
    if resume and (folder / run_folder.RUN).exists():
        run_folder.same_run(folder, settings, lasting)
    check_name(name, shelf, overwrite=resume)


def check_name(name: str, shelf: Path, *, overwrite: bool) -> None:
    """Raise UserError where saving a model of that name would be refused."""
    if not overwrite and any((shelf / f"{name}.{ending}").exists() for ending in ("json", "safetensors")):
        raise UserError(f"There is already a model {name!r} in {shelf}; choose another name.")
    if shelf.resolve() == user_folder().resolve() and name in {
        m.card.name for m in list_models() if m.origin == "bundled"
    }:
        raise UserError(f"A model that comes with the program is named {name!r}; choose another name.")


def plan(
    steps: int, minutes: float, *, batch: int, learning_rate: float, seed: int, patience: int, checkpoint_s: float
) -> Plan:
    """How long and how; by the clock where ``minutes`` is not 0.

    Short runs warm up faster, log and validate more often, so that there is something to see.
    """
    steps = _MOST_STEPS if minutes else steps
    quick = 0 < minutes < 120 or (not minutes and steps < 5000)
    part = (50 if minutes < 30 else 100) if minutes else max(10, steps // 10)
    return Plan(
        steps=steps, batch=batch, learning_rate=learning_rate, warmup=min(200, part if not minutes else 20), seed=seed,
        validate_every=min(part, 500) if quick else 500, patience=patience, checkpoint_s=checkpoint_s,
        minutes=minutes, log_every=5 if quick else 25,
    )  # fmt: skip


def told(folder: Path, start_from: str | None) -> dict[str, Any]:
    """What a card's :class:`Training` says of the run of a folder: how long, its losses, and what it began with.

    The model that it began with is told by its name and its weights' hash, no path of a machine; one that is gone by
    now by its name alone.
    """
    entries = read_log(folder)
    progress = checkpoint.read_progress(folder) or checkpoint.Progress()
    converged, note = convergence(entries)
    begun, curve = dict[str, Any](), loss_curve(entries)
    if start_from is not None:
        try:
            card = find_model(start_from).card
        except UserError:
            begun = {"adapted_from": Path(start_from).stem}
        else:
            before = card.training.hours_in_all
            begun = {
                "adapted_from": f"{card.name} ({card.sha256})", "hours_before": round(before, 4),
                "samples_before": card.training.samples_in_all,
            }  # fmt: skip
            curve = (*card.training.loss_curve, *((round(before + hours, 4), loss) for hours, loss in curve))
    return {
        "steps": progress.step, "samples": progress.samples, "hours": round(progress.seconds / 3600, 4),
        "converged": converged, "convergence_note": note, "loss_curve": curve, **begun,
    }  # fmt: skip
