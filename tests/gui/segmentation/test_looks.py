"""The tab as a whole: every control named, nothing cut, nothing heavy imported, pictures in both looks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtWidgets import (
    QAbstractButton,
    QAbstractItemView,
    QComboBox,
    QHeaderView,
    QScrollBar,
    QStyle,
    QStyleOptionComboBox,
    QWidget,
)

from atomseg_app.gui.settings import FONT_SCALE_PERCENT, THEME
from tests.gui.segmentation.driving import paint_truth
from tests.gui.test_shell_looks import cut_controls


@pytest.fixture(params=["painted", "empty"])
def shown(request, tab, truth, volume, qtbot):
    """The tab in each of its states, with every section open."""
    if request.param != "empty":
        tab.window().show_item(volume)
        paint_truth(tab, truth, (5, 12))
        tab.take_tool("threshold")
    steps = tab.steps
    for section in (steps.clean_section, steps.errors_section, steps.measure_section, steps.show_section):
        section.unfold()
    qtbot.wait(50)
    return tab


def test_every_control_has_a_name_and_a_tip(shown):
    """Screen readers and hesitant users find out what each control is, and why it cannot be used."""
    nameless, silent = [], []
    for widget in shown.findChildren(QWidget):
        if widget.focusPolicy() == Qt.FocusPolicy.NoFocus or widget.objectName().startswith("qt_"):
            continue
        name = widget.accessibleName() or (widget.text() if isinstance(widget, QAbstractButton) else "")
        if not name and not isinstance(widget, QScrollBar | QAbstractItemView | QHeaderView):
            nameless.append((type(widget).__name__, widget.objectName(), type(widget.parent()).__name__))
        if isinstance(widget, QAbstractButton) and not widget.isEnabled() and not widget.toolTip():
            silent.append((type(widget).__name__, widget.text(), widget.toolTip()))
    assert not nameless
    assert not silent


@pytest.mark.parametrize("scale", [100, 150])
def test_no_control_is_cut_on_a_small_screen(shown, qtbot, scale, screenshot):
    window = shown.window()
    window.context.settings.set(FONT_SCALE_PERCENT, scale)
    window.resize(1366, 768)
    qtbot.wait(150)
    screenshot(window, f"segmentation-{shown.pages.currentWidget().objectName() or 'work'}-{scale}")
    cut = cut_controls(shown)
    window.context.settings.set(FONT_SCALE_PERCENT, 100)
    assert cut == []
    assert window.width() <= 1366
    assert window.height() <= 768


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pictures_of_the_tab(shown, qtbot, theme, screenshot):
    """For eyes: $ATOMSEG_SCREENSHOTS. The canvases take the colours of the look."""
    shown.context.settings.set(THEME, theme)
    assert shown.slices.panes["XY"].paper.name() == shown.context.theme.colours.window
    qtbot.wait(100)
    screenshot(shown.window(), f"segmentation-{shown.pages.currentWidget().objectName() or 'work'}-{theme}")


_SCRIPT = """
import sys
import numpy as np
from PySide6.QtWidgets import QApplication
from atomseg_app.data import Source, Volume
from atomseg_app.gui.app import make_application, workspaces
from atomseg_app.gui.main_window import MainWindow
from atomseg_app.gui.settings import Settings

app = make_application()
window = MainWindow(app, Settings(persistent=False), workspaces())
window.show()
window.show_workspace("segmentation")
window.show_item(Volume(np.ones((9, 9, 9)), (1.0, 1.0, 1.0), Source("/b.mrc")))
tab = window.tabs["segmentation"]
tab.take_tool("brush")
QApplication.processEvents()
print(sorted({"torch", "numba", "scipy", "h5py", "skimage", "sklearn", "qtpy", "OpenGL"} & set(sys.modules)))
window.close_now()
"""


def test_the_window_stays_light(atomseg_home):
    """A volume is shown and painted on without numerics, in a process where no test has imported them."""
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT], capture_output=True, text=True, timeout=240, check=False,
        env={**os.environ, "QT_QPA_PLATFORM": "offscreen", "PYTHONPATH": str(Path(__file__).parents[3])},
    )  # fmt: skip
    assert done.stdout.split("\n")[-2:] == ["[]", ""], done.stdout + done.stderr[-2000:]


def test_every_step_of_the_tour_points_at_something(shown):
    stops = shown.tour()
    assert 3 <= len(stops) <= 7
    assert all(stop.title and stop.text and isinstance(stop.widget, QWidget) for stop in stops)


def test_nothing_that_needs_a_volume_or_labels_can_be_pressed_without(tab, volume, truth):
    steps = tab.steps
    parts = (steps.train.start_button, steps.result.result, steps.result.opacity, steps.result.remove,
             steps.errors.reference, steps.surfaces.on)  # fmt: skip
    assert not any(part.isEnabled() for part in parts)
    assert steps.train.start_button.toolTip() == "Open a volume first."
    tab.window().show_item(volume)
    assert steps.result.opacity.isEnabled()
    assert "at least two classes" in steps.train.start_button.toolTip()
    assert not tab.context.actions.qaction("segmentation.train").isEnabled()
    paint_truth(tab, np.where(truth == 2, 1, truth).astype(np.uint8), (9,))
    assert steps.train.start_button.isEnabled()
    assert steps.surfaces.on.isEnabled()


def test_names_of_networks_are_read_whole(filled):
    box = filled.steps.train.form.fields["architecture"].box
    style = box.style().subControlRect(
        QStyle.ComplexControl.CC_ComboBox, _option(box), QStyle.SubControl.SC_ComboBoxEditField, box
    )
    for index in range(box.count()):
        assert box.fontMetrics().horizontalAdvance(box.itemText(index)) <= style.width(), box.itemText(index)


def _option(box: QComboBox) -> QStyleOptionComboBox:
    option = QStyleOptionComboBox()
    box.initStyleOption(option)
    return option
