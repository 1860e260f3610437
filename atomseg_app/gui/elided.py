"""A button of two lines that gives way to narrow windows: long texts end in an ellipsis, the tooltip has it all."""

from __future__ import annotations

from PySide6.QtCore import QRect, QSize, Qt
from PySide6.QtGui import QFont, QIcon, QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import QApplication, QPushButton, QSizePolicy

_PAD_PX = 8


class RowButton(QPushButton):
    """Icon, title and a second, smaller line."""

    def __init__(
        self, title: str, line: str, icon: QIcon, elide: Qt.TextElideMode = Qt.TextElideMode.ElideRight
    ) -> None:
        super().__init__()
        self._elide = elide
        self._title, self._line, self._icon = title, line, icon
        self.setProperty("role", "row")
        self.setAccessibleName(title)
        self.setAccessibleDescription(line)
        self.setToolTip(f"{title}\n{line}")
        self.setAutoDefault(True)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        """Two lines; the width is what the layout gives."""
        height = self.fontMetrics().height()
        return QSize(12 * height, round(1.95 * height) + _PAD_PX + 4)

    def minimumSizeHint(self) -> QSize:
        """Never smaller."""
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw frame and focus as the look says, then the two lines."""
        super().paintEvent(event)
        painter = QPainter(self)
        inner = self.rect().adjusted(_PAD_PX, _PAD_PX // 2, -_PAD_PX, -_PAD_PX // 2)
        side = round(self.fontMetrics().height() * 1.25)
        mode = QIcon.Mode.Normal if self.isEnabled() else QIcon.Mode.Disabled
        self._icon.paint(painter, QRect(inner.left(), inner.center().y() - side // 2, side, side), mode=mode)
        inner.setLeft(inner.left() + side + _PAD_PX + 2)
        palette = QApplication.palette()  # the widget's own has the style sheet's colours mixed in
        muted = palette.color(QPalette.ColorRole.PlaceholderText)
        top, bottom = QRect(inner), QRect(inner)
        top.setBottom(inner.center().y())
        bottom.setTop(inner.center().y())
        painter.setPen(palette.color(QPalette.ColorRole.Text) if self.isEnabled() else muted)
        self._draw(painter, top, self._title)
        small = QFont(self.font())
        small.setPointSizeF(small.pointSizeF() * 0.88)
        painter.setFont(small)
        painter.setPen(muted)
        self._draw(painter, bottom, self._line)
        painter.end()

    def _draw(self, painter: QPainter, rect: QRect, text: str) -> None:
        shown = painter.fontMetrics().elidedText(text, self._elide, rect.width())
        painter.drawText(rect, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, shown)
