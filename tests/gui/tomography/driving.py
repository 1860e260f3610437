"""Driving the tomography tab in tests: places on canvases, wheel, buttons, waiting."""

from __future__ import annotations

from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication, QLineEdit
from pytestqt.qtbot import QtBot

from atomseg_app.gui.canvas import Canvas
from atomseg_app.gui.tomography.angle_table import AngleTable
from atomseg_app.gui.tomography.tab import TomographyTab

LEFT = Qt.MouseButton.LeftButton
JOB_MS = 180_000


def button(tab: TomographyTab, action_id: str) -> QAbstractButton:
    """The button of an action in the tab."""
    found = tab.findChild(QAbstractButton, f"button.{action_id}")
    assert found is not None, action_id
    return found


def click(tab: TomographyTab, action_id: str) -> None:
    """Click the button of an action, after scrolling to it."""
    pressed = button(tab, action_id)
    tab.steps.ensureWidgetVisible(pressed)
    QTest.mouseClick(pressed, LEFT)


def place(canvas: Canvas, x_px: float, y_px: float) -> QPoint:
    """Where an image position lies on a canvas."""
    return canvas.geometry_now.point(x_px, y_px).toPoint()


def drag(canvas: Canvas, start: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag with the left button from one image position to another, in two moves."""
    points = [place(canvas, *start), place(canvas, *end)]
    QTest.mousePress(canvas, LEFT, pos=points[0])
    for share in (0.5, 1.0):
        QTest.mouseMove(canvas, points[0] + (points[1] - points[0]) * share)
    QTest.mouseRelease(canvas, LEFT, pos=points[1])


def wheel(canvas: Canvas, notches: int, *, control: bool = False) -> None:
    """Turn the wheel over the middle of a canvas."""
    middle = QPointF(canvas.rect().center())
    keys = Qt.KeyboardModifier.ControlModifier if control else Qt.KeyboardModifier.NoModifier
    event = QWheelEvent(
        middle, canvas.mapToGlobal(middle), QPoint(), QPoint(0, 120 * notches), Qt.MouseButton.NoButton, keys,
        Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(canvas, event)


def type_into(table: AngleTable, row: int, column: int, text: str) -> None:
    """Double-click a cell, type, press Enter."""
    index = table.model().index(row, column)
    table.scrollTo(index)
    cell = table.visualRect(index).center()
    QTest.mouseClick(table.viewport(), LEFT, pos=cell)
    QTest.mouseDClick(table.viewport(), LEFT, pos=cell)
    editors = [edit for edit in table.viewport().findChildren(QLineEdit) if edit.isVisible()]
    assert editors, "a double-click opens the cell"
    editor = editors[-1]
    editor.selectAll()
    QTest.keyClicks(editor, text)
    QTest.keyClick(editor, Qt.Key.Key_Return)
    QApplication.processEvents()


def idle(tab: TomographyTab, qtbot: QtBot) -> None:
    """Wait until no job is left."""
    qtbot.waitUntil(lambda: not tab.context.jobs.active(), timeout=JOB_MS)
