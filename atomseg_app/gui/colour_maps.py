"""Colour maps: grey, and perceptually uniform ones that colour-blind people can read."""

from __future__ import annotations

import functools

import numpy as np
import numpy.typing as npt

from atomseg_app.errors import UserError

NOT_A_NUMBER = (214, 39, 140)
"""Colour of pixels without a finite value: in none of the maps."""

_ANCHORS = {
    "grey": ("000000", "ffffff"),
    "viridis": (
        "440154", "481a6c", "472f7d", "414487", "39568c", "31688e", "2a788e", "23888e", "1f988b",
        "22a884", "35b779", "54c568", "7ad151", "a5db36", "d2e21b", "fde725",
    ),
    "cividis": (
        "00224e", "002d6c", "16396d", "2c456b", "3f516b", "505d6c", "61696e", "707672", "808376",
        "918f76", "a39c74", "b5aa6f", "c8b866", "dbc75a", "eed648", "fee838",
    ),
    "inferno": (
        "000004", "0c0826", "240c4f", "420a68", "5d126e", "781c6d", "932667", "ae305c", "c73e4c",
        "dd513a", "ed6925", "f8850f", "fca50a", "fac62d", "f2e661", "fcffa4",
    ),
    "magma": (
        "000004", "0b0924", "20114b", "3b0f70", "57157e", "721f81", "8c2981", "a8327d", "c43c75",
        "de4968", "f1605d", "fa7f5e", "fe9f6d", "febf84", "fddea0", "fcfdbf",
    ),
    "blue-red": ("2166ac", "67a9cf", "e8ecef", "ef8a62", "b2182b"),
}  # fmt: skip
"""Equally spaced anchors; those of matplotlib's maps (CC0) lie within 3 % of its own 256 colours. *blue-red* has those
of ColorBrewer's RdBu (Apache 2.0), as the figures of the command line."""

TITLES = {"grey": "Grey", "viridis": "Viridis", "cividis": "Cividis", "inferno": "Inferno", "magma": "Magma"}
"""Names of the maps that rise in lightness as shown, the default first."""

DIVERGING = "blue-red"
"""The map for values of either sign, its middle for zero."""

ALL_TITLES = {**TITLES, DIVERGING: "Blue to red"}
"""Names of every map as shown."""


_READABLE_FROM = 0.25


@functools.cache
def colour_table(name: str, invert: bool = False, count: int = 256) -> npt.NDArray[np.uint8]:
    """Colours (count, 3) of a map from low to high. Raises UserError for an unknown map."""
    if name not in _ANCHORS:
        raise UserError(f"There is no colour map {name!r}; known: {', '.join(_ANCHORS)}.")
    anchors = np.array([[int(text[i : i + 2], 16) for i in (0, 2, 4)] for text in _ANCHORS[name]], float)
    place = np.linspace(0, len(anchors) - 1, count)
    table = np.stack([np.interp(place, np.arange(len(anchors)), anchors[:, c]) for c in range(3)], axis=1)
    colours = np.round(table[::-1] if invert else table).astype(np.uint8)
    colours.flags.writeable = False
    return colours


@functools.cache
def marker_table(name: str, count: int = 256) -> npt.NDArray[np.uint8]:
    """Colours (count, 3) for marks on a dark image: the map without its darkest quarter. Raises UserError.

    A diverging map has no dark end, and stays whole.
    """
    if name == DIVERGING:
        return colour_table(name, False, count)
    colours = colour_table(name, False, 4 * count)[round(4 * count * _READABLE_FROM) :]
    readable: npt.NDArray[np.uint8] = colours[np.linspace(0, len(colours) - 1, count).round().astype(int)]
    return readable
