"""From what was typed (files, folders, globs) to the tasks of a batch."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from atomseg_app.errors import UserError
from atomseg_app.io import files

RESULT_ENDS = ("_columns.csv", "_columns.json", "_columns.png")


@dataclass(frozen=True)
class Inputs:
    """Files to work on with the folder that ``-o`` mirrors for each, and what was typed that gave none."""

    paths: tuple[Path, ...]
    roots: tuple[Path, ...]
    problems: tuple[tuple[str, str], ...]


def collect(arguments: Sequence[str]) -> Inputs:
    """Expand arguments in order, each file once.

    The root of a file in a folder is that folder, of a match of a glob the part before its first wildcard, and of
    files named one by one the folder that they share.
    """
    found: dict[str, tuple[Path, Path | None]] = {}
    problems = []
    for argument in arguments:
        root = _root(argument)
        try:
            paths = files.find_inputs([argument])
        except UserError as problem:
            problems.append((argument, str(problem)))
            continue
        if root is not None:
            paths = [path for path in paths if not path.name.endswith(RESULT_ENDS)]
        if not paths:
            problems.append((argument, f"{argument}: no file there that can be read; see 'atomseg info'."))
        for path in paths:
            found.setdefault(os.path.abspath(path), (path, root))
    named = [os.path.dirname(path) for path, (_, root) in found.items() if root is None]
    shared = Path(os.path.commonpath(named)) if named else Path()
    roots = tuple(root or shared for _, root in found.values())
    return Inputs(tuple(path for path, _ in found.values()), roots, tuple(problems))


def _root(argument: str) -> Path | None:
    """Folder that results are relative to, or None for a file named as such."""
    path = Path(os.path.abspath(argument))
    if path.is_dir():
        return path
    if path.exists() or not glob.has_magic(argument):
        return None
    while glob.has_magic(str(path)):
        path = path.parent
    return path
