"""Data objects: calibrated arrays and tables, nothing else. An operation never changes one; it returns a new one.

Conventions: axis order is (y, x), (frame, y, x), (tilt, y, x), (z, y, x); coordinates in tables are (x, y) in pixels
from the centre of the first pixel of the *file*; sizes are in nm, ``None`` where the file gives none.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt

from atomseg_app.alignment import Alignment
from atomseg_app.errors import UserError
from atomseg_app.label_classes import LabelClass, checked

Array = npt.NDArray[Any]
PixelSize = tuple[float | None, ...]


@dataclass(frozen=True)
class Source:
    """Where data came from: a file and, in files that hold several, the dataset inside it."""

    path: str = ""
    dataset: str = ""

    @property
    def name(self) -> str:
        """File name without its extension, for titles and results."""
        return Path(self.path).stem if self.path else self.dataset or "untitled"


@dataclass(frozen=True)
class Step:
    """One entry of a history: an operation, its parameters, and what it ran on."""

    operation: str
    parameters: Mapping[str, Any]
    version: str
    device: str = "cpu"
    seconds: float = 0.0
    when: str = ""
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary for JSON."""
        return {
            "operation": self.operation, "parameters": dict(self.parameters), "version": self.version,
            "device": self.device, "seconds": self.seconds, "when": self.when, "notes": list(self.notes),
        }  # fmt: skip

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_json`."""
        return cls(**{**entry, "notes": tuple(entry.get("notes", ()))})


def _pixel_size(sizes: Sequence[float | None] | None, axes: int) -> PixelSize:
    """One size per spatial axis; what is no positive finite length counts as unknown."""
    if sizes is None:
        return (None,) * axes
    if len(sizes) != axes:
        raise UserError(f"pixel_size_nm has {len(sizes)} values for {axes} axes; give one a spatial axis.")
    return tuple(None if s is None or not np.isfinite(s) or s <= 0 else float(s) for s in sizes)


@dataclass(frozen=True, eq=False)
class ArrayData:
    """Shared part of everything that is an array: values, pixel size, origin, metadata, history.

    ``values`` is any numpy array, often a read-only memory map. ``metadata`` holds JSON-able facts of the file
    (``kV``, ``tilt_deg``, ``detector``...). ``pixel_size_nm`` has one entry per spatial axis, in array order.
    """

    kind: ClassVar[str]
    ndim: ClassVar[int]
    spatial_axes: ClassVar[int]

    values: Array
    pixel_size_nm: PixelSize = ()
    source: Source = Source()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    history: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        if self.values.ndim != self.ndim:
            raise UserError(f"{self.kind} needs {self.ndim} axes, but the array has shape {self.values.shape}.")
        object.__setattr__(self, "pixel_size_nm", _pixel_size(self.pixel_size_nm or None, self.spatial_axes))

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the array."""
        return self.values.shape

    @property
    def calibrated(self) -> bool:
        """Whether the in-plane pixel size is known."""
        return all(size is not None for size in self.pixel_size_nm[-2:])

    def with_pixel_size(self, *sizes_nm: float | None) -> Self:
        """Copy with another calibration (y, x), or (z, y, x) for volumes; one number serves all axes."""
        sizes = sizes_nm * self.spatial_axes if len(sizes_nm) == 1 else sizes_nm
        return replace(self, pixel_size_nm=_pixel_size(sizes, self.spatial_axes))

    def with_step(self, step: Step) -> Self:
        """Copy with one more entry in its history."""
        return replace(self, history=(*self.history, step))


@dataclass(frozen=True, eq=False)
class Image(ArrayData):
    """One grey image (y, x)."""

    kind = "image"
    ndim = 2
    spatial_axes = 2


@dataclass(frozen=True, eq=False)
class ImageSeries(ArrayData):
    """A movie or focal series (frame, y, x); the pixel size is that of a frame."""

    kind = "image-series"
    ndim = 3
    spatial_axes = 2

    def frame(self, index: int) -> Image:
        """One frame as an image."""
        return Image(
            self.values[index],
            self.pixel_size_nm,
            self.source,
            {**self.metadata, "frame": index},
            self.history,
        )


@dataclass(frozen=True, eq=False)
class TiltSeries(ImageSeries):
    """Projections (tilt, y, x) with one angle per view in degrees, NaN where it is not known.

    ``tilt_axis`` is the direction of the tilt axis in the images. ``euler_deg`` has three angles a view where the
    series was not tilted round one axis; ``tilt_deg`` is then the second of them. Views in ``excluded`` (indices) are
    kept, but not reconstructed from.
    """

    kind = "tilt-series"
    tilt_deg: tuple[float, ...] = ()
    tilt_axis: Literal["y", "x"] = "y"
    alignment: Alignment | None = None
    excluded: tuple[int, ...] = ()
    euler_deg: tuple[tuple[float, float, float], ...] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        views = len(self.values)
        if len(self.tilt_deg) != views:
            raise UserError(f"The series has {views} images but {len(self.tilt_deg)} tilt angles.")
        if self.alignment is not None and len(self.alignment.shift_x_px) != views:
            raise UserError(
                f"The series has {views} images, but the alignment is of {len(self.alignment.shift_x_px)} views."
            )
        if self.euler_deg is not None and len(self.euler_deg) != views:
            raise UserError(f"The series has {views} images but {len(self.euler_deg)} triples of Euler angles.")
        wrong = [index for index in self.excluded if not 0 <= index < views]
        if wrong:
            raise UserError(f"View {wrong[0]} cannot be excluded: the series has views 0 to {views - 1}.")

    @property
    def used(self) -> npt.NDArray[np.int64]:
        """Indices of the views that are not excluded."""
        return np.setdiff1d(np.arange(len(self.values)), np.asarray(self.excluded, np.int64))


@dataclass(frozen=True, eq=False)
class Volume(ArrayData):
    """A reconstructed or simulated volume (z, y, x)."""

    kind = "volume"
    ndim = 3
    spatial_axes = 3

    def slice_z(self, index: int) -> Image:
        """One slice perpendicular to z as an image."""
        return Image(
            self.values[index],
            self.pixel_size_nm[1:],
            self.source,
            {**self.metadata, "slice_z": index},
            self.history,
        )


@dataclass(frozen=True, eq=False)
class Labels(ArrayData):
    """A segmented volume (z, y, x) of uint8: in every voxel the value of a class, or that of ``IGNORE`` for none.

    Raises UserError for another type of values or classes that share a value or name.
    """

    kind = "labels"
    ndim = 3
    spatial_axes = 3
    classes: tuple[LabelClass, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.values.dtype != np.uint8:
            raise UserError(f"labels need values of type uint8, but the array has {self.values.dtype}.")
        object.__setattr__(self, "classes", checked(self.classes))


FLAGS = ("", "edited", "edge", "not-converged", "vacant")
FLAG_NONE, FLAG_EDITED, FLAG_EDGE, FLAG_NOT_CONVERGED, FLAG_VACANT = range(5)
"""``vacant``: a place of the lattice with no column, as finding defects adds them."""

COLUMN_DTYPE = np.dtype(
    [
        ("column_id", "i8"),
        ("x_px", "f8"), ("y_px", "f8"),
        ("x_err_px", "f8"), ("y_err_px", "f8"),
        ("amplitude", "f8"), ("background", "f8"),
        ("sigma_px", "f8"), ("ellipticity", "f8"), ("angle_deg", "f8"),
        ("integrated_intensity", "f8"), ("probability", "f8"),
        ("sublattice", "i4"), ("frame", "i4"), ("flag", "u1"),
    ]
)  # fmt: skip
"""One row per column. NaN (or -1 for sublattice) where not known; errors are one standard deviation."""


_QUANTITY_NAME = re.compile(r"[a-z][a-z0-9_]*")


def table_dtype(quantities: Sequence[str] = ()) -> np.dtype[Any]:
    """:data:`COLUMN_DTYPE` followed by measured quantities, one ``f8`` each, their unit at the end of their name.

    Raises UserError for a name that is no lower-case identifier, is a field already, or occurs twice.
    """
    names = (*(COLUMN_DTYPE.names or ()), *quantities)
    for name in quantities:
        if not _QUANTITY_NAME.fullmatch(name) or names.count(name) > 1:
            raise UserError(f"{name!r} cannot name a quantity; use lower-case letters, digits and _, each name once.")
    return np.dtype([*COLUMN_DTYPE.descr, *((name, "<f8") for name in quantities)]) if quantities else COLUMN_DTYPE


def column_table(count: int, quantities: Sequence[str] = ()) -> Array:
    """Table of ``count`` columns, ids 0..count-1, everything else unknown, with further ``quantities`` if named."""
    dtype = table_dtype(quantities)
    table = np.zeros(count, dtype)
    for name in dtype.names or ():
        if dtype[name].kind == "f":
            table[name] = np.nan
    table["column_id"] = np.arange(count)
    table["sublattice"] = -1
    return table


@dataclass(frozen=True, eq=False)
class Columns:
    """Atomic columns of one image: a table (:func:`table_dtype`) in the frame of the file it came from.

    ``image_shape`` is (y, x) of that image. Positions are pixels from the centre of its first pixel. Fields beyond
    :data:`COLUMN_DTYPE` are quantities measured later, such as ``strain_xx``; see :func:`with_quantities`.
    """

    kind: ClassVar[str] = "columns"

    table: Array
    image_shape: tuple[int, int]
    pixel_size_nm: PixelSize = (None, None)
    source: Source = Source()
    metadata: Mapping[str, Any] = field(default_factory=dict)
    history: tuple[Step, ...] = ()

    def __post_init__(self) -> None:
        if self.table.ndim != 1 or self.table.dtype != table_dtype(quantities_of(self.table)):
            raise UserError(
                f"A column table is one-dimensional with COLUMN_DTYPE and quantities of f8, not {self.table.dtype}."
            )
        object.__setattr__(self, "pixel_size_nm", _pixel_size(self.pixel_size_nm, 2))

    def __len__(self) -> int:
        return len(self.table)

    @property
    def calibrated(self) -> bool:
        """Whether positions in nm are known."""
        return all(size is not None for size in self.pixel_size_nm)

    @property
    def quantities(self) -> tuple[str, ...]:
        """Names of the quantities beyond :data:`COLUMN_DTYPE`."""
        return quantities_of(self.table)

    @property
    def xy_px(self) -> npt.NDArray[np.float64]:
        """Positions (n, 2) as x, y in pixels."""
        return np.stack([self.table["x_px"], self.table["y_px"]], axis=1)

    def with_step(self, step: Step) -> Columns:
        """Copy with one more entry in its history."""
        return replace(self, history=(*self.history, step))


def quantities_of(table: Array) -> tuple[str, ...]:
    """Names of a table's fields that :data:`COLUMN_DTYPE` does not have."""
    return tuple(name for name in table.dtype.names or () if name not in (COLUMN_DTYPE.names or ()))


def with_quantities(columns: Columns, values: Mapping[str, npt.ArrayLike]) -> Columns:
    """Columns with quantities added or replaced, arrays (n,) in the order of the table."""
    table = as_dtype(columns.table, table_dtype(tuple(dict.fromkeys((*columns.quantities, *values)))))
    for name, quantity in values.items():
        table[name] = quantity
    return replace(columns, table=table)


def as_dtype(table: Array, dtype: np.dtype[Any]) -> Array:
    """Copy of a column table with the fields of another one; quantities it does not have are unknown."""
    result = np.zeros(len(table), dtype)
    for name in dtype.names or ():
        result[name] = table[name] if name in (table.dtype.names or ()) else np.nan
    return result


def joined(tables: Sequence[Array]) -> Array:
    """Column tables one after the other, with the quantities of all of them."""
    names = tuple(dict.fromkeys(name for table in tables for name in quantities_of(table)))
    return np.concatenate([as_dtype(table, table_dtype(names)) for table in tables])


Data = Image | ImageSeries | TiltSeries | Volume | Labels | Columns
_CLASSES: dict[str, type[Any]] = {c.kind: c for c in (Image, ImageSeries, TiltSeries, Volume, Labels, Columns)}


def to_parts(item: Data) -> tuple[dict[str, Any], Array]:
    """Split into a JSON-able header and its one array, for transport between processes and for project files."""
    header: dict[str, Any] = {
        "kind": item.kind,
        "pixel_size_nm": list(item.pixel_size_nm),
        "source": {"path": item.source.path, "dataset": item.source.dataset},
        "metadata": dict(item.metadata),
        "history": [step.to_json() for step in item.history],
    }
    if isinstance(item, Columns):
        header["image_shape"] = list(item.image_shape)
        if item.quantities:
            header["quantities"] = list(item.quantities)
        return header, item.table
    if isinstance(item, Labels):
        header["classes"] = [each.to_json() for each in item.classes]
    if isinstance(item, TiltSeries):
        header["tilt_deg"] = list(item.tilt_deg)
        header["tilt_axis"] = item.tilt_axis
        header["excluded"] = list(item.excluded)
        header["alignment"] = item.alignment.to_json() if item.alignment else None
        header["euler_deg"] = [list(triple) for triple in item.euler_deg] if item.euler_deg else None
    return header, item.values


def from_parts(header: Mapping[str, Any], array: Array) -> Data:
    """Inverse of :func:`to_parts`. Raises UserError for a kind that this version does not know."""
    try:
        cls = _CLASSES[header["kind"]]
    except KeyError:
        raise UserError(f"Data of kind {header.get('kind')!r} is not known to this version.") from None
    extra: dict[str, Any] = {}
    if cls is Columns:
        extra["image_shape"] = tuple(header["image_shape"])
        array = np.ascontiguousarray(array)
        if array.dtype.names is None:  # raw bytes, as transport carries structured tables
            array = array.view(table_dtype(header.get("quantities", ()))).reshape(-1)
    elif cls is Labels:
        extra["classes"] = tuple(LabelClass.from_json(each) for each in header.get("classes", ()))
    elif cls is TiltSeries:
        extra["tilt_deg"] = tuple(header["tilt_deg"])
        extra["tilt_axis"] = header.get("tilt_axis", "y")
        extra["excluded"] = tuple(header.get("excluded", ()))
        alignment, euler = header.get("alignment"), header.get("euler_deg")
        extra["alignment"] = Alignment.from_json(alignment) if alignment else None
        extra["euler_deg"] = tuple(tuple(triple) for triple in euler) if euler else None
    item: Data = cls(
        array,
        pixel_size_nm=tuple(header["pixel_size_nm"]),
        source=Source(**header["source"]),
        metadata=dict(header["metadata"]),
        history=tuple(Step.from_json(step) for step in header["history"]),
        **extra,
    )
    return item
