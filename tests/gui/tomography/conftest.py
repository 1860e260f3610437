"""The tomography tab with a small simulated series: an ellipsoid with two grains, projected in closed form."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from atomseg_app.data import Source, TiltSeries, Volume
from atomseg_app.gui.main_window import MainWindow
from atomseg_app.gui.tomography.tab import TomographyTab
from atomseg_app.gui.watchdog import StallWatchdog
from atomseg_app.simulate.tilt_sample import Ellipsoid, projection

SIDE = 40
ANGLES = tuple(float(angle) for angle in range(-66, 67, 12))
BODIES = [
    Ellipsoid((0, 0, 0), (11, 14, 8), (20, 0), 1.0),
    Ellipsoid((5, -4, 2), (3, 3, 3), (0, 0), 2.0),
    Ellipsoid((-4, 6, -2), (2, 2, 2), (0, 0), 3.0),
]


@pytest.fixture(scope="session", autouse=True)
def kernels_compiled_once(tmp_path_factory) -> None:
    """Compute processes of all tests share one cache of compiled kernels."""
    patch = pytest.MonkeyPatch()
    patch.setenv("NUMBA_CACHE_DIR", str(tmp_path_factory.mktemp("numba")))
    yield
    patch.undo()


@pytest.fixture(scope="session")
def views() -> np.ndarray:
    """Exact projections (view, y, x)."""
    grid = np.arange(SIDE) - (SIDE - 1) / 2
    y, t = np.meshgrid(grid, grid, indexing="ij")
    return np.stack([projection(BODIES, tilt, t, y) for tilt in ANGLES]).astype(np.float32)


@pytest.fixture
def series(views) -> TiltSeries:
    """The series, 2 nm a pixel."""
    return TiltSeries(views, (2.0, 2.0), Source("/data/particle.mrc"), {}, tilt_deg=ANGLES)


@pytest.fixture
def volume(rng) -> Volume:
    """A volume of uneven size with voxels twice as long along z as in the plane."""
    values = rng.normal(10, 1, (12, 20, 30)).astype(np.float32)
    values[3:8, 5:15, 8:20] += 50
    return Volume(values, (4.0, 2.0, 2.0), Source("/data/block.mrc"))


@pytest.fixture
def tab(main_window: MainWindow, watchdog: StallWatchdog) -> TomographyTab:
    """The tab of a window as users get it, in front."""
    main_window.move(0, 0)
    main_window.resize(1400, 900)
    main_window.tabs["tomography"].build()  # as it is soon after the first frame
    watchdog.reset()
    main_window.show_workspace("tomography")
    tab = main_window.tabs["tomography"]
    assert isinstance(tab, TomographyTab)
    return tab


@pytest.fixture
def filled(tab: TomographyTab, series: TiltSeries, qtbot: QtBot) -> TomographyTab:
    """The tab with the series."""
    tab.window().show_item(series)
    qtbot.waitUntil(lambda: tab.series_page.projection.canvas.picture_rect().width() > 100, timeout=30_000)
    return tab


@pytest.fixture
def sliced(tab: TomographyTab, volume: Volume, qtbot: QtBot) -> TomographyTab:
    """The tab with a volume."""
    tab.window().show_item(volume)
    qtbot.waitUntil(lambda: tab.slices.panes["XY"].picture_rect().width() > 60, timeout=30_000)
    return tab


@pytest.fixture
def series_file(series: TiltSeries, tmp_path: Path) -> Path:
    """The series as a file with its angles beside it."""
    from atomseg_app.io.series_writer import write_series

    folder = tmp_path / "Serien für heute"
    folder.mkdir()
    path = folder / "particle one.mrc"
    write_series(path, series)
    return path
