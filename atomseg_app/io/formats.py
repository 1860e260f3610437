"""The formats that can be opened: their names, extensions and readers, and how their first bytes look."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from atomseg_app.errors import FileError
from atomseg_app.io.dataset import Dataset
from atomseg_app.io.mrc import EXTENSIONS as MRC_EXTENSIONS
from atomseg_app.io.mrc import is_mrc
from atomseg_app.io.patterns import is_pattern

HEAD_BYTES = 2056
"""How much of a file is looked at to tell its format."""


@dataclass(frozen=True)
class Format:
    """A file format. ``reader`` is ``module:function`` in this package, imported only when used."""

    title: str
    extensions: tuple[str, ...]
    reader: str
    recognises: Callable[[bytes, Path], bool]

    def read(self, path: Path) -> list[Dataset]:
        """Datasets of a file, nothing loaded yet. Raises Unreadable and whatever damaged bytes make a library raise."""
        module, _, name = self.reader.partition(":")
        datasets: list[Dataset] = getattr(importlib.import_module(f"atomseg_app.io.{module}"), name)(path)
        return datasets


def _begins(*signatures: bytes) -> Callable[[bytes, Path], bool]:
    return lambda head, path: head.startswith(signatures)


def _is_hdf5(head: bytes, path: Path) -> bool:
    return any(head[start : start + 8] == b"\x89HDF\r\n\x1a\n" for start in (0, 512, 1024, 2048))


def _is_zip(head: bytes, path: Path) -> bool:
    return head.startswith((b"PK\x03\x04", b"PK\x05\x06"))


def _is_mat(head: bytes, path: Path) -> bool:
    """MATLAB's of versions 5 to 7; 7.3 is HDF5 behind the same text."""
    return head[:7] == b"MATLAB " and head[126:128] in (b"IM", b"MI") and not _is_hdf5(head, path)


FORMATS = (
    Format("DigitalMicrograph DM3", (".dm3",), "dm:read_dm", _begins(b"\0\0\0\x03")),
    Format("DigitalMicrograph DM4", (".dm4",), "dm:read_dm", _begins(b"\0\0\0\x04")),
    Format("TIA series (SER)", (".ser",), "tia:read_ser", _begins(b"II\x97\x01")),
    Format("TIA document (EMI)", (".emi",), "tia:read_emi", _begins(b"JK\0\x02")),
    Format("HDF5 (EMD, HSPY)", (".emd", ".hspy", ".hdf5", ".h5", ".nxs"), "hdf5:read_hdf5", _is_hdf5),
    Format("TIFF", (".tif", ".tiff"), "tiff:read_tiff", _begins(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    Format("PNG", (".png",), "images:read_png", _begins(b"\x89PNG\r\n\x1a\n")),
    Format("JPEG", (".jpg", ".jpeg"), "images:read_jpeg", _begins(b"\xff\xd8\xff")),
    Format("NumPy array (NPY)", (".npy",), "arrays:read_npy", _begins(b"\x93NUMPY")),
    Format("NumPy archive (NPZ)", (".npz",), "arrays:read_zip", _is_zip),
    Format("Zarr (ZSPY, OME-Zarr)", (".zspy", ".zarr"), "zspy:read_zspy", lambda head, path: False),
    Format("blockfile (BLO)", (".blo",), "blockfile:read_blockfile", _begins(b"IMGBLO")),
    Format("BMP", (".bmp",), "images:read_bmp", _begins(b"BM")),
    Format("VTK image data (VTI)", (".vti",), "vti:read_vti", lambda head, path: b"<VTKFile" in head[:200]),
    Format("NRRD", (".nrrd",), "nrrd:read_nrrd", _begins(b"NRRD000")),
    Format("MATLAB (MAT)", (".mat",), "matlab:read_mat", _is_mat),
    Format("MRC", MRC_EXTENSIONS, "mrc:read_mrc", is_mrc),
)

SUPPORTED: dict[str, str] = {extension: format_.title for format_ in FORMATS for extension in format_.extensions}
"""Extension (with its dot, lower case) to the title of the format."""

_FOLDER = Format("folder of images", (), "folder:read_folder", lambda head, path: False)

_PATTERN = Format("numbered images", (), "folder:read_pattern", lambda head, path: False)


def is_zarr(path: Path) -> bool:
    """Whether a folder is a Zarr store."""
    return any((path / name).is_file() for name in (".zgroup", "zarr.json", ".zmetadata"))


def recognise(path: Path) -> Format:
    """Format of a file or folder. Raises FileError for a missing, unreadable, empty or unknown one."""
    try:
        if path.is_dir():
            return next(f for f in FORMATS if ".zspy" in f.extensions) if is_zarr(path) else _FOLDER
        if not path.is_file() and is_pattern(path):
            return _PATTERN
        if not path.is_file():
            raise FileError(f"{path} does not exist." if not os.path.lexists(path) else f"{path} is no file.")
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except (OSError, ValueError) as problem:  # ValueError: a NUL in the name; FileError passes as it is one
        if isinstance(problem, FileError):
            raise
        raise FileError(f"{path} cannot be opened: {getattr(problem, 'strerror', None) or problem}.") from None
    if not head:
        raise FileError(f"{path.name} is empty: it has 0 bytes; copy it again from where it came from.")
    found = next((format_ for format_ in FORMATS if format_.recognises(head, path)), None)
    if found is not None:
        return found
    title = SUPPORTED.get(path.suffix.lower())
    if title is not None:
        raise FileError(
            f"{path.name} is no {title} file, whatever its name says; it is damaged or another kind of file."
        )
    known = ", ".join(sorted(SUPPORTED))
    raise FileError(f"{path.name} is of no format that can be opened; those known are {known}.")
