"""The JSON beside a saved volume or tilt series: what the file cannot hold comes back when it is opened again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from atomseg_app.data import Data, Step, TiltSeries, Volume, from_parts
from atomseg_app.errors import UserError
from atomseg_app.io.atomic_write import write_text
from atomseg_app.io.tables import header
from atomseg_app.operations import Report

_MAX_BYTES = 64 << 20
_STORE = ".ome.zarr"


def history_path(target: str | Path) -> Path:
    """The JSON beside a result."""
    target = Path(target)
    name = target.name[: -len(_STORE)] if target.name.lower().endswith(_STORE) else target.stem
    return target.with_name(f"{name}.json")


def write_history_of(target: str | Path, item: Data) -> None:
    """Write the JSON of a result, which names the file that it is of. Raises FileError."""
    facts = {**header(item), "result": Path(target).name}
    write_text(history_path(target), json.dumps(facts, indent=2, ensure_ascii=False, default=str) + "\n")


def with_history(item: Data, report: Report) -> Data:
    """Item with the history, and a series with the axis, alignment and excluded views, that the JSON beside it says.

    Only where that names the file and fits its shape; else, and where it is damaged, the item itself.
    """
    if not isinstance(item, Volume | TiltSeries):
        return item
    path = Path(item.source.path)
    found = _read(history_path(path))
    if found.get("result") != path.name or found.get("kind") != item.kind or found.get("shape") != list(item.shape):
        return item
    try:
        told = from_parts(found, np.broadcast_to(np.zeros((), item.values.dtype), item.shape))
    except (UserError, KeyError, TypeError, ValueError):
        report.log(f"{history_path(path).name} beside {path.name} is damaged; it was not used.")
        return item
    history: tuple[Step, ...] = told.history
    if isinstance(item, Volume):
        return replace(item, history=history)
    assert isinstance(told, TiltSeries)
    return replace(
        item, history=history, tilt_axis=told.tilt_axis, alignment=told.alignment, excluded=told.excluded,
        euler_deg=told.euler_deg,
    )  # fmt: skip


def _read(path: Path) -> Mapping[str, Any]:
    """Content of the JSON, empty where there is none or it is no object."""
    try:
        if not path.is_file() or path.stat().st_size > _MAX_BYTES:
            return {}
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
