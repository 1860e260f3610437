"""Adapting a network to the open image, in a real window with real events."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPushButton, QWidget
from pytestqt.qtbot import QtBot

from atomseg_app.data import Columns, Image, Source, column_table
from atomseg_app.gui.atoms.tab import AtomsTab
from atomseg_app.gui.main_window import MainWindow
from atomseg_app.gui.networks.dialog import NetworksDialog
from atomseg_app.networks.card import (
    Input,
    ModelCard,
    Output,
    Training,
    find_model,
    list_models,
    user_folder,
)
from atomseg_app.networks.column_model import new_network
from atomseg_app.networks.column_settings import NETWORKS
from atomseg_app.networks.run_folder import runs_folder
from atomseg_app.networks.store import save_model
from atomseg_app.simulate.columns import poisson, render, square_lattice
from tests.gui.conftest import crowding
from tests.gui.networks.test_networks import CANCEL_MS, JOB_MS, dialog, press, turn_to, write
from tests.gui.test_shell_looks import cut_controls

__all__ = ["dialog"]


@pytest.fixture
def scene(dialog: NetworksDialog, main_window: MainWindow, qtbot: QtBot) -> Columns:
    """An image with its columns, open in the window."""
    rng = np.random.default_rng(3)
    truth = square_lattice(192, 14.0, rng, sigma_px=2.4, peak=12.0, background=0.8)
    table = column_table(len(truth.x_px))
    table["x_px"], table["y_px"], table["amplitude"] = truth.x_px, truth.y_px, truth.amplitude
    table["background"], table["sigma_px"], table["ellipticity"] = truth.background, truth.sigma_px, 1.0
    table["angle_deg"] = 0.0
    source = Source("scene.tif")
    columns = Columns(table, (192, 192), source=source)
    main_window.show_item(Image(poisson(render(truth, (192, 192)), rng).astype(np.float32), source=source))
    main_window.show_item(columns)
    tab = main_window.tabs["atoms"]
    assert isinstance(tab, AtomsTab)
    qtbot.waitUntil(lambda: tab.model.columns() is not None and len(tab.model.columns()) == len(columns))
    return columns


@pytest.fixture
def beginner(atomseg_home: object) -> str:
    """Name of a small network of the user's that has learnt nothing, so that a few seconds make it better."""
    card = ModelCard(
        name="beginner", title="Beginner", task="columns",
        architecture=NETWORKS["small"], input=Input(normalisation="mean-and-sd"),
        outputs=(Output(name="heat", meaning="Probability."),),
        training=Training(
            preset="none", simulator_version="1", seeds=(1,), steps=0, samples=0, device="cpu", hours=0.0,
            converged=False, convergence_note="Untrained.",
        ),
        figures={}, known_limits=(), licence="GPL-3.0-or-later", created=date(2026, 11, 21),
    )  # fmt: skip
    user_folder().mkdir(parents=True, exist_ok=True)
    save_model(user_folder(), new_network("small", 1), card)
    return "beginner"


def set_up(dialog: NetworksDialog, model: str, name: str, minutes: str) -> None:
    """The smallest adapting there is."""
    turn_to(dialog, dialog.adapting)
    dialog.adapting.form.set_values({"picture_px": 64, "batch": 4, "learning_rate": 1e-2, "device": "cpu"})
    write(dialog.adapting.form, "model", model)
    write(dialog.adapting.form, "name", name)
    write(dialog.adapting.form, "minutes", minutes)


def test_a_network_is_adapted_compared_discarded_and_kept(
    dialog: NetworksDialog, scene: Columns, beginner: str, qtbot: QtBot, screenshot: Callable[[QWidget, str], None]
) -> None:
    page = dialog.adapting
    set_up(dialog, beginner, "adapted", "0.25")
    assert not page.keep_button.isEnabled()
    for ending in ("discard", "keep"):
        press(dialog, "networks.adapt.start")
        assert not page.start_button.isEnabled()
        qtbot.waitUntil(lambda: page.job is None, timeout=JOB_MS)
        assert page.result is not None, page.state.text()
        assert page.result["saved"], page.result
        shown = page.table.toPlainText()
        assert "Columns found in this image" in shown
        assert str(page.result["after"]["columns"]) in shown
        assert f"{page.result['before']['look_alike_loss']:.4f}" in shown
        assert page.result["after"]["look_alike_loss"] < page.result["before"]["look_alike_loss"]
        assert "Adapted" in page.state.text()
        screenshot(dialog, f"networks-adapt-{ending}")
        press(dialog, f"networks.adapt.{ending}")
        qtbot.waitUntil(lambda: page.result is None)
        assert not (runs_folder() / "adapted-adapted").exists()
        assert not page.keep_button.isEnabled()
        own = {model.card.name for model in list_models() if model.origin == "yours"}
        assert own == ({"beginner"} if ending == "discard" else {"beginner", "adapted"})
    assert (find_model("adapted").card.training.adapted_from or "").startswith("beginner")
    turn_to(dialog, dialog.models)
    qtbot.waitUntil(lambda: dialog.models.current() is not None and dialog.models.current().card.name == "adapted")
    assert "Adapted from" in dialog.models.card.toPlainText()


def test_stopping_saves_nothing_and_a_taken_name_is_refused(
    dialog: NetworksDialog, scene: Columns, beginner: str, main_window: MainWindow, qtbot: QtBot
) -> None:
    page = dialog.adapting
    set_up(dialog, beginner, "gone", "30")
    press(dialog, "networks.adapt.start")
    qtbot.waitUntil(lambda: page.job is not None and page.job.fraction > 0.1, timeout=JOB_MS)
    press(dialog, "networks.adapt.stop")
    qtbot.waitUntil(lambda: page.job is None, timeout=round(CANCEL_MS * crowding()))
    assert "nothing was saved" in page.state.text()
    assert not (runs_folder() / "adapted-gone").exists()
    assert {model.card.name for model in list_models() if model.origin == "yours"} == {"beginner"}
    write(page.form, "name", "beginner")
    press(dialog, "networks.adapt.start")
    assert page.job is None
    qtbot.waitUntil(lambda: main_window.context.notify.dialog is not None)
    main_window.context.notify.dialog.close()


def test_without_an_image_it_says_so(dialog: NetworksDialog, main_window: MainWindow, qtbot: QtBot) -> None:
    turn_to(dialog, dialog.adapting)
    press(dialog, "networks.adapt.start")
    assert dialog.adapting.job is None
    qtbot.waitUntil(lambda: main_window.context.notify.dialog is not None)
    main_window.context.notify.dialog.close()


def test_nothing_is_cut_and_every_button_says_what_it_does(dialog: NetworksDialog, qtbot: QtBot) -> None:
    turn_to(dialog, dialog.adapting)
    qtbot.wait(50)
    assert cut_controls(dialog.adapting) == []
    for button in dialog.adapting.findChildren(QPushButton):
        assert button.toolTip(), button.text()
    QTest.keyClick(dialog, Qt.Key.Key_Escape)
    assert not dialog.isVisible()
