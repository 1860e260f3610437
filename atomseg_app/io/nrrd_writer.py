"""Volumes as NRRD, in one file, for 3D Slicer and ITK; classes of labels as segments of a .seg.nrrd."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from atomseg_app.data import Volume
from atomseg_app.io.atomic_write import atomic_open
from atomseg_app.io.volume_parts import NUMBERS, slabs, stored_type
from atomseg_app.label_classes import LabelClass
from atomseg_app.operations import Report

_NAMES = {"float32": "float", "float64": "double"}


def write_nrrd(volume: Volume, path: str | Path, report: Report) -> None:
    """Write a volume raw, so that it can be mapped, with voxel sizes in nm, whole or not at all. Raises FileError.

    ``classes`` in its metadata become segments; the background, of value 0, is none.
    """
    dtype = stored_type(volume.values, NUMBERS, report, "NRRD")
    with atomic_open(path) as stream:
        stream.write(_head(volume, dtype.name).encode("utf-8"))
        for _, slab in slabs(volume.values, dtype, report):
            stream.write(slab.astype(dtype.newbyteorder("<"), copy=False).tobytes())


def _head(volume: Volume, kind: str) -> str:
    sizes = " ".join(str(size) for size in reversed(volume.shape))
    lines = ["NRRD0005", "# http://teem.sourceforge.net/nrrd/format.html", f"type: {_NAMES.get(kind, kind)}",
             "dimension: 3"]  # fmt: skip
    known = [size for size in volume.pixel_size_nm if size is not None]
    if len(known) == len(volume.pixel_size_nm):
        # Slicer takes lengths for millimetres, whatever the units say: what is 1 nm appears as 1 mm there.
        directions = np.diag(known[::-1])
        rows = " ".join("(" + ",".join(repr(float(number)) for number in row) + ")" for row in directions)
        lines += ["space dimension: 3", f"sizes: {sizes}", f"space directions: {rows}", 'space units: "nm" "nm" "nm"',
                  "space origin: (0,0,0)", "kinds: domain domain domain"]  # fmt: skip
    else:
        lines += [f"sizes: {sizes}", "kinds: domain domain domain"]
    lines += ["endian: little", "encoding: raw", *_segments(volume)]
    return "\n".join(lines) + "\n\n"


def _segments(volume: Volume) -> list[str]:
    """Key/value pairs as 3D Slicer's segmentations have them."""
    classes = [LabelClass.from_json(each) for each in volume.metadata.get("classes", ())]
    extent = " ".join(f"0 {size - 1}" for size in reversed(volume.shape))
    lines = []
    for number, each in enumerate(each for each in classes if each.value):
        colour = " ".join(f"{int(each.colour[at : at + 2], 16) / 255:.6g}" for at in (1, 3, 5))
        facts = {
            "ID": f"Segment_{each.value}", "Name": " ".join(each.name.split()), "LabelValue": each.value, "Layer": 0,
            "Color": colour, "Extent": extent,
        }  # fmt: skip
        lines += [f"Segment{number}_{key}:={value}" for key, value in facts.items()]
    return lines
