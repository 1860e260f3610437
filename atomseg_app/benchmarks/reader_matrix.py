"""Compares what the readers give with a table of what they should give, field by field (``formats/expected.json``)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atomseg_app.data import Array
from atomseg_app.errors import UserError
from atomseg_app.io.dataset import Dataset
from atomseg_app.io.files import datasets_of
from atomseg_app.io.mapped import native
from atomseg_app.operations import Report

_SHA1 = "sha1_of_C_contiguous_little_endian_bytes"
_KINDS = {"series": "image-series"}


def load_expected(data_folder: Path) -> dict[str, dict[str, Any]]:
    """Expected fields by file, from ``formats/expected.json`` in the folder of test data."""
    entries: dict[str, dict[str, Any]] = json.loads((data_folder / "formats" / "expected.json").read_text("utf-8"))
    return entries


def check_file(data_folder: Path, expected: Mapping[str, Any]) -> tuple[str, list[str]]:
    """What came of a file (``opened`` or the reason of a refusal) and its differences from what is expected."""
    path = data_folder / expected["path"]
    try:
        found = datasets_of(path)
    except UserError as problem:
        return str(problem), [] if expected["kind"] == "refused" else [f"not read: {problem}"]
    if expected["kind"] == "container":
        by_name = {entry.info.name: entry for entry in found}
        missing = [f"{each['name']} is missing" for each in expected["datasets"] if each["name"] not in by_name]
        pairs = [(by_name[each["name"]], each) for each in expected["datasets"] if each["name"] in by_name]
    else:
        missing = []
        pairs = [(next((entry for entry in found if not entry.info.refusal), found[0]), expected)]
    differences = [difference for entry, each in pairs for difference in _differences(entry, each)]
    refused = all(entry.info.refusal for entry, _ in pairs)
    return pairs[0][0].info.refusal if refused else "opened", missing + differences


def _differences(entry: Dataset, expected: Mapping[str, Any]) -> list[str]:
    """Fields that are certain and differ."""
    info, unsure = entry.info, set(expected.get("unsure_fields", ()))
    if expected["kind"] == "refused":
        return [] if info.refusal else [f"{info.name}: should be refused"]
    wrong = []

    def check(field: str, is_same: bool, got: object) -> None:
        if field not in unsure and not is_same:
            wrong.append(f"{info.name} {field}: {got} instead of {expected[field]}")

    kind = _KINDS.get(expected["kind"], expected["kind"]).replace("_", "-")
    check("kind", info.kind == kind, info.kind)
    check("dtype", info.dtype == expected["dtype"], info.dtype)
    check("kV", info.metadata.get("kV") == expected["kV"], info.metadata.get("kV"))
    check("tilt_deg", _same_angles(info.tilt_deg, expected["tilt_deg"]), info.tilt_deg)
    sizes, wanted = info.pixel_size_nm, expected["pixel_size_nm"]
    if "kind" in unsure:
        sizes, wanted = sizes[-2:], wanted[-2:]
    check("pixel_size_nm", _same_sizes(sizes, wanted), info.pixel_size_nm)
    shape = expected.get("grey_shape", expected["shape"])
    if "grey_shape" in expected or "shape" not in unsure:
        wrong += [] if list(info.shape) == shape else [f"{info.name} shape: {info.shape} instead of {shape}"]
    sha1 = expected.get("grey_sha1", None if _SHA1 in unsure else expected[_SHA1])
    if not {"min", "max"} <= unsure:
        values = native(entry.load(Report()), Report())
        check("min", float(values.min()) == expected["min"], values.min())
        check("max", float(values.max()) == expected["max"], values.max())
        if sha1 is not None and _sha1(values) != sha1:
            wrong.append(f"{info.name}: the values differ")
    return wrong


def _sha1(values: Array) -> str:
    """Checksum of the values as C-ordered little-endian bytes."""
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    return hashlib.sha1(little.tobytes(), usedforsecurity=False).hexdigest()


def _same_angles(found: Sequence[float] | None, expected: Sequence[float] | None) -> bool:
    if found is None or expected is None:
        return found is None and expected is None
    return len(found) == len(expected) and bool(np.allclose(found, expected, rtol=0, atol=0.01))


def _same_sizes(found: Sequence[float | None], expected: Sequence[float | None]) -> bool:
    if len(found) != len(expected):
        return False
    return all(
        one is None if other is None else one is not None and abs(one - other) <= 1e-5 * other
        for one, other in zip(found, expected, strict=True)
    )
