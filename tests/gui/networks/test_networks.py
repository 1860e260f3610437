"""Networks in a real window, driven with real events: simulate, train, stop, keep, continue, delete."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QLineEdit, QPushButton, QWidget
from pytestqt.qtbot import QtBot

from atomseg_app.gui.atoms.tab import AtomsTab
from atomseg_app.gui.main_window import MainWindow
from atomseg_app.gui.networks.dialog import NetworksDialog
from atomseg_app.gui.networks.gallery_page import thumbnail
from atomseg_app.gui.settings import FONT_SCALE_PERCENT, THEME
from atomseg_app.networks.card import Model, list_models, user_folder
from atomseg_app.networks.run_folder import can_go_on, runs_folder
from tests.gui.conftest import crowding
from tests.gui.driving import answer
from tests.gui.test_shell_looks import cut_controls

LEFT, KEY = Qt.MouseButton.LeftButton, Qt.Key
JOB_MS = 400_000  # machines that train other networks at the same time
CANCEL_MS = 10_000


@pytest.fixture
def dialog(main_window: MainWindow, qtbot: QtBot, monkeypatch: pytest.MonkeyPatch) -> NetworksDialog:
    """The dialog, opened by its shortcut."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    main_window.resize(1400, 900)
    tab = main_window.tabs["atoms"]
    assert isinstance(tab, AtomsTab)
    QTest.keyClick(main_window, KEY.Key_N, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    qtbot.waitUntil(lambda: tab.networks is not None and tab.networks.isVisible())
    assert tab.networks is not None
    return tab.networks


def own_models() -> list[Model]:
    """Models that do not come with the program."""
    return [model for model in list_models() if model.origin == "yours"]


def press(dialog: NetworksDialog, name: str) -> None:
    """Click a button of the page that is shown."""
    button = dialog.findChild(QPushButton, name)
    assert button is not None
    assert button.isEnabled(), button.toolTip()
    QTest.mouseClick(button, LEFT)


def turn_to(dialog: NetworksDialog, page: QWidget) -> None:
    """Click the tab of a page."""
    bar = dialog.pages.tabBar()
    QTest.mouseClick(bar, LEFT, pos=bar.tabRect(dialog.pages.indexOf(page)).center())
    assert dialog.pages.currentWidget() is page


def write(form: QWidget, field: str, text: str) -> None:
    """Type into a field."""
    holder = form.findChild(QWidget, f"field.{field}")
    assert holder is not None
    line = holder.findChild(QLineEdit)
    assert line is not None
    line.setFocus()
    line.selectAll()
    QTest.keyClicks(line, text) if text else QTest.keyClick(line, KEY.Key_Delete)


def set_up(dialog: NetworksDialog, name: str, steps: int) -> None:
    """The smallest training there is."""
    turn_to(dialog, dialog.training)
    form = dialog.training.form
    form.set_values({"network": "small", "picture_px": 64, "batch": 1})
    write(form, "minutes", "")
    write(form, "steps", str(steps))
    write(form, "name", name)


def test_pictures_are_simulated_shown_and_opened(
    dialog: NetworksDialog, main_window: MainWindow, qtbot: QtBot, screenshot: Callable[[QWidget, str], None]
) -> None:
    gallery = dialog.gallery
    turn_to(dialog, gallery)
    write(gallery.form, "count", "10")
    press(dialog, "networks.simulate")
    assert not gallery.button.isEnabled()
    qtbot.waitUntil(lambda: gallery.list.count() == 10 and gallery.job is None, timeout=JOB_MS)
    for look in ("light", "dark"):
        main_window.context.settings.set(THEME, look)
        qtbot.wait(100)
        screenshot(dialog, f"networks-gallery-{look}")
    image, columns = max(gallery.pictures, key=lambda pair: len(pair[1]))
    bare, marked = (thumbnail(image, shown, 160).toImage() for shown in (None, columns))
    assert bare != marked
    before = gallery.list.item(0).icon().pixmap(100).toImage()
    QTest.mouseClick(gallery.truth, LEFT, pos=QPoint(8, gallery.truth.height() // 2))
    assert not gallery.truth.isChecked()
    if len(gallery.pictures[0][1]):
        assert gallery.list.item(0).icon().pixmap(100).toImage() != before
    row = gallery.pictures.index((image, columns))
    gallery.list.setCurrentRow(row)
    gallery.list.setFocus()
    QTest.keyClick(gallery.list, KEY.Key_Return)
    tab = main_window.tabs["atoms"]
    assert isinstance(tab, AtomsTab)
    qtbot.waitUntil(lambda: tab.model.columns() is not None and len(tab.model.columns() or ()) == len(columns))
    shown = tab.model.image()
    assert shown is not None
    assert shown.pixel_size_nm == image.pixel_size_nm
    press(dialog, "networks.others")
    qtbot.waitUntil(lambda: gallery.job is None, timeout=JOB_MS)
    assert gallery.pictures[0][0].source.name != image.source.name
    assert gallery.form.values()["seed"] == 2


def test_a_network_is_trained_and_appears_in_the_list(
    dialog: NetworksDialog, main_window: MainWindow, qtbot: QtBot, screenshot: Callable[[QWidget, str], None]
) -> None:
    set_up(dialog, "fifty", 50)
    press(dialog, "networks.start")
    run, page = dialog.run, dialog.training
    qtbot.waitUntil(lambda: page.curves.points >= 6, timeout=JOB_MS)
    assert not page.start_button.isEnabled()
    for look in ("light", "dark"):
        main_window.context.settings.set(THEME, look)
        qtbot.wait(100)
        screenshot(dialog, f"networks-train-{look}")
    qtbot.waitUntil(lambda: not run.running, timeout=JOB_MS)
    assert "fifty is ready" in page.state.text()
    qtbot.waitUntil(lambda: not (runs_folder() / "fifty").exists())
    turn_to(dialog, dialog.models)
    qtbot.waitUntil(lambda: "fifty" in [model.card.name for model in list_models()])
    qtbot.waitUntil(lambda: dialog.models.current() is not None and dialog.models.current().card.name == "fifty")
    text = dialog.models.card.toPlainText()
    assert "50 steps, 50 pictures" in text
    assert "Never seen" in text
    for look in ("light", "dark"):
        main_window.context.settings.set(THEME, look)
        qtbot.wait(100)
        screenshot(dialog, f"networks-models-{look}")
    set_up(dialog, "fifty", 5)
    press(dialog, "networks.start")
    assert not run.running, "the name is taken"
    qtbot.waitUntil(lambda: main_window.context.notify.dialog is not None)
    main_window.context.notify.dialog.close()
    turn_to(dialog, dialog.models)
    answer("Delete")
    press(dialog, "networks.delete")
    qtbot.waitUntil(lambda: list(user_folder().iterdir()) == [])


def test_stopping_keeps_the_best_and_pausing_can_be_continued(
    dialog: NetworksDialog, main_window: MainWindow, qtbot: QtBot
) -> None:
    set_up(dialog, "stopped", 5000)
    press(dialog, "networks.start")
    run, page = dialog.run, dialog.training
    qtbot.waitUntil(lambda: can_go_on(run.folder("stopped")), timeout=JOB_MS)
    gallery = dialog.gallery  # other work does not wait for the end of the training
    turn_to(dialog, gallery)
    gallery.form.set_values({"count": 1, "size_px": 64})
    press(dialog, "networks.simulate")
    qtbot.waitUntil(lambda: len(gallery.pictures) == 1, timeout=JOB_MS)
    assert run.running
    turn_to(dialog, page)
    start = time.monotonic()
    press(dialog, "networks.pause")
    qtbot.waitUntil(lambda: not run.running, timeout=CANCEL_MS)
    assert time.monotonic() - start < 2.0 * crowding()
    assert "can be continued" in page.state.text()
    qtbot.waitUntil(lambda: page.runs.count() == 2)
    page.runs.setFocus()
    QTest.keyClick(page.runs, KEY.Key_Down)
    assert page.chosen() == "stopped"
    assert page.start_button.text() == "Continue"
    assert page.form.values()["steps"] == 5000
    press(dialog, "networks.start")
    qtbot.waitUntil(lambda: run.job is not None and run.job.fraction > 0, timeout=JOB_MS)
    # The process that trains is killed: a failed job, whose run can be continued.
    pid = main_window.context.jobs.long_worker_pid
    assert pid is not None
    assert pid != main_window.context.jobs.worker_pid
    os.kill(pid, signal.SIGKILL)
    qtbot.waitUntil(lambda: not run.running, timeout=CANCEL_MS)
    assert "It can be continued" in page.state.text()
    assert not list(run.folder("stopped").glob(".*")), "nothing half-written is left"
    qtbot.waitUntil(lambda: main_window.context.notify.dialog is not None)
    main_window.context.notify.dialog.close()
    press(dialog, "networks.stop")
    qtbot.waitUntil(lambda: "stopped is ready" in page.state.text(), timeout=JOB_MS)
    assert [model.card.name for model in own_models()] == ["stopped"]
    assert own_models()[0].card.training.steps < 5000
    set_up(dialog, "gone", 5000)
    page.runs.setCurrentIndex(0)
    press(dialog, "networks.start")
    qtbot.waitUntil(lambda: can_go_on(run.folder("gone")), timeout=JOB_MS)
    answer("Discard")
    press(dialog, "networks.discard")
    qtbot.waitUntil(lambda: not run.running, timeout=CANCEL_MS)
    qtbot.waitUntil(lambda: not Path(run.folder("gone")).exists())
    assert [model.card.name for model in own_models()] == ["stopped"]


def test_nothing_is_cut_and_everything_has_a_name(
    dialog: NetworksDialog, main_window: MainWindow, qtbot: QtBot
) -> None:
    for scale in (100, 150):
        main_window.context.settings.set(FONT_SCALE_PERCENT, scale)
        dialog.resize(dialog.minimumSizeHint().expandedTo(dialog.size()))
        for page in (dialog.models, dialog.gallery, dialog.training):
            dialog.pages.setCurrentWidget(page)
            qtbot.wait(50)
            assert cut_controls(page) == [], (scale, type(page).__name__)
            for button in page.findChildren(QPushButton):
                assert button.toolTip(), button.text()
        assert dialog.width() <= 1366
        assert dialog.height() <= 768
    main_window.context.settings.set(FONT_SCALE_PERCENT, 100)
