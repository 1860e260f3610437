"""List rows of two lines with a text at the right, as the palette and the job list draw them; and icon labels."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRect, QSize, Qt
from PySide6.QtGui import QFont, QIcon, QPainter, QPaintEvent, QPalette
from PySide6.QtWidgets import QLabel, QStyle, QStyledItemDelegate, QStyleOptionViewItem, QWidget

_PAD_PX = 8


class TwoLineDelegate(QStyledItemDelegate):
    """Draws icon, title, a smaller second line, and a text at the right; ``FAINT`` rows are those out of use."""

    SECOND_LINE = Qt.ItemDataRole.UserRole + 1
    RIGHT_TEXT = Qt.ItemDataRole.UserRole + 2
    FAINT = Qt.ItemDataRole.UserRole + 3

    def sizeHint(self, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex) -> QSize:
        """Two lines and a margin."""
        height = option.fontMetrics.height()
        return QSize(200, round(2.0 * height) + _PAD_PX + 4)

    def paint(
        self, painter: QPainter, option: QStyleOptionViewItem, index: QModelIndex | QPersistentModelIndex
    ) -> None:
        """Draw one row."""
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        palette: QPalette = option.palette
        rect: QRect = option.rect
        selected = bool(option.state & QStyle.StateFlag.State_Selected)
        if selected:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(palette.highlight())
            painter.drawRoundedRect(rect.adjusted(1, 1, -1, -1), 5, 5)
        faint = bool(index.data(self.FAINT))
        ink = palette.highlightedText().color() if selected else palette.text().color()
        second = ink if selected else palette.placeholderText().color()
        inner = rect.adjusted(_PAD_PX, _PAD_PX // 2, -_PAD_PX, -_PAD_PX // 2)
        side = option.fontMetrics.height()
        icon = index.data(Qt.ItemDataRole.DecorationRole)
        if isinstance(icon, QIcon) and not icon.isNull():
            place = QRect(inner.left(), inner.center().y() - side // 2, side, side)
            icon.paint(painter, place, mode=QIcon.Mode.Disabled if faint else QIcon.Mode.Normal)
        inner.setLeft(inner.left() + side + _PAD_PX)
        right = index.data(self.RIGHT_TEXT) or ""
        width = option.fontMetrics.horizontalAdvance(right)
        painter.setPen(second)
        painter.drawText(inner, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, right)
        inner.setRight(inner.right() - width - (_PAD_PX if width else 0))
        top, bottom = QRect(inner), QRect(inner)
        top.setBottom(inner.center().y())
        bottom.setTop(inner.center().y())
        painter.setPen(second if faint else ink)
        self._line(painter, top, str(index.data(Qt.ItemDataRole.DisplayRole)))
        small = QFont(option.font)
        small.setPointSizeF(option.font.pointSizeF() * 0.88)
        painter.setFont(small)
        painter.setPen(second)
        self._line(painter, bottom, str(index.data(self.SECOND_LINE) or ""))
        painter.restore()

    @staticmethod
    def _line(painter: QPainter, rect: QRect, text: str) -> None:
        shown = painter.fontMetrics().elidedText(text, Qt.TextElideMode.ElideRight, rect.width())
        painter.drawText(rect, Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter, shown)


class IconLabel(QLabel):
    """An icon as tall as the text, painted anew when the look changes."""

    def __init__(self, icon: QIcon, scale: float = 1.0, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._icon = icon
        self._scale = scale

    def sizeHint(self) -> QSize:
        """A square of the text's height."""
        side = round(self.fontMetrics().height() * self._scale)
        return QSize(side, side)

    def minimumSizeHint(self) -> QSize:
        """Never smaller."""
        return self.sizeHint()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the icon."""
        painter = QPainter(self)
        self._icon.paint(painter, self.rect())
        painter.end()
