"""Tables of columns as files: CSV (read and written), JSON, extended XYZ.

The CSV has one row per column and this header; positions in pixels from the centre of the file's first pixel, one
standard deviation as error, lengths also in nm and errors in pm where the file is calibrated, cells empty where not
known. Numbers have the digits that give the same value when read back. Quantities measured later follow, unit at the
end of the name; those in ``_px`` also as ``_nm`` and errors in ``_err_px`` as ``_err_pm``.
"""

from __future__ import annotations

import csv
import io
import json
import platform
import re
from collections.abc import Callable, Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from atomseg_app import __version__
from atomseg_app.data import (
    COLUMN_DTYPE,
    FLAGS,
    Array,
    Columns,
    Data,
    Image,
    Source,
    column_table,
    from_parts,
    to_parts,
)
from atomseg_app.errors import FileError, UserError
from atomseg_app.io.atomic_write import write_text

CSV_HEADER = (
    "column_id", "x_px", "y_px", "x_nm", "y_nm", "x_err_px", "y_err_px", "x_err_pm", "y_err_pm",
    "amplitude", "background", "sigma_px", "ellipticity", "angle_deg", "integrated_intensity",
    "probability", "sublattice", "frame", "flag",
)  # fmt: skip
COLUMNS_FORMAT, IMAGE_FORMAT = "atomseg-columns", "atomseg-image"
SCHEMA = 1
_PM_PER_NM = 1000.0
_DERIVED = {
    "x_nm": ("x_px", 1, 1.0), "y_nm": ("y_px", 0, 1.0),
    "x_err_pm": ("x_err_px", 1, _PM_PER_NM), "y_err_pm": ("y_err_px", 0, _PM_PER_NM),
}  # fmt: skip
"""Cells computed from the table: field, axis of ``pixel_size_nm``, factor."""


def write_csv(columns: Columns, path: str | Path) -> None:
    """Write the table as CSV (UTF-8, LF, decimal point), whole or not at all. Raises FileError."""
    names = csv_header(columns)
    cells = [["" if value is None else str(value) for value in _values(columns, name)] for name in names]
    rows = "".join(",".join(row) + "\n" for row in zip(*cells, strict=True))
    write_text(path, ",".join(names) + "\n" + rows)


def csv_header(columns: Columns) -> tuple[str, ...]:
    """:data:`CSV_HEADER`, then each quantity, a length followed by itself in nm or pm where the table is calibrated."""
    names = list(CSV_HEADER)
    for name in columns.quantities:
        derived = calibrated_name(name)
        names += [name] if derived is None or nm_per_px(columns, name) is None else [name, derived]
    return tuple(names)


def calibrated_name(quantity: str) -> str | None:
    """Name of a length in pixels once calibrated: ``_err_px`` becomes ``_err_pm``, ``_px`` ``_nm``; None for others."""
    if not quantity.endswith("_px"):
        return None
    return quantity[:-2] + ("pm" if quantity.endswith("_err_px") else "nm")


def nm_per_px(columns: Columns, quantity: str) -> float | None:
    """Pixel size of the axis that the name says (``_x_`` or ``_y_``); a length of any direction needs square pixels."""
    size_y, size_x = columns.pixel_size_nm
    words = quantity.split("_")
    if "x" in words or "y" in words:
        return size_x if "x" in words else size_y
    return size_x if size_x == size_y else None


def _values(columns: Columns, name: str) -> list[Any]:
    """One CSV column as Python values, row by row; None where not known. ``str`` of a float reads back exactly."""
    if name == "flag":
        return [FLAGS[flag] for flag in columns.table["flag"]]
    if name in _DERIVED:
        field, axis, factor = _DERIVED[name]
        size = columns.pixel_size_nm[axis]
        values = columns.table[field] * (np.nan if size is None else size * factor)
    elif name in (columns.table.dtype.names or ()):
        values = columns.table[name]
    else:
        field, factor = name[:-2] + "px", _PM_PER_NM if name.endswith("_pm") else 1.0
        values = columns.table[field] * (nm_per_px(columns, field) or np.nan) * factor
    known = values >= 0 if name == "sublattice" else np.isfinite(values)
    return [value if sure else None for value, sure in zip(values.tolist(), known.tolist(), strict=True)]


def read_csv(path: str | Path, image: Image | None = None) -> Columns:
    """Read a table written by :func:`write_csv`, or any CSV with ``x_px`` and ``y_px`` columns.

    Further columns of numbers are read as quantities. Shape, pixel size and source of ``image`` count; without it they
    come from the JSON of the same name beside the CSV, or else from the table itself (pixel size from nm against px,
    shape just large enough). Raises FileError naming the line and the value.
    """
    path = Path(path)
    rows = _rows(path)
    columns = {name: [row[name] for row in rows] for name in (rows[0] if rows else {})}
    sidecar = path.with_suffix(".json")
    declared = _declared(sidecar) if image is None and sidecar.is_file() else ()
    table = column_table(len(rows), [*declared, *_numbers(columns, declared)])
    for name in table.dtype.names or ():
        if name in columns:
            table[name] = _parse(path, name, columns[name])
    if "column_id" in columns and len(np.unique(table["column_id"])) != len(table):
        raise FileError(f"{path}: a column_id occurs twice; give every column its own.")
    if image is not None:
        return Columns(table, (image.shape[0], image.shape[1]), image.pixel_size_nm, image.source)
    if sidecar.is_file():
        return _with_header(table, sidecar)
    shape = tuple(int(np.ceil(np.max(table[name], initial=0))) + 1 for name in ("y_px", "x_px"))
    sizes = tuple(_pixel_size(table[f"{axis}_px"], columns.get(f"{axis}_nm", ())) for axis in "yx")
    return Columns(table, (shape[0], shape[1]), sizes, Source(str(path)))


def _rows(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV with the columns it must have."""
    try:
        reader = csv.DictReader(io.StringIO(path.read_text("utf-8-sig")), strict=True)
        missing = {"x_px", "y_px"} - set(reader.fieldnames or ())
        if missing:
            raise FileError(
                f"{path} is no table of columns: it has no {' and no '.join(sorted(missing))}; "
                f"its first line must be a comma-separated header such as {','.join(CSV_HEADER[:3])}."
            )
        rows = list(reader)
    except OSError as problem:
        raise FileError(f"{path} cannot be read: {problem.strerror or problem}.") from problem
    except (UnicodeDecodeError, csv.Error) as problem:
        raise FileError(f"{path} is no CSV text ({problem}); export the table as UTF-8 CSV.") from problem
    for line, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise FileError(f"{path}, line {line}: the number of cells differs from the header's.")
    return rows


def _declared(sidecar: Path) -> tuple[str, ...]:
    """Names of the quantities that the JSON beside a table tells of; none where it cannot be used."""
    try:
        found = json.loads(sidecar.read_text("utf-8"))
        return tuple(str(name) for name in found.get("quantities", ()))
    except (OSError, ValueError, AttributeError, TypeError, RecursionError):
        return ()  # the same file is refused in one sentence once the table has been read


def _numbers(columns: Mapping[str, list[str]], declared: Iterable[str]) -> list[str]:
    """Names of further columns that hold nothing but numbers: quantities that no JSON tells of."""
    taken = {*CSV_HEADER, *declared, *(calibrated_name(name) for name in columns)}
    return [
        name
        for name, cells in columns.items()
        if name not in taken and re.fullmatch(r"[a-z][a-z0-9_]*", name) and _all_numbers(cells)
    ]


def _all_numbers(cells: Iterable[str]) -> bool:
    known = [cell for cell in cells if cell.strip()]
    try:
        return all(np.isfinite(float(cell)) for cell in known) and bool(known)
    except ValueError:
        return False


def _parse(path: Path, name: str, cells: list[str]) -> Array:
    """Values of one field from its cells; empty means not known."""
    dtype = COLUMN_DTYPE[name] if name in (COLUMN_DTYPE.names or ()) else np.dtype("f8")
    unknown = {"f": np.nan, "i": -1 if name == "sublattice" else 0, "u": 0}[dtype.kind]
    parse: Callable[[str], Any] = FLAGS.index if name == "flag" else float if dtype.kind == "f" else int
    values = np.full(len(cells), unknown, dtype)
    for index, cell in enumerate(cells):
        if not cell.strip():
            if name in ("x_px", "y_px", "column_id"):
                raise FileError(f"{path}, line {index + 2}: {name} is empty; every column needs one.")
            continue
        try:
            values[index] = parse(cell.strip())
        except (ValueError, OverflowError):
            allowed = f"one of {', '.join(FLAGS[1:])} or empty" if name == "flag" else "a number with a decimal point"
            raise FileError(f"{path}, line {index + 2}: {name} is {cell!r}, but must be {allowed}.") from None
    if name in ("x_px", "y_px") and not np.isfinite(values).all():
        raise FileError(f"{path}: {name} must be a finite number in every line.")
    return values


def _pixel_size(positions_px: npt.NDArray[np.float64], cells_nm: Iterable[str]) -> float | None:
    """Pixel size that turns the positions into the nm beside them: the simplest number that does so exactly."""
    pairs = [(px, float(nm)) for px, nm in zip(positions_px.tolist(), cells_nm, strict=False) if nm.strip()]
    px, nm = max(pairs, key=lambda pair: abs(pair[0]), default=(0.0, 0.0))
    if not px:
        return None
    size = nm / px
    simple = (float(f"{size:.{digits}g}") for digits in range(1, 17))
    near = (size, float(np.nextafter(size, 0)), float(np.nextafter(size, np.inf)))
    return next((c for c in (*simple, *near) if all(a * c == b for a, b in pairs)), size)


def header(item: Data) -> dict[str, Any]:
    """What numbers alone cannot say: source, shape, pixel size, history, versions; JSON-able."""
    table = isinstance(item, Columns)
    return {
        "format": COLUMNS_FORMAT if table else IMAGE_FORMAT,
        "schema": SCHEMA,
        "versions": versions(),
        **to_parts(item)[0],
        **({"columns": len(item)} if isinstance(item, Columns) else {"shape": list(item.shape)}),
    }


def versions() -> dict[str, str]:
    """Versions of what computes, without importing any of it."""
    found = {"atomseg": __version__, "python": platform.python_version()}
    for package in ("numpy", "scipy", "torch"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def write_history(item: Data, path: str | Path) -> None:
    """Write the JSON beside a CSV or an image: history, versions, source, calibration. Raises FileError."""
    write_text(path, json.dumps(header(item), indent=2, ensure_ascii=False, default=str) + "\n")


def write_json(columns: Columns, path: str | Path) -> None:
    """Write the whole table as JSON: :func:`header` and ``table``, one object a column, null where not known."""
    cells = {name: _values(columns, name) for name in csv_header(columns)}
    table = [dict(zip(cells, row, strict=True)) for row in zip(*cells.values(), strict=True)]
    write_text(path, json.dumps({**header(columns), "table": table}, ensure_ascii=False, default=str) + "\n")


def _with_header(table: Array, sidecar: Path) -> Columns:
    """Columns of a table and the JSON beside it."""
    try:
        found = json.loads(sidecar.read_text("utf-8"))
        if not isinstance(found, Mapping) or found.get("format") != COLUMNS_FORMAT:
            raise ValueError(f"it is not of format {COLUMNS_FORMAT}")
        columns = from_parts(found, table)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as problem:
        raise FileError(
            f"{sidecar}, which belongs to the table, cannot be used ({problem}); move it away or repair it."
        ) from problem
    if not isinstance(columns, Columns):
        raise FileError(f"{sidecar} describes a {columns.kind}, not columns; move it away.")
    return columns


def write_xyz(columns: Columns, path: str | Path) -> None:
    """Write extended XYZ as ASE reads it: one atom X a column at z = 0, in Å, x right and y down as in the image.

    Raises UserError where the table is not calibrated: XYZ knows no pixels.
    """
    if not columns.calibrated:
        raise UserError(
            "XYZ needs positions in Å, but the pixel size is not known; set it (--pixel-size-nm) and export again."
        )
    table = columns.table
    size_y, size_x = (size * 10 for size in columns.pixel_size_nm if size is not None)
    height, width = columns.image_shape[0] * size_y, columns.image_shape[1] * size_x
    fields = [name for name in ("amplitude", "sigma_px", "probability") if np.isfinite(table[name]).all()]
    properties = "species:S:1:pos:R:3:column_id:I:1" + "".join(f":{name}:R:1" for name in fields)
    lines = [
        f"{len(table)}",
        f'Lattice="{width!r} 0.0 0.0 0.0 {height!r} 0.0 0.0 0.0 1.0" Properties={properties} pbc="F F F"',
    ]
    for row in table[["x_px", "y_px", "column_id", *fields]].tolist():
        x_px, y_px, *rest = row
        lines.append(" ".join(["X", repr(x_px * size_x), repr(y_px * size_y), "0.0", *map(str, rest)]))
    write_text(path, "\n".join(lines) + "\n")
