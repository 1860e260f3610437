"""NeXus (.nxs): the default signal of every NXdata group, with its axes where they are evenly spaced."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from atomseg_app.io.dataset import Axis, Dataset, dataset
from atomseg_app.io.hdf5 import child_array, loader, name_of, small, text, walk

if TYPE_CHECKING:
    import h5py


def read_group(path: Path, file: h5py.File) -> list[Dataset]:
    """Signals of a NeXus file; empty for other files."""
    import h5py

    groups = [
        group
        for group in walk(file)
        if isinstance(group, h5py.Group) and text(group.attrs.get("NX_class", "")) == "NXdata"
    ]
    found = []
    for group in groups:
        array = child_array(group, text(group.attrs.get("signal", "data")))
        if array is None or array.ndim == 0:
            continue
        titles = np.atleast_1d(group.attrs.get("axes", []))
        axes = [
            _axis(group, text(titles[index]) if index < len(titles) else ".", size)
            for index, size in enumerate(array.shape)
        ]
        title = name_of(group) if len(groups) > 1 else ""
        found.append(dataset(title, axes, array.dtype, loader(path, name_of(array))))
    return found


def _axis(group: h5py.Group, name: str, size: int) -> Axis:
    positions = child_array(group, name) if name != "." else None
    values = small(positions)
    if positions is None or values.ndim != 1 or not 1 < len(values) == size or values.dtype.kind not in "fiu":
        return Axis(size)
    step = abs(float(values[-1]) - float(values[0])) / (size - 1)
    return Axis(size, step, text(positions.attrs.get("units", "")), float(values[0]), name)
