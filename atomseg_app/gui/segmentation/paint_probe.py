"""Measures painting from inside the window: from the move of the pointer to the label drawn on the screen."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from PySide6.QtCore import QCoreApplication, QEvent, QPointF, Qt
from PySide6.QtGui import QMouseEvent

from atomseg_app.data import Source, Volume
from atomseg_app.gui.volumes.slice_pane import SlicePane

if TYPE_CHECKING:
    from atomseg_app.gui.main_window import MainWindow
    from atomseg_app.gui.segmentation.tab import SegmentationTab

_MOVES = 60
_PLANE_PX, _BALL_PX = 2048, 512


def measure_painting(window: MainWindow, tab: SegmentationTab) -> dict[str, list[float]]:
    """Seconds of each move: ``brush_s`` of radius 100 px on 2048 x 2048 px, ``ball_s`` of radius 30 in 512^3; and what
    of them the window's thread computed, ``brush_processor_s`` and ``ball_processor_s``.
    """
    window.show_workspace(tab.name)
    found = {}
    for name, shape, tool, radius_px, part in (
        ("brush", (4, _PLANE_PX, _PLANE_PX), "brush", 100.0, "XY"),
        ("ball", (_BALL_PX, _BALL_PX, _BALL_PX), "ball", 30.0, ""),
    ):
        moves = _strokes(tab, shape, tool, radius_px, part)
        found[f"{name}_s"], found[f"{name}_processor_s"] = [wall for wall, _ in moves], [used for _, used in moves]
    tab.take_tool("look")
    return found


def _strokes(
    tab: SegmentationTab, shape: tuple[int, int, int], tool: str, radius_px: float, part: str
) -> list[tuple[float, float]]:
    """Seconds of each move: on the clock, and computed."""
    values = np.random.default_rng(1).integers(0, 255, shape, np.uint8)
    tab.add_item(Volume(values, (1.0, 1.0, 1.0), Source(dataset="painting")))
    tab.widen(part)
    tab.painter.set_brush(replace(tab.painter.brush, radius_px=radius_px))
    tab.take_tool(tool)
    pane = tab.slices.panes["XY"]
    _draw(pane)
    seconds = []
    turns = np.linspace(0, 4 * np.pi, _MOVES)
    middle, reach = shape[1] / 2, 0.3 * shape[1]
    places = [(middle + reach * np.cos(t) * t / 13, middle + reach * np.sin(t) * t / 13) for t in turns]
    _send(pane, QEvent.Type.MouseButtonPress, places[0])
    for place in places[1:]:
        start, before = time.perf_counter(), time.thread_time()
        _send(pane, QEvent.Type.MouseMove, place)
        _draw(pane)
        seconds.append((time.perf_counter() - start, time.thread_time() - before))
    _send(pane, QEvent.Type.MouseButtonRelease, places[-1])
    return seconds


def _send(pane: SlicePane, kind: QEvent.Type, place: tuple[float, float]) -> None:
    """An event of the left button at a position (x, y) of the slice."""
    at: QPointF = pane.geometry_now.point(*place)
    left, none = Qt.MouseButton.LeftButton, Qt.MouseButton.NoButton
    button = none if kind == QEvent.Type.MouseMove else left
    held = none if kind == QEvent.Type.MouseButtonRelease else left
    event = QMouseEvent(kind, at, pane.mapToGlobal(at), button, held, Qt.KeyboardModifier.NoModifier)
    QCoreApplication.sendEvent(pane, event)


def _draw(pane: SlicePane) -> None:
    """Everything that asked to be drawn is, now."""
    QCoreApplication.sendPostedEvents(pane.window(), QEvent.Type.UpdateRequest.value)
