"""What measuring operations take from an entry and put back: one frame's columns, and their facts kept by frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from atomseg_app.data import Array, Columns, joined
from atomseg_app.gui.atoms.edits import BY_FRAME, FACTS, next_id, without_facts
from atomseg_app.gui.atoms.model import Entry


def input_of(entry: Entry, frame: int) -> Columns:
    """The columns of one frame with the facts measured of it, and of no other."""
    columns = entry.of_frame(frame)
    if entry.frames == 1:
        return columns
    return replace(columns, metadata={**without_facts(columns.metadata), **_kept(columns.metadata).get(str(frame), {})})


def with_measured(entry: Entry, frame: int, result: Columns) -> Columns:
    """The columns of an entry in which those of a frame are a result, with its quantities and facts.

    Columns keep their ids; rows that the result adds, as vacant sites, get new ones.
    """
    before = entry.columns
    rest = before.table[before.table["frame"] != frame]
    table = _with_free_ids(result.table, before, frame)
    table["frame"] = frame
    metadata: Mapping[str, Any] = result.metadata
    if entry.frames > 1:
        facts = {name: result.metadata[name] for name in FACTS if name in result.metadata}
        kept = {**_kept(before.metadata), str(frame): facts}
        metadata = {**without_facts(result.metadata), BY_FRAME: kept}
    merged = joined([rest, table]) if len(rest) else table
    return replace(
        before, table=merged[np.argsort(merged["frame"], kind="stable")], metadata=metadata, history=result.history
    )  # fmt: skip


def _with_free_ids(table: Array, before: Columns, frame: int) -> Array:
    """A frame's rows, those that it did not have before with ids that no column of any frame has."""
    table = table.copy()
    added = ~np.isin(table["column_id"], before.table["column_id"][before.table["frame"] == frame])
    first = next_id(before)
    table["column_id"][added] = first + np.arange(np.count_nonzero(added))
    return table


def _kept(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return dict(metadata.get(BY_FRAME, {}))
