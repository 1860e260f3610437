"""The folder of a training run: what was asked for, so that it can be continued; torch-free, for the window, too.

``run.json`` holds the settings, beside what ``training.py`` writes.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from atomseg_app import places
from atomseg_app.errors import UserError
from atomseg_app.io.atomic_write import write_text

RUN = "run.json"
CHECKPOINT_FILE = "checkpoint.safetensors"

Settings = TypeVar("Settings", bound=BaseModel)


def runs_folder() -> Path:
    """Where the window keeps its runs, one folder a model; it may not be there yet."""
    return places.data_folder() / "training"


def begin(folder: Path, settings: BaseModel, facts: dict[str, Any]) -> None:
    """Note what a run was asked for."""
    write_text(folder / RUN, json.dumps({"settings": settings.model_dump(mode="json"), **facts}, indent=2) + "\n")


def settings_of(folder: Path, model: type[Settings]) -> Settings:
    """What the run of a folder was asked for. Raises UserError where that cannot be read."""
    try:
        return model.model_validate(_read(folder)["settings"])
    except ValidationError as problem:
        first = problem.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the settings"
        raise UserError(f"The run in {folder} cannot be continued by this version: {where}: {first['msg']}.") from None


def facts_of(folder: Path) -> dict[str, Any]:
    """Everything noted of a run. Raises UserError where that cannot be read."""
    return _read(folder)


def can_go_on(folder: Path) -> bool:
    """Whether a folder holds a run that was interrupted after its first checkpoint."""
    return (folder / RUN).is_file() and (folder / CHECKPOINT_FILE).is_file()


def unfinished(folder: Path | None = None) -> list[Path]:
    """Runs in a folder (default: those of the window) that can be continued, by name."""
    folder = folder or runs_folder()
    return sorted(run for run in folder.iterdir() if can_go_on(run)) if folder.is_dir() else []


def same_run(folder: Path, settings: BaseModel, lasting: Sequence[str]) -> None:
    """Raise UserError, naming the first difference, where settings are not those that a run was begun with."""
    before = settings_of(folder, type(settings))
    for name in lasting:
        old, new = getattr(before, name), getattr(settings, name)
        if old != new:
            raise UserError(
                f"The run in {folder} was begun with {name.replace('_', ' ')} {old}, not {new}; keep that, or choose "
                "another folder."
            )


def _read(folder: Path) -> dict[str, Any]:
    path = folder / RUN
    try:
        found = json.loads(path.read_text("utf-8"))
        if not isinstance(found, dict) or not isinstance(found.get("settings"), dict):
            raise ValueError("it holds no settings")
    except (OSError, ValueError, RecursionError) as problem:
        raise UserError(
            f"{folder} holds no run that can be continued: {path.name} cannot be used ({problem})."
        ) from None
    return found
