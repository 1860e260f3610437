"""The tab as data for a project: images and columns as items, and how they are shown as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from atomseg_app.data import Columns, Data, Image, ImageSeries, Volume
from atomseg_app.gui.atoms.markers import ErrorStyle, MarkerStyle
from atomseg_app.gui.atoms.model import AtomsModel, new_entry


def of_model(model: AtomsModel) -> tuple[dict[str, Any], list[Data]]:
    """Which image and frames are shown; every image, each followed by its columns."""
    ids = list(model.entries)
    items: list[Data] = [item for entry in model.entries.values() for item in (entry.data, entry.columns)]
    state = {
        "current": ids.index(model.current_id) if model.current_id in ids else -1,
        "frames": [model.frames.get(entry_id, 0) for entry_id in ids],
    }
    return state, items


def restore_model(model: AtomsModel, state: Mapping[str, Any], items: Sequence[Data]) -> None:
    """Open what was saved. Columns that do not follow an image are left out: theirs is missing."""
    previous: Data | None = None
    for item in items:
        if isinstance(item, Image | ImageSeries | Volume):
            model.add(new_entry(item))
        elif isinstance(item, Columns) and previous is not None and not isinstance(previous, Columns):
            model.replace(model.current_id, replace(model.entries[model.current_id], columns=item))
        previous = item
    ids = list(model.entries)
    for entry_id, frame in zip(ids, state.get("frames", []), strict=False):
        model.frames[entry_id] = min(int(frame), model.entries[entry_id].frames - 1)
    current = int(state.get("current", -1))
    if 0 <= current < len(ids):
        model.show_entry(ids[current])


def of_style(style: MarkerStyle) -> dict[str, Any]:
    """A marker style as plain values."""
    return {**asdict(style), "errors": style.errors.name}


def to_style(saved: Mapping[str, Any]) -> MarkerStyle:
    """Inverse of :func:`of_style`; what is not known keeps its default."""
    known = {name: saved[name] for name in asdict(MarkerStyle()) if name in saved}
    if "errors" in known:
        known["errors"] = ErrorStyle[known["errors"]]
    if known.get("limits") is not None:
        known["limits"] = tuple(known["limits"])
    return MarkerStyle(**known)
