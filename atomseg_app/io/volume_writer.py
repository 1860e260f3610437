"""Saving a volume: the format is told by the extension of the name."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path

from atomseg_app.data import Volume
from atomseg_app.errors import UserError
from atomseg_app.operations import Report

_WRITERS: Mapping[str, str] = {
    ".mrc": "mrc_writer:write_mrc",
    ".rec": "mrc_writer:write_mrc",
    ".map": "mrc_writer:write_mrc",
    ".tif": "tiff_volume:write_tiff_volume",
    ".tiff": "tiff_volume:write_tiff_volume",
    ".h5": "hdf5_volumes:write_hdf5_volume",
    ".hdf5": "hdf5_volumes:write_hdf5_volume",
    ".emd": "hdf5_volumes:write_emd_volume",
    ".ome.zarr": "ome_zarr:write_ome_zarr",
    ".zarr": "ome_zarr:write_ome_zarr",
    ".vti": "vti_writer:write_vti",
    ".nrrd": "nrrd_writer:write_nrrd",
}
VOLUME_EXTENSIONS = tuple(_WRITERS)
"""Extensions that a volume can be saved with, lower case with their dots."""


def volume_extension(path: str | Path) -> str:
    """Extension of a name among those that a volume can have. Raises UserError listing them."""
    name = Path(path).name.lower()
    found = next((extension for extension in VOLUME_EXTENSIONS if name.endswith(extension)), None)
    if found is None or len(name) == len(found):
        raise UserError(f"{path}: a volume is saved as one of {', '.join(VOLUME_EXTENSIONS)}; end its name so.")
    return found


def write_volume(path: str | Path, volume: Volume, report: Report | None = None) -> None:
    """Write a volume (z, y, x) with its voxel size, whole or not at all; an existing file is replaced.

    Raises UserError for a name that is of no format of volumes and for data that are no volume, FileError where the
    place cannot be written to, Cancelled between slabs.
    """
    if not isinstance(volume, Volume):
        raise UserError(f"{path}: data of kind {volume.kind} are no volume; reconstruct them first.")
    module, _, name = _WRITERS[volume_extension(path)].partition(":")
    write: Callable[[Volume, str | Path, Report], None]
    write = getattr(importlib.import_module(f"atomseg_app.io.{module}"), name)
    write(volume, path, report or Report())
