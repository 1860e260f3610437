"""NCEM/Berkeley EMD (also of tomviz and Prismatic) and emdfile/py4DSTEM: arrays with ``dim1``... axes beside them.

The order of axes is that of the HDF5 array, unless the dimensions are named x and y: then they come last, y first.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atomseg_app.io.dataset import Axis, Dataset, dataset
from atomseg_app.io.hdf5 import child_array, child_group, loader, name_of, number, small, text, walk
from atomseg_app.io.units import degrees_per, kilovolts

if TYPE_CHECKING:
    import h5py

_ARRAY_TYPES = ("1", "array")


def read_group(path: Path, file: h5py.File) -> list[Dataset]:
    """Every array group of an EMD file; empty for other files."""
    import h5py

    groups = [
        group
        for group in walk(file)
        if isinstance(group, h5py.Group) and text(group.attrs.get("emd_group_type", "")) in _ARRAY_TYPES
    ]
    voltage = _voltage(file)
    names = [name_of(group) if len(groups) > 1 else "" for group in groups]
    found = [_dataset(path, group, name, voltage) for group, name in zip(groups, names, strict=True)]
    return [entry for entry in found if entry is not None]


def _dataset(path: Path, group: h5py.Group, name: str, voltage: float | None) -> Dataset | None:
    array = _values(group)
    if array is None:
        return None
    start = 0 if child_array(group, "dim0") is not None else 1
    axes = [_axis(group, f"dim{start + index}", size) for index, size in enumerate(array.shape)]
    order = _image_last(axes)
    angles = _angles(group, f"dim{start + order[0]}", axes[order[0]])
    return dataset(
        name, [axes[index] for index in order], array.dtype, loader(path, name_of(array), order),
        tilt_deg=angles, metadata={"kV": voltage} if voltage else {},
        volume=len(axes) == 3 and axes[order[0]].name.lower().removeprefix("r_") == "z",
    )  # fmt: skip


def _values(group: h5py.Group) -> h5py.Dataset | None:
    """The array of a group: ``data``, or the largest that is no dimension."""
    array = child_array(group, "data")
    if array is not None and array.ndim > 0:
        return array
    others = [child_array(group, name) for name in group if not name.startswith("dim")]
    arrays = [other for other in others if other is not None and other.ndim > 0]
    return max(arrays, key=lambda other: int(other.size), default=None)


def _axis(group: h5py.Group, name: str, size: int) -> Axis:
    """Axis from the positions of its pixels, of which two may stand for all."""
    dim = child_array(group, name)
    if dim is None:
        return Axis(size)
    positions = small(dim)
    unit = text(dim.attrs.get("units", ""))
    title = text(dim.attrs.get("name", ""))
    if positions.ndim != 1 or len(positions) < 2 or positions.dtype.kind not in "fiu":
        return Axis(size, name=title)
    values = positions.astype(np.float64)
    step = (values[-1] - values[0]) / (len(values) - 1)
    if len(values) == 2 and size != 2:
        step = values[1] - values[0]
    return Axis(size, abs(float(step)), unit, float(values[0]), title)


def _image_last(axes: list[Axis]) -> list[int]:
    """Order of axes that puts y and x last, where three axes name them; else as stored."""
    names = [axis.name.lower().removeprefix("r_") for axis in axes]
    if len(axes) not in (2, 3) or names.count("x") != 1 or names.count("y") != 1:
        return list(range(len(axes)))
    y, x = names.index("y"), names.index("x")
    return [index for index in range(len(axes)) if index not in (y, x)] + [y, x]


def _angles(group: h5py.Group, name: str, axis: Axis) -> list[float] | None:
    """Tilt angles where the first axis is one of degrees; they need not be evenly spaced."""
    factor = degrees_per(axis.unit)
    positions = small(child_array(group, name))
    if factor is None or len(positions) != axis.size:
        return None
    return [float(position) * factor for position in positions]


def _voltage(file: h5py.File) -> float | None:
    """Accelerating voltage in kV from the microscope group."""
    microscope = child_group(file, "microscope")
    if microscope is None:
        return None
    tension: Any = number(microscope.attrs.get("high tension"))
    return kilovolts(f"{tension} V") if tension else kilovolts(text(microscope.attrs.get("voltage", "")))
