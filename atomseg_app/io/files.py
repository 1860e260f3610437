"""Opening files: what they hold (:func:`inspect`) and one of their arrays as a data object (:func:`read`).

The format is told by the first bytes, not by the name. Whatever goes wrong inside becomes one sentence for the user.
"""

from __future__ import annotations

import contextlib
import glob
import importlib
import os
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atomseg_app.data import Array, Data, Image, ImageSeries, Source, TiltSeries, Volume
from atomseg_app.errors import FileError, NotAnImageError, UserError
from atomseg_app.io.dataset import Dataset, DatasetInfo, Unreadable
from atomseg_app.io.formats import SUPPORTED, Format, is_zarr, recognise
from atomseg_app.io.history_files import with_history
from atomseg_app.io.mapped import native
from atomseg_app.io.patterns import natural, pattern_files, pattern_of
from atomseg_app.operations import Report

__all__ = ["SUPPORTED", "DatasetInfo", "datasets_of", "find_inputs", "inspect", "read", "read_as_one"]

_RAISED_BY_DAMAGE = (
    ArithmeticError, AssertionError, AttributeError, BufferError, EOFError, LookupError, OSError,
    RuntimeError, SyntaxError, SystemError, TypeError, ValueError, struct.error, tokenize.TokenError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
"""What parsers raise on wrong bytes (SyntaxError and TokenError are those of XML and of array headers)."""

_CHECKED_PIXELS, _CHECKED_IN_STACKS = 1 << 26, 1 << 24


def inspect(path: str | os.PathLike[str]) -> tuple[DatasetInfo, ...]:
    """Datasets of a file or folder, without loading their arrays. Raises FileError in one sentence."""
    return tuple(entry.info for entry in datasets_of(path))


def datasets_of(path: str | os.PathLike[str]) -> list[Dataset]:
    """Datasets of a file, also those that are refused, with the functions that load them. Raises FileError."""
    return _open(Path(path))[1]


def read(path: str | os.PathLike[str], dataset: str | None = None, report: Report | None = None) -> Data:
    """One array of a file as a data object: values as stored, memory-mapped read-only where the file allows.

    ``dataset`` is a name that :func:`inspect` gave; None is the first readable one. Raises FileError for damaged
    files, NotAnImageError for what is no image, UserError for an unknown dataset.
    """
    path, report = Path(path), report or Report()
    form, datasets = _open(path)
    chosen = _choose(path, datasets, dataset)
    _check_name(path, form, report)
    for note in chosen.info.notes:
        report.note(f"{path.name}: {note}")
    with _one_sentence(path, form):
        values = native(chosen.load(report), report)
    if values.dtype.kind == "b":
        values = values.view(np.uint8)
    return with_history(_data_object(path, chosen.info, form, values, _count_non_finite(values, report)), report)


def read_as_one(
    paths: Sequence[str | os.PathLike[str]], dataset: str | None = None, report: Report | None = None
) -> Data:
    """:func:`read` of one file, folder or pattern such as ``tilt_*.tif``; several files are read as one series.

    Raises UserError where no pattern stands for exactly the files given.
    """
    if len(paths) == 1:
        return read(paths[0], dataset, report)
    return read(pattern_of([Path(path) for path in paths]), dataset, report)


def read_angles(path: str | os.PathLike[str]) -> Array:
    """Angles in degrees (n,), or Euler angles (n, 3), of a MATLAB file. Raises FileError in one sentence."""
    form = recognise(Path(path))
    with _one_sentence(Path(path), form):
        angles: Array = importlib.import_module("atomseg_app.io.matlab").angles_of(Path(path))  # the window has no h5py
        return angles


def find_inputs(paths: Iterable[str | os.PathLike[str]]) -> list[Path]:
    """Files to open, in order: folders give the files in and below them that can be opened, globs their matches.

    A file given by name is kept whatever its name is. Raises UserError for a name that is not there.
    """
    found: dict[Path, None] = {}
    for given in paths:
        path = Path(given)
        if path.exists():
            matches = list(_below(path))
        else:
            names = sorted(glob.glob(str(path), recursive=True), key=natural) or list(map(str, pattern_files(path)))
            matches = [file for name in names for file in _below(Path(name)) if _is_input(file)]
            if not names:
                raise UserError(f"{given} does not exist; give a file, a folder or a pattern such as '*.dm3'.")
        found.update(dict.fromkeys(matches))
    return list(found)


def _below(path: Path) -> Iterator[Path]:
    """The path itself if it is a file or a Zarr store, else what can be opened in the folder."""
    if not path.is_dir() or is_zarr(path):
        yield path
        return
    try:
        entries = sorted(path.iterdir(), key=lambda child: natural(child.name))
    except OSError as problem:
        raise FileError(f"{path} cannot be looked into: {problem.strerror}.") from None
    for entry in entries:
        is_folder = entry.is_dir() and not entry.is_symlink()  # links could lead round in circles
        if not entry.name.startswith(".") and (is_folder or _is_input(entry)):
            yield from _below(entry)


def _is_input(path: Path) -> bool:
    """Whether a file in a folder is one to open; the .emi beside .ser files only describes them."""
    suffix = path.suffix.lower()
    if suffix == ".emi":
        return not any(path.parent.glob(f"{glob.escape(path.stem)}_*.ser"))
    return suffix in SUPPORTED and not (path.is_dir() and path.is_symlink())


def _open(path: Path) -> tuple[Format, list[Dataset]]:
    form = recognise(path)
    with _one_sentence(path, form):
        return form, form.read(path)


@contextlib.contextmanager
def _one_sentence(path: Path, form: Format) -> Iterator[None]:
    """The border of what libraries raise: a FileError that names the file, the format and the reason."""
    name = f"{path.name} cannot be read as {form.title}"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except UserError:
        raise
    except Unreadable as reason:
        raise FileError(f"{name}: {reason}.") from None
    except ImportError as problem:
        need = "install it with: pip install 'atomseg-app[formats]'"
        raise FileError(f"{name}: the package {problem.name} is missing; {need}.") from problem
    except MemoryError:
        raise FileError(f"{name}: it needs more memory than there is.") from None
    except _RAISED_BY_DAMAGE as problem:
        text = " ".join(str(problem).split())[:160].rstrip(".")
        raise FileError(
            f"{name}: it is damaged or of an unknown variant ({type(problem).__name__}: {text})."
        ) from problem


def _choose(path: Path, datasets: Sequence[Dataset], name: str | None) -> Dataset:
    """The dataset of that name, or the first that can be opened."""
    named = [entry for entry in datasets if name is None or entry.info.name == name]
    if not named:
        names = ", ".join(repr(entry.info.name) for entry in datasets[:20])
        raise UserError(f"{path.name} holds no dataset {name!r}; it holds {names}.")
    chosen = next((entry for entry in named if not entry.info.refusal), named[0])
    info = chosen.info
    if info.refusal:
        where = f"{path.name}, {info.name}," if info.name else path.name
        raise NotAnImageError(
            f"{where} cannot be opened as an image: {info.refusal}.", kind=info.kind, shape=info.shape
        )
    return chosen


def _check_name(path: Path, form: Format, report: Report) -> None:
    """Tell where name and content differ."""
    if path.suffix.lower() in SUPPORTED and path.suffix.lower() not in form.extensions and path.is_file():
        report.log(f"{path.name} holds {form.title} data, although its name says otherwise.")


def _count_non_finite(values: Array, report: Report) -> int:
    """How many pixels are no number, told to the user; not counted in arrays too large to be looked through."""
    if values.dtype.kind != "f" or values.size > (_CHECKED_PIXELS if values.ndim == 2 else _CHECKED_IN_STACKS):
        return 0
    count = int(sum(plane.size - np.count_nonzero(np.isfinite(plane)) for plane in values))
    if count:
        all_of_them = "none of its pixels is" if count == values.size else f"{count} of its pixels are not"
        report.note(f"In this file {all_of_them} a finite number.")
    return count


def _data_object(path: Path, info: DatasetInfo, form: Format, values: Array, non_finite: int) -> Data:
    """Data object of a loaded array."""
    metadata: dict[str, Any] = {**info.metadata, "format": form.title}
    if non_finite:
        metadata["non_finite_pixels"] = non_finite
    source = Source(str(path), info.name)
    if info.tilt_deg and info.kind == "image":
        metadata["tilt_deg"] = info.tilt_deg[0]
    if info.tilt_deg and info.kind == "image-series":
        metadata["tilt_deg"] = list(info.tilt_deg)
    if info.kind == "tilt-series":
        metadata.setdefault("tilt_source", form.title)
        return TiltSeries(
            values, info.pixel_size_nm, source, metadata, tilt_deg=info.tilt_deg or (), euler_deg=info.euler_deg
        )
    classes: dict[str, type[Image | ImageSeries | Volume]] = {
        "image": Image,
        "image-series": ImageSeries,
        "volume": Volume,
    }
    return classes[info.kind](values, info.pixel_size_nm, source, metadata)
