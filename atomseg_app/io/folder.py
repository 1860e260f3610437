"""Many files as one series: a folder of single images, or those of a numbered pattern, in the order of their numbers.

Files that hold several images at one tilt angle (SerialEM takes so) give all of them as views.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from atomseg_app.data import Array
from atomseg_app.errors import UserError
from atomseg_app.io.dataset import Axis, Dataset, Unreadable, dataset
from atomseg_app.io.formats import SUPPORTED, recognise
from atomseg_app.io.mapped import fill
from atomseg_app.io.patterns import natural, pattern_files
from atomseg_app.io.tilt_angles import list_in_folder
from atomseg_app.operations import Report


def read_folder(path: Path) -> list[Dataset]:
    """One series of all images of a folder. Raises Unreadable where they differ in size, type or pixel size."""
    files = [file for file in path.iterdir() if file.is_file() and file.suffix.lower() in SUPPORTED]
    if any(file.suffix.lower() == ".ser" for file in files):
        files = [file for file in files if file.suffix.lower() != ".emi"]  # which only describe the former
    if not files:
        raise Unreadable("there are no images in it")
    suffix, _ = Counter(sorted(file.suffix.lower() for file in files)).most_common(1)[0]
    return [
        _series(sorted((file for file in files if file.suffix.lower() == suffix), key=lambda file: natural(file.name)))
    ]


def read_pattern(path: Path) -> list[Dataset]:
    """One series of the files that a pattern stands for; see :func:`read_folder`."""
    files = pattern_files(path)
    if not files:
        raise Unreadable("no file is called so")
    return [_series(files)]


def _series(files: Sequence[Path]) -> Dataset:
    """Files as one series; their angles, else those of the one list of angles in their folder."""
    parts = [_images(file) for file in files]
    first = parts[0].info
    for file, part in zip(files, parts, strict=True):
        if (part.info.shape[-2:], part.info.dtype, part.info.pixel_size_nm) != (
            first.shape[-2:], first.dtype, first.pixel_size_nm,
        ):  # fmt: skip
            raise Unreadable(
                f"{file.name} differs from {files[0].name} in size, type or calibration; open them one by one"
            )
    counts = [part.info.shape[0] if len(part.info.shape) == 3 else 1 for part in parts]
    views = sum(counts)
    angles = [angle for part in parts for angle in part.info.tilt_deg or ()]
    notes, metadata = [], dict(first.metadata)
    if len(angles) != views:
        silent = [file.name for file, part in zip(files, parts, strict=True) if not part.info.tilt_deg]
        if angles:
            notes.append(f"{len(silent)} of its {len(files)} files tell no tilt angle ({silent[0]}); give the angles.")
        side = list_in_folder(files[0].parent, views)
        angles = list(side.angles)
        notes += side.notes
        metadata |= {"tilt_source": side.name} if side.angles else {}
    if max(counts) > 1:
        notes.append(f"Its {len(files)} files hold up to {max(counts)} images each; all of them are views.")
    axes = [Axis(size, step, "nm") for size, step in zip(first.shape[-2:], first.pixel_size_nm, strict=True)]
    dtype = np.dtype(first.dtype)

    def load(report: Report) -> Array:
        return fill((views, *first.shape[-2:]), dtype, _pieces(parts, counts, report), report)

    return dataset("", [Axis(views), *axes], dtype, load, tilt_deg=angles or None, metadata=metadata, notes=notes)


def _pieces(parts: Sequence[Dataset], counts: Sequence[int], report: Report) -> Iterator[tuple[Any, Array]]:
    """Images one after another, with their place."""
    place = 0
    for index, (part, count) in enumerate(zip(parts, counts, strict=True)):
        values = part.load(report.part(index / len(parts), index / len(parts)))
        for image in values if values.ndim == 3 else values[None]:
            yield place, image
            place += 1
        assert count == (len(values) if values.ndim == 3 else 1)


def _images(file: Path) -> Dataset:
    """The one image of a file, or its several at one tilt angle. Raises Unreadable for anything else."""
    try:
        found = [entry for entry in recognise(file).read(file) if not entry.info.refusal]
    except UserError as problem:
        raise Unreadable(str(problem).rstrip(".")) from problem
    if len(found) == 1 and found[0].info.kind == "image":
        return found[0]
    if len(found) != 1 or found[0].info.kind != "image-series" or not found[0].info.tilt_deg:
        raise Unreadable(f"{file.name} does not hold one single image")
    return found[0]
