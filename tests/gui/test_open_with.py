"""A volume fits two workspaces: the one in front takes it, else the user chooses; one can send it to the other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton
from pytestqt.qtbot import QtBot

from atomseg_app.data import Source, Volume
from atomseg_app.gui.app import workspaces
from atomseg_app.gui.main_window import MainWindow
from atomseg_app.gui.questions import Question
from atomseg_app.io.volume_writer import write_volume
from tests.gui.driving import OPEN_MS, Button, answer, drop


@pytest.fixture
def window(make_window: Callable[..., MainWindow]) -> MainWindow:
    """The window as users get it, with the 2D atoms in front."""
    window = make_window(*workspaces())
    window.show_workspace("atoms")
    return window


@pytest.fixture
def files(tmp_path: Path, rng: np.random.Generator) -> list[Path]:
    """Two volumes in files."""
    paths = [tmp_path / name for name in ("one.mrc", "two.mrc")]
    for path in paths:
        write_volume(path, Volume(rng.random((6, 8, 10), np.float32), (1.0, 1.0, 1.0)))
    return paths


def test_dropped_volumes_are_asked_about_once(window: MainWindow, files: list[Path], qtbot: QtBot) -> None:
    seen: list[Question] = []
    answer("3D segmentation", seen)
    assert drop(window, window.rect().center(), files)
    model = window.tabs["segmentation"].model  # type: ignore[attr-defined]
    qtbot.waitUntil(lambda: len(model.entries) == 2, timeout=OPEN_MS)
    assert len(seen) == 1
    assert window.current_tab() is window.tabs["segmentation"]
    window.show_workspace("tomography")
    drop(window, window.rect().center(), files[:1])
    others = window.tabs["tomography"].model  # type: ignore[attr-defined]
    qtbot.waitUntil(lambda: len(others.entries) == 1, timeout=OPEN_MS)
    assert len(seen) == 1, "the workspace in front takes it"


def test_a_volume_that_is_not_wanted_stays_closed(window: MainWindow, files: list[Path], qtbot: QtBot) -> None:
    seen: list[Question] = []
    answer("Cancel", seen)
    window.open_paths([str(files[0])])
    qtbot.waitUntil(lambda: bool(seen), timeout=OPEN_MS)
    assert window.session.empty


def test_tomography_sends_its_volume_with_its_name_and_no_copy(window: MainWindow, rng: np.random.Generator) -> None:
    volume = Volume(rng.random((6, 8, 10), np.float32), (2.0, 1.0, 1.0), Source("/data/block.mrc"))
    window.show_workspace("tomography")
    send = window.context.actions.qaction("tomography.to_segmentation")
    assert not send.isEnabled()
    window.show_item(volume)
    tab = window.tabs["tomography"]
    tab.model.replace(tab.model.current_id, replace(tab.model.entry, name="block, SIRT"))  # type: ignore[attr-defined]
    button = tab.findChild(QAbstractButton, "button.tomography.to_segmentation")
    tab.steps.ensureWidgetVisible(button)  # type: ignore[attr-defined]
    QTest.mouseClick(button, Button.LeftButton)
    there = window.tabs["segmentation"].model  # type: ignore[attr-defined]
    assert window.current_tab() is window.tabs["segmentation"]
    assert there.entry.title == "block, SIRT"
    assert there.entry.data.values is volume.values
    assert there.entry.data.pixel_size_nm == (2.0, 1.0, 1.0)
