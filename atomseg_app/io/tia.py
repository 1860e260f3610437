"""FEI/Thermo Fisher TIA: .ser holds the pixels, .emi beside it what the microscope was doing.

SER after C. Boothroyd's description of the format (https://personal.ntu.edu.sg/cbb/info/TIAformat/). Rows are stored
from the bottom up.
"""

from __future__ import annotations

import mmap
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from atomseg_app.data import Array
from atomseg_app.io.dataset import Axis, Dataset, Unreadable, dataset
from atomseg_app.io.mapped import ClampedFile, byte_count, fill, map_block
from atomseg_app.io.units import kilovolts
from atomseg_app.operations import Report

_TYPES: Mapping[int, str] = {
    1: "<u1", 2: "<u2", 3: "<u4", 4: "<i1", 5: "<i2", 6: "<i4", 7: "<f4", 8: "<f8", 9: "<c8", 10: "<c16",
}  # fmt: skip
_SPECTRA, _IMAGES = 0x4120, 0x4122
_LARGEST_PIXEL_M = 1e-3
"""Steps above this are those of diffraction patterns, in 1/m."""
_MAX_EMI_BYTES = 64 << 20


@dataclass(frozen=True)
class _Element:
    """One image or spectrum of a .ser file: where its values begin, its type, shape and steps in metres (y, x)."""

    offset: int
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    steps: tuple[float, ...]


def read_ser(path: Path) -> list[Dataset]:
    """The image, series or spectra of a .ser file, with tilt and voltage from the .emi if one is beside it."""
    match = re.fullmatch(r"(.+)_\d+", path.stem)
    document = path.with_name(f"{match[1]}.emi") if match else None
    facts = _document_facts(document) if document is not None and document.is_file() else {}
    return [_dataset(path, "", facts)]


def read_emi(path: Path) -> list[Dataset]:
    """The .ser files that belong to an .emi document. Raises Unreadable where they are missing."""
    facts = _document_facts(path)
    pattern = re.compile(re.escape(path.stem) + r"_(\d+)\.ser", re.IGNORECASE)
    series = {int(match[1]): file for file in path.parent.iterdir() if (match := pattern.fullmatch(file.name))}
    if not series:
        raise Unreadable(f"its pixels are in {path.stem}_1.ser, which is not beside it")
    return [_dataset(series[number], series[number].name, facts) for number in sorted(series)]


def _dataset(path: Path, name: str, facts: dict[str, Any]) -> Dataset:
    with ClampedFile(path) as file:
        elements = list(_elements(file))
    if not elements:
        raise Unreadable("it holds no finished image")
    first, count = elements[0], len(elements)
    if any((element.shape, element.dtype) != (first.shape, first.dtype) for element in elements):
        raise Unreadable("its images differ in size or type")
    steps = [step if abs(step) < _LARGEST_PIXEL_M else None for step in first.steps]
    axes = [Axis(size, step, "m") for size, step in zip(first.shape, steps, strict=True)]
    if count > 1 or len(first.shape) == 1:
        axes.insert(0, Axis(count))

    def load(report: Report) -> Array:
        planes = (map_block(path, element.offset, element.shape, element.dtype)[::-1] for element in elements)
        return next(planes) if count == 1 else fill((count, *first.shape), first.dtype, enumerate(planes), report)

    tilt = facts.get("tilt_deg")
    metadata = {"kV": facts["kV"]} if facts.get("kV") else {}
    return dataset(
        name, axes, first.dtype, load,
        tilt_deg=None if tilt is None else [tilt], metadata=metadata, image_axes=len(first.shape),
    )  # fmt: skip


def _elements(file: ClampedFile) -> Iterator[_Element]:
    """Elements that were recorded, in order."""
    order, series, version, kind, _, total, valid = struct.unpack("<HHHIIII", file.read(22))
    if (order, series) != (0x4949, 0x0197) or kind not in (_SPECTRA, _IMAGES):
        raise Unreadable("its header is damaged")
    form = "Q" if version >= 0x0220 else "I"
    (table,) = struct.unpack("<" + form, file.read(struct.calcsize(form)))
    count = min(total, valid)
    if count * struct.calcsize(form) > file.size or table > file.size:
        raise Unreadable(f"its header promises {count} images, more than it has room for")
    file.seek(table)
    offsets = struct.unpack(f"<{count}{form}", file.read(count * struct.calcsize(form)))
    for offset in offsets:
        if offset > file.size:
            raise Unreadable("it is cut short: one of its images begins beyond its end")
        file.seek(offset)
        element = _image_element(file) if kind == _IMAGES else _spectrum_element(file)
        if element.offset + byte_count(element.shape, element.dtype.itemsize) > file.size:
            raise Unreadable("it is cut short: one of its images reaches beyond its end")
        yield element


def _image_element(file: ClampedFile) -> _Element:
    _, step_x, _, _, step_y, _, code, columns, rows = struct.unpack("<ddIddIHII", file.read(50))
    return _Element(file.tell(), _dtype(code), (rows, columns), (step_y, step_x))


def _spectrum_element(file: ClampedFile) -> _Element:
    _, _, _, code, channels = struct.unpack("<ddIHI", file.read(26))
    return _Element(file.tell(), _dtype(code), (channels,), (0.0,))


def _dtype(code: int) -> np.dtype[Any]:
    if code not in _TYPES:
        raise Unreadable(f"its pixels are of the unknown type {code}")
    return np.dtype(_TYPES[code])


def _document_facts(path: Path) -> dict[str, Any]:
    """Stage tilt in degrees and voltage in kV from the XML inside an .emi; empty where it has none."""
    if not 0 < path.stat().st_size <= _MAX_EMI_BYTES:
        return {}
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        start, end = content.find(b"<ObjectInfo>"), content.find(b"</ObjectInfo>")
        text = content[start : end + len(b"</ObjectInfo>")] if 0 <= start < end else b""
    if not text or b"<!" in text:  # declarations could make a small text expand to a large one
        return {}
    try:
        root = ElementTree.fromstring(text.decode("utf-8", "replace"))
    except ElementTree.ParseError:
        return {}
    entries = root.iterfind("ExperimentalDescription/Root/Data")
    described = {entry.findtext("Label"): (entry.findtext("Value"), entry.findtext("Unit")) for entry in entries}
    facts: dict[str, Any] = {}
    value, unit = described.get("High tension", (root.findtext(".//AcceleratingVoltage"), "V"))
    facts["kV"] = kilovolts(f"{value} {unit}")
    value, unit = described.get("Stage A", ("", ""))
    if unit == "deg" and re.fullmatch(r"\s*-?\d+(\.\d*)?\s*", value or ""):
        facts["tilt_deg"] = float(value or 0)
    return facts
