"""Measures from inside how long the window gives no answer while a user does what takes work.

Each figure is the longest time between two beats of a timer: on the clock, and what the window's own thread computed
within it, which other programs do not change.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QCoreApplication, QEvent, QEventLoop, QObject, Qt, QTimer
from PySide6.QtGui import QKeyEvent

from atomseg_app import places
from atomseg_app.data import Source, Volume
from atomseg_app.gui.segmentation.label_store import Box
from atomseg_app.gui.segmentation.tab import SegmentationTab
from atomseg_app.gui.tomography.tab import SAMPLE, TomographyTab
from atomseg_app.io.mrc_writer import write_mrc
from atomseg_app.operations import Report

if TYPE_CHECKING:
    from atomseg_app.gui.main_window import MainWindow

Gap = tuple[float, float]
_BEAT_MS = 10
_SETTLE_MS = 150
_LIMIT_S = 180.0
_SIDE, _SEGMENTED = 256, 96
_SLICES = 12


class Heartbeat(QObject):
    """``longest`` is the longest gap since :meth:`reset`, in seconds: on the clock, and computed in this thread."""

    def __init__(self) -> None:
        super().__init__()
        self.longest: Gap = (0.0, 0.0)
        self._last = (0.0, 0.0)
        self._timer = QTimer(self, interval=_BEAT_MS)
        self._timer.setTimerType(Qt.TimerType.PreciseTimer)
        self._timer.timeout.connect(self.beat)

    def reset(self) -> None:
        """Begin here."""
        self.longest, self._last = (0.0, 0.0), (time.perf_counter(), time.thread_time())
        self._timer.start()

    def beat(self) -> None:
        """Note the gap that ends here."""
        now = time.perf_counter(), time.thread_time()
        gap = now[0] - self._last[0] - _BEAT_MS / 1e3, now[1] - self._last[1]
        self.longest = max(self.longest[0], gap[0]), max(self.longest[1], gap[1])
        self._last = now

    def over(self, act: Callable[[], object], until: Callable[[], bool] = lambda: True) -> Gap:
        """The longest gap while something is done, until it has come to its end and is drawn."""
        _wait(2 * _BEAT_MS)
        self.reset()
        act()
        wait_until(until)
        _wait(_SETTLE_MS)
        self.beat()
        self._timer.stop()
        return round(max(0.0, self.longest[0]), 4), round(self.longest[1], 4)


def measure_building(window: MainWindow) -> dict[str, list[Gap]]:
    """From the first frame until every workspace has been made, and the first showing of each."""
    beat, tabs = Heartbeat(), window.tabs
    found = {"making the workspaces, after the first frame": [beat.over(lambda: None, lambda: all_built(window))]}
    found["first opening of a tab"] = [beat.over(partial(window.show_workspace, name)) for name in tabs]
    return found


def all_built(window: MainWindow) -> bool:
    """Whether every workspace is there."""
    return all(tab.built for tab in window.tabs.values())


def measure_answers(window: MainWindow) -> dict[str, list[Gap]]:
    """Volumes, slices, labels, networks, surfaces, a tilt series; each as a user does it."""
    tab = window.tabs[SegmentationTab.name]
    assert isinstance(tab, SegmentationTab)
    with tempfile.TemporaryDirectory() as folder:
        found = _volumes(window, tab, Path(folder))
    found |= _labels(window, tab)
    found |= _networks(window, tab)
    found |= _series(window)
    window.show_workspace(tab.name)
    return found


def _volumes(window: MainWindow, tab: SegmentationTab, folder: Path) -> dict[str, list[Gap]]:
    """A volume of 256^3 opened from a file, turned through, and looked at from all sides."""
    beat, path = Heartbeat(), folder / "large.mrc"
    write_mrc(_phantom(_SIDE)[0], path, Report())
    window.show_workspace(tab.name)

    def shown() -> bool:
        volume, view = tab.model.volume(), tab.volume3d
        drawn = view.drawn is not None or (view.facts is not None and bool(view.facts.problem))
        return volume is not None and volume.shape == (_SIDE,) * 3 and drawn

    opened = beat.over(lambda: window.open_paths([str(path)]), shown)
    panes = list(tab.slices.panes.values())
    turned = [beat.over(partial(_turn_through, pane)) for pane in panes]
    directions = [beat.over(partial(tab.widen, part)) for part in ("XY", "XZ", "YZ", "3D", "")]
    return {
        f"opening a volume of {_SIDE}^3": [opened],
        f"turning through {_SLICES} slices of it": turned,
        "another direction": directions,
    }


def _labels(window: MainWindow, tab: SegmentationTab) -> dict[str, list[Gap]]:
    """A part of a volume of 256^3 painted at once, taken back, done again; and its surfaces."""
    beat = Heartbeat()
    volume, labels = _phantom(_SIDE)
    whole = labels > 0
    _show(tab, volume)

    def paint() -> None:
        if tab.painter.begin("Paint"):
            tab.painter.fill_box(Box((0, 0, 0), (_SIDE,) * 3), whole)
            tab.painter.end()

    actions = window.context.actions
    found = {
        "painting a mask of millions of voxels": [beat.over(paint)],
        "undoing and redoing a stroke of millions of voxels": [
            beat.over(partial(actions.trigger, name), lambda: not tab.painter.busy)
            for name in ("edit.undo", "edit.redo", "edit.undo", "edit.redo")
        ],
    }
    view, surfaces = tab.volume3d, tab.steps.surfaces
    if view.facts is None or not view.facts.problem:
        wait_until(lambda: view.drawn is not None)
        made = beat.over(lambda: surfaces.on.setChecked(True), lambda: bool(view.parts))
        found["making surfaces and showing them in 3D"] = [made]
        surfaces.on.setChecked(False)
    return found


def _networks(window: MainWindow, tab: SegmentationTab) -> dict[str, list[Gap]]:
    """A training begun and given up, and a small volume segmented by a bundled network."""
    beat = Heartbeat()
    volume, labels = _phantom(_SEGMENTED)
    _show(tab, volume)
    for value in (0, 1, 2):
        tab.model.choose(value)
        if tab.painter.begin("Paint"):
            box = Box((10, 0, 0), (20, _SEGMENTED, _SEGMENTED))
            tab.painter.fill_box(box, labels[box.slices] == value)
            tab.painter.end()
    run, name = tab.steps.train.run, "answers"
    tab.steps.train.form.set_values({"name": name, "minutes": 5.0, "steps": None, "patch_px": 32, "gap": 0})
    found = {
        "beginning a training": [beat.over(tab.steps.train.start, lambda: run.job is None or run.job.fraction > 0)]
    }
    run.end("discard")
    wait_until(lambda: not run.running)
    results = len(tab.model.entry.results) if tab.model.entry is not None else 0

    def segmented() -> bool:
        entry = tab.model.entry
        return entry is not None and len(entry.results) > results and not window.context.jobs.active()

    tab.steps.segment.form("segment").set_values({"model": "catalyst-unet", "uncertainty": True})
    found[f"segmenting a volume of {_SEGMENTED}^3"] = [
        beat.over(lambda: window.context.actions.trigger("segmentation.segment"), segmented)
    ]
    return found


def _series(window: MainWindow) -> dict[str, list[Gap]]:
    """The bundled tilt series."""
    tab = window.tabs[TomographyTab.name]
    assert isinstance(tab, TomographyTab)
    window.show_workspace(tab.name)
    path = places.resources_folder() / "samples" / SAMPLE
    opened = Heartbeat().over(lambda: window.open_paths([str(path)]), lambda: tab.model.series() is not None)
    return {"opening a tilt series": [opened]}


def _show(tab: SegmentationTab, volume: Volume) -> None:
    tab.add_item(volume)
    wait_until(lambda: tab.model.volume() is volume)
    _wait(_SETTLE_MS)


def _turn_through(pane: QObject) -> None:
    for _ in range(_SLICES):
        event = QKeyEvent(QEvent.Type.KeyPress, Qt.Key.Key_PageUp, Qt.KeyboardModifier.NoModifier)
        QCoreApplication.sendEvent(pane, event)
        _wait(_BEAT_MS)


def _phantom(side: int) -> tuple[Volume, npt.NDArray[np.uint8]]:
    """Grey levels of a round support (1) with some bright balls (2) in it, and its labels."""
    z, y, x = np.ogrid[:side, :side, :side]
    labels = ((z - side / 2) ** 2 + (y - side / 2) ** 2 + (x - side / 2) ** 2 < (0.4 * side) ** 2).astype(np.uint8)
    rng = np.random.default_rng(3)
    for centre in rng.uniform(0.3, 0.7, (20, 3)) * side:
        low = np.maximum(0, (centre - 0.05 * side)).astype(int)
        high = (centre + 0.05 * side).astype(int) + 1
        labels[low[0] : high[0], low[1] : high[1], low[2] : high[2]] = 2
    grey = np.array([20, 80, 200], np.uint8)[labels] + rng.integers(0, 40, labels.shape, np.uint8)
    return Volume(grey, (1.0,) * 3, Source(dataset=f"phantom of {side}^3")), labels


def _wait(milliseconds: int) -> None:
    loop = QEventLoop()
    QTimer.singleShot(milliseconds, loop.quit)
    loop.exec()


def wait_until(reached: Callable[[], bool]) -> None:
    """Let events happen until something is true. Raises RuntimeError after three minutes."""
    deadline = time.monotonic() + _LIMIT_S
    while not reached():
        if time.monotonic() > deadline:
            raise RuntimeError("the window did not get there in three minutes")
        _wait(5)
