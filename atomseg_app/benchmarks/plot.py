"""A log-log plot as a PNG, drawn with what the program has anyway."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from atomseg_app.io.atomic_write import atomic_path

Floats = npt.NDArray[np.float64]

_SIZE, _MARGIN = (900, 560), (110, 60, 40, 90)  # left, top, right and bottom of the axes
_INK, _GRID, _PAPER = (40, 40, 40), (222, 222, 222), (255, 255, 255)
_TEXT = 22


@dataclass(frozen=True)
class Curve:
    """Points ``x``, ``y`` (n,), all positive, with what they are called and their colour."""

    name: str
    x: Floats
    y: Floats
    colour: tuple[int, int, int]


def write_log_log(curves: list[Curve], title: str, x_label: str, path: str | Path) -> None:
    """Draw curves over logarithmic axes, each with a dashed line of slope 1 through its last point; write a PNG.

    Raises ValueError for values that are not positive, FileError where the file cannot be written.
    """
    x = np.concatenate([curve.x for curve in curves])
    y = np.concatenate([curve.y for curve in curves])
    if not (len(x) and (x > 0).all() and (y > 0).all()):
        raise ValueError("Logarithmic axes need positive values.")
    axes = _Axes(_decades(x), _decades(y))
    axes.grid(x_label, title)
    for row, curve in enumerate(curves):
        axes.curve(curve, row)
    with atomic_path(path) as temporary:
        axes.picture.save(temporary, format="PNG")


def _decades(values: Floats) -> tuple[int, int]:
    """The decades that hold all values: exponents of their ends."""
    low, high = int(np.floor(np.log10(values.min()))), int(np.ceil(np.log10(values.max())))
    return low, max(high, low + 1)


class _Axes:
    """A sheet with logarithmic axes over whole decades."""

    def __init__(self, x_decades: tuple[int, int], y_decades: tuple[int, int]) -> None:
        self.picture = Image.new("RGB", _SIZE, _PAPER)
        self._draw = ImageDraw.Draw(self.picture)
        self._font = ImageFont.load_default(_TEXT)
        left, top, right, bottom = _MARGIN
        self._left, self._right, self._top, self._bottom = left, _SIZE[0] - right, top, _SIZE[1] - bottom
        self._x, self._y = x_decades, y_decades

    def place(self, x: Floats, y: Floats) -> list[tuple[float, float]]:
        """Where values lie on the sheet."""
        along = (np.log10(x) - self._x[0]) / (self._x[1] - self._x[0])
        up = (np.log10(y) - self._y[0]) / (self._y[1] - self._y[0])
        across = self._left + along * (self._right - self._left)
        down = self._bottom - up * (self._bottom - self._top)
        return list(zip(across.tolist(), down.tolist(), strict=True))

    def grid(self, x_label: str, title: str) -> None:
        """Lines and numbers at each decade, label and title."""
        draw, font = self._draw, self._font
        for power in range(self._x[0], self._x[1] + 1):
            (x, _), *_ = self.place(np.array([10.0**power]), np.array([10.0 ** self._y[0]]))
            draw.line((x, self._top, x, self._bottom), _GRID)
            draw.text((x, self._bottom + 8), f"{10.0**power:,.10g}", _INK, font, anchor="ma")
        for power in range(self._y[0], self._y[1] + 1):
            (_, y), *_ = self.place(np.array([10.0 ** self._x[0]]), np.array([10.0**power]))
            draw.line((self._left, y, self._right, y), _GRID)
            draw.text((self._left - 10, y), f"{10.0**power:,.10g}", _INK, font, anchor="rm")
        draw.rectangle((self._left, self._top, self._right, self._bottom), outline=_INK)
        draw.text((_SIZE[0] / 2, _SIZE[1] - 12), x_label, _INK, font, anchor="md")
        draw.text((_SIZE[0] / 2, self._top - 14), title, _INK, font, anchor="md")

    def curve(self, curve: Curve, row: int) -> None:
        """Points joined by a line, the dashed line of slope 1 through the last, and the name."""
        draw, order = self._draw, np.argsort(curve.x)
        x, y = curve.x[order], curve.y[order]
        low = max(10.0 ** self._x[0], x[-1] / y[-1] * 10.0 ** self._y[0])
        high = min(10.0 ** self._x[1], x[-1] / y[-1] * 10.0 ** self._y[1])
        along = np.geomspace(low, high, 81)
        dashed = self.place(along, along * y[-1] / x[-1])
        for start, end in zip(dashed[::2], dashed[1::2], strict=False):
            draw.line((*start, *end), curve.colour, 1)
        points = self.place(x, y)
        draw.line(points, curve.colour, 3)
        for across, down in points:
            draw.ellipse((across - 6, down - 6, across + 6, down + 6), fill=curve.colour)
        where = (self._left + 20, self._top + 14 + 1.3 * _TEXT * row)
        draw.text(where, curve.name, curve.colour, self._font)
