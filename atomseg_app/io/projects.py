"""Project files (``.atomseg``): the state of every tab, its tables, and where its images are.

An image read from a file is referred to (relative and absolute path, size, time, shape), never copied; what exists
nowhere else (tables, images made here) is stored. Everything is free of Qt and safe to call from any thread; callers
give snapshots: data objects never change.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

from atomseg_app import __version__
from atomseg_app.data import Array, Columns, Data, Image, ImageSeries, Source, from_parts, to_parts
from atomseg_app.errors import FileError, UserError
from atomseg_app.io.archive import Archive, write_archive
from atomseg_app.io.kept_arrays import KeptArrays, read_kept

EXTENSION = ".atomseg"
FORMAT = "atomseg-project"
SCHEMA = 1
_IMAGES_STAY = "align"
"""How operations begin that leave the images of a series as they are."""
MIGRATIONS: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""From each older schema to the next; the file of an older schema is kept as a copy when it is first replaced."""


@dataclass(frozen=True)
class FileReference:
    """An image that a project refers to: where it is, how the file looked, and what the project knows of it.

    ``path`` is where the file was found, or where it was when the project was saved (``missing``).
    """

    path: Path
    dataset: str
    shape: tuple[int, ...]
    size_bytes: int
    modified_ns: int
    header: Mapping[str, Any]

    @property
    def missing(self) -> bool:
        """Whether the file is not where it is looked for."""
        return not self.path.is_file()

    @property
    def changed(self) -> bool:
        """Whether the file is there but is no longer what it was when the project was saved."""
        if self.missing:
            return False
        found = self.path.stat()
        return (found.st_size, found.st_mtime_ns) != (self.size_bytes, self.modified_ns)

    def attach(self, opened: Data) -> Data:
        """The image of the project from what the file holds: the project's calibration and metadata count.

        Raises FileError where the file has another shape than it had.
        """
        if isinstance(opened, ImageSeries) and self.header["kind"] == Image.kind:
            opened = opened.frame(int(self.header["metadata"].get("frame", 0)))
        array = to_parts(opened)[1]
        if array.shape != self.shape:
            raise FileError(f"{self.path} now has shape {array.shape}, not {self.shape} as the project knows it.")
        item = from_parts(self.header, array)
        return replace(item, source=Source(str(self.path), self.dataset))


Item = Data | FileReference


@dataclass(frozen=True)
class TabState:
    """State of one tab: JSON-able settings and its data, images possibly as references."""

    state: Mapping[str, Any] = field(default_factory=dict)
    items: Sequence[Item] = ()


@dataclass(frozen=True)
class Project:
    """All tabs by name. ``message`` tells the user why a project opened ``read_only`` or what happened to it."""

    tabs: Mapping[str, TabState] = field(default_factory=dict)
    path: Path | None = None
    read_only: bool = False
    message: str = ""
    schema: int = SCHEMA


def save_project(path: str | Path, project: Project) -> Project:
    """Write the project, whole or not at all, and return it as saved. Raises FileError, the old file untouched.

    A project that was opened from an older schema keeps its file as ``NAME.schemaN.atomseg``.
    """
    path = Path(os.path.abspath(path))
    if project.read_only and project.path is not None and _same_file(path, project.path):
        raise FileError(f"{path} is open read-only; save the project under another name.")
    if project.schema < SCHEMA and path.is_file():
        copy = path.with_name(f"{path.stem}.schema{project.schema}{path.suffix}")
        try:
            shutil.copy2(path, copy)
        except OSError as problem:
            raise FileError(f"{path} could not be kept as {copy}: {problem.strerror or problem}.") from problem
    saved = replace(project, path=path, read_only=False, message="", schema=SCHEMA)
    write_snapshot(path, saved)
    return saved


def write_snapshot(file: Path, project: Project, kept: KeptArrays | None = None) -> None:
    """Write a project into ``file`` without calling that its place; see :func:`save_project`. Raises FileError.

    With ``kept``, large arrays lie beside the file, written once.
    """
    arrays: list[Array] = []
    tabs: dict[str, dict[str, Any]] = {
        name: {"state": dict(tab.state), "items": [_item_entry(item, file.parent, arrays, kept) for item in tab.items]}
        for name, tab in project.tabs.items()
    }
    manifest = {
        "format": FORMAT, "schema": SCHEMA, "version": __version__, "tabs": tabs,
        "place": str(project.path or ""), "saved": datetime.now(UTC).isoformat(timespec="seconds"),
    }  # fmt: skip
    write_archive(file, manifest, arrays)
    if kept is not None:
        kept.let_go(entry["kept"] for tab in tabs.values() for entry in tab["items"] if "kept" in entry)


def _same_file(one: Path, other: Path) -> bool:
    return os.path.normcase(os.path.realpath(one)) == os.path.normcase(os.path.realpath(other))


def _item_entry(item: Item, folder: Path, arrays: list[Array], kept: KeptArrays | None) -> dict[str, Any]:
    """Entry of the manifest; arrays that must be stored are kept beside the file, or appended to ``arrays``."""
    reference = item if isinstance(item, FileReference) else refer(item)
    if reference is None:
        header, array = to_parts(cast(Data, item))
        if kept is not None and (token := kept.keep(array)) is not None:
            return {"header": header, "kept": token}
        arrays.append(array)
        return {"header": header, "array": len(arrays) - 1}
    try:
        relative = os.path.relpath(reference.path, folder)
    except ValueError:  # another drive
        relative = ""
    return {
        "header": dict(reference.header),
        "file": {
            "relative": Path(relative).as_posix() if relative else "", "absolute": str(reference.path),
            "dataset": reference.dataset, "shape": list(reference.shape),
            "size_bytes": reference.size_bytes, "modified_ns": reference.modified_ns,
        },
    }  # fmt: skip


def refer(item: Data) -> FileReference | None:
    """Reference to the file that ``item`` was read from; None for what must be stored (made here, or no file).

    A series that was aligned still has the images of its file; its alignment goes into the header.
    """
    made_here = any(not step.operation.startswith(_IMAGES_STAY) for step in item.history)
    if isinstance(item, Columns) or made_here or not item.source.path:
        return None
    path = Path(os.path.abspath(item.source.path))
    try:
        found = path.stat()
    except OSError:
        return None  # the file is gone: what is in memory is all there is
    header, array = to_parts(item)
    return FileReference(path, item.source.dataset, array.shape, found.st_size, found.st_mtime_ns, header)


def load_project(path: str | Path) -> Project:
    """Read a project. Images of files come as :class:`FileReference`; see :func:`open_references`.

    A newer schema opens read-only with a message. Raises FileError for what is no project or is damaged.
    """
    path = Path(os.path.abspath(path))
    return replace(load_snapshot(path)[0], path=path)


def load_snapshot(file: Path) -> tuple[Project, str]:
    """A project with the place it was saved or opened at (None: nowhere yet), and when ``file`` was written."""
    with Archive(file) as archive:
        manifest = archive.manifest()
        schema = manifest.get("schema")
        if manifest.get("format") != FORMAT or not isinstance(schema, int) or schema < 1:
            raise FileError(f"{file} is no project of this program.")
        made_by = f"Made by a newer version of the program ({manifest.get('version')})"
        try:
            for older in range(schema, SCHEMA):
                manifest = MIGRATIONS[older](manifest)
            tabs = {
                str(name): TabState(dict(tab["state"]), tuple(_item(entry, file, archive) for entry in tab["items"]))
                for name, tab in manifest["tabs"].items()
            }
            place, saved = str(manifest["place"]), str(manifest["saved"])
        except FileError:
            raise
        except (KeyError, TypeError, AttributeError, ValueError) as problem:
            what = (
                f"{made_by}: use that one" if schema > SCHEMA else f"It is damaged ({problem!r}): use an earlier copy"
            )
            raise FileError(f"{file} cannot be opened. {what}.") from problem
    newer = schema > SCHEMA
    message = f"{made_by}: open for reading only; save it under another name." if newer else ""
    return Project(tabs, Path(place) if place else None, read_only=newer, message=message, schema=schema), saved


def _item(entry: Mapping[str, Any], project_file: Path, archive: Archive) -> Item:
    """Item of a manifest entry."""
    header, folder = entry["header"], project_file.parent
    if "array" in entry:
        return from_parts(header, archive.array(int(entry["array"])))
    if "kept" in entry:
        return from_parts(header, read_kept(project_file, entry["kept"]))
    file = entry["file"]
    beside = folder / file["relative"] if file["relative"] else None
    absolute = Path(file["absolute"])
    place = beside if beside is not None and beside.is_file() else absolute
    return FileReference(
        Path(os.path.abspath(place)), str(file["dataset"]), tuple(int(n) for n in file["shape"]),
        int(file["size_bytes"]), int(file["modified_ns"]), header,
    )  # fmt: skip


def references(project: Project) -> list[FileReference]:
    """Every image that must be read from its file, each file once and in order."""
    found = {(r.path, r.dataset): r for tab in project.tabs.values() for r in tab.items if isinstance(r, FileReference)}
    return list(found.values())


def open_references(project: Project, read: Callable[[Path, str | None], Data]) -> Project:
    """The project with every image read from its file. What cannot be read stays a reference, told in ``message``."""
    problems = [project.message] if project.message else []

    def opened(item: Item) -> Item:
        if not isinstance(item, FileReference):
            return item
        try:
            return item.attach(read(item.path, item.dataset or None))
        except UserError as problem:
            problems.append(str(problem))
            return item

    tabs = {name: replace(tab, items=tuple(map(opened, tab.items))) for name, tab in project.tabs.items()}
    return replace(project, tabs=tabs, message=" ".join(problems))


def relocate(project: Project, old: Path, new: Path) -> Project:
    """The project with a missing file found again as ``new``, and every other missing one that moved the same way.

    Siblings are looked for by the same change of folder, then by name beside ``new``.
    """
    moved_from, moved_to = _moved(old, new)

    def place(reference: FileReference) -> Path:
        if _same_file(reference.path, old):
            return new
        if not reference.missing:
            return reference.path
        guesses = [new.parent / reference.path.name]
        if reference.path.is_relative_to(moved_from):
            guesses.insert(0, moved_to / reference.path.relative_to(moved_from))
        return next((guess for guess in guesses if guess.is_file()), reference.path)

    tabs = {
        name: replace(
            tab, items=tuple(replace(i, path=place(i)) if isinstance(i, FileReference) else i for i in tab.items)
        )
        for name, tab in project.tabs.items()
    }
    return replace(project, tabs=tabs)


def _moved(old: Path, new: Path) -> tuple[Path, Path]:
    """The folders whose exchange turns ``old`` into ``new``: what is left when the common end is taken off."""
    before, after = old.parent, new.parent
    while before.name and before.name == after.name:
        before, after = before.parent, after.parent
    return before, after
