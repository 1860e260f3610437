"""From what was typed (files, folders, globs) to the tasks of a batch."""

from __future__ import annotations

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from atomseg_app import operations
from atomseg_app.errors import UserError
from atomseg_app.io import files


@dataclass(frozen=True)
class Inputs:
    """Files to work on with the folder that ``-o`` mirrors for each, and what was typed that gave none."""

    paths: tuple[Path, ...]
    roots: tuple[Path, ...]
    problems: tuple[tuple[str, str], ...]


def collect(arguments: Sequence[str], *, tables: bool = False) -> Inputs:
    """Expand arguments in order, each file once: images, or tables of columns (in folders ``*_columns.csv``).

    The root of a file in a folder is that folder, of a match of a glob the part before its first wildcard, and of
    files named one by one the folder that they share.
    """
    found: dict[str, tuple[Path, Path | None]] = {}
    problems = []
    for argument in arguments:
        root = _root(argument)
        try:
            paths = _tables(argument) if tables else files.find_inputs([argument])
        except UserError as problem:
            problems.append((argument, str(problem)))
            continue
        if root is not None and not tables:
            paths = [path for path in paths if not _is_result(path)]
        if not paths:
            missing = (
                "table of columns (NAME_columns.csv)" if tables else "file there that can be read; see 'atomseg info'"
            )
            problems.append((argument, f"{argument}: no {missing}."))
        for path in paths:
            found.setdefault(os.path.abspath(path), (path, root))
    named = [os.path.dirname(path) for path, (_, root) in found.items() if root is None]
    shared = Path(os.path.commonpath(named)) if named else Path()
    roots = tuple(root or shared for _, root in found.values())
    return Inputs(tuple(path for path, _ in found.values()), roots, tuple(problems))


def _is_result(path: Path) -> bool:
    """Whether a file is named as a result is: what a run wrote is no input of the next run on its folder."""
    ends = tuple(
        f"_{end}"
        for operation in operations.all_operations().values()
        for end in (
            operation.result_name,
            *(f"{operation.result_name}_{shown}" for shown in operation.figures),
            *operation.figures,
        )
    )
    return path.suffix in (".csv", ".json", ".png", ".tif") and path.stem.endswith(ends)


def _tables(argument: str) -> list[Path]:
    """Tables that an argument names. Raises UserError for a name that is not there."""
    path = Path(argument)
    if path.is_dir():
        return sorted(path.rglob("*_columns.csv"))
    if path.exists():
        return [path]
    found = sorted(Path(name) for name in glob.glob(argument, recursive=True))
    if not found:
        raise UserError(
            f"{argument} does not exist; give a table of columns, a folder or a pattern such as '*_columns.csv'."
        )
    return [one for one in found if one.suffix.lower() == ".csv"]


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
