"""Parts of a workspace's right side: foldable sections, and buttons that follow an action of the registry."""

from __future__ import annotations

from PySide6.QtCore import QEvent, QObject, QSize, Qt
from PySide6.QtGui import QAction, QResizeEvent
from PySide6.QtWidgets import (
    QAbstractSlider,
    QAbstractSpinBox,
    QComboBox,
    QFrame,
    QLabel,
    QPushButton,
    QScrollArea,
    QScrollBar,
    QToolButton,
    QVBoxLayout,
    QWidget,
)


class Section(QFrame):
    """A step with a heading that folds it. ``body`` is the layout to fill."""

    def __init__(self, title: str, tip: str, *, folded: bool = False) -> None:
        super().__init__()
        self.setObjectName(f"section.{title.split()[0].lower()}")
        self.setAccessibleName(title)
        self.head = QToolButton()
        self.head.setText(title)
        self.head.setToolTip(tip)
        self.head.setAccessibleName(f"{title}: show or hide")
        self.head.setCheckable(True)
        self.head.setChecked(not folded)
        self.head.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        font = self.head.font()
        font.setBold(True)
        self.head.setFont(font)
        self.head.setProperty("role", "section")
        self.content = QWidget()
        self.body = QVBoxLayout(self.content)
        self.body.setContentsMargins(10, 0, 4, 8)
        self.body.setSpacing(6)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(4, 2, 4, 2)
        layout.setSpacing(2)
        layout.addWidget(self.head)
        layout.addWidget(self.content)
        self.head.toggled.connect(self._fold)
        self._fold(not folded)

    def unfold(self) -> None:
        """Show the content."""
        self.head.setChecked(True)

    def _fold(self, shown: bool) -> None:
        self.content.setVisible(shown)
        self.head.setArrowType(Qt.ArrowType.DownArrow if shown else Qt.ArrowType.RightArrow)


class ActionButton(QPushButton):
    """A button for an action of the registry: its text, icon, tooltip and whether it can be used follow the action."""

    def __init__(self, action: QAction, *, text: str = "", primary: bool = False) -> None:
        super().__init__()
        self._action, self._text = action, text
        self.setObjectName(f"button.{action.objectName()}")
        if primary:
            self.setProperty("role", "primary")
        self.clicked.connect(lambda _checked: action.trigger())
        action.changed.connect(self._follow)
        self._follow()

    def _follow(self) -> None:
        title = self._text or self._action.text()
        self.setText(title)
        self.setAccessibleName(title)
        self.setEnabled(self._action.isEnabled())
        self.setToolTip(self._action.toolTip())
        if not self.property("role"):
            self.setIcon(self._action.icon())


class StepColumn(QScrollArea):
    """Sections below each other; scrolls up and down, never sideways."""

    def __init__(self, name: str, sections: list[Section]) -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.setWidgetResizable(True)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        content = QWidget()
        layout = QVBoxLayout(content)
        layout.setContentsMargins(2, 4, 2, 8)
        layout.setSpacing(2)
        for section in sections:
            layout.addWidget(section)
        layout.addStretch(1)
        self.setWidget(content)
        for field in content.findChildren(QWidget):
            if isinstance(field, QComboBox | QAbstractSpinBox | QAbstractSlider) and not isinstance(field, QScrollBar):
                field.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
                field.installEventFilter(self)

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """The wheel scrolls this column; it changes a value only in a field that has the focus."""
        if event.type() == QEvent.Type.Wheel and isinstance(watched, QWidget) and not watched.hasFocus():
            event.ignore()
            return True
        return super().eventFilter(watched, event)

    def sizeHint(self) -> QSize:
        """As wide as its content, with room for the scroll bar."""
        content = self.widget()
        wide = 0 if content is None else content.minimumSizeHint().width()
        return QSize(wide + self.verticalScrollBar().sizeHint().width() + 4, 400)

    def minimumSizeHint(self) -> QSize:
        """Nothing is cut off at the side."""
        return QSize(self.sizeHint().width(), 120)


class WrappedLabel(QLabel):
    """Text that wraps and asks for the height that it needs at its width: a scroll area looks at the minimum height
    alone, and would take what is missing from the controls beside.
    """

    def __init__(self, text: str = "") -> None:
        super().__init__(text)
        self.setWordWrap(True)

    def setText(self, text: str) -> None:
        """Show a text."""
        super().setText(text)
        self._fit()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Another width needs another height."""
        super().resizeEvent(event)
        self._fit()

    def changeEvent(self, event: QEvent) -> None:
        """Follow the size of the text."""
        super().changeEvent(event)
        if event.type() in (QEvent.Type.FontChange, QEvent.Type.StyleChange):
            self._fit()

    def minimumSizeHint(self) -> QSize:
        """As wide as Qt says, as high as the text is at its width: Qt keeps what it once was at another."""
        return QSize(super().minimumSizeHint().width(), self.minimumHeight())

    def _fit(self) -> None:
        self.setMinimumHeight(0)  # what Qt tells is never less than this
        self.setMinimumHeight(max(0, self.heightForWidth(self.width()) if self.text() else 0))


def muted(text: str = "") -> QLabel:
    """A secondary line that wraps."""
    label = WrappedLabel(text)
    label.setProperty("role", "muted")
    label.setTextFormat(Qt.TextFormat.PlainText)
    return label
