"""Calibration from a .json that lies beside an array of the same name."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from atomseg_app.io.units import kilovolts, length_nm

_MAX_BYTES = 1 << 20


def read_json_beside(path: Path, shape: Sequence[int]) -> dict[str, Any]:
    """``pixel_size_nm`` (y, x) and ``kV`` as far as NAME.json gives them, at any depth; empty without one.

    Understood: ``pixel_size_nm`` (a number or y, x), ``field_of_view_x`` and ``_y`` with ``field_of_view_units``,
    ``voltage`` or ``kV``.
    """
    side = path.with_suffix(".json")
    try:
        if len(shape) < 2 or not side.is_file() or side.stat().st_size > _MAX_BYTES:
            return {}
        found = dict(_pairs(json.loads(side.read_text(encoding="utf-8"))))
    except (OSError, ValueError, RecursionError):
        return {}
    facts: dict[str, Any] = {}
    sizes: Any = found.get("pixel_size_nm")
    if isinstance(sizes, int | float):
        sizes = [sizes, sizes]
    if not _are_sizes(sizes):
        unit = found.get("field_of_view_units")
        fields = [found.get("field_of_view_y"), found.get("field_of_view_x")]
        sizes = [
            length_nm(extent / pixels, unit) if isinstance(extent, int | float) and pixels else None
            for extent, pixels in zip(fields, shape[-2:], strict=True)
        ]
    if _are_sizes(sizes):
        facts["pixel_size_nm"] = [float(size) for size in sizes]
    voltage = kilovolts(found.get("kV", found.get("voltage")))
    return facts if voltage is None else {**facts, "kV": voltage}


def _are_sizes(sizes: Any) -> bool:
    """Whether these are two positive numbers."""
    return (
        isinstance(sizes, list)
        and len(sizes) == 2
        and all(isinstance(size, int | float) and math.isfinite(size) and size > 0 for size in sizes)
    )


def _pairs(node: Any) -> Iterator[tuple[str, Any]]:
    """Names and values at every depth."""
    if isinstance(node, dict):
        for name, value in node.items():
            yield name, value
            yield from _pairs(value)
