"""Driving a window in tests: drop files, answer questions, wait."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QMimeData, QPoint, QPointF, Qt, QTimer, QUrl
from PySide6.QtGui import QDragEnterEvent, QDropEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import (
    QApplication,
)

from atomseg_app.gui.main_window import MainWindow
from atomseg_app.gui.questions import Question
from tests.gui.plain_tab import PlainTab

Key, Button = Qt.Key, Qt.MouseButton
OPEN_MS = 20_000


def plain(window: MainWindow) -> PlainTab:
    """The plain workspace."""
    tab = window.tabs["plain"]
    assert isinstance(tab, PlainTab)
    return tab


def drop(window: MainWindow, place: QPoint, paths: list[Path]) -> bool:
    """Drop files as the window system does, on whatever widget lies at ``place``; whether they were accepted."""
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    copy, left, none = Qt.DropAction.CopyAction, Button.LeftButton, Qt.KeyboardModifier.NoModifier
    enter = QDragEnterEvent(place, copy, mime, left, none)
    QApplication.sendEvent(window.windowHandle(), enter)
    event = QDropEvent(QPointF(place), copy, mime, left, none)
    QApplication.sendEvent(window.windowHandle(), event)
    return enter.isAccepted() and event.isAccepted()


def answer(label: str, seen: list[Question] | None = None) -> None:
    """Click a button of the next question as soon as it is shown."""

    def click() -> None:
        dialog = QApplication.activeModalWidget()
        if not isinstance(dialog, Question):
            QTimer.singleShot(20, click)
            return
        if seen is not None:
            seen.append(dialog)
        QTest.mouseClick(dialog.buttons[label], Button.LeftButton)

    QTimer.singleShot(20, click)
