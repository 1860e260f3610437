"""Icons drawn from an outline font in the colour of the look in force, so they are sharp at any scale and theme."""

from __future__ import annotations

from collections.abc import Callable

from PySide6.QtCore import QRect, QRectF, QSize, Qt
from PySide6.QtGui import QColor, QFont, QIcon, QIconEngine, QImage, QPainter, QPixmap

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
        import qtawesome  # loads its fonts

        colours = self._colours()
        role = "muted" if mode == QIcon.Mode.Disabled and self._role == "text" else self._role
        colour = QColor(getattr(colours, role))
        if mode == QIcon.Mode.Disabled:
            colour.setAlphaF(0.45)
        font: QFont = qtawesome.font(self._name.split(".")[0], round(rect.height() * 0.88))
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(font)
        painter.setPen(colour)
        painter.drawText(QRectF(rect), Qt.AlignmentFlag.AlignCenter, qtawesome.charmap(self._name))
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
