"""Driving the 2D atoms tab in tests: places on the canvas, drags, buttons, waiting."""

from __future__ import annotations

import itertools

import numpy as np
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton
from pytestqt.qtbot import QtBot

from atomseg_app.data import Columns
from atomseg_app.gui.atoms.tab import AtomsTab
from atomseg_app.simulate.columns import TrueColumns

LEFT = Qt.MouseButton.LeftButton
JOB_MS = 120_000


def place(tab: AtomsTab, x_px: float, y_px: float) -> QPoint:
    """Where an image position lies on the canvas."""
    return tab.view.canvas.geometry_now.point(x_px, y_px).toPoint()


def drag(tab: AtomsTab, path: list[tuple[float, float]]) -> None:
    """Drag with the left button along image positions."""
    canvas = tab.view.canvas
    points = [place(tab, *position) for position in path]
    QTest.mousePress(canvas, LEFT, pos=points[0])
    for start, end in itertools.pairwise(points):
        for share in (0.5, 1.0):
            QTest.mouseMove(canvas, start + (end - start) * share)
    QTest.mouseRelease(canvas, LEFT, pos=points[-1])


def button(tab: AtomsTab, action_id: str) -> QAbstractButton:
    """The button of an action in the tab."""
    found = tab.findChild(QAbstractButton, f"button.{action_id}")
    assert found is not None
    return found


def idle(tab: AtomsTab, qtbot: QtBot) -> None:
    """Wait until no job of the tab is left."""
    titles = ("Find columns", "Fit ", "Export", "Measure")
    qtbot.waitUntil(
        lambda: not [job for job in tab.context.jobs.active() if job.title.startswith(titles)], timeout=JOB_MS
    )


def nearest_error(columns: Columns, truth: TrueColumns) -> np.ndarray:
    """Distance of each true column to the nearest found one."""
    true = np.stack([truth.x_px, truth.y_px], axis=1)
    return np.linalg.norm(true[:, None] - columns.xy_px[None], axis=2).min(axis=1)
