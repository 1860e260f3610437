"""What the tab shows follows what is done: ticks, curves in view, layers and their colour bars, names of figures."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QSize
from PySide6.QtGui import QColor, QIcon
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QApplication

from atomseg_app.data import Labels, Volume
from atomseg_app.gui.segmentation.classes_panel import COLOUR
from atomseg_app.gui.segmentation.model import Result
from atomseg_app.gui.segmentation.particles import Total, amount_text
from atomseg_app.gui.volumes.gl_check import gl_facts
from atomseg_app.jobs.segmentation_functions import label_surfaces
from atomseg_app.jobs.tasks import Task
from atomseg_app.label_classes import COLOURS, IGNORE
from atomseg_app.operations import Report
from atomseg_app.segmentation.error_codes import RIGHT
from tests.gui.driving import answer
from tests.gui.segmentation.driving import JOB_MS, LEFT, click, idle, paint_truth


def box_of(tab, action: str) -> QAbstractButton:
    """The tick box of an action."""
    found = tab.findChild(QAbstractButton, f"button.segmentation.{action}")
    assert found is not None
    return found


def test_the_tick_of_the_preview_says_whether_it_is_on(filled, truth, qtbot):
    tab, action = filled, filled.context.actions.qaction("segmentation.preview")
    paint_truth(tab, truth, (9, 12, 15))
    box = box_of(tab, "preview")
    click(tab, "preview")
    assert tab.preview.on
    assert box.isChecked()
    assert action.isChecked()
    action.trigger()
    assert not tab.preview.on
    assert not box.isChecked()
    action.trigger()
    assert box.isChecked()
    idle(tab, qtbot)


def test_a_result_is_not_covered_by_the_preview(filled, truth, qtbot):
    tab = filled
    paint_truth(tab, truth, (9, 12, 15))
    click(tab, "preview")
    qtbot.waitUntil(lambda: tab.overlays.layers("XY").preview.values is not None, timeout=JOB_MS)
    labels = Labels(truth, tab.model.volume().pixel_size_nm, classes=tab.model.entry.classes)
    tab.add_result(tab.model.current_id, Result(labels, "truth"), "Open labels")
    assert not tab.preview.on
    assert not box_of(tab, "preview").isChecked()
    assert tab.overlays.layers("XY").preview.values is None
    assert tab.overlays.layers("XY").result.values is not None
    idle(tab, qtbot)


def test_curves_come_into_view_and_the_keyboard_stays_with_the_training(filled, truth, qtbot):
    tab, train = filled, filled.steps.train
    tab.window().resize(1366, 768)
    paint_truth(tab, truth, (4, 9, 14))
    values = {"minutes": 30.0, "name": "seen", "patch_px": 32, "batch": 2, "dimensions": "2d", "axis": "z", "gap": 0}
    train.form.set_values(values)
    tab.steps.ensureWidgetVisible(train.start_button)
    QTest.mouseClick(train.start_button, LEFT)
    assert train.run.running
    port = tab.steps.viewport()

    def in_view(widget) -> bool:
        top = widget.mapTo(port, QPoint(0, 0)).y()
        return widget.isVisible() and top >= 0 and top + widget.height() <= port.height()

    qtbot.waitUntil(lambda: in_view(train.dice) and in_view(train.start_button))
    assert in_view(train.bar)
    assert QApplication.focusWidget() is train.stop_button
    answer("Discard")
    QTest.mouseClick(train.discard_button, LEFT)
    qtbot.waitUntil(lambda: not train.run.running, timeout=JOB_MS)


def test_both_curves_have_the_same_steps(filled):
    train = filled.steps.train
    log = [{"step": step, "seconds": 1.0, "loss": 1 / step} for step in range(5, 75, 5)]
    log.append({"step": 50, "seconds": 9.0, "validation": {"loss": 0.0000123, "dice_metal": 1.0}})
    log.sort(key=lambda entry: entry["step"])
    train._show_log(log)
    ranges = [plot._plot.getPlotItem().viewRange()[0] for plot in (train.curves, train.dice)]
    np.testing.assert_allclose(ranges[0], ranges[1])
    assert ranges[0][0] <= 0
    assert ranges[0][1] >= 70
    assert "best loss 1.23e-05 at step 50" in train.state.text()


def test_the_layer_of_what_is_unsure_has_a_colour_bar(filled, truth):
    tab = filled
    labels = Labels(truth, tab.model.volume().pixel_size_nm, classes=tab.model.entry.classes)
    unsure = Volume(np.linspace(0, 1, truth.size, dtype=np.float32).reshape(truth.shape))
    tab.add_result(tab.model.current_id, Result(labels, "truth", unsure), "Open labels")
    bar = tab.steps.result.unsure_bar
    assert not bar.isVisible()
    click(tab, "show_uncertainty")
    assert bar.isVisible()
    assert bar.toolTip()
    click(tab, "show_uncertainty")
    assert not bar.isVisible()


def test_a_class_has_its_colour_in_the_row_that_is_chosen_too(filled):
    tab = filled
    icon = tab.steps.classes.table.item(2, COLOUR).icon()
    colours = [
        icon.pixmap(QSize(64, 64), mode).toImage().pixelColor(10, 32)
        for mode in (QIcon.Mode.Normal, QIcon.Mode.Selected)
    ]
    assert colours[0] == colours[1] == QColor("#e69f00")


def test_the_background_is_seen_where_it_was_painted_on_black():
    """Half opaque over a black vacuum it must differ from it, as text that is read with ease does: 3 to 1."""
    grey = QColor(COLOURS[0]).red() / 2 / 255
    linear = grey / 12.92 if grey <= 0.04045 else ((grey + 0.055) / 1.055) ** 2.4
    assert (linear + 0.05) / 0.05 >= 2.4


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0"), (0.0366512, "0.03665"), (9.668e6, "9,668,000"), (1.257e-8, "1.257 × 10⁻⁸"), (354_321.0, "354,300"),
     (2.5e12, "2.500 × 10¹²"), (-1.5, "-1.5")],
)  # fmt: skip
def test_figures_are_written_as_people_write_them(value, text):
    assert amount_text(value) == text
    assert Total("body_volume", value, "nm³").text() == f"Body volume: {text} nm³"


def test_what_is_right_in_a_painted_slice_has_a_surface(truth):
    """Labels a voxel thick are right somewhere: at half their share blocks of two voxels would leave nothing."""
    painted = np.full_like(truth, IGNORE)
    painted[9] = truth[9]
    task = Task("label-surfaces", {"values": [RIGHT], "step": 2, "errors_of": 1}, (Labels(truth), Labels(painted)))
    _, faces = label_surfaces(task, Report()).items
    assert len(faces.values) > 100


def test_ways_to_draw_grey_levels_are_out_of_use_while_surfaces_are_drawn(filled, truth, qtbot):
    if gl_facts().problem:
        pytest.skip(gl_facts().problem)
    tab = filled
    qtbot.waitUntil(lambda: tab.volume3d.drawn is not None, timeout=JOB_MS)
    paint_truth(tab, truth, range(8, 14))
    tab.steps.show_section.unfold()
    mode = tab.steps.show3d.mode
    assert mode.isEnabled()
    tab.steps.surfaces.on.setChecked(True)
    qtbot.waitUntil(lambda: bool(tab.volume3d.parts), timeout=JOB_MS)
    assert not mode.isEnabled()
    assert "hide those first" in mode.toolTip()
    tab.steps.surfaces.on.setChecked(False)
    assert mode.isEnabled()
    look = replace(tab.volume3d.look, mode="translucent")
    mode.setCurrentIndex(mode.findData("translucent"))
    assert tab.volume3d.look == look
