"""A folder of single images opened as one series: tilts of a tomogram, or frames, in the order of their numbers."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import numpy as np

from atomseg_app.data import Array
from atomseg_app.errors import UserError
from atomseg_app.io.dataset import Axis, Dataset, Unreadable, dataset
from atomseg_app.io.formats import SUPPORTED, recognise
from atomseg_app.io.mapped import fill
from atomseg_app.operations import Report


def read_folder(path: Path) -> list[Dataset]:
    """One series of all images of a folder. Raises Unreadable where they differ in size, type or pixel size."""
    files = [file for file in path.iterdir() if file.is_file() and file.suffix.lower() in SUPPORTED]
    if not files:
        raise Unreadable("there are no images in it")
    suffix, _ = Counter(file.suffix.lower() for file in files).most_common(1)[0]
    files = sorted((file for file in files if file.suffix.lower() == suffix), key=lambda file: natural(file.name))
    views = [_only_image(file) for file in files]
    first = views[0].info
    for file, view in zip(files, views, strict=True):
        if (view.info.shape, view.info.dtype, view.info.pixel_size_nm) != (
            first.shape, first.dtype, first.pixel_size_nm,
        ):  # fmt: skip
            raise Unreadable(
                f"{file.name} differs from {files[0].name} in size, type or calibration; open them one by one"
            )
    angles = [view.info.tilt_deg[0] for view in views if view.info.tilt_deg]
    axes = [Axis(size, step, "nm") for size, step in zip(first.shape, first.pixel_size_nm, strict=True)]
    dtype = np.dtype(first.dtype)

    def load(report: Report) -> Array:
        count = len(views)
        parts = ((index, view.load(report.part(index / count, index / count))) for index, view in enumerate(views))
        return fill((count, *first.shape), dtype, parts, report)

    return [
        dataset("", [Axis(len(views)), *axes], dtype, load,
                tilt_deg=angles if len(angles) == len(views) else None, metadata=first.metadata)
    ]  # fmt: skip


def natural(name: str) -> list[tuple[int, str]]:
    """Sort key that puts 2 before 10."""
    return [(int(part), "") if part.isdigit() else (0, part.lower()) for part in re.split(r"(\d+)", name)]


def _only_image(file: Path) -> Dataset:
    """The one image of a file. Raises Unreadable for anything else."""
    try:
        found = [entry for entry in recognise(file).read(file) if not entry.info.refusal]
    except UserError as problem:
        raise Unreadable(str(problem).rstrip(".")) from problem
    if len(found) != 1 or found[0].info.kind != "image":
        raise Unreadable(f"{file.name} does not hold one single image")
    return found[0]
