"""Names that stand for numbered files: ``tilt_*.tif``, ``tilt_%03d.tif``."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

from atomseg_app.errors import UserError

_NUMBER = re.compile(r"%0?\d*d")


def natural(name: str) -> list[tuple[int, str]]:
    """Sort key that puts 2 before 10."""
    return [(int(part), "") if part.isdigit() else (0, part.lower()) for part in re.split(r"(\d+)", name)]


def is_pattern(path: str | os.PathLike[str]) -> bool:
    """Whether a name stands for numbered files: ``tilt_*.tif`` or ``tilt_%03d.tif``, and no file is called so."""
    name = os.fspath(path)
    return (glob.has_magic(name) or _NUMBER.search(name) is not None) and not os.path.lexists(name)


def pattern_files(path: Path) -> list[Path]:
    """Files of a pattern in the order of their numbers."""
    parts = _NUMBER.split(str(path))
    if len(parts) == 1:
        return sorted((Path(name) for name in glob.glob(str(path))), key=_by_number)
    names = glob.glob("*".join(glob.escape(part) for part in parts))
    counted = re.compile(r"\d+".join(re.escape(part) for part in parts))
    return sorted((Path(name) for name in names if counted.fullmatch(name)), key=_by_number)


def pattern_of(paths: Sequence[Path]) -> Path:
    """Pattern that stands for exactly these files. Raises UserError where there is none, naming a file too many."""
    folder, names = paths[0].parent, [path.name for path in paths]
    if any(path.parent != folder for path in paths):
        raise UserError(f"{paths[0]} and {paths[-1]} lie in different folders; put the views of a series into one.")
    start = _shared_start(names)
    end = _shared_start([name[len(start) :][::-1] for name in names])[::-1]
    pattern = folder / f"{glob.escape(start)}*{glob.escape(end)}"
    others = sorted({path.name for path in pattern_files(pattern)} - set(names))
    if others:
        raise UserError(f"The files named are not all of {pattern.name} ({others[0]} is left out); "
                        "put those of one series into a folder.")  # fmt: skip
    return pattern


def _shared_start(names: Sequence[str]) -> str:
    """The letters with which all names begin."""
    shared = zip(*names, strict=False)
    return "".join(letters[0] for letters in takewhile(lambda letters: len(set(letters)) == 1, shared))


def _by_number(file: Path) -> list[tuple[int, str]]:
    return natural(file.name)
