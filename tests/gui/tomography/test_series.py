"""A series in a real window: dropped, looked through, its angles and shifts changed by hand, every step undone."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QPushButton

from atomseg_app.alignment import Alignment
from atomseg_app.data import Image, ImageSeries, Source, TiltSeries
from atomseg_app.errors import UserError
from atomseg_app.gui.tomography.angle_table import ANGLE, SHIFT_X, USE
from atomseg_app.gui.tomography.model import as_series
from atomseg_app.gui.tomography.paste_dialog import PasteDialog
from atomseg_app.gui.tomography.sinogram_view import sinogram
from tests.gui.driving import answer, drop
from tests.gui.tomography.conftest import ANGLES, SIDE
from tests.gui.tomography.driving import JOB_MS, LEFT, button, click, drag, place, type_into, wheel


def undo(tab):
    tab.context.actions.trigger("edit.undo")


def test_a_dropped_series_comes_with_its_angles_while_another_tab_is_in_front(tab, series_file, qtbot):
    """A tilt series belongs here wherever it is dropped; its views are those of the file."""
    window = tab.window()
    window.show_workspace("atoms")
    assert drop(window, QPoint(500, 400), [series_file])
    qtbot.waitUntil(lambda: tab.model.series() is not None, timeout=JOB_MS)
    assert window.current_tab() is tab
    assert tab.model.series().tilt_deg == ANGLES
    assert tab.model.view == 5, "the view that is tilted least is shown first"
    assert "particle one.rawtlt" in tab.steps.angles.state.text()
    assert tab.table.model().rowCount() == len(ANGLES)


def test_wheel_keys_slider_and_table_show_the_same_view(filled):
    tab, canvas = filled, filled.series_page.projection.canvas
    start = tab.model.view
    wheel(canvas, -2)
    assert tab.model.view == start + 2
    zoom = canvas.geometry_now.zoom
    wheel(canvas, 1, control=True)
    assert canvas.geometry_now.zoom > zoom
    assert tab.model.view == start + 2
    tab.context.actions.trigger("tomography.previous_view")
    assert tab.model.view == start + 1
    assert tab.table.currentIndex().row() == start + 1
    assert tab.series_page.bar.slider.value() == start + 1
    assert "6°" in tab.series_page.bar.angle.text()
    np.testing.assert_array_equal(tab.series_page.projection.image.values, tab.model.series().values[start + 1])
    QTest.mouseClick(tab.table.viewport(), LEFT, pos=tab.table.visualRect(tab.table.model().index(2, ANGLE)).center())
    assert tab.model.view == 2


def test_a_click_takes_the_row_of_the_sinogram(filled):
    tab, canvas = filled, filled.series_page.projection.canvas
    QTest.mouseClick(canvas, LEFT, pos=place(canvas, 20, 13))
    assert tab.model.row == 13
    assert tab.series_page.bar.row.value() == 13
    shown = tab.series_page.sinogram.image.values
    np.testing.assert_array_equal(shown, tab.model.series().values[:, 13, :])
    QTest.mouseClick(tab.series_page.sinogram.canvas, LEFT, pos=place(tab.series_page.sinogram.canvas, 20, 8))
    assert tab.model.view == 8


def test_angles_are_typed_and_refused_in_a_sentence(filled, qtbot):
    tab = filled
    type_into(tab.table, 1, ANGLE, "-53,5")
    assert tab.model.series().tilt_deg[1] == -53.5
    type_into(tab.table, 1, ANGLE, "400")
    assert tab.model.series().tilt_deg[1] == -53.5
    assert "400 is no angle" in tab.context.notify.dialog.report()
    tab.context.notify.dialog.close()
    undo(tab)
    assert tab.model.series().tilt_deg == ANGLES


def test_excluded_views_leave_the_sinogram_and_come_back(filled):
    tab = filled
    cell = tab.table.model().index(3, USE)
    tab.table.model().setData(cell, Qt.CheckState.Unchecked, Qt.ItemDataRole.CheckStateRole)
    assert tab.model.series().excluded == (3,)
    assert len(tab.series_page.sinogram.image.values) == len(ANGLES) - 1
    assert "11 of 12 views" in tab.steps.angles.state.text()
    tab.table.selectRow(3)
    click(tab, "tomography.exclude")
    assert tab.model.series().excluded == ()
    undo(tab)
    assert tab.model.series().excluded == (3,)
    for view in range(len(ANGLES) - 2):
        tab.editing.set_used(view, False)
    assert len(tab.model.series().used) == 2
    with pytest.raises(UserError, match="keep at least one"):
        tab.editing.toggle_excluded(range(len(ANGLES)))


def test_angles_are_never_guessed(tab, views):
    """Images without angles open with unknown ones, and nothing can be computed before they are given."""
    tab.window().show_item(ImageSeries(views, (2.0, 2.0), Source("/data/no_angles.tif")))
    assert tab.window().current_tab() is tab
    assert all(math.isnan(angle) for angle in tab.model.series().tilt_deg)
    run = tab.context.actions.qaction("tomography.reconstruct")
    assert not run.isEnabled()
    assert "Give the tilt angles first" in run.toolTip()
    panel = tab.steps.angles
    for edit, text in ((panel.start, "-66"), (panel.step, "12")):
        edit.selectAll()
        QTest.keyClicks(edit, text)
    click(tab, "tomography.apply_scheme")
    assert tab.model.series().tilt_deg == ANGLES
    assert run.isEnabled()
    panel.scheme.setCurrentIndex(1)
    panel.start.setText("0")
    panel.step.setText("6")
    click(tab, "tomography.apply_scheme")
    steps = np.diff(tab.model.series().tilt_deg)
    assert steps[0] == pytest.approx(6)
    assert (np.diff(steps) < 0).all(), "Saxton: finer at high tilt"
    undo(tab)
    undo(tab)
    assert not run.isEnabled()


def test_a_pasted_list_tells_both_counts(filled, qtbot):
    dialog = PasteDialog(filled, len(ANGLES), "")
    qtbot.addWidget(dialog)
    dialog.text.setPlainText("1 2 3")
    assert "3 angles" in dialog.state.text()
    assert "12 images" in dialog.state.text()
    ok = dialog.buttons.button(dialog.buttons.StandardButton.Ok)
    assert not ok.isEnabled()
    dialog.text.setPlainText("\n".join(f"{angle + 1:g}" for angle in ANGLES))
    assert ok.isEnabled()
    filled.editing.give_angles(dialog.angles, "the pasted list")
    assert filled.model.series().tilt_deg[0] == -65
    assert "pasted list" in filled.steps.angles.state.text()


def test_an_angle_file_of_another_series_is_refused(filled, tmp_path):
    path = tmp_path / "other.tlt"
    path.write_text("1\n2\n3\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"3 angles.*12 images"):
        filled.editing.read_angles(path)
    assert filled.model.series().tilt_deg == ANGLES


def test_the_axis_is_switched_and_suggested(filled, series, qtbot):
    """Turned by 90 degrees the common line runs the other way; the suggestion changes nothing by itself."""
    tab = filled
    click(tab, "tomography.detect_axis")
    qtbot.waitUntil(lambda: any("vertical, as it is set" in text for text in tab.context.notify.toast_texts()))
    turned = replace(series, values=np.ascontiguousarray(series.values.transpose(0, 2, 1)))
    tab.window().show_item(turned)
    banners = tab.context.notify.banners
    qtbot.waitUntil(lambda: any("horizontal, but it is set to vertical" in text for text in banners.texts()))
    assert tab.model.series().tilt_axis == "y"
    QTest.mouseClick(next(b for b in banners.findChildren(QPushButton) if b.text() == "Switch the axis"), LEFT)
    assert tab.model.series().tilt_axis == "x"
    np.testing.assert_array_equal(sinogram(tab.model.series(), 7, aligned=False), series.values[:, 7, :])
    undo(tab)
    assert tab.model.series().tilt_axis == "y"
    tab.steps.angles.axis.setCurrentIndex(1)
    assert tab.model.series().tilt_axis == "x"


def test_views_are_shifted_by_drag_and_arrow_keys_and_nothing_is_lost(filled, screenshot):
    """One drag is one step, and so are keys pressed one after the other; the picture follows by as much."""
    tab, canvas = filled, filled.series_page.projection.canvas
    tab.model.show_view(4)
    tab.context.actions.trigger("tomography.tool_shift")
    assert tab.aligned
    before = tab.series_page.projection.value_at(20, 20)
    drag(canvas, (20, 20), (23, 18))
    alignment = tab.model.series().alignment
    assert alignment.shift_x_px[4] == pytest.approx(-3, abs=0.15)
    assert alignment.shift_y_px[4] == pytest.approx(2, abs=0.15)
    assert alignment.shift_x_px[3] == 0
    assert tab.series_page.projection.value_at(23, 18) == before
    canvas.setFocus()
    for _ in range(3):
        QTest.keyClick(canvas, Qt.Key.Key_Right)
    QTest.keyClick(canvas, Qt.Key.Key_Up, Qt.KeyboardModifier.ShiftModifier)
    keyed = tab.model.series().alignment
    assert keyed.shift_x_px[4] == pytest.approx(alignment.shift_x_px[4] - 3)
    assert keyed.shift_y_px[4] == pytest.approx(alignment.shift_y_px[4] + 0.1)
    assert len(tab.context.undo) == 2
    screenshot(tab.window(), "tomography-shift")
    type_into(tab.table, 4, SHIFT_X, "1.25")
    assert tab.model.series().alignment.shift_x_px[4] == 1.25
    undo(tab)
    assert tab.model.series().alignment == keyed
    undo(tab)
    assert tab.model.series().alignment == alignment
    undo(tab)
    assert tab.model.series().alignment is None
    for state in (alignment, keyed):
        tab.context.actions.trigger("edit.redo")
        assert tab.model.series().alignment == state


def test_shifts_of_a_horizontal_axis_are_across_and_along_it(filled):
    tab, canvas = filled, filled.series_page.projection.canvas
    tab.editing.set_axis("x")
    tab.context.actions.trigger("tomography.tool_shift")
    drag(canvas, (20, 20), (24, 21))
    alignment, view = tab.model.series().alignment, tab.model.view
    assert alignment.shift_x_px[view] == pytest.approx(-1, abs=0.15), "across a horizontal axis is up and down"
    assert alignment.shift_y_px[view] == pytest.approx(-4, abs=0.15)


def test_an_alignment_is_drawn_where_it_puts_the_views(filled, series):
    """Closed form: views moved on the detector are drawn where the unmoved ones are."""
    tab, shift = filled, (3.0, -2.0)
    moved = np.roll(series.values, (int(shift[1]), int(shift[0])), (1, 2))
    count = len(ANGLES)
    alignment = Alignment((2.0,) * count, (shift[1],) * count, (0.0,) * count, axis_offset_px=1.0)
    tab.window().show_item(replace(series, values=moved, alignment=alignment))
    tab.context.actions.trigger("tomography.show_aligned")
    view, projection = tab.model.view, tab.series_page.projection
    for x, y in ((20, 20), (15, 24), (25, 12)):
        assert projection.value_at(x, y) == series.values[view, y, x]
    np.testing.assert_allclose(
        sinogram(tab.model.series(), 20, aligned=True)[:, 4:36], series.values[:, 20, 4:36], atol=1e-4
    )
    picture = projection.canvas.grab().toImage()
    tab.context.actions.trigger("tomography.show_aligned")
    assert picture != projection.canvas.grab().toImage(), "before and after look different"


def test_an_alignment_is_written_and_read(filled, tmp_path):
    tab = filled
    with pytest.raises(UserError, match="cannot be opened"):
        tab.editing.read_alignment(tmp_path / "nothing.csv")
    tab.editing.set_shift(2, "shift_x_px", 1.5)
    tab.editing.set_shift(3, "rotation_deg", -0.4)
    known = tab.model.series().alignment
    from atomseg_app.io.alignment_files import write_alignment

    write_alignment(tmp_path / "a.xf", tab.model.series())
    tab.context.actions.trigger("tomography.clear_alignment")
    assert tab.model.series().alignment is None
    tab.editing.read_alignment(tmp_path / "a.xf")
    found = tab.model.series().alignment
    assert found.shift_x_px == pytest.approx(known.shift_x_px, abs=1e-5)


def test_the_pixel_size_is_typed(filled):
    edit = filled.steps.angles.pixel
    edit.setFocus()
    edit.selectAll()
    QTest.keyClicks(edit, "0,75")
    QTest.keyClick(edit, Qt.Key.Key_Return)
    assert filled.model.series().pixel_size_nm == (0.75, 0.75)
    assert "750 pm" in filled.data_list.list.item(0).data(Qt.ItemDataRole.UserRole + 1) or "0.75 nm" in (
        filled.data_list.list.item(0).data(Qt.ItemDataRole.UserRole + 1)
    )
    undo(filled)
    assert filled.model.series().pixel_size_nm == (2.0, 2.0)


def test_keys_of_the_other_tab_are_silent_here(filled, qtbot):
    """An image open in 2D atoms is not measured, closed or changed by keys pressed in this tab."""
    window = filled.window()
    window.show_item(Image(np.zeros((SIDE, SIDE), np.float32), (0.1, 0.1), Source("/data/other.tif")))
    window.show_workspace("tomography")
    find = filled.context.actions.qaction("atoms.find")
    assert not find.isEnabled()
    assert "2D atoms" in find.toolTip()
    QTest.keyClick(filled.series_page.projection.canvas, Qt.Key.Key_W, Qt.KeyboardModifier.ControlModifier)
    assert window.tabs["atoms"].model.entry is not None
    window.show_workspace("atoms")
    assert find.isEnabled()
    assert not filled.context.actions.qaction("tomography.reconstruct").isEnabled()


def test_unknown_angles_stay_unknown():
    """Angles in the metadata of a series are taken only where there is one for each image."""
    values = np.zeros((3, 4, 5))
    assert as_series(ImageSeries(values, metadata={"tilt_deg": [1, 2, 3]})).tilt_deg == (1, 2, 3)
    assert all(math.isnan(a) for a in as_series(ImageSeries(values, metadata={"tilt_deg": [1, 2]})).tilt_deg)


def test_the_sample_opens_from_the_empty_page(tab, qtbot):
    assert tab.pages.currentWidget() is tab.empty
    QTest.mouseClick(button(tab, "tomography.sample"), LEFT)
    qtbot.waitUntil(lambda: tab.model.series() is not None, timeout=JOB_MS)
    assert len(tab.model.series().values) == 47
    assert tab.pages.currentWidget() is tab.series_page


def test_numbered_images_are_one_series_if_the_user_says_so(tab, views, tmp_path, qtbot):
    """A folder with an image a view, dropped while this tab is in front; nothing is opened when cancelled."""
    import tifffile

    folder = tmp_path / "one image a view"
    folder.mkdir()
    for number, view in enumerate(views):
        tifffile.imwrite(folder / f"tilt_{number + 1}.tif", view)
    seen = []
    answer("Cancel", seen)
    drop(tab.window(), QPoint(600, 400), [folder])
    qtbot.waitUntil(lambda: len(seen) == 1)
    answer("One series", seen)
    drop(tab.window(), QPoint(600, 400), sorted(folder.iterdir()))
    qtbot.waitUntil(lambda: tab.model.series() is not None, timeout=JOB_MS)
    assert len(tab.model.entries) == 1
    np.testing.assert_array_equal(tab.model.series().values, views)
    assert tab.model.entry.title == "one image a view"
    with pytest.raises(UserError, match="not all of"):
        tab.gather([str(folder / f"tilt_{number}.tif") for number in (1, 2, 3, 4)])
    assert tab.gather([str(folder / "tilt_1.tif")]) == [str(folder / "tilt_1.tif")]
    tab.window().show_workspace("atoms")
    assert tab.window().current_tab().gather([str(folder)]) == [str(folder)], "the other tab opens images"


def test_thumbnails_are_made_of_the_views_in_sight(tab, qtbot, rng):
    """Of 300 views only those whose rows are seen: each one more has the table measure its columns again."""
    values = rng.random((300, 16, 16), np.float32)
    tilts = tuple(np.linspace(-70, 70, 300))
    tab.window().show_item(TiltSeries(values, (1.0, 1.0), Source("/data/many.mrc"), tilt_deg=tilts))
    rows = tab.table.rows
    qtbot.waitUntil(lambda: any(not picture.isNull() for picture in rows._pictures.values()))
    qtbot.wait(200)
    assert len(rows._pictures) < 60
    tab.table.scrollToBottom()
    qtbot.waitUntil(lambda: 299 in rows._pictures and not rows._pictures[299].isNull())


def test_the_scheme_is_that_of_the_series_until_another_one_is_typed(tab):
    """ "Apply" at once changes nothing; what the user typed is not overwritten by what changes otherwise."""
    angles = tuple(np.arange(-60.0, 61.0, 3.0))
    values = np.zeros((len(angles), 8, 8), np.float32)
    tab.window().show_item(TiltSeries(values, (1.0, 1.0), Source("/data/even.mrc"), tilt_deg=angles))
    panel = tab.steps.angles
    assert (panel.start.text(), panel.step.text()) == ("-60", "3")
    assert panel.angles() == pytest.approx(angles)
    panel.step.selectAll()
    QTest.keyClicks(panel.step, "1.5")
    tab.editing.set_axis("x")
    assert panel.step.text() == "1.5"
