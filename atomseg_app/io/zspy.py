"""HyperSpy signals in Zarr stores (.zspy folders, or the same zipped), versions 2 and 3 of Zarr."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from atomseg_app.io import hspy, ome_zarr
from atomseg_app.io.dataset import Dataset, Unreadable
from atomseg_app.io.hdf5 import number
from atomseg_app.io.zarr_store import array_of, check_stored, group_of, loader, open_store

if TYPE_CHECKING:
    import zarr

_MAX_TILTS = 100_000


def read_zspy(path: Path) -> list[Dataset]:
    """Signals of HyperSpy in a store, or its images as OME-Zarr. Raises Unreadable for another Zarr store."""
    root = open_store(path)
    experiments = group_of(root, "Experiments")
    if experiments is None:
        return ome_zarr.read_group(path, root)
    found = []
    names = sorted(experiments.group_keys())
    for name in names:
        group = group_of(experiments, name)
        array = array_of(group, "data")
        if group is None or array is None:
            continue
        check_stored(path, array)
        children = {f"axis-{index}": group_of(group, f"axis-{index}") for index in range(array.ndim)}
        title = name if len(names) > 1 else ""
        load = loader(path, f"Experiments/{name}/data")
        found.append(hspy.describe(title, array, children, _facts(path, group), load))
    if not found:
        raise Unreadable("there is no signal in it")
    return found


def _facts(path: Path, group: zarr.Group) -> tuple[list[float], float | None, float | None]:
    """Tilt angles, stage tilt in degrees and voltage in kV."""
    tilts = array_of(group, "metadata/Tomography/_sig_tilts/data")
    angles: list[float] = []
    if tilts is not None and tilts.size <= _MAX_TILTS:
        check_stored(path, tilts)
        angles = [float(angle) for angle in np.ravel(tilts[...])]
    microscope = group_of(group, "metadata/Acquisition_instrument/TEM")
    stage = group_of(group, "metadata/Acquisition_instrument/TEM/Stage")
    return (
        angles,
        number(stage.attrs.get("tilt_alpha")) if stage is not None else None,
        number(microscope.attrs.get("beam_energy")) if microscope is not None else None,
    )
