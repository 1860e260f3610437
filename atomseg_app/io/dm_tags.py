"""The tag tree of Gatan DigitalMicrograph files, versions 3 and 4, as nested dictionaries.

Written from the format's public description (B. Schaffer, https://personal.ntu.edu.sg/cbb/info/dmformat/). Big arrays
are not read but noted as :class:`Block`; every count is checked against the file, so a damaged one ends the reading.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atomseg_app.io.dataset import Unreadable

Tags = dict[str, Any]

_FORMATS = {2: "h", 3: "i", 4: "H", 5: "I", 6: "f", 7: "d", 8: "B", 9: "b", 10: "B", 11: "q", 12: "Q"}
_STRUCT, _STRING, _ARRAY = 15, 18, 20
_GROUP, _DATA = 20, 21
_MAX_TAGS, _MAX_DEPTH, _MAX_FIELDS = 500_000, 64, 1000
_SHORT = 4096
"""Arrays of up to this many characters are read as text."""


@dataclass(frozen=True)
class Block:
    """An array left in the file: where it begins and how many bytes it has."""

    offset: int
    size: int


def read_tags(path: Path) -> tuple[Tags, str]:
    """Tag tree of a file and its byte order (``<`` or ``>``). Raises Unreadable or struct.error for damaged files."""
    if path.stat().st_size < 16:
        raise Unreadable("it is cut short: not even its header is there")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        reader = _Reader(content)
        return reader.group(0), reader.order


def find(tags: object, *names: str) -> Any:
    """Entry of a nested group, None where any name is missing."""
    for name in names:
        if not isinstance(tags, dict):
            return None
        tags = tags.get(name)
    return tags


def entries(tags: object) -> list[Any]:
    """Members of a group in order; a list has none where the group is missing."""
    return list(tags.values()) if isinstance(tags, dict) else []


class _Reader:
    """Walks through the tags of one file; unnamed members get their index as a name."""

    def __init__(self, content: mmap.mmap) -> None:
        self._content, self._end, self._at, self._tags = content, len(content), 0, 0
        version = self._take(">I")
        if version not in (3, 4):
            raise Unreadable(f"DigitalMicrograph version {version} is not known")
        self._long = version == 4
        self._take(">Q" if self._long else ">I")
        self.order = "<" if self._take(">I") == 1 else ">"

    def _take(self, form: str) -> Any:
        (value,) = struct.unpack_from(form, self._content, self._at)
        self._at += struct.calcsize(form)
        return value

    def _count(self) -> int:
        """A count, which no file can hold more of than it has bytes."""
        value: int = self._take(">Q" if self._long else ">I")
        if value > self._end:
            raise Unreadable("a count in its tags is larger than the file")
        return value

    def group(self, depth: int) -> Tags:
        """Members of the group that begins here."""
        if depth > _MAX_DEPTH:
            raise Unreadable("its tags are nested too deeply")
        self._at += 2  # sorted, open: of no use
        members: Tags = {}
        for index in range(self._count()):
            self._tags += 1
            if self._tags > _MAX_TAGS:
                raise Unreadable("it has too many tags")
            kind, length = self._take("B"), self._take(">H")
            name = self._content[self._at : self._at + length].decode("latin-1") or str(index)
            self._at += length
            if self._long:
                self._at += 8  # bytes of this tag
            if kind == _GROUP:
                members[name] = self.group(depth + 1)
            elif kind == _DATA:
                members[name] = self._data(name != "Data")
            else:
                raise Unreadable(f"a tag of its tree is of unknown type {kind}")
        return members

    def _data(self, may_be_text: bool) -> Any:
        """Value of the data tag that begins here."""
        if self._content[self._at : self._at + 4] != b"%%%%":
            raise Unreadable("its tree of tags is damaged")
        self._at += 4
        fields = self._count()
        if not 0 < fields <= _MAX_FIELDS:
            raise Unreadable("its tree of tags is damaged")
        code, *rest = [self._count() for _ in range(fields)]
        if code == _STRUCT:
            return tuple(self._take(self.order + form) for form in self._struct(rest))
        if code == _STRING:
            return self._array(rest[0], "H", may_be_text)
        if code == _ARRAY:
            forms = "".join(self._struct(rest[1:-1])) if rest[0] == _STRUCT else _FORMATS[rest[0]]
            return self._array(rest[-1], forms, may_be_text)
        return self._take(self.order + _FORMATS[code])

    def _struct(self, fields: list[int]) -> list[str]:
        """Formats of a structure described by name length, field count and (name length, type) pairs."""
        return [_FORMATS[code] for code in fields[3::2]][: fields[1]]

    def _array(self, count: int, form: str, may_be_text: bool) -> str | Block:
        """An array, skipped: text if it is short, of 16 bits and no pixels, else its place."""
        size = count * struct.calcsize(self.order + form)
        start, self._at = self._at, self._at + size
        if self._at > self._end:
            raise Unreadable("it is cut short: an array of its tags reaches beyond its end")
        if form == "H" and may_be_text and count <= _SHORT:
            order = "utf-16-le" if self.order == "<" else "utf-16-be"
            return self._content[start : self._at].decode(order, "replace")
        return Block(start, size)
