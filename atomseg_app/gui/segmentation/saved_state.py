"""The tab as data for a project: volumes, what was painted on each, results; names and places as plain values.

Of what was painted only the slices with labels are kept. Every item carries its place in its metadata, since those
whose files are missing do not come back.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any, cast

from atomseg_app.data import Array, Data, Labels, Volume
from atomseg_app.gui.segmentation.label_store import LabelStore
from atomseg_app.gui.segmentation.model import Entry, Result, SegModel, Shown
from atomseg_app.io.live_arrays import adopted, file_of
from atomseg_app.label_classes import LabelClass

_PLACE = "place_in_project"
_COPIED_BYTES = 64 << 20


def of_model(model: SegModel) -> tuple[dict[str, Any], list[Data]]:
    """Every entry with its labels; which one is shown, and where in each the user looks."""
    ids, shown = list(model.entries), model.all_shown()
    items: list[Data] = []
    states = []
    for number, (entry_id, entry) in enumerate(model.entries.items()):
        items.append(_placed(entry.data, f"{number}/volume"))
        states.append(
            {
                "name": entry.name,
                "classes": [each.to_json() for each in entry.classes],
                "hidden": sorted(entry.hidden), "locked": sorted(entry.locked),
                "place": list(model.places.get(entry_id, ())),
                "shown": asdict(shown[entry_id]),
                "results": [result.name for result in entry.results],
            }
        )  # fmt: skip
        if entry.store is not None and entry.painted:
            slices, values = _of_store(entry.store)
            painted = Labels(values, entry.data.pixel_size_nm, classes=entry.classes)
            states[-1]["slices"] = [int(z) for z in slices]
            items.append(_placed(painted, f"{number}/painted"))
        for index, result in enumerate(entry.results):
            items.append(_placed(result.labels, f"{number}/result/{index}"))
            if result.uncertainty is not None:
                items.append(_placed(result.uncertainty, f"{number}/uncertainty/{index}"))
            items += [
                _placed(item, f"{number}/probability/{index}/{value}") for value, item in result.probabilities.items()
            ]
    current = ids.index(model.current_id) if model.current_id in ids else -1
    return {"entries": states, "current": current, "chosen": model.chosen}, items


def restore_model(model: SegModel, state: Mapping[str, Any], items: Sequence[Data]) -> None:
    """Open what was saved; of a volume that is missing nothing is shown."""
    by_place = {item.metadata[_PLACE]: _unplaced(item) for item in items if _PLACE in item.metadata}
    ids: dict[int, int] = {}
    for number, saved in enumerate(state.get("entries", [])):
        volume = by_place.get(f"{number}/volume")
        if not isinstance(volume, Volume):
            continue
        entry = _entry(volume, number, saved, by_place)
        ids[number] = entry_id = model.add(entry, show=False)
        place = [int(p) for p in saved.get("place", ())]
        if len(place) == 3 and all(0 <= p < size for p, size in zip(place, volume.shape, strict=True)):
            model.places[entry_id] = (place[0], place[1], place[2])
        known = {name: value for name, value in saved.get("shown", {}).items() if name in Shown.__dataclass_fields__}
        shown = Shown(**known)
        valid = shown.result < len(entry.results) and shown.reference < len(entry.results)
        model.restore_shown(entry_id, shown if valid else Shown())
    if not ids:
        return
    model.show_entry(ids.get(int(state.get("current", -1)), next(iter(ids.values()))))
    model.choose(int(state.get("chosen", model.chosen)))


def _entry(volume: Volume, number: int, saved: Mapping[str, Any], by_place: Mapping[str, Data]) -> Entry:
    results = []
    for index, name in enumerate(saved.get("results", [])):
        labels = by_place.get(f"{number}/result/{index}")
        unsure = by_place.get(f"{number}/uncertainty/{index}")
        if isinstance(labels, Labels) and labels.shape == volume.shape:
            start = f"{number}/probability/{index}/"
            probable = {
                int(place.removeprefix(start)): item
                for place, item in by_place.items()
                if place.startswith(start) and isinstance(item, Volume)
            }
            results.append(Result(labels, str(name), unsure if isinstance(unsure, Volume) else None, probable))
    painted, store = by_place.get(f"{number}/painted"), None
    slices = [int(z) for z in saved.get("slices", [])]
    fits = isinstance(painted, Labels) and painted.shape == (len(slices), *volume.shape[1:])
    if isinstance(painted, Labels) and fits and set(slices) <= set(range(volume.shape[0])):
        store = _store(painted.values, slices, volume.shape)
    classes = tuple(LabelClass.from_json(each) for each in saved.get("classes", []))
    entry = Entry(volume, str(saved.get("name", "")), store=store, results=tuple(results))
    hidden, locked = (frozenset(int(value) for value in saved.get(name, ())) for name in ("hidden", "locked"))
    return replace(entry, classes=classes or entry.classes, hidden=hidden, locked=locked)


def _of_store(store: LabelStore) -> tuple[Sequence[int], Array]:
    """Slices with labels, and copies of them; of labels that lie in a file, all and as they are where they are many."""
    slices = store.painted_slices()
    if file_of(store.values) is None or len(slices) * math.prod(store.shape[1:]) <= _COPIED_BYTES:
        return [int(z) for z in slices], store.values[slices]
    return list(range(store.shape[0])), store.values


def _store(painted: Array, slices: Sequence[int], shape: tuple[int, ...]) -> LabelStore:
    """Labels of which some slices were kept; large ones of which all were are taken over with their file."""
    whole = adopted(painted) if len(slices) == shape[0] else None
    if whole is not None:
        return LabelStore(whole)
    values = LabelStore.empty(shape).values
    for z, plane in zip(slices, painted, strict=True):
        values[z] = plane
    return LabelStore(values)


def _placed(item: Any, place: str) -> Data:
    return cast(Data, replace(item, metadata={**item.metadata, _PLACE: place}))


def _unplaced(item: Any) -> Data:
    return cast(Data, replace(item, metadata={name: fact for name, fact in item.metadata.items() if name != _PLACE}))
