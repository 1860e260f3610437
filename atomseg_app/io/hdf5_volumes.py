"""Volumes as HDF5: a plain array with its voxel size, or EMD as NCEM defines it and tomviz reads and writes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atomseg_app import __version__
from atomseg_app.data import Array, Volume
from atomseg_app.io.atomic_write import atomic_path
from atomseg_app.io.volume_parts import NUMBERS, slabs, stored_type
from atomseg_app.operations import Report

if TYPE_CHECKING:
    import h5py

_UM_PER_NM = 1e-3
_STRIP_BYTES = 64 << 20


def write_hdf5_volume(volume: Volume, path: str | Path, report: Report) -> None:
    """Write ``volume`` (z, y, x), whole or not at all: in one piece, so that it can be mapped.

    Its attributes are ``axes``, ``voxel_size_nm`` (z, y, x; 0 where not known), ``element_size_um`` as Fiji and ilastik
    read it where all are known. Labels of dimensions are left out: the library crashes on damaged ones. Raises
    FileError, Cancelled.
    """
    import h5py

    dtype = stored_type(volume.values, NUMBERS, report, "HDF5")
    sizes = volume.pixel_size_nm
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        array = file.create_dataset("volume", volume.shape, dtype)
        array.attrs["voxel_size_nm"] = [size or 0.0 for size in sizes]
        if None not in sizes:
            array.attrs["element_size_um"] = [_UM_PER_NM * (size or 0.0) for size in sizes]
        array.attrs["axes"] = "zyx"
        _describe(file, volume)
        for start, slab in slabs(volume.values, dtype, report):
            array[start : start + len(slab)] = slab


def write_emd_volume(volume: Volume, path: str | Path, report: Report) -> None:
    """Write an EMD file, whole or not at all: ``/data/tomography/data`` (x, y, z) with dim1..3, as tomviz orders it.

    The dimensions are named, so that readers that go by names find z, y, x. Raises FileError, Cancelled.
    """
    import h5py

    dtype = stored_type(volume.values, NUMBERS, report, "HDF5")
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs.update({"version_major": np.uint32(0), "version_minor": np.uint32(2)})
        group = file.create_group("data/tomography")
        group.attrs["emd_group_type"] = np.uint32(1)
        array = group.create_dataset("data", volume.shape[::-1], dtype)
        array.attrs["name"] = "intensity"
        sizes = volume.pixel_size_nm[::-1]
        for index, (name, count, size) in enumerate(zip("xyz", array.shape, sizes, strict=True), 1):
            dim = group.create_dataset(f"dim{index}", data=(np.arange(count) * (size or 1.0)).astype(np.float32))
            dim.attrs.update({"name": name, "units": "[n_m]" if size else "[px]"})
        _describe(file, volume)
        for part, values in _across(volume.values, dtype, report):
            array[part] = values


def _describe(file: h5py.File, volume: Volume) -> None:
    """Program and history as attributes of the file."""
    file.attrs["program"] = f"AtomSeg {__version__}"
    if "classes" in volume.metadata:  # of labels
        file.attrs["classes"] = json.dumps(volume.metadata["classes"], ensure_ascii=False)
    file.attrs["history"] = json.dumps([step.to_json() for step in volume.history], default=str)


def _across(values: Array, dtype: np.dtype[Any], report: Report) -> Iterator[tuple[slice, Array]]:
    """Parts (x, y, z) along x, each C-ordered, large as every part goes through the whole volume once."""
    width = values.shape[2]
    step = max(1, _STRIP_BYTES // max(1, values[..., :1].size * dtype.itemsize))
    for start in range(0, width, step):
        report.progress(start / width, "writing")
        part = slice(start, min(start + step, width))
        yield part, np.ascontiguousarray(values[..., part].transpose(2, 1, 0), dtype)
