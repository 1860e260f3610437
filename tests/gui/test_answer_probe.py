"""What ``atomseg bench window`` says of times without an answer: gaps of known length, and real ones of a window."""

from __future__ import annotations

import time
from collections.abc import Callable

from PySide6.QtWidgets import QApplication

from atomseg_app.gui.answer_probe import Heartbeat, _series, all_built, measure_building
from atomseg_app.gui.app import _build_some, workspaces
from atomseg_app.gui.main_window import MainWindow


def compute(seconds: float) -> None:
    """Keep this thread busy for so long, whatever else runs on the machine."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def test_a_gap_is_as_long_as_what_caused_it(qapp: QApplication) -> None:
    beat = Heartbeat()
    wall, computed = beat.over(lambda: compute(0.12))
    assert wall >= 0.1
    assert 0.11 < computed < 0.2
    wall, computed = beat.over(lambda: time.sleep(0.15))
    assert wall >= 0.13
    assert computed < 0.05, "it waited, but did not compute"
    _, computed = beat.over(lambda: None)
    assert computed < 0.05, "what was before does not count"


def test_every_workspace_is_made_and_shown_once(make_window: Callable[..., MainWindow]) -> None:
    window = make_window(*workspaces())
    _build_some(window)
    found = measure_building(window)
    assert all_built(window)
    assert [len(gaps) for gaps in found.values()] == [1, 3]
    assert all(wall >= 0 and computed > 0 for gaps in found.values() for wall, computed in gaps)


def test_a_series_is_opened_as_a_user_does(make_window: Callable[..., MainWindow]) -> None:
    window = make_window(*workspaces())
    ((wall, computed),) = _series(window)["opening a tilt series"]
    assert wall > 0
    assert computed > 0
    assert not window.tabs["tomography"].is_empty()
