"""Gatan DigitalMicrograph images: DM3 and DM4."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from atomseg_app.data import Array
from atomseg_app.io.colour import grey
from atomseg_app.io.dataset import Axis, Dataset, Unreadable, dataset
from atomseg_app.io.dm_tags import Block, Tags, entries, find, read_tags
from atomseg_app.io.mapped import byte_count, map_block
from atomseg_app.io.units import kilovolts, plain
from atomseg_app.operations import Report

_TYPES: Mapping[int, str] = {
    1: "i2", 2: "f4", 3: "c8", 6: "u1", 7: "i4", 9: "i1", 10: "u2", 11: "u4", 12: "f8", 13: "c16", 14: "u1",
    39: "i8", 40: "u8",
}  # fmt: skip
_PACKED_COMPLEX = (5, 27, 28)
_COLOUR = 23


def read_dm(path: Path) -> list[Dataset]:
    """Images of a DM3 or DM4 file without their thumbnails; spectra and transforms are described and refused."""
    tags, order = read_tags(path)
    images = entries(tags.get("ImageList"))
    thumbnails = {find(entry, "ImageIndex") for entry in entries(tags.get("Thumbnails"))}
    kept = [image for index, image in enumerate(images) if index not in thumbnails] or images
    kept = [image for image in kept if isinstance(find(image, "ImageData", "Data"), Block)]
    if not kept:
        raise Unreadable("there is no image in it")
    kept.sort(key=lambda image: find(image, "ImageData", "DataType") == _COLOUR)  # pictures of old files come last
    names = [_name(image, index) if len(kept) > 1 else "" for index, image in enumerate(kept)]
    return [_dataset(path, image, name, order) for image, name in zip(kept, names, strict=True)]


def _name(image: Tags, index: int) -> str:
    title = image.get("Name")
    return f"{index}: {title}" if isinstance(title, str) and title else str(index)


def _dataset(path: Path, image: Tags, name: str, order: str) -> Dataset:
    data = image["ImageData"]
    block, code = data["Data"], data.get("DataType")
    shape = tuple(int(size) for size in reversed(entries(data.get("Dimensions"))))
    if not shape:
        raise Unreadable("its image has no dimensions")
    facts = _facts(find(image, "ImageTags"))
    tilt = facts.pop("tilt_deg", None)
    axes = _axes(shape, entries(find(data, "Calibrations", "Dimension")))
    angles = None if tilt is None else [tilt]

    def describe(dtype: np.dtype[Any], stored: tuple[int, ...], refusal: str = "") -> Dataset:
        if byte_count(stored, dtype.itemsize) > block.size:
            raise Unreadable(f"its header promises {' x '.join(map(str, shape))} pixels, but fewer are stored")

        def load(report: Report) -> Array:
            values = map_block(path, block.offset, stored, dtype)
            return values if stored == shape else grey(values[..., 2::-1], report)

        return dataset(name, axes, dtype, load, tilt_deg=angles, metadata=facts, refusal=refusal)

    if code == _COLOUR:
        return describe(np.dtype("u1"), (*shape, 4))
    if code in _PACKED_COMPLEX:
        return describe(np.dtype("c8"), (0,) * len(shape))
    if code not in _TYPES:
        raise Unreadable(f"its pixels are of the unknown type {code}")
    return describe(np.dtype(order + _TYPES[code]), shape)


def _axes(shape: tuple[int, ...], dimensions: list[Any]) -> list[Axis]:
    """Axes, slowest first; a calibration is (index - origin) x scale."""
    axes = []
    for index, size in enumerate(reversed(shape)):
        calibration = dimensions[index] if index < len(dimensions) else None
        scale, origin = find(calibration, "Scale"), find(calibration, "Origin")
        unit = find(calibration, "Units")
        known = isinstance(scale, float) and isinstance(unit, str) and plain(unit) != ""
        offset = -origin * scale if known and isinstance(origin, float) else 0.0
        axes.append(Axis(size, scale if known else None, unit if known else "", offset))
    return axes[::-1]


def _facts(tags: object) -> dict[str, Any]:
    """Voltage, stage tilt in degrees and magnification from the image tags."""
    volts = find(tags, "Microscope Info", "Voltage")
    found = {
        "kV": kilovolts(f"{volts} V"),
        "tilt_deg": find(tags, "Microscope Info", "Stage Position", "Stage Alpha"),
        "magnification": find(tags, "Microscope Info", "Indicated Magnification"),
        "detector": find(tags, "DataBar", "Signal Name") or find(tags, "DataBar", "Device Name"),
    }
    return {
        name: value
        for name, value in found.items()
        if (isinstance(value, float) and math.isfinite(value)) or (isinstance(value, str) and value)
    }
