"""The 2D atoms tab with a simulated lattice and its table."""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from pytestqt.qtbot import QtBot

from atomseg_app.data import Columns, Image, Source, column_table
from atomseg_app.gui.atoms.tab import AtomsTab
from atomseg_app.gui.main_window import MainWindow
from atomseg_app.simulate.columns import TrueColumns, poisson, render, square_lattice


@pytest.fixture
def truth(rng) -> TrueColumns:
    """36 columns 16 px apart, displaced at random."""
    return square_lattice(104, 16.0, rng, displacement_px=0.4, sigma_px=3.0, peak=200)


@pytest.fixture
def image(truth, rng) -> Image:
    """Their image, 0.01 nm a pixel."""
    return Image(
        poisson(render(truth, (104, 104)), rng).astype(np.float32), (0.01, 0.01), Source("/data/lattice.tif"), {}
    )


@pytest.fixture
def columns(truth, image) -> Columns:
    """The truth as a table."""
    table = column_table(len(truth.x_px))
    table["x_px"], table["y_px"], table["amplitude"] = truth.x_px, truth.y_px, truth.amplitude
    table["sigma_px"], table["background"] = 3.0, 60.0
    table["x_err_px"], table["y_err_px"] = 0.05, 0.05
    return Columns(table, (104, 104), (0.01, 0.01), image.source)


@pytest.fixture
def tab(main_window: MainWindow) -> AtomsTab:
    """The tab of a window as users get it."""
    main_window.resize(1400, 900)
    tab = main_window.tabs["atoms"]
    assert isinstance(tab, AtomsTab)
    tab.build()
    return tab


@pytest.fixture
def filled(tab: AtomsTab, image: Image, columns: Columns, qtbot: QtBot) -> AtomsTab:
    """The tab with an image and its columns, nothing computed."""
    window = tab.window()
    assert isinstance(window, MainWindow)
    window.show_item(image)
    window.show_item(columns)
    tab.context.undo.clear()
    qtbot.waitUntil(lambda: tab.view.canvas.picture_rect().width() > 200)
    return tab


@pytest.fixture
def cpu_time() -> Callable[[Callable[[], object]], float]:
    """Seconds of processor time that a call takes in this thread."""

    def measure(action: Callable[[], object]) -> float:
        start = time.thread_time()
        action()
        return time.thread_time() - start

    return measure
