"""The log of a training run, one JSON object a line, readable while it is written; no torch: the window reads it.

A line has ``step`` and ``seconds``, and either means over the last steps (``loss`` and its parts, ``learning_rate``,
``samples``) or, under ``validation``, the figures of the averaged weights on the fixed set.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from atomseg_app.io.atomic_write import write_text

LOG = "log.jsonl"

_LAST_PART = 0.2
_FLAT = 0.02  # of all that the loss ever fell

Entry = dict[str, Any]


def read_log(folder: Path) -> list[Entry]:
    """Lines of a run's log so far. What is no such line (damaged, or being written) is left out."""
    try:
        lines = (folder / LOG).read_text("utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    entries = []
    for line in lines:
        try:
            entry = json.loads(line)
        except (json.JSONDecodeError, RecursionError):
            continue
        if isinstance(entry, dict) and isinstance(entry.get("step"), int):
            entries.append(entry)
    return entries


def add_line(folder: Path, entry: Mapping[str, Any]) -> None:
    """Append a line."""
    with (folder / LOG).open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def take_back(folder: Path, step: int, validated: int) -> None:
    """Remove what a killed run logged after its checkpoint, and lines that are damaged: the steps are done again."""
    if not (folder / LOG).exists():
        return
    kept = [entry for entry in read_log(folder) if entry["step"] <= (validated if "validation" in entry else step)]
    write_text(folder / LOG, "".join(json.dumps(entry) + "\n" for entry in kept))


def validations(entries: Sequence[Entry]) -> list[tuple[int, dict[str, float]]]:
    """Step and figures of every validation that has a loss, in order."""
    return [
        (entry["step"], entry["validation"])
        for entry in entries
        if isinstance(entry.get("validation"), dict) and isinstance(entry["validation"].get("loss"), int | float)
    ]


def loss_curve(entries: Sequence[Entry], most: int = 24) -> tuple[tuple[float, float], ...]:
    """Hours of training and validation loss: at most so many points, spread evenly from the first to the last."""
    found = [
        (round(entry["seconds"] / 3600, 4), round(float(entry["validation"]["loss"]), 5))
        for entry in entries
        if isinstance(entry.get("seconds"), int | float) and validations([entry])
    ]
    if len(found) <= most:
        return tuple(found)
    return tuple(found[round(place * (len(found) - 1) / (most - 1))] for place in range(most))


def convergence(entries: Sequence[Entry]) -> tuple[bool, str]:
    """Whether the validation loss had stopped falling, and a sentence that says what is known of it.

    The best of the last fifth of the steps is compared with the best before: flat is a fall of less than 2 % of all
    that the loss fell since the first validation.
    """
    found = [(step, figures["loss"]) for step, figures in validations(entries)]
    last = [loss for step, loss in found if step > (1 - _LAST_PART) * found[-1][0]] if found else []
    before = [loss for step, loss in found if step <= (1 - _LAST_PART) * found[-1][0]] if found else []
    if len(before) < 2 or not last:
        return False, f"Not known: {len(found)} validations are too few to tell whether the loss had become flat."
    fell, whole = min(before) - min(last), found[0][1] - min(min(before), min(last))
    words = f"the best validation loss went from {min(before):.4f} to {min(last):.4f} in the last fifth of the steps"
    if whole > 0 and fell < _FLAT * whole:
        return True, f"Flat: {words}."
    return False, f"Not flat: {words}; more steps would still improve it."
