"""Guided tour: a few bubbles beside the widgets they speak of; can be left at any time and repeated from Help."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import QEvent, QObject, QPoint, QRect, Qt
from PySide6.QtGui import QColor, QKeyEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from atomseg_app.gui.tab import TourStep
from atomseg_app.gui.theme import Theme

MAX_STEPS = 7
_GAP_PX = 12


class Tour(QWidget):
    """Covers the window, rings the widget of the current step, and explains it."""

    def __init__(self, window: QWidget, theme: Theme, steps: Sequence[TourStep]) -> None:
        super().__init__(window)
        self._window = window
        self.setObjectName("tour")
        self.setAccessibleName("Guided tour")
        self._theme = theme
        self._steps = [step for step in steps if step.widget.isVisible()][:MAX_STEPS]
        self.number = 0
        self.bubble = QFrame(self)
        self.bubble.setProperty("role", "tour")
        self.heading = QLabel()
        self.heading.setProperty("role", "heading")
        self._text = QLabel(wordWrap=True)
        self._text.setFixedWidth(44 * self.fontMetrics().averageCharWidth())
        self._count = QLabel()
        self._count.setProperty("role", "small")
        self.skip_button = QPushButton("Skip")
        self.skip_button.clicked.connect(self.close)
        self.back_button = QPushButton("Back")
        self.back_button.clicked.connect(lambda: self.go(self.number - 1))
        self.next_button = QPushButton("Next")
        self.next_button.setProperty("role", "primary")
        self.next_button.clicked.connect(lambda: self.go(self.number + 1))
        row = QHBoxLayout()
        row.addWidget(self._count, 1)
        for button in (self.skip_button, self.back_button, self.next_button):
            button.setAutoDefault(True)
            row.addWidget(button)
        layout = QVBoxLayout(self.bubble)
        layout.setContentsMargins(16, 12, 12, 10)
        layout.setSpacing(8)
        layout.addWidget(self.heading)
        layout.addWidget(self._text)
        layout.addLayout(row)
        window.installEventFilter(self)

    def start(self) -> None:
        """Show the first step; nothing if no step's widget is on the screen."""
        if self._steps:
            self.setGeometry(self._window.rect())
            self.show()
            self.raise_()
            self.go(0)
        else:
            self.close()

    def go(self, number: int) -> None:
        """Show a step; past the last one the tour ends."""
        if number >= len(self._steps):
            self.close()
            return
        self.number = max(number, 0)
        step = self._steps[self.number]
        self.heading.setText(step.title)
        self._text.setText(step.text)
        self._count.setText(f"{self.number + 1} of {len(self._steps)}")
        self.back_button.setEnabled(self.number > 0)
        self.next_button.setText("Done" if self.number == len(self._steps) - 1 else "Next")
        self._place()
        self.next_button.setFocus()
        self.update()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the size of the window."""
        if event.type() == QEvent.Type.Resize and self.isVisible():
            self.setGeometry(self._window.rect())
            self._place()
        return False

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Escape leaves, arrows turn the page."""
        steps = {Qt.Key.Key_Right: 1, Qt.Key.Key_Left: -1}
        if event.key() == Qt.Key.Key_Escape:
            self.close()
        elif event.key() in steps:
            self.go(self.number + steps[Qt.Key(event.key())])
        else:
            super().keyPressEvent(event)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Dim everything but the widget of this step."""
        painter = QPainter(self)
        target = self._target()
        shade = QColor(0, 0, 0, 90)
        top, bottom = (
            QRect(0, 0, self.width(), target.top()),
            QRect(0, target.bottom() + 1, self.width(), self.height()),
        )
        left = QRect(0, target.top(), target.left(), target.height())
        right = QRect(target.right() + 1, target.top(), self.width(), target.height())
        for part in (top, bottom, left, right):
            painter.fillRect(part, shade)
        painter.setPen(QPen(QColor(self._theme.colours.focus), 3))
        painter.drawRect(target.adjusted(1, 1, -1, -1))
        painter.end()

    def _target(self) -> QRect:
        widget = self._steps[self.number].widget
        corner = widget.mapTo(self._window, QPoint(0, 0))
        return QRect(corner, widget.size()).intersected(self.rect())

    def _place(self) -> None:
        """Put the bubble beside the target, where there is room."""
        self.bubble.adjustSize()
        size, target = self.bubble.size(), self._target()
        if target.bottom() + _GAP_PX + size.height() < self.height():
            corner = QPoint(target.left(), target.bottom() + _GAP_PX)
        elif target.top() - _GAP_PX - size.height() > 0:
            corner = QPoint(target.left(), target.top() - _GAP_PX - size.height())
        elif target.left() - _GAP_PX - size.width() > 0:
            corner = QPoint(target.left() - _GAP_PX - size.width(), target.center().y() - size.height() // 2)
        elif target.right() + _GAP_PX + size.width() < self.width():
            corner = QPoint(target.right() + _GAP_PX, target.center().y() - size.height() // 2)
        else:
            corner = target.center() - QPoint(size.width() // 2, size.height() // 2)
        corner.setX(min(max(corner.x(), _GAP_PX), self.width() - size.width() - _GAP_PX))
        corner.setY(min(max(corner.y(), _GAP_PX), self.height() - size.height() - _GAP_PX))
        self.bubble.move(corner)
