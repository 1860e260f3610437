"""Images and series as TIFF that ImageJ and this program read with their calibration."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from atomseg_app.data import Image, ImageSeries
from atomseg_app.io.atomic_write import atomic_path

_AS_THEY_ARE = ("uint8", "uint16", "float32")


def write_tiff(item: Image | ImageSeries, path: str | Path) -> None:
    """Write grey values as ImageJ's TIFF, whole or not at all: 8 or 16 bits where they are, 32-bit float otherwise.

    Pixel size in nm where known; layers carry their names. Raises FileError.
    """
    import tifffile

    values = item.values if item.values.dtype.name in _AS_THEY_ARE else np.asarray(item.values, np.float32)
    size_y, size_x = item.pixel_size_nm
    facts: dict[str, object] = {"axes": "TYX" if item.values.ndim == 3 else "YX"}
    layers = item.metadata.get("layers")
    if isinstance(item, ImageSeries) and isinstance(layers, list) and len(layers) == len(values):
        facts["Labels"] = [str(name) for name in layers]
    resolution = None
    if size_y is not None and size_x is not None:
        resolution, facts["unit"] = (1 / size_x, 1 / size_y), "nm"
    with atomic_path(path) as temporary:
        tifffile.imwrite(temporary, values, imagej=True, resolution=resolution, metadata=facts)
