"""Probabilities of classes as HDF5, written slice by slice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from atomseg_app import __version__
from atomseg_app.data import Volume
from atomseg_app.io.atomic_write import atomic_path
from atomseg_app.operations import Report


def write_probabilities(path: str | Path, probabilities: Mapping[str, Volume], report: Report) -> None:
    """Write the dataset ``probabilities`` (classes, z, y, x), float16, with the names of the classes beside it.

    Whole or not at all. Raises FileError, Cancelled.
    """
    import h5py

    first = next(iter(probabilities.values()))
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        file.attrs["program"] = f"AtomSeg {__version__}"
        array = file.create_dataset(
            "probabilities", (len(probabilities), *first.shape), np.float16, chunks=(1, 1, *first.shape[1:]),
            compression="gzip", compression_opts=1, shuffle=True,
        )  # fmt: skip
        array.attrs["classes"] = list(probabilities)
        array.attrs["axes"] = "czyx"
        array.attrs["voxel_size_nm"] = [size or 0.0 for size in first.pixel_size_nm]
        for index in range(len(first.values)):
            report.progress(index / len(first.values), "writing")
            for place, volume in enumerate(probabilities.values()):
                array[place, index] = volume.values[index]
