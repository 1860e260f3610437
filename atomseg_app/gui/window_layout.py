"""Where the window and its docks are: kept between starts, and always on a screen that is there."""

from __future__ import annotations

from PySide6.QtCore import QByteArray, QRect
from PySide6.QtGui import QGuiApplication
from PySide6.QtWidgets import QMainWindow

from atomseg_app.gui.settings import WINDOW_GEOMETRY, WINDOW_LAYOUT, Settings

LAYOUT_VERSION = 1  # raise when docks or tool bars are renamed
_VISIBLE_PX = 80


def save(window: QMainWindow, settings: Settings) -> None:
    """Keep geometry and docks."""
    settings.set(WINDOW_GEOMETRY, bytes(window.saveGeometry().toBase64().data()).decode("ascii"))
    settings.set(WINDOW_LAYOUT, bytes(window.saveState(LAYOUT_VERSION).toBase64().data()).decode("ascii"))


def restore(window: QMainWindow, settings: Settings) -> None:
    """Bring geometry and docks back; the default size where nothing usable was kept."""
    default_size(window)
    window.restoreGeometry(_bytes(settings.get(WINDOW_GEOMETRY)))
    window.restoreState(_bytes(settings.get(WINDOW_LAYOUT)), LAYOUT_VERSION)
    bring_on_screen(window)


def default_size(window: QMainWindow) -> None:
    """Most of the main screen, centred."""
    area = QGuiApplication.primaryScreen().availableGeometry()
    size = area.size() * 0.85
    rectangle = QRect(0, 0, min(size.width(), 1680), min(size.height(), 1050))
    rectangle.moveCenter(area.center())
    window.setGeometry(rectangle)


def bring_on_screen(window: QMainWindow) -> None:
    """Move and shrink the window so that its title bar and content lie on a screen that is there."""
    areas = [screen.availableGeometry() for screen in QGuiApplication.screens()]
    frame = window.frameGeometry()
    title_bar = QRect(frame.left(), frame.top(), frame.width(), _VISIBLE_PX)
    best = max(areas, key=lambda area: _overlap(area, frame))
    seen = best.intersected(title_bar)
    fits = frame.width() <= best.width() and frame.height() <= best.height()
    if fits and seen.width() >= _VISIBLE_PX and seen.height() >= _VISIBLE_PX // 2:
        return
    frame.setSize(frame.size().boundedTo(best.size()))
    frame.moveLeft(min(max(frame.left(), best.left()), best.right() - frame.width() + 1))
    frame.moveTop(min(max(frame.top(), best.top()), best.bottom() - frame.height() + 1))
    frame_px = window.frameGeometry().size() - window.geometry().size()
    inner = window.geometry().topLeft() - window.frameGeometry().topLeft()
    window.setGeometry(QRect(frame.topLeft() + inner, frame.size() - frame_px))


def _overlap(area: QRect, frame: QRect) -> int:
    common = area.intersected(frame)
    return max(common.width(), 0) * max(common.height(), 0)


def _bytes(text: str) -> QByteArray:
    return QByteArray.fromBase64(QByteArray(text.encode("ascii", "ignore")))
