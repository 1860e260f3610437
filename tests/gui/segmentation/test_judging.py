"""The result against a reference: errors in 3D and as a file, the report, probabilities as a layer."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PySide6.QtGui import QGuiApplication
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QFileDialog

from atomseg_app.data import Labels, Volume
from atomseg_app.gui.segmentation.model import Result
from atomseg_app.gui.volumes.gl_check import gl_facts
from atomseg_app.label_classes import IGNORE
from atomseg_app.segmentation.error_codes import MISSED, RIGHT, TOO_MUCH
from atomseg_app.segmentation.error_map import error_map
from tests.gui.segmentation.conftest import CENTRES
from tests.gui.segmentation.driving import JOB_MS, LEFT, click, idle


@pytest.fixture
def judged(filled, truth):
    """A result that misses a particle and invents a block of 12 voxels and a single one, the truth, probabilities."""
    tab = filled
    wrong = truth.copy()
    z, y, x = CENTRES[0]
    near = wrong[z - 5 : z + 6, y - 5 : y + 6, x - 5 : x + 6]
    near[near == 2] = 1
    wrong[20:22, 2:4, 20:23] = 2
    wrong[3, 34, 5] = 2

    def labels(values: np.ndarray) -> Labels:
        return Labels(values, tab.model.volume().pixel_size_nm, classes=tab.model.entry.classes)

    probable = {v: Volume((wrong == v).astype(np.float16), tab.model.volume().pixel_size_nm) for v in (0, 1, 2)}
    tab.add_result(tab.model.current_id, Result(labels(truth), "truth"), "Open labels")
    tab.add_result(tab.model.current_id, Result(labels(wrong), "network", None, probable), "Segment")
    tab.model.choose(2)
    tab.model.show(reference=0)
    return tab


def test_errors_are_drawn_in_3d_in_two_colours_with_a_legend(judged, qtbot):
    if gl_facts().problem:
        pytest.skip(gl_facts().problem)
    tab = judged
    qtbot.waitUntil(lambda: tab.volume3d.drawn is not None, timeout=JOB_MS)
    assert not tab.volume3d.legend.isVisible()
    tab.context.actions.trigger("segmentation.show_errors")
    qtbot.waitUntil(lambda: len(tab.volume3d.parts) == 3, timeout=JOB_MS)
    right, much, missed = tab.volume3d.parts
    assert (much.colour, missed.colour) == ("#e69f00", "#0072b2")
    assert right.opacity < 0.3 < much.opacity
    np.testing.assert_allclose(missed.vertices.mean(0), CENTRES[0][::-1], atol=0.5)
    block, single = much.vertices[much.vertices[:, 2] > 10], much.vertices[much.vertices[:, 2] < 10]
    np.testing.assert_allclose(block.mean(0), (21, 2.5, 20.5), atol=0.6)
    np.testing.assert_allclose(single.mean(0), (5, 34, 3), atol=0.6, err_msg="a single voxel is seen, too")
    assert tab.volume3d.legend.isVisible()
    for words in ("metal", "too much (FP)", "missed (FN)", "#e69f00", "#0072b2"):
        assert words in tab.volume3d.legend.text()
    picture = tab.volume3d.picture().astype(int)
    assert (picture[..., 0] - picture[..., 2] > 60).sum() > 3, "orange"
    assert (picture[..., 2] - picture[..., 0] > 60).sum() > 10, "blue"
    tab.model.choose(1)
    qtbot.waitUntil(lambda: "support" in tab.volume3d.legend.text(), timeout=JOB_MS)
    tab.context.actions.trigger("segmentation.show_errors")
    assert not tab.volume3d.parts
    assert not tab.volume3d.legend.isVisible()


def test_the_error_map_is_written_as_labels(judged, qtbot, tmp_path: Path):
    tab = judged
    for name in ("errors.tif", "errors.mrc"):
        job = tab.judging.save_errors(tmp_path / name)
        qtbot.waitUntil(lambda job=job: job.state == "done", timeout=JOB_MS)
    codes = tifffile.imread(tmp_path / "errors.tif")
    assert (codes == TOO_MUCH).sum() == 13
    assert codes[CENTRES[0]] == MISSED
    assert codes[CENTRES[1]] == RIGHT
    tab.files.open_labels(tmp_path / "errors.mrc")
    qtbot.waitUntil(lambda: len(tab.model.entry.results) == 3, timeout=JOB_MS)
    again = tab.model.entry.results[2].labels
    np.testing.assert_array_equal(again.values, codes)
    assert [each.name for each in again.classes][1:] == ["right (TP)", "too much (FP)", "missed (FN)"]


def test_what_is_ignored_is_ignored_in_the_map():
    found = Labels(np.array([[[1, 1, 0, 0, 1]]], np.uint8))
    wanted = Labels(np.array([[[1, 0, 1, 0, IGNORE]]], np.uint8), (1.0, 2.0, 2.0))
    made = error_map(found, wanted, 1)
    assert made.values.ravel().tolist() == [RIGHT, TOO_MUCH, MISSED, 0, IGNORE]
    assert made.pixel_size_nm == (1.0, 2.0, 2.0)
    with pytest.raises(Exception, match=r"1 x 1 x 5 voxels .*, but the reference has 1 x 1 x 4"):
        error_map(found, Labels(wanted.values[..., :4]), 1)


def test_the_report_is_read_copied_and_saved(judged, truth, qtbot, tmp_path: Path, monkeypatch, screenshot):
    tab = judged
    tab.steps.errors_section.unfold()
    click(tab, "report")
    qtbot.waitUntil(lambda: tab.judging.dialog is not None, timeout=JOB_MS)
    dialog = tab.judging.dialog
    heads = [dialog.scores.horizontalHeaderItem(i).text() for i in range(dialog.scores.columnCount())]
    assert heads[:6] == ["Class", "Dice", "IoU", "Precision", "Recall", "Dice, mean of slices"]
    assert "HD95 (nm)" in heads
    found, wanted = tab.model.result().labels.values == 2, truth == 2
    dice = 2 * (found & wanted).sum() / (found.sum() + wanted.sum())
    assert dialog.scores.item(2, 1).text() == f"{dice:.3f}"
    assert dialog.confusion.item(2, 3).text() == f"{(found & wanted).sum():,}"
    screenshot(dialog, "segmentation-report")
    QTest.mouseClick(dialog.copy_button, LEFT)
    lines = QGuiApplication.clipboard().text().splitlines()
    assert lines[0] == "network against truth"
    assert lines[4].split("\t")[:2] == ["metal", f"{dice:.3f}"]
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_: (str(tmp_path / "scores"), ""))
    QTest.mouseClick(dialog.save_button, LEFT)
    qtbot.waitUntil(lambda: (tmp_path / "scores_confusion.csv").exists(), timeout=JOB_MS)
    rows = list(csv.DictReader((tmp_path / "scores.csv").read_text("utf-8").splitlines()))
    assert float(rows[2]["dice"]) == pytest.approx(dice)
    assert "hd95_nm" in rows[2]
    lines = (tmp_path / "scores_confusion.csv").read_text("utf-8").splitlines()
    matrix = np.array([row[1:] for row in csv.reader(lines)][1:], int)
    assert matrix.sum() == truth.size
    dialog.close()


def test_an_absent_class_is_not_defined_and_px_are_told(judged, truth, qtbot):
    tab = judged
    entry = tab.model.entry
    flat = Labels(np.where(truth == 2, 1, truth).astype(np.uint8), classes=entry.classes)
    tab.add_result(tab.model.current_id, Result(flat, "no metal"), "Open labels")
    other = Labels(flat.values.copy(), classes=entry.classes)
    tab.add_result(tab.model.current_id, Result(other, "again"), "Open labels")
    tab.model.show(reference=2)
    tab.judging.report()
    idle(tab, qtbot)
    dialog = tab.judging.dialog
    assert "HD95 (px)" in [dialog.scores.horizontalHeaderItem(i).text() for i in range(dialog.scores.columnCount())]
    assert [dialog.scores.item(2, column).text() for column in (1, 3, 4)] == ["n/a"] * 3
    assert dialog.scores.item(1, 1).text() == "1.000"
    dialog.close()


def test_the_probability_of_a_class_is_a_layer_with_a_colour_bar(judged, qtbot, tmp_path: Path):
    tab, panel = judged, judged.steps.result
    assert not panel.bar.isVisible()
    assert [panel.probability.itemText(i) for i in range(panel.probability.count())] == [
        "None", "pores", "support", "metal"]  # fmt: skip
    panel.probability.setCurrentIndex(3)
    layer = tab.overlays.layers("XY").probable
    assert layer.values.max() == 255
    np.testing.assert_array_equal(layer.values == 255, tab.model.result().labels.values[12] == 2)
    assert not panel.bar.isHidden()
    assert "metal" in panel.bar.accessibleName()
    assert "probability 1.000" in tab.overlays._describe(CENTRES[1])
    job = tab.files.save_probability(tab.model.result().probabilities[2], tmp_path / "metal.tif")
    qtbot.waitUntil(lambda: job.state == "done", timeout=JOB_MS)
    assert tifffile.imread(tmp_path / "metal.tif").shape == tab.model.volume().shape
    panel.probability.setCurrentIndex(0)
    assert layer.values is None
    assert "Probabilities switched on" in tab.context.actions.qaction("segmentation.save_probability").toolTip()
    state, items = tab.save_state()
    tab.clear()
    tab.restore_state(state, items)
    assert set(tab.model.entry.results[1].probabilities) == {0, 1, 2}
