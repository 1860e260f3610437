"""The segmentation tab with a small phantom: a support with bright particles, exactly known."""

from __future__ import annotations

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from atomseg_app.data import Source, Volume
from atomseg_app.gui.main_window import MainWindow
from atomseg_app.gui.segmentation.tab import SegmentationTab
from atomseg_app.gui.watchdog import StallWatchdog

SHAPE = (24, 40, 48)
CENTRES = ((6, 10, 12), (12, 20, 30), (17, 30, 16), (9, 28, 38))


@pytest.fixture(scope="session")
def truth() -> np.ndarray:
    """0 pores, 1 support (a slab), 2 metal (balls of radius 4)."""
    z, y, x = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    labels = np.where((x > 8) & (x < 42), 1, 0)
    for centre in CENTRES:
        labels[(z - centre[0]) ** 2 + (y - centre[1]) ** 2 + (x - centre[2]) ** 2 <= 16] = 2
    return labels.astype(np.uint8)


@pytest.fixture
def volume(truth: np.ndarray, rng: np.random.Generator) -> Volume:
    """Grey levels of the phantom; voxels twice as long along z."""
    values = np.array([10.0, 60.0, 200.0])[truth] + rng.normal(0, 5, SHAPE)
    return Volume(values.astype(np.float32), (1.0, 0.5, 0.5), Source("/data/catalyst.mrc"))


@pytest.fixture
def tab(main_window: MainWindow, watchdog: StallWatchdog) -> SegmentationTab:
    """The tab of a window as users get it, in front."""
    main_window.move(0, 0)
    main_window.resize(1500, 950)
    main_window.tabs["segmentation"].build()  # as it is soon after the first frame
    watchdog.reset()
    main_window.show_workspace("segmentation")
    tab = main_window.tabs["segmentation"]
    assert isinstance(tab, SegmentationTab)
    return tab


@pytest.fixture
def filled(tab: SegmentationTab, volume: Volume, qtbot: QtBot) -> SegmentationTab:
    """The tab with the volume."""
    window = tab.window()
    assert isinstance(window, MainWindow)
    window.show_item(volume)
    qtbot.waitUntil(lambda: tab.slices.panes["XY"].picture_rect().width() > 60)
    return tab
