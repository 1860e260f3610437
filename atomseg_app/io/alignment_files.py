"""Alignments of tilt series as files: CSV with all digits, and IMOD's .xf.

A line of an .xf is A11 A12 A21 A22 DX DY, one a view: x' = A11 (x - xc) + A12 (y - yc) + DX + xc and y' likewise, from
a pixel of the image as taken to one of the aligned image, about the centres (xf2rotmagstr(1) of IMOD). In the words of
:class:`atomseg_app.alignment.Alignment` the aligned place p of what is seen at q is R(-a) (q - s), where a is the
rotation of the view and of the axis together and s its shift and the offset of the axis; so A = R(-a), D = -R(-a) s.
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from atomseg_app.alignment import Alignment
from atomseg_app.data import TiltSeries
from atomseg_app.errors import FileError, UserError
from atomseg_app.io.atomic_write import write_text
from atomseg_app.operations import Report

ALIGNMENT_EXTENSIONS = (".csv", ".xf")
_HEADER = ("view", "tilt_deg", "shift_x_px", "shift_y_px", "rotation_deg")
_SCALARS = ("axis_offset_px", "axis_rotation_deg")
_MAX_BYTES = 16 << 20
_NO_ROTATION = 1e-3
"""Matrices that differ more than this from a rotation also magnify, stretch or skew."""
_SWAP = np.array([[0.0, 1.0], [1.0, 0.0]])

Floats = npt.NDArray[np.float64]


def write_alignment(path: str | Path, series: TiltSeries) -> None:
    """Write the alignment of a series, as CSV or .xf by the name, whole or not at all; none is one of zeros.

    Raises UserError for another extension, FileError.
    """
    alignment = series.alignment or Alignment.none(len(series.values))
    if Path(path).suffix.lower() == ".xf":
        write_text(path, _xf_text(alignment, series.tilt_axis))
    elif Path(path).suffix.lower() == ".csv":
        write_text(path, f"# tilt_axis = {series.tilt_axis}\n" + _csv_text(alignment, series.tilt_deg))
    else:
        raise UserError(f"{path}: an alignment is saved as {' or '.join(ALIGNMENT_EXTENSIONS)}; end its name so.")


def axis_in(path: str | Path) -> Literal["y", "x"] | None:
    """Direction of the tilt axis that a CSV is of, None for an .xf and where it does not say. Raises FileError."""
    if Path(path).suffix.lower() != ".csv":
        return None
    said = re.search(r"^# *tilt_axis *= *([xy])\s*$", _text(Path(path)), re.MULTILINE)
    return None if said is None else "x" if said[1] == "x" else "y"


def tilts_in(path: str | Path) -> tuple[float, ...]:
    """Tilt angles in degrees beside the shifts of a CSV; empty for an .xf and where it has none. Raises FileError."""
    if Path(path).suffix.lower() != ".csv":
        return ()
    rows = _rows(_text(Path(path)))
    if not rows or "tilt_deg" not in rows[0]:
        return ()
    return tuple(_number(row["tilt_deg"], f"tilt_deg of view {view}", Path(path).name) for view, row in enumerate(rows))


def read_alignment(path: str | Path, views: int, report: Report, tilt_axis: Literal["y", "x"] = "y") -> Alignment:
    """Alignment of ``views`` images from a CSV of this program or an .xf; magnification in the latter is left out.

    Raises FileError, and UserError for another count of views (both are told) or another direction of the axis.
    """
    name = Path(path).name
    text = _text(Path(path))
    axis = axis_in(path)
    if axis not in (None, tilt_axis):
        raise UserError(f"{name} is of a tilt axis along {axis}, but that of the series runs along {tilt_axis}; "
                        f"choose {axis} for it (--tilt-axis {axis}).")  # fmt: skip
    is_csv = Path(path).suffix.lower() == ".csv"
    found = _from_csv(text, name) if is_csv else _from_xf(text, name, tilt_axis, report)
    if len(found.shift_x_px) != views:
        raise UserError(f"{name} aligns {len(found.shift_x_px)} views but the series has {views} images; "
                        "it belongs to another series.")  # fmt: skip
    return found


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise FileError(f"{path.name} is larger than any alignment; give the right file.")
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise FileError(f"{path.name} is no text; give an alignment ({' or '.join(ALIGNMENT_EXTENSIONS)}).") from None
    except OSError as problem:
        raise FileError(f"{path} cannot be opened: {problem.strerror or problem}.") from None


def _csv_text(alignment: Alignment, tilt_deg: Sequence[float]) -> str:
    lines = [f"# {name} = {getattr(alignment, name)!r}" for name in _SCALARS]
    lines.append(",".join(_HEADER))
    columns = zip(tilt_deg, alignment.shift_x_px, alignment.shift_y_px, alignment.rotation_deg, strict=True)
    lines += [f"{view}," + ",".join(repr(float(number)) for number in row) for view, row in enumerate(columns)]
    return "\n".join(lines) + "\n"


def _from_csv(text: str, name: str) -> Alignment:
    scalars = dict.fromkeys(_SCALARS, 0.0)
    for line in text.splitlines():
        key, _, value = line.lstrip("# ").partition("=")
        if line.startswith("#") and key.strip() in scalars:
            scalars[key.strip()] = _number(value, key.strip(), name)
    rows = _rows(text)
    missing = [column for column in _HEADER[2:] if not rows or column not in rows[0]]
    if missing:
        raise UserError(f"{name} is no alignment: it has no column {missing[0]}.")
    places = [row.get("view") for row in rows]
    if places[0] is not None and places != [str(view) for view in range(len(rows))]:
        raise UserError(f"{name} does not list the views 0 to {len(rows) - 1} in order.")
    shift_x, shift_y, rotation = (
        tuple(_number(row[column], f"{column} of view {view}", name) for view, row in enumerate(rows))
        for column in _HEADER[2:]
    )
    return Alignment(shift_x, shift_y, rotation, scalars["axis_offset_px"], scalars["axis_rotation_deg"])


def _rows(text: str) -> list[dict[str, str]]:
    """Rows of the table by column, without the comments before it."""
    table = [line for line in text.splitlines() if not line.startswith("#")]
    return list(csv.DictReader(io.StringIO("\n".join(table))))


def _number(text: str | None, what: str, name: str) -> float:
    try:
        number = float(text or "")
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise UserError(f"{name}: {what} is {text!r}, which is no number.")
    return number


def _turn(degrees: npt.ArrayLike) -> Floats:
    """Matrices (n, 2, 2) that turn x towards y."""
    angle = np.radians(np.asarray(degrees, np.float64))
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.stack([np.stack([cosine, -sine], -1), np.stack([sine, cosine], -1)], -2)


def _xf_text(alignment: Alignment, tilt_axis: str) -> str:
    matrix = _turn(-(np.asarray(alignment.rotation_deg) + alignment.axis_rotation_deg))
    shift = np.stack([np.asarray(alignment.shift_x_px) + alignment.axis_offset_px, alignment.shift_y_px], -1)
    move = -np.einsum("vij,vj->vi", matrix, shift)
    if tilt_axis == "x":  # its images are transposed before anything is aligned
        matrix = matrix @ _SWAP
    rows = np.concatenate([matrix.reshape(-1, 4), move], axis=1)
    return "".join(" ".join(f"{number:12.7f}" for number in row) + "\n" for row in rows)


def _from_xf(text: str, name: str, tilt_axis: str, report: Report) -> Alignment:
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        if not fields:
            continue
        if len(fields) != 6:
            raise UserError(f"{name}, line {number} has {len(fields)} entries instead of the six of an .xf file.")
        rows.append([_number(field, f"line {number}", name) for field in fields])
    if not rows:
        raise UserError(f"{name} holds no alignment.")
    table = np.array(rows)
    matrix, move = table[:, :4].reshape(-1, 2, 2), table[:, 4:]
    if tilt_axis == "x":
        matrix = matrix @ _SWAP
    if not np.all(np.linalg.det(matrix) > _NO_ROTATION):
        view = int(np.argmin(np.linalg.det(matrix)))
        raise UserError(f"{name}: the matrix of view {view} mirrors or flattens the image; give one that turns it.")
    left, sizes, right = np.linalg.svd(matrix)
    most = float(np.abs(sizes - 1).max())
    if most > _NO_ROTATION:
        report.note(f"{name} also magnifies or stretches by up to {100 * most:.2g} %, which is left out.")
    turn = left @ right
    angle = np.degrees(np.arctan2(turn[:, 0, 1], turn[:, 0, 0]))  # of R(-a)
    shift = -np.linalg.solve(matrix, move[..., None])[..., 0]
    axis = float(np.degrees(np.angle(np.exp(1j * np.radians(angle)).mean())))
    rotation = (angle - axis + 180) % 360 - 180
    return Alignment(
        tuple(map(float, shift[:, 0])), tuple(map(float, shift[:, 1])), tuple(map(float, rotation)), 0.0, axis
    )
