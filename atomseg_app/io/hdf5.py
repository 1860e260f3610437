"""HDF5 files: which of the conventions a file follows (Velox, NCEM/emdfile, HyperSpy, NeXus, none), and safe access.

Links to other files are never followed, and a dataset is read only if the file really holds all of it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atomseg_app.data import Array
from atomseg_app.io.dataset import Axis, Dataset, Unreadable, dataset
from atomseg_app.io.hdf5_checks import ObjectHeaders, check_heaps
from atomseg_app.io.mapped import DEFLATE_RATIO, byte_count, check_ratio, fill, map_block
from atomseg_app.operations import Report

if TYPE_CHECKING:
    import h5py

_MAX_OBJECTS = 20_000
_STRIP_BYTES = 16 << 20
_SMALL_BYTES = 1 << 20


def read_hdf5(path: Path) -> list[Dataset]:
    """Datasets of an HDF5 file by the convention that it follows. Raises Unreadable if it holds no array of images."""
    import h5py

    from atomseg_app.io import hspy, matlab, ncem, nexus, velox

    check_heaps(path)
    ObjectHeaders(path).check_root()
    with _opened(path) as file:
        for convention in (velox, hspy, ncem, nexus, matlab):
            found: list[Dataset] = convention.read_group(path, file)
            if found:
                return found
        arrays = [child for child in walk(file) if isinstance(child, h5py.Dataset) and len(child.shape or ()) in (2, 3)]
        found = [
            dataset(
                name_of(array), _plain_axes(array), array.dtype, loader(path, name_of(array)),
                volume=text(array.attrs.get("axes", "")) == "zyx",
            )
            for array in arrays
            if array.dtype.kind in "iufb"
        ]  # fmt: skip
    if not found:
        raise Unreadable("no array of two or three axes is in it")
    return found


def _plain_axes(array: h5py.Dataset) -> list[Axis]:
    """Axes of an array that follows no convention but may tell its voxel size, as this program, Fiji and ilastik do."""
    for name, unit in (("voxel_size_nm", "nm"), ("element_size_um", "um")):
        sizes = np.ravel(array.attrs.get(name, ()))
        if len(sizes) == array.ndim and sizes.dtype.kind in "iuf":
            return [Axis(count, float(size), unit) for count, size in zip(array.shape, sizes, strict=True)]
    return [Axis(size) for size in array.shape]


def _opened(path: Path) -> h5py.File:
    """File opened to read; without a lock, which network drives may not give and a writer may hold."""
    import h5py

    return h5py.File(path, "r", locking=False)


def name_of(item: h5py.Dataset | h5py.Group) -> str:
    """Path inside the file without the leading slash."""
    return str(item.name).lstrip("/")


def child(group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset | None:
    """Member of a group by a hard link, its header checked first; None if it is missing or lies in another file."""
    import h5py

    key = name.encode()
    if not key or b"/" in key or not group.id.links.exists(key):
        return None
    link = group.id.links.get_info(key)
    if link.type != h5py.h5l.TYPE_HARD:
        return None
    ObjectHeaders(Path(group.file.filename)).check(link.u)
    found = group[name]
    return found if isinstance(found, h5py.Group | h5py.Dataset) else None


def walk(group: h5py.Group) -> Iterator[h5py.Group | h5py.Dataset]:
    """Groups and datasets below a group, each once; Unreadable if there are far too many."""
    import h5py

    seen, waiting = set(), [group]
    while waiting:
        parent = waiting.pop(0)
        for name in parent:
            found = child(parent, name)
            where = h5py.h5o.get_info(found.id).addr if found is not None else None
            if found is None or where in seen:
                continue
            seen.add(where)
            if len(seen) > _MAX_OBJECTS:
                raise Unreadable("it holds too many objects")
            if isinstance(found, h5py.Group):
                waiting.append(found)
            yield found


def child_group(group: h5py.Group, *names: str) -> h5py.Group | None:
    """Group at a path below, None if there is none."""
    import h5py

    for name in names:
        found = child(group, name)
        if not isinstance(found, h5py.Group):
            return None
        group = found
    return group


def child_array(group: h5py.Group, name: str) -> h5py.Dataset | None:
    """Dataset of that name, None if there is none or it is empty."""
    import h5py

    found = child(group, name)
    return found if isinstance(found, h5py.Dataset) and found.shape is not None else None


def text(value: Any) -> str:
    """An attribute or scalar as text."""
    if isinstance(value, np.ndarray):
        value = value.ravel()[0] if value.size else ""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def number(value: Any) -> float | None:
    """An attribute as a finite number, None if it is none."""
    try:
        result = float(value.ravel()[0] if isinstance(value, np.ndarray) and value.size == 1 else value)
    except (TypeError, ValueError):
        return None
    return result if math.isfinite(result) else None


def small(array: h5py.Dataset | None) -> Array:
    """Values of a small dataset, after the same checks as for images; empty for one that is missing or not small."""
    if array is None or byte_count(array.shape, array.dtype.itemsize) > _SMALL_BYTES:
        return np.empty(0)
    check_stored(array)
    return np.asarray(array[()])


def check_stored(array: h5py.Dataset) -> None:
    """Raise Unreadable unless the file itself holds every value of a dataset, in a compression that is known."""
    import h5py

    if array.external or array.is_virtual:
        raise Unreadable("its values lie in other files")
    shape, itemsize, stored = array.shape, array.dtype.itemsize, array.id.get_storage_size()
    if 0 in shape:
        return
    if array.chunks is None:
        if stored < byte_count(shape, itemsize):
            raise Unreadable(f"its array {name_of(array)} was never written in full")
        return
    grid = math.prod(-(-size // chunk) for size, chunk in zip(shape, array.chunks, strict=True))
    if array.id.get_num_chunks() != grid:
        raise Unreadable(
            f"only {array.id.get_num_chunks()} of the {grid} pieces of its array {name_of(array)} were written"
        )
    filters = array.id.get_create_plist()
    for index in range(filters.get_nfilters()):
        code, _, _, name = filters.get_filter(index)
        if not h5py.h5z.filter_avail(code):
            raise Unreadable(f"its compression ({text(name) or code}) is not known here; save it again with gzip")
    ratio = DEFLATE_RATIO if filters.get_nfilters() else 1
    check_ratio(array.chunks, itemsize, max(stored // grid, 1) if grid > 1 else stored, ratio)
    check_ratio(shape, itemsize, stored, ratio)


def loader(path: Path, name: str, order: Sequence[int] | None = None) -> Any:
    """Function that loads a dataset, its axes in ``order``: mapped if it lies in one piece, else strip by strip."""

    def load(report: Report) -> Array:
        with _opened(path) as file:
            array = file[name]
            check_stored(array)
            turn = tuple(order or range(array.ndim))
            offset = array.id.get_offset()
            if array.chunks is None and offset is not None:
                return map_block(path, offset, array.shape, array.dtype).transpose(turn)
            return fill([array.shape[axis] for axis in turn], array.dtype, _strips(array, turn), report)

    return load


def _strips(array: h5py.Dataset, turn: Sequence[int]) -> Iterator[tuple[Any, Array]]:
    """Parts along the axis that comes first after turning, whole chunks at a time."""
    axis = turn[0]
    chunk = array.chunks[axis] if array.chunks else 1
    row = max(1, byte_count(array.shape, array.dtype.itemsize) // max(1, array.shape[axis]))
    step = chunk * max(1, _STRIP_BYTES // (row * chunk))
    for start in range(0, array.shape[axis], step):
        part = slice(start, start + step)
        index = tuple(part if each == axis else slice(None) for each in range(array.ndim))
        yield part, array[index].transpose(turn)
