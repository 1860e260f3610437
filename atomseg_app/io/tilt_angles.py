"""Tilt angles beside a series: IMOD .rawtlt and .tlt (one angle a line), SerialEM .mdoc."""

from __future__ import annotations

import contextlib
import math
import re
from dataclasses import dataclass
from pathlib import Path

MAX_BYTES = 16 << 20
"""Larger side files are no lists of angles."""


@dataclass(frozen=True)
class Side:
    """What the files beside a series tell: angles in degrees or none, pixel size in nm, voltage.

    ``name`` is the file that the angles are from; ``notes`` say which files are of another series.
    """

    angles: tuple[float, ...] = ()
    pixel_size_nm: float | None = None
    kV: float | None = None  # noqa: N815 - the unit's own spelling
    name: str = ""
    notes: tuple[str, ...] = ()


def read_side_files(path: Path, views: int) -> Side:
    """Angles for ``views`` images from NAME.rawtlt, NAME.tlt or an .mdoc; refined .tlt first for aligned (.ali) stacks.

    Lists of another length belong to another series: they are left out, with a note.
    """
    text_lists = [".rawtlt", ".tlt"] if path.suffix.lower() != ".ali" else [".tlt", ".rawtlt"]
    mdoc = _read_mdoc(path)
    lists = [(side.name, _numbers(text)) for suffix in text_lists if (text := _text(side := path.with_suffix(suffix)))]
    lists += [(mdoc.name, mdoc.angles)] if mdoc.name else []
    name, angles = next(((name, angles) for name, angles in lists if len(angles) == views), ("", ()))
    notes = [_refused(name, angles, views) for name, angles in lists if len(angles) != views]
    return Side(angles, mdoc.pixel_size_nm, mdoc.kV, name, tuple(note for note in notes if note and not angles))


def list_in_folder(folder: Path, views: int) -> Side:
    """Angles for ``views`` single images from the one .rawtlt or .tlt of their folder; none where there are several."""
    lists = sorted(path for path in folder.iterdir() if path.suffix.lower() in (".rawtlt", ".tlt"))
    if len(lists) != 1:
        return Side()
    angles = _numbers(_text(lists[0]))
    if len(angles) == views:
        return Side(angles, name=lists[0].name)
    return Side(notes=(_refused(lists[0].name, angles, views),))


def _refused(name: str, angles: tuple[float, ...], views: int) -> str:
    """Why a list is not used; nothing is said of an .mdoc without angles."""
    if angles:
        return f"{name} has {len(angles)} angles but there are {views} images; it was not used."
    return "" if name.lower().endswith(".mdoc") else f"{name} is no list of angles; it was not used."


def _read_mdoc(path: Path) -> Side:
    """Angles, pixel size and voltage of NAME.EXT.mdoc or NAME.mdoc."""
    for side in (path.with_name(f"{path.name}.mdoc"), path.with_suffix(".mdoc")):
        text = _text(side)
        if not text:
            continue
        values = _mdoc_values(text)
        spacing, voltage = values["PixelSpacing"][:1], values["Voltage"][:1]
        size = spacing[0] / 10 if spacing and spacing[0] > 0 else None
        return Side(tuple(values["TiltAngle"]), size, voltage[0] if voltage else None, side.name)
    return Side()


def mdoc_angles(text: str) -> tuple[float, ...]:
    """Angles in degrees of the text of an .mdoc, one a section that has one."""
    return tuple(_mdoc_values(text)["TiltAngle"])


def _mdoc_values(text: str) -> dict[str, list[float]]:
    """The numbers that are used of an .mdoc, in their order."""
    values: dict[str, list[float]] = {"TiltAngle": [], "PixelSpacing": [], "Voltage": []}
    for name, value in re.findall(r"^(TiltAngle|PixelSpacing|Voltage)[ \t]*=[ \t]*(\S+)[ \t\r]*$", text, re.MULTILINE):
        values[name] += _numbers(value)
    return values


def _text(path: Path) -> str:
    """Text of a side file, empty if it is missing, unreadable or far too large."""
    with contextlib.suppress(OSError):
        if path.is_file() and path.stat().st_size <= MAX_BYTES:
            return path.read_text(encoding="utf-8", errors="replace")
    return ""


def _numbers(text: str) -> tuple[float, ...]:
    """Finite numbers of a text, none if anything else is in it."""
    try:
        numbers = tuple(float(word) for word in text.split())
    except ValueError:
        return ()
    return numbers if all(math.isfinite(number) for number in numbers) else ()
