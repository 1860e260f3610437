"""The tab as data for a project: series and volumes as items, names and places as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from atomseg_app.data import Data, ImageSeries, TiltSeries, Volume
from atomseg_app.gui.tomography.model import Entry, TomoModel, as_series


def of_model(model: TomoModel) -> tuple[dict[str, Any], list[Data]]:
    """Every entry with its name; which one is shown, and where in each the user looks."""
    ids = list(model.entries)
    state = {
        "current": ids.index(model.current_id) if model.current_id in ids else -1,
        "names": [entry.name for entry in model.entries.values()],
        "origins": [ids.index(entry.origin) if entry.origin in ids else -1 for entry in model.entries.values()],
        "views": [model.views.get(entry_id, -1) for entry_id in ids],
        "rows": [model.rows.get(entry_id, -1) for entry_id in ids],
        "places": [list(model.places.get(entry_id, ())) for entry_id in ids],
    }
    return state, [entry.data for entry in model.entries.values()]


def restore_model(model: TomoModel, state: Mapping[str, Any], items: Sequence[Data]) -> None:
    """Open what was saved; places beyond the data are forgotten."""
    names, origins = list(state.get("names", [])), list(state.get("origins", []))
    ids: list[int] = []
    for index, item in enumerate(items):
        data = as_series(item) if isinstance(item, ImageSeries) else item
        if not isinstance(data, TiltSeries | Volume):
            continue
        name = str(names[index]) if index < len(names) else ""
        origin = origins[index] if index < len(origins) else -1
        ids.append(model.add(Entry(data, name, ids[origin] if 0 <= origin < len(ids) else -1), show=False))
    for known, saved in ((model.views, state.get("views", [])), (model.rows, state.get("rows", []))):
        for entry_id, place in zip(ids, saved, strict=False):
            data = model.entries[entry_id].data
            limit = len(data.values) if known is model.views else min(data.shape[1:])
            if isinstance(data, TiltSeries) and 0 <= int(place) < limit:
                known[entry_id] = int(place)
    for entry_id, place in zip(ids, state.get("places", []), strict=False):
        shape = model.entries[entry_id].data.shape
        if len(place) == len(shape) and all(0 <= int(p) < size for p, size in zip(place, shape, strict=True)):
            model.places[entry_id] = (int(place[0]), int(place[1]), int(place[2]))
    current = int(state.get("current", -1))
    if ids:
        model.show_entry(ids[current] if 0 <= current < len(ids) else ids[0])
