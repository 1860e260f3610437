"""Lists of tilt angles as people write and paste them: one a line, in a row, or a column of a table."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from atomseg_app.errors import FileError, UserError
from atomseg_app.io.tilt_angles import MAX_BYTES, mdoc_angles

_NAMES = re.compile(r"tilt|angle|alpha|theta|winkel", re.IGNORECASE)
_DEGREES = re.compile(r"(?<![a-z])deg(?:rees?)?(?![a-z])|°|º", re.IGNORECASE)
_RADIANS = re.compile(r"(?<![a-z])rad(?:ians?)?(?![a-z])", re.IGNORECASE)
_OTHER_UNIT = re.compile(r"(?<![a-z])(?:m|milli)rad(?:ians?)?(?![a-z])", re.IGNORECASE)
_UNITS = {"deg": 1.0, "rad": math.degrees(1)}
_FEW = 3
"""So many different angles may lie within 3.2 degrees of 0 without being radians."""


@dataclass(frozen=True)
class _Line:
    """The fields of a line that is not empty, with its number for messages."""

    number: int
    fields: tuple[str, ...]


def read_angle_file(path: str | Path) -> tuple[float, ...] | npt.NDArray[np.float64]:
    """Angles in degrees of a .rawtlt, .tlt, .mdoc, text, CSV or MATLAB file; the last may have (views, 3) Euler angles.

    Raises FileError, UserError in one sentence.
    """
    path = Path(path)
    if path.suffix.lower() == ".mat":
        from atomseg_app.io.files import read_angles

        return read_angles(path)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise FileError(f"{path.name} is larger than any list of angles; give the right file.")
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise FileError(f"{path.name} is no text; give a list of angles (.rawtlt, .tlt, .mdoc, .txt, .csv).") from None
    except OSError as problem:
        raise FileError(f"{path} cannot be opened: {problem.strerror or problem}.") from None
    if path.suffix.lower() == ".mdoc":
        found = mdoc_angles(text)
        if not found:
            raise UserError(f"{path.name} has no TiltAngle entries.")
        return found
    return parse_angles(text, path.name)


def parse_angles(text: str, name: str = "The list") -> tuple[float, ...]:
    """Angles in degrees of a text: one a line, all in one row, an index and an angle a line, or a table with a header.

    ``rad`` or ``deg`` anywhere in a header or comment (``# rad``) or behind numbers says the unit; numbers that could
    be radians are refused without one. Decimal commas are understood where fields are separated by ``;`` or tabs.
    Raises UserError naming the line.
    """
    factor = _unit(text, name)
    lines = _lines(text)
    if not lines:
        raise UserError(f"{name} holds no angles.")
    header = lines[0] if any(_number(field) is None for field in lines[0].fields) else None
    rows = lines[1:] if header else lines
    numbers = [_numbers(line, name) for line in rows]
    column = _column(header, rows, numbers, name)
    angles = numbers[0] if column is None else [row[column] for row in numbers]
    if factor is None and len(set(angles)) > _FEW and max(map(abs, angles)) <= math.pi + 0.01:
        raise UserError(
            f"{name} runs from {min(angles):g} to {max(angles):g}, which could be radians; write 'rad' or 'deg' in a "
            "first line of it."
        )
    return tuple(angle * (factor or 1.0) for angle in angles)


def _unit(text: str, name: str) -> float | None:
    """Factor to degrees of the unit that a text names, None where it names none."""
    if _OTHER_UNIT.search(text):
        raise UserError(f"{name} is in milliradians; give tilt angles in degrees (deg) or radians (rad).")
    named = [key for key, pattern in (("deg", _DEGREES), ("rad", _RADIANS)) if pattern.search(text)]
    if len(named) > 1:
        raise UserError(f"{name} names both degrees and radians; leave one of them.")
    return _UNITS[named[0]] if named else None


def _lines(text: str) -> list[_Line]:
    """Fields of each line without comments, units and empty lines."""
    found = []
    for number, line in enumerate(text.lstrip("\ufeff").splitlines(), 1):
        content = line.partition("#")[0].replace("\u2212", "-").strip()
        if re.search(r"[;\t]", content):
            parts = [part.strip().replace(",", ".") for part in re.split(r"[;\t]", content)]
        elif "," in content:
            parts = [part.strip() for part in content.split(",")]
        else:
            parts = content.split()
        fields = [_bare(part) for part in parts]
        kept = tuple(field for field in fields if field)
        if kept and (len(kept) > 1 or kept[0].lower() not in _UNITS):
            found.append(_Line(number, kept))
    return found


def _bare(field: str) -> str:
    """A number without its unit; other texts as they are."""
    match = re.fullmatch(r"([-+0-9.eE]+)\s*(?:°|º|deg(?:rees?)?|rad(?:ians?)?)", field)
    return match[1] if match else field.strip("\"'[]()")


def _number(field: str) -> float | None:
    try:
        number = float(field)
    except ValueError:
        return None
    return number


def _numbers(line: _Line, name: str) -> list[float]:
    """Numbers of a line; raises UserError naming what is none."""
    found = []
    for field in line.fields:
        number = _number(field)
        if number is None or not math.isfinite(number):
            raise UserError(f"{name}, line {line.number}: {field!r} is no angle.")
        found.append(number)
    return found


def _column(header: _Line | None, rows: Sequence[_Line], numbers: Sequence[list[float]], name: str) -> int | None:
    """Which field of each line is the angle; None where the angles are one row."""
    if not rows:
        raise UserError(f"{name} holds no angles.")
    width = len(numbers[0])
    for line, row in zip(rows, numbers, strict=True):
        if len(row) != width:
            raise UserError(f"{name}, line {line.number} has {len(row)} numbers but the lines before it {width}.")
    if width == 1:
        return 0
    if header is not None and len(header.fields) == width:
        named = [place for place, field in enumerate(header.fields) if _NAMES.search(field)]
        named = named or [place for place, field in enumerate(header.fields) if _DEGREES.search(field)]
        if len(named) != 1:
            raise UserError(f"{name} has the columns {', '.join(header.fields)}; call one of them tilt_deg.")
        return named[0]
    if len(rows) == 1:
        return None
    firsts = [row[0] for row in numbers]
    if width == 2 and firsts in ([float(k) for k in range(len(firsts))], [float(k + 1) for k in range(len(firsts))]):
        return 1
    raise UserError(f"{name} has {width} numbers a line; give one angle a line, an index and an angle, or a header.")
