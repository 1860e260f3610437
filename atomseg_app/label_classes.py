"""The classes of a segmented volume: what each grey value of its labels stands for, and in which colour it is drawn."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from atomseg_app.errors import UserError

IGNORE = 255
"""Value of voxels that nobody labelled: they teach nothing and count nowhere."""

COLOURS = ("#9a9a9a", "#56b4e9", "#e69f00", "#009e73", "#cc79a7", "#0072b2", "#d55e00", "#f0e442")
"""Okabe and Ito's colours, which colour-blind readers tell apart (jfly.uni-koeln.de/color), for values 0 and on.

Their black is a grey here: what is painted as the background lies on dark grey levels.
"""


@dataclass(frozen=True)
class LabelClass:
    """One class: the ``value`` of its voxels (0 to 254), its name, and its colour as #rrggbb.

    Raises UserError where one of them cannot be.
    """

    value: int
    name: str
    colour: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.value < IGNORE:
            raise UserError(f"Class {self.name!r} has the value {self.value}; values go from 0 to {IGNORE - 1}.")
        if not self.name.strip():
            raise UserError(f"The class of value {self.value} has no name; give it one.")
        colour = self.colour or COLOURS[self.value % len(COLOURS)]
        if not re.fullmatch(r"#[0-9a-fA-F]{6}", colour):
            raise UserError(f"Class {self.name!r} has the colour {colour!r}; write it as #rrggbb.")
        object.__setattr__(self, "colour", colour)

    def to_json(self) -> dict[str, Any]:
        """Plain dictionary."""
        return {"value": self.value, "name": self.name, "colour": self.colour}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Self:
        """Inverse of :meth:`to_json`."""
        return cls(int(entry["value"]), str(entry["name"]), str(entry.get("colour", "")))


def checked(classes: Sequence[LabelClass]) -> tuple[LabelClass, ...]:
    """The classes by value. Raises UserError where two share a value or a name."""
    for what in ("value", "name"):
        seen = [getattr(each, what) for each in classes]
        twice = next((each for each in seen if seen.count(each) > 1), None)
        if twice is not None:
            raise UserError(f"Two classes have the {what} {twice!r}; every class needs its own.")
    return tuple(sorted(classes, key=lambda each: each.value))


def numbered(values: Sequence[int]) -> tuple[LabelClass, ...]:
    """Classes for bare numbers, of a file that names none: 0 is the background."""
    return tuple(
        LabelClass(value, "background" if value == 0 else f"class {value}") for value in values if value != IGNORE
    )
