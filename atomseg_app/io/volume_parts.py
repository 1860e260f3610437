"""What writers of volumes share: the type that a format can hold, and the values in slabs that fit in memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from atomseg_app.data import Array, ArrayData
from atomseg_app.operations import Report

SLAB_BYTES = 16 << 20
NUMBERS = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "float32", "float64")
"""What formats hold that know every ordinary type."""


def stored_type(values: Array, allowed: Sequence[str], report: Report, title: str) -> np.dtype[Any]:
    """First of the types of a format that holds every value; else 32-bit float, with a note.

    ``allowed`` are names of types, smallest first, and have float32 among them.
    """
    source = np.dtype(np.uint8) if values.dtype.kind == "b" else values.dtype.newbyteorder("=")
    if source.name in allowed:
        return source
    safe = [np.dtype(name) for name in allowed if np.can_cast(source, name, "safe")]
    if safe:
        return safe[0]
    report.note(f"{title} holds no {source.name} values; they were rounded to 32-bit floats.")
    return np.dtype(np.float32)


def slabs(values: Array, dtype: np.dtype[Any], report: Report) -> Iterator[tuple[int, Array]]:
    """Index of the first slice and values (slices, y, x), C-ordered in ``dtype``; Cancelled between slabs."""
    step = max(1, SLAB_BYTES // max(1, values[:1].size * dtype.itemsize))
    for start in range(0, len(values), step):
        report.progress(start / len(values), "writing")
        yield start, np.ascontiguousarray(values[start : start + step], dtype)


def history_lines(item: ArrayData) -> list[str]:
    """One line a step: operation, then the parameters; for the labels of formats that have them."""
    return [
        f"{step.operation} " + " ".join(f"{name}={value}" for name, value in step.parameters.items())
        for step in item.history
    ]
