"""From a volume to a segmented one with real events: paint, undo, train, cancel, segment, errors, export."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from atomseg_app.data import Labels
from atomseg_app.gui.segmentation.model import Result
from atomseg_app.label_classes import IGNORE, numbered
from atomseg_app.segmentation.error_codes import MISSED, RIGHT, TOO_MUCH, error_codes
from tests.gui.driving import answer
from tests.gui.segmentation.conftest import CENTRES, SHAPE
from tests.gui.segmentation.driving import JOB_MS, LEFT, click, idle, paint_truth, place, stroke

KEY = Qt.Key


def key(tab, pressed: Qt.Key) -> None:
    """Press a key in the XY slice."""
    tab.slices.panes["XY"].setFocus()
    QTest.keyClick(tab.slices.panes["XY"], pressed)


def test_the_brush_paints_in_every_slice_and_a_stroke_is_one_step(filled):
    tab, panes, undo = filled, filled.slices.panes, filled.context.undo
    key(tab, KEY.Key_B)
    assert tab.tool_name == "brush"
    key(tab, KEY.Key_2)
    assert tab.model.chosen == 1
    stroke(panes["XY"], [(10, 10), (20, 10), (30, 15)])
    store = tab.model.entry.store
    assert store.values[12, 10, 15] == 1
    assert set(np.flatnonzero(store.labelled[0])) == {12}, "only in the slice that is shown"
    assert undo.undo_text() == "Paint support"
    assert len(undo) == 1
    key(tab, KEY.Key_3)
    stroke(panes["XZ"], [(30, 5), (30, 18)])
    assert store.values[10, 20, 30] == 2
    assert set(np.flatnonzero((store.values == 2).any((0, 2)))) == {20}, "XZ paints across y"
    stroke(panes["YZ"], [(4, 5), (4, 30)])
    assert store.values[4, 20, 24] == 2, "YZ draws z across"
    before = store.values.copy()
    stroke(panes["XY"], [(30, 15), (10, 10)], Qt.KeyboardModifier.ShiftModifier)
    assert undo.undo_text() == "Erase"
    assert store.values[12, 10, 15] == IGNORE
    tab.context.actions.trigger("edit.undo")
    np.testing.assert_array_equal(store.values, before)
    for _ in range(3):
        tab.context.actions.trigger("edit.undo")
    assert not tab.model.entry.painted
    tab.context.actions.trigger("edit.redo")
    assert store.values[12, 10, 15] == 1


def test_what_is_painted_is_drawn_over_the_slice(filled):
    tab, pane = filled, filled.slices.panes["XY"]
    tab.take_tool("brush")
    tab.choose_class(2)
    at = place(pane, 24, 20)
    dark = pane.grab().toImage().pixelColor(at)
    stroke(pane, [(24, 20), (26, 20)])
    QTest.mouseMove(pane, place(pane, 2, 2))  # the ring of the brush is elsewhere
    painted = pane.grab().toImage().pixelColor(at)
    assert painted.red() - painted.blue() > dark.red() - dark.blue() + 40, "metal is orange"
    tab.steps.classes.toggle(3, 2)
    hidden = pane.grab().toImage().pixelColor(at)
    assert abs(hidden.red() - dark.red()) < 12
    assert tab.context.undo.undo_text() == "Hide metal"


def test_escape_takes_back_a_stroke_that_has_begun(filled):
    tab, pane = filled, filled.slices.panes["XY"]
    tab.take_tool("brush")
    QTest.mousePress(pane, LEFT, pos=place(pane, 10, 10))
    QTest.mouseMove(pane, place(pane, 20, 20))
    assert tab.model.entry.painted
    QTest.keyClick(pane, KEY.Key_Escape)
    assert not tab.model.entry.painted
    QTest.mouseRelease(pane, LEFT, pos=place(pane, 20, 20))
    assert len(tab.context.undo) == 0


def test_lasso_polygon_fill_ball_and_threshold(filled, truth):
    tab, pane = filled, filled.slices.panes["XY"]
    tab.choose_class(1)
    tab.take_tool("lasso")
    stroke(pane, [(5, 5), (25, 5), (25, 25), (5, 25), (5, 6)])
    store = tab.model.entry.store
    assert store.counts[1] == pytest.approx(400, abs=45)
    tab.take_tool("fill")
    tab.choose_class(0)
    QTest.mouseClick(pane, LEFT, pos=place(pane, 15, 15))
    assert store.counts[1] == 0
    assert store.counts[0] == pytest.approx(400, abs=45)
    tab.take_tool("polygon")
    tab.choose_class(1)
    for corner in ((30, 5), (45, 5), (45, 20)):
        QTest.mouseClick(pane, LEFT, pos=place(pane, *corner))
    QTest.keyClick(pane, KEY.Key_Return)
    assert store.counts[1] == pytest.approx(112, abs=20)
    tab.take_tool("ball")
    tab.choose_class(2)
    tab.brush_bar.radius_text.setText("5")
    QTest.keyClick(tab.brush_bar.radius_text, KEY.Key_Return)
    _, y, x = CENTRES[1]
    QTest.mouseClick(pane, LEFT, pos=place(pane, x, y))
    assert store.counts[2] == pytest.approx(4 / 3 * np.pi * 125 / 2, rel=0.2), "voxels are twice as long along z"
    assert len(np.flatnonzero((store.values == 2).any((1, 2)))) == 5
    tab.starting.clear()
    tab.take_tool("threshold")
    tab.brush_bar.low.setText("120")
    QTest.keyClick(tab.brush_bar.low, KEY.Key_Return)
    tab.step_brush(3)
    stroke(pane, [(x, y), (x + 1, y)])
    found = tab.model.entry.store.values[12] == 2
    np.testing.assert_array_equal(found, (truth[12] == 2) & found)
    assert found.sum() > 30


def test_a_locked_class_is_kept_and_cannot_be_painted(filled):
    tab, pane = filled, filled.slices.panes["XY"]
    tab.take_tool("brush")
    tab.choose_class(1)
    stroke(pane, [(10, 10), (20, 10)])
    count = tab.model.entry.store.counts[1]
    table = tab.steps.classes.table
    cell = table.visualItemRect(table.item(1, 4)).center()
    QTest.mouseClick(table.viewport(), LEFT, pos=cell)
    assert tab.model.entry.locked == {1}
    tab.choose_class(2)
    stroke(pane, [(10, 10), (20, 10)])
    assert tab.model.entry.store.counts[1] == count
    tab.choose_class(1)
    stroke(pane, [(30, 30), (40, 30)])
    assert tab.model.entry.store.counts[1] == count
    assert any("locked" in text for text in tab.context.notify.toast_texts())


def test_a_class_is_added_renamed_and_removed_with_its_voxels(filled, qtbot):
    tab, pane = filled, filled.slices.panes["XY"]
    click(tab, "add_class")
    assert [each.name for each in tab.model.entry.classes] == ["pores", "support", "metal", "class 3"]
    assert tab.model.chosen == 3
    editor = tab.steps.classes.table.focusWidget()
    QTest.keyClicks(editor, "carbon")
    QTest.keyClick(editor, KEY.Key_Return)
    qtbot.waitUntil(lambda: tab.model.entry.class_name(3) == "carbon")
    tab.take_tool("brush")
    stroke(pane, [(10, 10), (20, 10)])
    count = tab.model.entry.store.counts[3]
    answer("Make them support")
    click(tab, "remove_class")
    assert tab.model.entry.class_named(3) is None
    assert tab.model.entry.store.counts[1] == count
    tab.context.actions.trigger("edit.undo")
    assert tab.model.entry.store.counts[3] == count
    assert tab.model.entry.class_name(3) == "carbon"


def test_parts_are_grown_picked_and_interpolated_in_the_compute_process(filled, truth, qtbot):
    tab, pane = filled, filled.slices.panes["XY"]
    tab.take_tool("grow")
    tab.choose_class(2)
    z, y, x = CENTRES[1]
    QTest.mouseClick(pane, LEFT, pos=place(pane, x, y))
    idle(tab, qtbot)
    ball = np.zeros(SHAPE, bool)
    zz, yy, xx = np.mgrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]
    ball[(zz - z) ** 2 + (yy - y) ** 2 + (xx - x) ** 2 <= 16] = True
    np.testing.assert_array_equal(tab.model.entry.store.values == 2, ball)
    assert tab.context.undo.undo_text() == "Grow metal"
    tab.take_tool("pick")
    tab.choose_class(1)
    QTest.mouseClick(pane, LEFT, pos=place(pane, x, y))
    idle(tab, qtbot)
    np.testing.assert_array_equal(tab.model.entry.store.values == 1, ball)
    tab.starting.clear()
    tab.choose_class(2)
    paint_truth(tab, np.where(ball, 2, 0).astype(np.uint8), (z - 2, z + 2))
    tab.choose_class(2)
    click(tab, "between")
    idle(tab, qtbot)
    found = tab.model.entry.store.values[z - 1 : z + 2] == 2
    overlap = 2 * (found & ball[z - 1 : z + 2]).sum() / (found.sum() + ball[z - 1 : z + 2].sum())
    assert overlap > 0.8
    click_labels = tab.context.undo.undo_text()
    assert click_labels == "Interpolate metal"


def test_labels_of_another_shape_are_refused_with_both_shapes(filled, tab):
    labels = Labels(np.zeros((3, 4, 5), np.uint8), classes=numbered([0]))
    tab.window().show_item(labels)
    dialog = tab.context.notify.dialog
    assert dialog is not None
    text = dialog.text() if hasattr(dialog, "text") else dialog.accessibleName()
    dialog.close()
    assert not tab.model.entry.results
    with pytest.raises(Exception, match="5 × 4 × 3 voxels, but the volume that is shown has 48 × 40 × 24"):
        tab.add_labels(labels)
    assert text is not None


def test_train_segment_look_and_save(filled, truth, qtbot, tmp_path: Path, screenshot):
    """The thin path: paint slices, train some steps, segment, look at errors, write the labels."""
    tab = filled
    assert "Paint a class" in tab.context.actions.qaction("segmentation.train").toolTip()
    paint_truth(tab, truth, (4, 6, 9, 12, 17))
    tab.steps.train.form.set_values(
        {"minutes": None, "steps": 20, "name": "twenty", "patch_px": 32, "batch": 2, "architecture": "unet",
         "dimensions": "2d", "axis": "z", "gap": 0}
    )  # fmt: skip
    tab.context.actions.trigger("segmentation.train")
    run = tab.steps.train.run
    assert run.running
    qtbot.waitUntil(lambda: not run.running, timeout=JOB_MS)
    assert "twenty is ready" in run.message
    qtbot.waitUntil(lambda: tab.steps.train.dice.latest != {})
    assert set(tab.steps.train.dice.latest) == {"pores", "support", "metal"}
    assert tab.steps.segment.form("segment").fields["model"].value() == "twenty"
    click(tab, "segment")
    qtbot.waitUntil(lambda: tab.model.result() is not None, timeout=JOB_MS)
    result = tab.model.result()
    assert result.labels.shape == SHAPE
    assert result.uncertainty is not None
    assert tab.context.undo.undo_text() == "Segment"
    tab.context.actions.trigger("segmentation.show_errors")
    layer = tab.overlays.layers("XY").result
    np.testing.assert_array_equal(layer.values, error_codes(result.labels.values[12], truth[12], tab.model.chosen))
    screenshot(tab.window(), "segmentation-errors")
    path = tmp_path / "out labels.tif"
    tab.files.save_labels(tab.files.labels(), path)
    idle(tab, qtbot)
    np.testing.assert_array_equal(tifffile.imread(path), result.labels.values)
    tab.files.open_labels(path)
    qtbot.waitUntil(lambda: len(tab.model.entry.results) == 2, timeout=JOB_MS)
    np.testing.assert_array_equal(tab.model.entry.results[1].labels.values, result.labels.values)
    tab.context.actions.trigger("edit.undo")
    assert len(tab.model.entry.results) == 1


def test_a_training_is_cancelled_and_leaves_nothing(filled, truth, qtbot):
    tab = filled
    paint_truth(tab, truth, (4, 9, 14))
    tab.steps.train.form.set_values({"minutes": 30.0, "name": "gone", "patch_px": 32, "batch": 2, "dimensions": "2d",
                                     "axis": "z", "gap": 0})  # fmt: skip
    tab.context.actions.trigger("segmentation.train")
    run = tab.steps.train.run
    qtbot.waitUntil(lambda: run.job is not None and run.job.state == "running", timeout=JOB_MS)
    answer("Discard")
    QTest.mouseClick(tab.steps.train.discard_button, LEFT)
    qtbot.waitUntil(lambda: not run.running, timeout=JOB_MS)
    qtbot.waitUntil(lambda: not run.folder("gone").exists(), timeout=JOB_MS)


def test_errors_in_hand_cases():
    predicted = np.array([[1, 1, 0, 0, 1]], np.uint8)
    reference = np.array([[1, 0, 1, 0, IGNORE]], np.uint8)
    np.testing.assert_array_equal(error_codes(predicted, reference, 1), [[RIGHT, TOO_MUCH, MISSED, 0, 0]])


def test_results_are_shown_removed_and_painted_on(filled, truth, qtbot):
    tab = filled
    labels = Labels(truth, (1.0, 0.5, 0.5), classes=tab.model.entry.classes)
    tab.add_result(tab.model.current_id, Result(labels, "truth"), "Open labels")
    assert tab.model.result().name == "truth"
    assert "metal" in tab.steps.result.fractions.text()
    click(tab, "use_result")
    qtbot.waitUntil(lambda: tab.model.entry.painted, timeout=JOB_MS)
    np.testing.assert_array_equal(tab.model.entry.store.values, truth)
    tab.model.show(result=0)
    QTest.mouseClick(tab.steps.result.remove, LEFT)
    assert tab.model.result() is None
    tab.context.actions.trigger("edit.undo")
    assert [each.name for each in tab.model.entry.results] == ["truth"]
