"""Workspaces are built when they are needed, and not before: the window shows its first frame without them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtWidgets import QDialog
from pytestqt.qtbot import QtBot

from atomseg_app.data import Image, Source, Volume
from atomseg_app.gui.app import workspaces
from atomseg_app.gui.atoms.tab import AtomsTab
from atomseg_app.gui.main_window import MainWindow
from tests.gui.driving import OPEN_MS

IMAGE = Image(np.random.default_rng(1).normal(100, 10, (48, 64)).astype(np.float32), (0.1, 0.1), Source("one.tif"))


@pytest.fixture
def window(make_window: Callable[..., MainWindow]) -> MainWindow:
    """The window as users get it."""
    return make_window(*workspaces())


def built(window: MainWindow) -> list[str]:
    """Names of the workspaces that are there."""
    return [name for name, tab in window.tabs.items() if tab.built]


def test_the_first_frame_needs_no_workspace(window: MainWindow) -> None:
    assert built(window) == []
    assert {"atoms.find", "tomography.save_volume"} <= {action.id for action in window.context.actions.actions()}


def test_an_item_builds_the_workspace_that_takes_it(window: MainWindow) -> None:
    window.show_item(IMAGE)
    assert built(window) == ["atoms"]
    window.show_item(Volume(np.zeros((4, 5, 6), np.float32), (1.0, 1.0, 1.0), Source("volume.mrc")))
    assert built(window) == ["atoms", "tomography"]
    tab = window.tabs["atoms"]
    steps = tab.steps  # type: ignore[attr-defined]
    window.show_workspace("atoms")
    tab.build()
    assert tab.steps is steps, "it is built once"  # type: ignore[attr-defined]


@pytest.mark.parametrize("action", ["atoms.batch", "atoms.networks"])
def test_what_can_be_done_while_nothing_is_open_builds_what_it_needs(window: MainWindow, action: str) -> None:
    window.context.actions.trigger(action)
    tab = window.tabs["atoms"]
    assert isinstance(tab, AtomsTab)
    (dialog,) = [dialog for dialog in window.findChildren(QDialog) if dialog.isVisible()]
    assert dialog in (tab.batch, tab.networks)
    dialog.close()


def test_a_project_builds_what_it_speaks_of(
    make_window: Callable[..., MainWindow], window: MainWindow, qtbot: QtBot, tmp_path: Path
) -> None:
    window.show_item(IMAGE)
    window.session.save(tmp_path / "one.atomseg")
    qtbot.waitUntil(lambda: window.session.path is not None, timeout=OPEN_MS)
    window.close_now()
    again = make_window(*workspaces())
    again.open_paths([str(tmp_path / "one.atomseg")])
    qtbot.waitUntil(lambda: not again.session.empty, timeout=OPEN_MS)
    tab = again.tabs["atoms"]
    assert isinstance(tab, AtomsTab)
    assert tab.built
    image = tab.model.image()
    assert image is not None
    np.testing.assert_array_equal(image.values, IMAGE.values)


def test_the_tour_of_a_workspace_that_was_not_shown(window: MainWindow) -> None:
    window.start_tour()
    assert built(window) == [window.current_tab().name]


def test_workspaces_are_made_bit_by_bit_and_an_item_ends_the_waiting(window: MainWindow) -> None:
    tab = window.tabs["segmentation"]
    assert tab.build_more()
    assert tab.build_more()
    assert not tab.built
    window.show_item(
        Volume(np.zeros((4, 5, 6), np.float32), (1.0, 1.0, 1.0), Source("v.mrc")), workspace="segmentation"
    )
    assert tab.built
    assert not tab.build_more()
    for other in window.tabs.values():
        while other.build_more():
            pass
    assert built(window) == list(window.tabs)


def test_a_workspace_is_shown_whole_though_it_was_being_made(window: MainWindow) -> None:
    tab = window.tabs["tomography"]
    tab.build_more()
    window.show_workspace("tomography")
    assert tab.built
    assert tab.isVisible()
    assert tab.steps.isVisible()  # type: ignore[attr-defined]
