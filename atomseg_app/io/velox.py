"""Velox EMD (Thermo Fisher): images in ``Data/Image/ID`` with frames last and JSON metadata per frame.

Lengths are in metres, stage angles texts in radians.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atomseg_app.data import Array
from atomseg_app.io.dataset import Axis, Dataset, dataset
from atomseg_app.io.hdf5 import check_stored, child_array, child_group, loader, name_of, text
from atomseg_app.operations import Report

if TYPE_CHECKING:
    import h5py

_METADATA_BYTES = 1 << 20
_MAX_FRAMES = 5000
_REFUSED = {
    "SpectrumImage": "it is a stream of X-ray events in a packed form, not an image",
    "Spectrum": "",
}


def read_group(path: Path, file: h5py.File) -> list[Dataset]:
    """Images, then spectra (refused by name) of a Velox file; empty for other files."""
    images = child_group(file, "Data", "Image")
    if images is None:
        return []
    titles = _titles(file)
    groups = [group for name in images if (group := child_group(images, name)) is not None]
    found = [_image(path, group, titles.get(name_of(group), "")) for group in groups]
    found.sort(key=lambda entry: entry is not None and str(entry.info.metadata.get("detector")).startswith("SuperX"))
    for kind, refusal in _REFUSED.items():
        others = child_group(file, "Data", kind)
        for name in others or ():
            group = child_group(others, name) if others is not None else None
            array = child_array(group, "Data") if group is not None else None
            if group is None or array is None:
                continue
            entry = dataset(
                name_of(group), [Axis(array.shape[0])], array.dtype, loader(path, name_of(array)), refusal=refusal
            )
            found.append(entry)
    return [entry for entry in found if entry is not None]


def _image(path: Path, group: h5py.Group, title: str) -> Dataset | None:
    array = child_array(group, "Data")
    if array is None or array.ndim != 3:
        return None
    rows, columns, frames = array.shape
    facts = _frame_metadata(group, frames)
    first = facts[0] if facts else {}
    sizes = [_number(first, "BinaryResult", "PixelSize", side) for side in ("height", "width")]
    units = [str(_find(first, "BinaryResult", f"PixelUnit{axis}")) for axis in "YX"]
    spatial = [Axis(count, size, unit) for count, size, unit in zip((rows, columns), sizes, units, strict=True)]
    tilts = [_number(each, "Stage", "AlphaTilt") for each in facts]
    angles = [math.degrees(tilt) for tilt in tilts if tilt is not None] if None not in tilts else []
    volts = _number(first, "Optics", "AccelerationVoltage")
    detector = _find(first, "BinaryResult", "Detector")
    metadata = {"kV": volts / 1000 if volts else None, "detector": detector, "title": title}
    name = name_of(array)

    def load(report: Report) -> Array:
        return loader(path, name, (2, 0, 1))(report)  # type: ignore[no-any-return]

    axes = [Axis(frames), *spatial]
    known: dict[str, Any] = {key: value for key, value in metadata.items() if isinstance(value, float | str) and value}
    return dataset(name_of(group), axes, array.dtype, load, tilt_deg=angles, metadata=known)


def _titles(file: h5py.File) -> dict[str, str]:
    """Titles of displays (HAADF, an element...) by the image that they show."""
    titles = {}
    displays = child_group(file, "Displays", "ImageDisplay")
    for name in displays or ():
        display = _json(displays, name)
        reference = str(_find(display, "data") or "").strip("/").split("/")
        shown = child_group(file, *reference[:-1])
        target = _find(_json(shown, reference[-1]), "dataPath") if shown is not None else None
        if isinstance(target, str):
            titles[target.strip("/")] = str(_find(display, "title") or "")
    return titles


def _json(group: h5py.Group | None, name: str) -> Any:
    """JSON of a text dataset, None where there is none."""
    array = child_array(group, name) if group is not None else None
    if array is None or array.shape not in ((), (1,)):
        return None
    try:
        return json.loads(text(np.asarray(array[()])))
    except (ValueError, RecursionError):
        return None


def _frame_metadata(group: h5py.Group, frames: int) -> list[dict[str, Any]]:
    """Metadata of each frame, or of the first where there are very many; empty where it is missing or damaged."""
    array = child_array(group, "Metadata")
    if array is None or array.ndim != 2 or array.dtype != np.uint8 or array.shape[0] > _METADATA_BYTES:
        return []
    check_stored(array)
    found = []
    for index in range(min(array.shape[1], frames) if frames <= _MAX_FRAMES else 1):
        try:
            content = json.loads(array[:, index].tobytes().rstrip(b"\0").decode("utf-8", "replace"))
        except (ValueError, RecursionError):
            break
        if isinstance(content, dict):
            found.append(content)
    return found


def _find(node: Any, *names: str) -> Any:
    for name in names:
        node = node.get(name) if isinstance(node, dict) else None
    return node


def _number(node: Any, *names: str) -> float | None:
    """A finite number, which Velox writes as text."""
    try:
        value = float(_find(node, *names))
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None
