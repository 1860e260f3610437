"""What the window tells its user: toasts for information, banners for warnings, one dialog for what went wrong."""

from __future__ import annotations

import logging
from collections.abc import Callable

from PySide6.QtCore import QEvent, QObject, QPoint, Qt, QTimer
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton, QToolButton, QVBoxLayout, QWidget

from atomseg_app.errors import UserError
from atomseg_app.gui.error_dialog import ErrorDialog
from atomseg_app.gui.theme import Theme

_log = logging.getLogger(__name__)

TOAST_MS = 5000
_MARGIN_PX = 16
_MAX_TOASTS = 4


class Notifier(QObject):
    """Messages of one window. ``banners`` is the area that the window lays above its content."""

    def __init__(self, window: QWidget, theme: Theme) -> None:
        super().__init__(window)
        self._window = window
        self._theme = theme
        self.banners = BannerArea()
        self._toasts: list[QFrame] = []
        self.dialog: ErrorDialog | None = None
        window.installEventFilter(self)

    def info(self, text: str) -> None:
        """Tell something that needs no answer; it goes away by itself."""
        _log.info("%s", text)
        toast = _Toast(text, self._window)
        self._toasts.append(toast)
        for oldest in self._toasts[:-_MAX_TOASTS]:
            self._remove(oldest)
        timer = QTimer(toast, singleShot=True, interval=TOAST_MS)
        timer.timeout.connect(lambda: self._remove(toast))
        timer.start()
        self._place()
        toast.show()

    def warn(self, text: str, action: str = "", callback: Callable[[], object] | None = None) -> None:
        """Show a banner until it is dismissed, with a button for ``callback`` if one is given."""
        _log.warning("%s", text)
        self.banners.add(text, action, callback, self._theme)

    def error(self, title: str, problem: BaseException | str, details: str = "") -> None:
        """Show what went wrong in one dialog; while it is open, the same again is counted and others are added to it.

        A :class:`UserError` is worded for the user; anything else is an unexpected error and comes with ``details``.
        """
        text = str(problem) or type(problem).__name__
        if isinstance(problem, UserError | str):
            _log.warning("%s: %s", title, text)
        if self.dialog is None:
            self.dialog = ErrorDialog(self._window)
            self.dialog.finished.connect(self._dialog_closed)
        self.dialog.add(title, text, details)
        self.dialog.show()
        self.dialog.raise_()

    def toast_texts(self) -> list[str]:
        """What the toasts on screen say."""
        return [toast.accessibleName() for toast in self._toasts]

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Keep toasts in their corner while the window is resized."""
        if watched is self._window and event.type() == QEvent.Type.Resize:
            self._place()
        return False

    def _dialog_closed(self) -> None:
        if self.dialog is not None:
            self.dialog.deleteLater()
            self.dialog = None

    def _remove(self, toast: QFrame) -> None:
        if toast in self._toasts:
            self._toasts.remove(toast)
            toast.hide()
            toast.deleteLater()
            self._place()

    def _place(self) -> None:
        bottom = self._window.height() - _MARGIN_PX - 2 * self._window.fontMetrics().height()
        for toast in reversed(self._toasts):
            toast.setMaximumWidth(min(520, max(200, self._window.width() - 2 * _MARGIN_PX)))
            toast.adjustSize()
            bottom -= toast.height()
            toast.move(QPoint(self._window.width() - toast.width() - _MARGIN_PX, bottom))
            toast.raise_()
            bottom -= _MARGIN_PX // 2


class _Toast(QFrame):
    def __init__(self, text: str, window: QWidget) -> None:
        super().__init__(window)
        self.setProperty("role", "toast")
        self.setAccessibleName(text)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        label = QLabel(text)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setWordWrap(True)
        label.setMinimumWidth(min(label.fontMetrics().horizontalAdvance(text) + 4, 440))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(14, 10, 14, 10)
        layout.addWidget(label)


class BannerArea(QWidget):
    """Warnings above the content, one row each; the same text is shown once."""

    def __init__(self) -> None:
        super().__init__()
        self.setAccessibleName("Warnings")
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(0)
        self._banners: dict[str, QFrame] = {}
        self.hide()

    def texts(self) -> list[str]:
        """What the banners on screen say."""
        return list(self._banners)

    def add(self, text: str, action: str, callback: Callable[[], object] | None, theme: Theme) -> None:
        """Add a row with the text, a button for ``callback``, and one to dismiss it."""
        self.dismiss(text)
        banner = QFrame()
        banner.setProperty("role", "banner")
        banner.setAccessibleName(text)
        row = QHBoxLayout(banner)
        row.setContentsMargins(12, 6, 8, 6)
        mark = QLabel()
        side = self.fontMetrics().height()
        mark.setPixmap(theme.icon("mdi6.alert-outline", "on_warning").pixmap(side, side))
        row.addWidget(mark)
        label = QLabel(text)
        label.setTextFormat(Qt.TextFormat.PlainText)
        label.setWordWrap(True)
        row.addWidget(label, 1)
        if callback is not None:
            button = QPushButton(action)
            button.clicked.connect(lambda: self.dismiss(text))
            button.clicked.connect(lambda: callback())
            row.addWidget(button)
        close = QToolButton()
        close.setIcon(theme.icon("mdi6.close", "on_warning"))
        close.setToolTip("Dismiss this warning.")
        close.setAccessibleName("Dismiss")
        close.clicked.connect(lambda: self.dismiss(text))
        row.addWidget(close)
        self._banners[text] = banner
        self._layout.addWidget(banner)
        self.show()

    def dismiss(self, text: str) -> None:
        """Take a banner away, if it is there."""
        banner = self._banners.pop(text, None)
        if banner is not None:
            banner.hide()
            banner.deleteLater()
        self.setVisible(bool(self._banners))
