"""Driving the segmentation tab in tests: strokes on slices, buttons, waiting."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QCheckBox
from pytestqt.qtbot import QtBot

from atomseg_app.gui.segmentation.label_store import Box
from atomseg_app.gui.segmentation.tab import SegmentationTab
from atomseg_app.gui.volumes.slice_pane import SlicePane

LEFT = Qt.MouseButton.LeftButton
JOB_MS = 180_000


def click(tab: SegmentationTab, action_id: str) -> None:
    """Click the button of an action, after scrolling to it."""
    found = tab.findChild(QAbstractButton, f"button.segmentation.{action_id}")
    assert found is not None, action_id
    tab.steps.ensureWidgetVisible(found)
    box = isinstance(found, QCheckBox)  # its middle may lie beyond its text, where a click means nothing
    QTest.mouseClick(found, LEFT, pos=QPoint(8, found.height() // 2) if box else found.rect().center())


def place(pane: SlicePane, x_px: float, y_px: float) -> QPoint:
    """Where a position of a slice lies on the screen."""
    return pane.geometry_now.point(x_px, y_px).toPoint()


def stroke(pane: SlicePane, points: Sequence[tuple[float, float]], keys: Qt.KeyboardModifier | None = None) -> None:
    """Press at the first (x, y), drag through the others, let go."""
    held = keys or Qt.KeyboardModifier.NoModifier
    QTest.mousePress(pane, LEFT, held, place(pane, *points[0]))
    for point in points[1:]:
        QTest.mouseMove(pane, place(pane, *point))
    QTest.mouseRelease(pane, LEFT, held, place(pane, *points[-1]))


def paint_truth(tab: SegmentationTab, truth: np.ndarray, slices: Sequence[int]) -> None:
    """Paint whole slices along z with the true classes, a stroke a class."""
    _, height, width = truth.shape
    for z in slices:
        for value in np.unique(truth[z]):
            tab.model.choose(int(value))
            assert tab.painter.begin("Paint")
            tab.painter.fill_box(Box((z, 0, 0), (z + 1, height, width)), truth[z : z + 1] == value)
            tab.painter.end()


def idle(tab: SegmentationTab, qtbot: QtBot) -> None:
    """Wait until no job is left."""
    qtbot.waitUntil(lambda: not tab.context.jobs.active(), timeout=JOB_MS)
