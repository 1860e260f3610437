"""What is made of labels: errors one by one, surfaces in 3D, particles in a table, baselines, preview, projects."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest

from atomseg_app.data import Labels, Source, Volume
from atomseg_app.gui.main_window import MainWindow
from atomseg_app.gui.segmentation.label_store import Box, LabelStore
from atomseg_app.gui.segmentation.model import Result
from atomseg_app.gui.segmentation.particles import csv_text
from atomseg_app.gui.segmentation.preview import cut_out
from atomseg_app.gui.volumes.gl_check import gl_facts
from atomseg_app.io import live_arrays
from atomseg_app.label_classes import IGNORE
from atomseg_app.segmentation.settings import TrainSegmentation
from tests.gui.driving import OPEN_MS, answer
from tests.gui.segmentation.conftest import CENTRES, SHAPE
from tests.gui.segmentation.driving import JOB_MS, LEFT, click, paint_truth, place


def labels_of(tab, values: np.ndarray) -> Labels:
    """Labels of the volume that is shown."""
    return Labels(values, tab.model.volume().pixel_size_nm, classes=tab.model.entry.classes)


@pytest.fixture
def segmented(filled, truth):
    """The tab with two results: one with a particle missed and another one invented, and the truth."""
    wrong = truth.copy()
    z, y, x = CENTRES[0]
    wrong[z - 5 : z + 6, y - 5 : y + 6, x - 5 : x + 6][wrong[z - 5 : z + 6, y - 5 : y + 6, x - 5 : x + 6] == 2] = 1
    wrong[20:22, 2:4, 20:23] = 2
    filled.add_result(filled.model.current_id, Result(labels_of(filled, truth), "truth"), "Open labels")
    filled.add_result(filled.model.current_id, Result(labels_of(filled, wrong), "network"), "Segment")
    return filled


def test_errors_are_listed_from_the_largest_and_shown_one_by_one(segmented, truth, qtbot):
    tab, errors = segmented, segmented.steps.errors
    assert "Show the errors first" in tab.context.actions.qaction("segmentation.next_error").toolTip()
    tab.model.choose(2)
    tab.model.show(reference=0, errors=True)
    qtbot.waitUntil(lambda: len(errors.places) == 2, timeout=JOB_MS)
    missed = int((truth[CENTRES[0][0] - 4 : CENTRES[0][0] + 5, 5:16, 7:18] == 2).sum())
    assert [int(size) for size in errors.places[:, 3]] == [missed, 12]
    assert f"12 voxels too much, {missed:,} missed" in errors.told.text()
    click(tab, "next_error")
    assert tab.model.place == CENTRES[0]
    assert "missed" in errors.told.text()
    click(tab, "next_error")
    assert tab.model.place[0] in (20, 21)
    click(tab, "next_error")
    assert tab.model.place == CENTRES[0], "after the last comes the first"
    assert errors.profile.counts[2].sum() == missed
    QTest.mouseClick(errors.profile, LEFT, pos=errors.profile.rect().center())
    assert tab.model.place[0] == pytest.approx(SHAPE[0] / 2, abs=1)
    tab.model.choose(0)
    qtbot.waitUntil(lambda: "pores" in errors.told.text(), timeout=JOB_MS)


def test_particles_are_measured_and_linked_with_the_slices(segmented, qtbot, tmp_path: Path):
    tab = segmented
    tab.model.show(result=0)
    tab.context.actions.trigger("segmentation.measure")
    panel = tab.steps.measure
    qtbot.waitUntil(lambda: panel.particles is not None, timeout=JOB_MS)
    particles = panel.particles
    assert len(particles) == len(CENTRES)
    assert particles.unit == "nm"
    assert tab.particle_table.isVisible()
    voxels = particles.columns["voxels"]
    np.testing.assert_allclose(particles.columns["volume"], voxels * 0.25, rtol=1e-9)
    row = tab.particle_table.visualRect(tab.particle_table.rows.index(2, 0))
    QTest.mouseClick(tab.particle_table.viewport(), LEFT, pos=row.center())
    assert tab.model.place in CENTRES
    pane = tab.slices.panes["XY"]
    assert (tab.overlays.layers("XY").marked.values == 1).sum() > 30
    other = next(centre for centre in CENTRES if centre != tab.model.place)
    tab.model.show_place((other[0], 0, 0))
    QTest.mouseClick(pane, LEFT, pos=place(pane, other[2], other[1]))
    chosen = tab.particle_table.rows.order[tab.particle_table.currentIndex().row()]
    np.testing.assert_allclose(particles.place(chosen), other, atol=0.6)
    path = tmp_path / "particles.csv"
    panel.write(path)
    qtbot.waitUntil(path.exists, timeout=JOB_MS)
    lines = path.read_text("utf-8").splitlines()
    assert lines[0].startswith("particle_id,diameter_nm,volume_nm3,surface_nm2,sphericity,depth_nm")
    assert len(lines) == 1 + len(CENTRES)
    assert path.read_text("utf-8") == csv_text(particles)
    tab.model.show(result=1)
    assert panel.particles is None, "they are of another result"


def test_surfaces_of_the_classes_are_drawn_in_3d(segmented, qtbot):
    if gl_facts().problem:
        pytest.skip(gl_facts().problem)
    tab = segmented
    tab.model.show(result=0)
    qtbot.waitUntil(lambda: tab.volume3d.drawn is not None, timeout=JOB_MS)
    tab.steps.show_section.unfold()
    tab.steps.surfaces.on.setChecked(True)
    qtbot.waitUntil(lambda: len(tab.volume3d.parts) == 2, timeout=JOB_MS)
    support, metal = tab.volume3d.parts
    assert (support.opacity, metal.opacity) == (0.35, 1.0)
    np.testing.assert_allclose(metal.vertices.min(0), np.min(CENTRES, 0)[::-1] - 4, atol=0.6)
    before = tab.volume3d.picture()
    orange = (before[..., 0].astype(int) - before[..., 2] > 60).sum()
    assert orange > 20, "metal is orange and in front or inside"
    tab.steps.surfaces._on_opacity(2, 0)
    after = tab.volume3d.picture()
    assert (after[..., 0].astype(int) - after[..., 2] > 60).sum() < orange / 4
    tab.steps.surfaces.on.setChecked(False)
    assert not tab.volume3d.parts


def test_baselines_are_results_to_compare_with(filled, truth, qtbot):
    tab = filled
    click(tab, "otsu")
    qtbot.waitUntil(lambda: tab.model.result() is not None, timeout=JOB_MS)
    found = tab.model.result()
    assert found.name == "Otsu thresholds"
    np.testing.assert_array_equal(found.labels.values, truth, "grey levels are far apart")
    assert not tab.context.actions.qaction("segmentation.forest").isEnabled()


def test_the_slice_is_guessed_while_painting(filled, truth, qtbot):
    tab = filled
    assert "two classes" in tab.context.actions.qaction("segmentation.preview").toolTip()
    paint_truth(tab, truth, (9, 16))
    click(tab, "preview")
    layer = tab.overlays.layers("XY").preview
    qtbot.waitUntil(lambda: layer.values is not None, timeout=JOB_MS)
    assert (layer.values == truth[12]).mean() > 0.95
    tab.model.show_place((13, 20, 24))
    assert layer.values is None, "it was of another slice"
    qtbot.waitUntil(lambda: layer.values is not None, timeout=JOB_MS)
    click(tab, "preview")
    assert layer.values is None


def test_slices_for_the_guess_keep_their_neighbours(rng):
    values, labels = rng.random((9, 10, 11)), rng.integers(0, 3, (9, 10, 11)).astype(np.uint8)
    for axis in range(3):
        cut, taught, at = cut_out(values, labels, axis, np.array([2, 6]), 4)
        assert len(cut) == 15
        wanted = np.take(values, 4, axis)
        np.testing.assert_array_equal(cut[at], wanted if axis < 2 else wanted.T)
        known = np.take(labels, 6, axis)
        np.testing.assert_array_equal(taught[7], known if axis < 2 else known.T)
        assert (np.delete(taught, [2, 7], 0) == IGNORE).all()


def test_a_file_of_mostly_zeros_is_asked_about(filled, truth, qtbot):
    tab = filled
    sparse = np.where(truth == 2, truth, 0).astype(np.uint8)
    assert LabelStore(sparse).mostly_zero()
    assert not LabelStore(truth).mostly_zero()
    tab.add_result(tab.model.current_id, Result(labels_of(tab, sparse), "sparse"), "Open labels")
    answer("Not labelled")
    click(tab, "use_result")
    qtbot.waitUntil(lambda: tab.model.entry.painted, timeout=JOB_MS)
    assert tab.model.entry.store.counts[0] == 0
    assert tab.model.entry.store.counts[2] == (truth == 2).sum()


def test_a_project_keeps_labels_classes_and_results(make_window, segmented, truth, tmp_path: Path, qtbot):
    """The volume is a file of its own; what was painted and found is in the project."""
    tab, window = segmented, segmented.window()
    paint_truth(tab, truth, (4, 11))
    tab.steps.classes.toggle(4, 1)
    tab.model.show_place((3, 4, 5))
    window.session.save(tmp_path / "a project.atomseg")
    qtbot.waitUntil(lambda: window.session.path is not None, timeout=OPEN_MS)
    state, items = tab.save_state()
    assert [item.shape[0] for item in items] == [SHAPE[0], 2, SHAPE[0], SHAPE[0]], "two painted slices are two slices"
    window.close_now()
    from atomseg_app.gui.app import workspaces

    again = make_window(*workspaces())
    assert isinstance(again, MainWindow)
    again.open_paths([str(tmp_path / "a project.atomseg")])
    qtbot.waitUntil(lambda: not again.session.empty, timeout=OPEN_MS)
    model = again.tabs["segmentation"].model
    entry = model.entry
    assert [each.name for each in entry.results] == ["truth", "network"]
    assert entry.locked == {1}
    assert model.place == (3, 4, 5)
    wanted = np.full(SHAPE, IGNORE, np.uint8)
    wanted[[4, 11]] = truth[[4, 11]]
    np.testing.assert_array_equal(entry.store.values, wanted)
    assert state["chosen"] == model.chosen


def test_closing_and_undo_bring_everything_back(segmented, truth):
    tab = segmented
    paint_truth(tab, truth, (5,))
    entry = tab.model.entry
    tab.context.actions.trigger("segmentation.close")
    assert tab.is_empty()
    assert tab.pages.currentWidget() is tab.empty
    tab.context.actions.trigger("edit.undo")
    assert tab.model.entry is entry
    for _ in range(3):
        tab.context.actions.trigger("edit.undo")
    assert not tab.model.entry.painted, "strokes are of the same voxels after closing and opening"


def test_a_volume_in_front_stays_here_and_labels_always_come_here(filled, volume, truth):
    window = filled.window()
    window.show_item(replace(volume, source=Source("/data/other.mrc")))
    assert len(filled.model.entries) == 2
    window.show_workspace("atoms")
    window.show_item(Labels(truth, (1.0, 0.5, 0.5), Source("/data/labels.tif"), classes=filled.model.entry.classes))
    assert window.current_tab() is filled
    assert filled.model.result().name == "labels"
    window.show_workspace("tomography")
    window.show_item(Volume(np.zeros((3, 4, 5), np.float32), (1.0,) * 3, Source("/data/third.mrc")))
    assert window.current_tab() is window.tabs["tomography"]


def test_keys_of_classes_and_brush(filled):
    tab, pane = filled, filled.slices.panes["XY"]
    pane.setFocus()
    for key, value in ((Qt.Key.Key_1, 0), (Qt.Key.Key_3, 2)):
        QTest.keyClick(pane, key)
        assert tab.model.chosen == value
    QTest.keyClick(pane, Qt.Key.Key_E)
    assert tab.tool_name == "eraser"
    before = tab.painter.brush.radius_px
    QTest.keyClick(pane, Qt.Key.Key_BracketRight)
    assert tab.painter.brush.radius_px > before
    QTest.mouseClick(pane, Qt.MouseButton.RightButton, pos=place(pane, 10, 12))
    assert tab.model.place[1:] == (12, 10), "the right button moves the cross-hair in every tool"
    idle_tools = tab.context.actions.qaction("segmentation.class_9")
    assert not idle_tools.isEnabled()


def test_meshes_are_written_a_file_a_class_in_nm(segmented, truth, qtbot, tmp_path: Path):
    tab = segmented
    tab.model.show(result=0)
    job = tab.files.save_meshes(tab.files.labels(), tmp_path / "grain.stl")
    qtbot.waitUntil(lambda: job.state == "done", timeout=JOB_MS)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["grain_metal.stl", "grain_support.stl"]
    raw = (tmp_path / "grain_metal.stl").read_bytes()
    assert b"nm" in raw[:80]
    face = np.dtype([("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("colour", "<u2")])
    corners = np.frombuffer(raw[84:], face)["corners"].astype(float)
    volume = np.einsum("ni,ni->n", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
    assert volume == pytest.approx((truth == 2).sum() * 0.25, rel=0.05), "signed volume of closed meshes, in nm3"


def test_what_was_painted_comes_back_when_everything_is_done_again(filled):
    """The step before the first stroke knows of no labels; doing it again must not hide those that came later."""
    tab = filled
    click(tab, "add_class")
    tab.model.choose(1)
    assert tab.painter.begin("Paint")
    tab.painter.fill_box(Box((2, 3, 4), (3, 9, 9)), np.ones((1, 6, 5), bool))
    tab.painter.end()
    for _ in range(2):
        tab.context.actions.trigger("edit.undo")
    assert not tab.model.entry.painted
    for _ in range(2):
        tab.context.actions.trigger("edit.redo")
    assert tab.model.entry.store.counts[1] == 30


def test_room_for_large_labels_is_made_when_a_tool_is_taken(tab, volume, truth, qtbot, monkeypatch):
    monkeypatch.setattr(live_arrays, "LIVE_BYTES", 1)
    tab.window().show_item(volume)
    assert tab.model.entry.store is None, "looking takes no room"
    tab.take_tool("brush")
    if tab.model.preparing:
        assert not tab.painter.begin("Paint"), "not yet"
    qtbot.waitUntil(lambda: tab.model.entry.store is not None, timeout=JOB_MS)
    assert live_arrays.file_of(tab.model.entry.store.values) is not None
    paint_truth(tab, truth, (4,))
    tab.starting.clear()
    qtbot.waitUntil(lambda: not tab.model.entry.painted, timeout=JOB_MS)
    tab.context.actions.trigger("edit.undo")
    np.testing.assert_array_equal(tab.model.entry.store.values[4], truth[4])
    task = tab.steps.train.run.train_task(TrainSegmentation(), tab.steps.train.run.folder("x"), resume=False)
    assert task.arguments["slices"] == [4]
    assert task.inputs[1].shape == (1, *truth.shape[1:])
