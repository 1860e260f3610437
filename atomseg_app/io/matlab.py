"""MATLAB files: images, and tilt series as atomic electron tomography keeps them (AET; Yuan et al., Nat. Mater. 2022).

There a series is an array (x, y, view), a volume (x, y, z), and the angles (view, 3) are Euler angles in degrees of
which the second is the tilt round y, often in a file of their own beside the images. So arrays of three axes are read
with their axes reversed; images of two axes have rows and columns, as MATLAB shows them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from atomseg_app.data import Array
from atomseg_app.io import matlab_file
from atomseg_app.io.dataset import Axis, Dataset, Unreadable, dataset
from atomseg_app.io.hdf5 import child_array, loader, name_of, text
from atomseg_app.operations import Report

if TYPE_CHECKING:
    import h5py

_ANGLES = re.compile(r"angle|euler|tilt|theta", re.IGNORECASE)
_VOLUME = re.compile(r"rec|vol|density|support|obj|model", re.IGNORECASE)
_SMALL_BYTES = 1 << 20
_NUMERIC = re.compile(r"double|single|logical|u?int(?:8|16|32|64)")
_FILES_LOOKED_AT = 50
_SIGNATURE = b"\x89HDF\r\n\x1a\n"

Triples = tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class _Variable:
    """An array with its dimensions in MATLAB's order; ``load`` gives it with reversed axes."""

    name: str
    dims: tuple[int, ...]
    dtype: np.dtype[Any]
    load: Any

    def small(self) -> Array | None:
        """Its numbers with axes in MATLAB's order, None if it is not small."""
        if int(np.prod([float(size) for size in self.dims])) * self.dtype.itemsize > _SMALL_BYTES:
            return None
        values: Array = self.load(Report())
        return values.transpose()


def read_mat(path: Path) -> list[Dataset]:
    """Images and series of a file of versions 5 to 7. Raises Unreadable where no array of numbers is in it."""
    variables = [_Variable(each.name, each.dims, each.dtype, each.load) for each in matlab_file.variables_of(path)]
    return _described(path, variables)


def read_group(path: Path, file: h5py.File) -> list[Dataset]:
    """Images and series of a MATLAB 7.3 file; empty for other HDF5 files."""
    variables = _of_hdf5(path, file)
    return _described(path, variables) if variables else []


def angles_of(path: Path) -> Array:
    """The one array of angles in degrees of a file, (n,) or (n, 3). Raises Unreadable."""
    tables = [table for each in _variables(path) if (table := _angle_table(each)) is not None]
    named = [
        table for each in _variables(path) if _ANGLES.search(each.name) and (table := _angle_table(each)) is not None
    ]
    found = named or tables
    if len(found) != 1:
        raise Unreadable(f"it has {len(found) or 'no'} arrays that could be angles; save one (views, 3) or (views, 1)")
    return found[0]


def _variables(path: Path) -> list[_Variable]:
    """Arrays of a file of any version."""
    with path.open("rb") as file:
        head = file.read(520)
    if head[512:520] != _SIGNATURE:
        return [_Variable(each.name, each.dims, each.dtype, each.load) for each in matlab_file.variables_of(path)]
    import h5py

    with h5py.File(path, "r", locking=False) as opened:
        return _of_hdf5(path, opened)


def _of_hdf5(path: Path, file: h5py.File) -> list[_Variable]:
    found = []
    for name in file:
        array = child_array(file, name)
        if array is None or not _NUMERIC.fullmatch(text(array.attrs.get("MATLAB_class", ""))):
            continue
        if "MATLAB_empty" not in array.attrs and array.ndim >= 2:
            found.append(_Variable(name, array.shape[::-1], array.dtype, loader(path, name_of(array))))
    return found


def _described(path: Path, variables: Sequence[_Variable]) -> list[Dataset]:
    """Datasets of variables; the largest first."""
    kept = [each for each in variables if int(np.prod([float(size) for size in each.dims])) != 1]
    if not kept:
        raise Unreadable("there is no array of numbers in it (cells, structs and objects are never opened)")
    kept.sort(key=lambda each: -float(np.prod([float(size) for size in each.dims])))
    return [_dataset(path, each, each.name if len(kept) > 1 else "", variables) for each in kept]


def _dataset(path: Path, variable: _Variable, name: str, variables: Sequence[_Variable]) -> Dataset:
    dims = tuple(size for size in variable.dims if size != 1) if len(variable.dims) > 3 else variable.dims
    if len(dims) != 3:
        rows, columns = dims[0], dims[-1]
        of_angles = _ANGLES.search(variable.name) is not None and columns == 3
        is_table = len(dims) == 2 and (min(rows, columns) == 1 or of_angles or (columns <= 8 and rows > 4 * columns))
        return dataset(
            name, [Axis(size) for size in dims], variable.dtype, lambda report: variable.load(report).transpose(),
            image_axes=0 if is_table else 2,
        )  # fmt: skip
    table, source, notes = None, "", []
    volume = _VOLUME.search(variable.name) is not None
    if not volume:
        table, source = _angles_for(path, dims[2], variables)
    if table is not None and source:
        notes.append(f"Its angles are those of {source} beside it.")
    euler: Triples | None = None
    if table is not None and table.ndim == 2:
        euler = tuple((float(a), float(b), float(c)) for a, b, c in table)
    return dataset(
        name, [Axis(size) for size in reversed(dims)], variable.dtype, variable.load, volume=volume,
        tilt_deg=[float(angle) for angle in table] if table is not None and euler is None else None, euler_deg=euler,
        metadata={"tilt_source": source} if source else {}, notes=notes,
    )  # fmt: skip


def _angles_for(path: Path, views: int, variables: Sequence[_Variable]) -> tuple[Array | None, str]:
    """Angles for so many views and the file that they are from: this one (""), or the one beside it that fits."""
    own = [each for each in variables if _ANGLES.search(each.name) and views in each.dims]
    tables = [table for each in own if (table := _angle_table(each)) is not None and len(table) == views]
    if len(tables) == 1:
        return tables[0], ""
    beside = [file for file in sorted(path.parent.glob("*.mat")) if _ANGLES.search(file.stem) and file != path]
    fitting = []
    for file in beside[:_FILES_LOOKED_AT]:
        try:
            table = angles_of(file)
        except (Unreadable, OSError, ValueError, KeyError, RuntimeError, ArithmeticError):
            continue  # another file, that nobody asked for
        if len(table) == views:
            fitting.append((table, file.name))
    return fitting[0] if len(fitting) == 1 else (None, "")


def _angle_table(variable: _Variable) -> Array | None:
    """Angles (n,) or (n, 3) in degrees, None for another shape or what is no angle."""
    dims = variable.dims
    if len(dims) != 2 or max(dims) < 2 or (min(dims) != 1 and dims[1] != 3) or variable.dtype.kind not in "iuf":
        return None
    values = variable.small()
    if values is None or not np.all(np.isfinite(values)) or float(np.abs(values).max()) > 360:
        return None
    table = np.asarray(values, np.float64)
    return table.ravel() if min(dims) == 1 else table
