"""A volume in a real window: linked slices, contrast, comparison, 3D where there is OpenGL and a reason where not."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication, QPushButton

from atomseg_app.data import Source, Volume
from atomseg_app.gui.contrast import Contrast
from atomseg_app.gui.theme import Theme
from atomseg_app.gui.tomography.model import Entry, TomoModel
from atomseg_app.gui.volumes import slice_pane
from atomseg_app.gui.volumes.gl_check import GlFacts, gl_facts
from atomseg_app.gui.volumes.look import Look, with_clip
from atomseg_app.gui.volumes.shrinking import shrunk, step_for
from atomseg_app.gui.volumes.slices_view import SlicesView
from atomseg_app.gui.volumes.transfer_editor import DEFAULT, TransferEditor, opacity_at
from atomseg_app.gui.volumes.volume3d import Volume3D
from tests.gui.tomography.driving import JOB_MS, LEFT, drag, idle, place, wheel


def test_three_slices_follow_one_cross_hair(sliced, volume):
    tab, panes = sliced, sliced.slices.panes
    assert tab.model.place == (6, 10, 15)
    QTest.mouseClick(panes["XY"], LEFT, pos=place(panes["XY"], 22, 4))
    assert tab.model.place == (6, 4, 22)
    np.testing.assert_array_equal(panes["XZ"].layer.values, volume.values[:, 4, :])
    np.testing.assert_array_equal(panes["YZ"].layer.values, volume.values[:, :, 22].T)
    QTest.mouseClick(panes["YZ"], LEFT, pos=place(panes["YZ"], 9, 12))
    assert tab.model.place == (9, 12, 22), "YZ draws y down and z across"
    np.testing.assert_array_equal(panes["XY"].layer.values, volume.values[9])
    wheel(panes["XY"], -3)
    assert tab.model.place[0] == 6
    wheel(panes["XZ"], 100)
    assert tab.model.place[1] == 19, "the last slice is the last"
    drag(panes["XZ"], (5, 2), (7, 5))
    assert tab.model.place == (5, 19, 7)


def test_voxels_are_drawn_to_scale_and_zoom_is_shared(sliced):
    panes = sliced.slices.panes
    assert panes["XZ"].geometry_now.aspect == (1.0, 2.0), "z is 4 nm, x 2 nm"
    panes["XY"].zoom(1.7)
    per_nm = [
        panes[name].geometry_now.scale[axis] / size
        for name, axis, size in (("XY", 0, 2.0), ("XZ", 0, 2.0), ("XZ", 1, 4.0), ("YZ", 0, 4.0), ("YZ", 1, 2.0))
    ]
    np.testing.assert_allclose(per_nm, per_nm[0], rtol=1e-9)
    assert panes["XZ"].geometry_now.x == panes["XY"].geometry_now.x
    sliced.fit()
    assert all(pane.fitted for pane in panes.values())


def test_position_and_value_are_read_in_nm(sliced, volume):
    pane = sliced.slices.panes["XZ"]
    sliced.model.show_place((4, 10, 10))
    QTest.mouseMove(pane, place(pane, 12, 5))
    QTest.mouseMove(pane, place(pane, 10, 4))
    text = sliced.slices.readout.text()
    assert "nm" in text
    assert f"value {volume.values[4, 10, 10]:.4g}"[:8] in text


def test_one_contrast_serves_all_slices(sliced):
    bar = sliced.slices.contrast_bar
    bar.low.setText("12")
    bar.low.setModified(True)
    bar.low.editingFinished.emit()
    assert {pane.layer.contrast.low for pane in sliced.slices.panes.values()} == {12.0}


def test_two_volumes_are_compared(sliced, volume, rng):
    tab = sliced
    other = replace(volume, values=volume.values + 3, source=Source("/data/other.mrc"))
    action = tab.context.actions.qaction("tomography.compare")
    assert not action.isEnabled()
    assert "same size" in action.toolTip()
    tab.window().show_item(other)
    action.trigger()
    assert tab.pages.currentWidget() is tab.compare_view
    np.testing.assert_allclose(tab.compare_view.difference.layer.values, -3, atol=1e-5)
    assert "3 rms" in tab.compare_view.readout.text()
    tab.compare_view.first.zoom(2)
    assert tab.compare_view.second.geometry_now.zoom == pytest.approx(tab.compare_view.first.geometry_now.zoom)
    wheel(tab.compare_view.second, 2)
    assert tab.compare_view.first.index == tab.compare_view.difference.index == 8
    tab.compare_view.plane.setCurrentIndex(2)
    np.testing.assert_array_equal(tab.compare_view.first.layer.values, other.values[:, :, 15].T)
    tab.context.actions.trigger("tomography.close")
    assert tab.pages.currentWidget() is tab.slices, "nothing is left to compare with"
    tab.context.actions.trigger("edit.undo")
    assert tab.model.volume() is other


def test_a_slice_goes_to_the_other_tab(sliced, volume):
    sliced.model.show_place((4, 0, 0))
    sliced.context.actions.trigger("tomography.slice_to_atoms")
    atoms = sliced.window().tabs["atoms"]
    assert sliced.window().current_tab() is atoms
    np.testing.assert_array_equal(atoms.model.image().values, volume.values[4])
    assert atoms.model.image().pixel_size_nm == (2.0, 2.0)


def test_large_volumes_are_cut_in_the_background(tab, volume, qtbot, monkeypatch):
    """Of a file on a disk a slice across can take seconds: the window goes on."""
    monkeypatch.setattr(slice_pane, "AT_ONCE_BYTES", 100)
    monkeypatch.setattr("atomseg_app.gui.volumes.slices_view.AT_ONCE_BYTES", 100)
    tab.window().show_item(volume)
    for x in range(10, 20):
        tab.model.show_place((3, 4, x))
    pane = tab.slices.panes["YZ"]
    qtbot.waitUntil(lambda: pane.layer.values is not None and np.array_equal(pane.layer.values,
                                                                           volume.values[:, :, 19].T))  # fmt: skip
    qtbot.waitUntil(lambda: tab.slices.contrast.high > 40)


def test_double_click_gives_one_slice_all_the_room(sliced):
    panes = sliced.slices.panes
    QTest.mouseDClick(panes["XZ"], LEFT)
    assert panes["XZ"].isVisible()
    assert not panes["XY"].isVisible()
    sliced.context.actions.trigger("tomography.show_all")
    assert panes["XY"].isVisible()


def test_without_opengl_3d_says_why_and_slices_work(main_window, volume, qtbot):
    """ux: a readable explanation, a report to copy, and everything else in order."""
    model, theme = TomoModel(), main_window.context.theme
    problem = "No OpenGL is available on this display, so volumes cannot be drawn in 3D."
    view = Volume3D(model, theme, lambda: GlFacts(problem, "platform test, no OpenGL context"))
    slices = SlicesView(model, theme, view)
    qtbot.addWidget(slices)
    slices.resize(800, 600)
    with qtbot.waitExposed(slices):
        slices.show()
    model.add(Entry(volume))
    qtbot.waitUntil(lambda: view.explanation.isVisible())
    assert view.explanation.text() == problem
    assert view.scene is None
    QTest.mouseClick(view.findChild(QPushButton), LEFT)
    assert "no OpenGL context" in QApplication.clipboard().text()
    np.testing.assert_array_equal(slices.panes["XY"].layer.values, volume.values[6])


def test_volumes_beyond_the_texture_limit_are_shrunk_and_it_is_said(rng):
    """Sizes that no graphics card takes, and means of blocks."""
    assert step_for((2048, 2048, 2048), 2048, 2048**3) == 1
    assert step_for((100, 3000, 100), 2048, 10**9) == 2
    assert step_for((1024, 1024, 1024), 2048, 512**3) == 2
    values = rng.normal(size=(5, 6, 8)).astype(np.float32)
    values[0, 0, :2] = np.nan, np.inf
    small = shrunk(values, 2)
    block = values[:2, :2, :2]
    np.testing.assert_allclose(small[0, 0, 0], block[np.isfinite(block)].sum() / 8, rtol=1e-5)
    assert small.shape == (2, 3, 4)
    np.testing.assert_allclose(small[1, 2, 3], values[2:4, 4:6, 6:8].mean(), rtol=1e-5)
    assert np.isfinite(small).all()


def test_opacity_is_edited_by_mouse_and_keys(qtbot):
    editor = TransferEditor()
    qtbot.addWidget(editor)
    editor.resize(300, 120)
    with qtbot.waitExposed(editor):
        editor.show()
    heard = []
    editor.changed.connect(heard.append)
    start = editor.at(*editor.points[2]).toPoint()
    QTest.mousePress(editor, LEFT, pos=start)
    QTest.mouseMove(editor, editor.at(0.5, 0.9).toPoint())
    QTest.mouseRelease(editor, LEFT, pos=editor.at(0.5, 0.9).toPoint())
    assert editor.points[2] == pytest.approx((0.5, 0.9), abs=0.02)
    assert heard[-1] == editor.points
    QTest.mouseDClick(editor, LEFT, pos=editor.at(0.8, 0.3).toPoint())
    assert len(editor.points) == len(DEFAULT) + 1
    assert opacity_at(editor.points, 0.8) == pytest.approx(0.3, abs=0.02)
    editor.setFocus()
    QTest.keyClick(editor, Qt.Key.Key_Delete)
    assert len(editor.points) == len(DEFAULT)
    assert [place for place, _ in editor.points] == sorted(place for place, _ in editor.points)


# -- pixels of a rendered volume; these need a display with OpenGL


@pytest.fixture
def drawn(tab, qtbot):
    """The tab with a bright block at low x, low y and low z of a dark cube, drawn in 3D."""
    if gl_facts().problem:
        pytest.skip(f"3D needs OpenGL: {gl_facts().report}")
    values = np.zeros((32, 32, 32), np.float32)
    values[2:14, 2:14, 2:14] = 100
    tab.window().show_item(Volume(values, (1.0, 1.0, 1.0), Source("/data/corner.mrc")))
    qtbot.waitUntil(lambda: tab.volume3d.drawn is not None, timeout=JOB_MS)
    tab.slices.set_contrast(Contrast(0.0, 100.0))
    tab.volume3d.scene.set_view(0.0, 0.0)
    QApplication.processEvents()
    return tab


def brightness(tab):
    """Picture of the 3D view as numbers (y, x) 0..1 above the ground."""
    picture = tab.volume3d.picture()[..., :3].astype(float).mean(axis=2) / 255
    return np.clip(picture - np.median(picture), 0, None)


def test_pixels_of_a_volume_are_where_the_slices_show_them(drawn, screenshot):
    """Looked at along z: low x is left and low y is up, as in the XY slice; nothing is mirrored."""
    drawn.volume3d.set_look(Look(box=False, cross=False))
    picture = brightness(drawn)
    rows, columns = np.nonzero(picture > 0.5)
    height, width = picture.shape
    assert len(rows) > 0.005 * picture.size
    assert columns.mean() < width / 2 - 5
    assert rows.mean() < height / 2 - 5
    screenshot(drawn.window(), "tomography-3d")


@pytest.mark.parametrize("mode", ["mip", "translucent", "surface"])
def test_clipping_takes_away_what_is_cut_off(drawn, qtbot, mode):
    drawn.volume3d.set_look(Look(mode=mode, box=False, cross=False))
    qtbot.wait(400)
    idle(drawn, qtbot)
    QApplication.processEvents()
    whole = (brightness(drawn) > 0.1).sum()
    assert whole > 500
    drawn.volume3d.set_look(with_clip(drawn.volume3d.look, 2, 0.0, 0.25))  # x up to 8 of 32: half of the block
    part = (brightness(drawn) > 0.1).sum()
    assert 0.3 * whole < part < 0.75 * whole
    drawn.volume3d.set_look(with_clip(drawn.volume3d.look, 2, 0.6, 1.0))
    assert (brightness(drawn) > 0.1).sum() < 0.02 * whole


def test_the_box_is_drawn_and_hidden(drawn):
    drawn.volume3d.set_look(with_clip(Look(box=True, cross=False), 0, 0.9, 1.0))
    lines = (brightness(drawn) > 0.1).sum()
    drawn.volume3d.set_look(replace(drawn.volume3d.look, box=False))
    assert (brightness(drawn) > 0.1).sum() < 0.2 * lines


def test_3d_follows_the_look_of_the_program_and_another_volume(drawn, volume, qtbot):
    assert isinstance(drawn.context.theme, Theme)
    before = drawn.volume3d.drawn
    drawn.window().show_item(volume)
    qtbot.waitUntil(lambda: drawn.volume3d.drawn is not before and drawn.volume3d.drawn is not None, timeout=JOB_MS)
    assert drawn.volume3d.drawn.shape == volume.shape
    assert "60 nm × 40 nm × 48 nm" in drawn.volume3d.size_line.text()
