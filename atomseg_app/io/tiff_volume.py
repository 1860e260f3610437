"""Volumes as TIFF in ImageJ's way: slices along z, pixel size and distance of slices in nm."""

from __future__ import annotations

import os
from pathlib import Path

from atomseg_app.data import Volume
from atomseg_app.errors import FileError
from atomseg_app.io.atomic_write import atomic_path
from atomseg_app.io.volume_parts import slabs, stored_type
from atomseg_app.operations import Report

_TYPES = ("uint8", "uint16", "float32")


def write_tiff_volume(volume: Volume, path: str | Path, report: Report) -> None:
    """Write slices (z, y, x) of 8 or 16 bits or 32-bit float, whole or not at all; opens as a stack in ImageJ.

    ``kind=volume`` among ImageJ's properties says that the slices are no frames. Raises FileError, Cancelled.
    """
    import tifffile

    dtype = stored_type(volume.values, _TYPES, report, "ImageJ's TIFF")
    z, y, x = volume.pixel_size_nm
    facts: dict[str, object] = {"axes": "ZYX", "kind": "volume"}
    resolution = None
    if y is not None and x is not None:
        resolution, facts["unit"] = (1 / x, 1 / y), "nm"
        facts |= {} if z is None else {"spacing": z}
    pages = (page for _, slab in slabs(volume.values, dtype, report) for page in slab)
    with atomic_path(path) as temporary:
        tifffile.imwrite(
            temporary, pages, shape=volume.shape, dtype=dtype, imagej=True, byteorder="<", resolution=resolution,
            metadata=facts,
        )  # fmt: skip
        if os.path.getsize(temporary) < volume.values.size * dtype.itemsize:
            raise FileError(f"{path} could not be written in full; save the volume as .mrc.")
