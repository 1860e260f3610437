"""Icons drawn from an outline font in the colour of the look in force, so they are sharp at any scale and theme."""

from __future__ import annotations

import functools
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

from PySide6.QtCore import QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QFontDatabase, QIcon, QIconEngine, QImage, QPainter, QPixmap

from atomseg_app.gui.colours import Colours


class FontIcon(QIconEngine):
    """One glyph ("mdi6.magnify"); the font is loaded when the first icon is painted, not when it is made."""

    def __init__(self, name: str, colours: Callable[[], Colours], role: str = "text") -> None:
        super().__init__()
        self._name = name
        self._colours = colours
        self._role = role

    def paint(self, painter: QPainter, rect: QRect, mode: QIcon.Mode, state: QIcon.State) -> None:
        """Draw the glyph centred in ``rect``."""
        colours = self._colours()
        role = "muted" if mode == QIcon.Mode.Disabled and self._role == "text" else self._role
        colour = QColor(getattr(colours, role))
        if mode == QIcon.Mode.Disabled:
            colour.setAlphaF(0.45)
        font = QFont(_family())
        font.setPixelSize(max(1, round(rect.height() * 0.88)))
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(font)
        painter.setPen(colour)
        painter.drawText(QRectF(rect), Qt.AlignmentFlag.AlignCenter, _glyph(self._name))
        painter.restore()

    def pixmap(self, size: QSize, mode: QIcon.Mode, state: QIcon.State) -> QPixmap:
        """The glyph as a transparent pixmap of ``size`` device pixels; nothing where a button has no room for it."""
        if size.isEmpty():
            return QPixmap()
        image = QImage(size, QImage.Format.Format_ARGB32_Premultiplied)
        image.fill(Qt.GlobalColor.transparent)
        painter = QPainter(image)
        self.paint(painter, QRect(0, 0, size.width(), size.height()), mode, state)
        painter.end()
        return QPixmap.fromImage(image)

    def clone(self) -> QIconEngine:
        """Another engine of the same glyph."""
        return FontIcon(self._name, self._colours, self._role)


def _font_file(pattern: str) -> Path:
    """A file of the icon font, which qtawesome brings; importing that would cost the first frame a quarter second."""
    package = importlib.util.find_spec("qtawesome")
    folders = [] if package is None else package.submodule_search_locations or []
    found = sorted(path for folder in folders for path in (Path(folder) / "fonts").glob(pattern))
    if not found:
        raise RuntimeError(f"qtawesome has no {pattern}; install qtawesome 1.4 or later.")
    return found[-1]


@functools.cache
def _family() -> str:
    """Family of the icon font, loaded once."""
    path = _font_file("materialdesignicons6-webfont-[0-9]*.ttf")
    families = QFontDatabase.applicationFontFamilies(QFontDatabase.addApplicationFont(str(path)))
    if not families:
        raise RuntimeError(f"{path} is no font that Qt can read.")
    return families[0]


@functools.cache
def _characters() -> dict[str, str]:
    """Code of each glyph in hexadecimal, by its name."""
    found: dict[str, str] = json.loads(_font_file("materialdesignicons6-webfont-charmap-*.json").read_text("utf-8"))
    return found


def _glyph(name: str) -> str:
    """Character of "mdi6.magnify"."""
    return chr(int(_characters()[name.removeprefix("mdi6.")], 16))
