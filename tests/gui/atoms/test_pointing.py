"""Columns chosen, dragged and deleted with the pointer, and where their markers lie."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from atomseg_app.data import Image
from atomseg_app.gui.contrast import Contrast
from atomseg_app.gui.figure_export import pixels
from tests.gui.atoms.driving import LEFT, drag, place


def test_table_and_picture_select_each_other(filled, columns):
    table = filled.table
    x, y = columns.xy_px[11]
    QTest.mouseClick(filled.view.canvas, LEFT, pos=place(filled, x, y))
    assert filled.model.selection.tolist() == [11]
    assert [index.row() for index in table.selectionModel().selectedRows()] == [11]
    QTest.mouseClick(filled.view.canvas, LEFT, Qt.KeyboardModifier.ShiftModifier, place(filled, *columns.xy_px[12]))
    assert filled.model.selection.tolist() == [11, 12]
    table.sortByColumn(1, Qt.SortOrder.DescendingOrder)
    shown = [table.columns.text(int(row), 1) for row in table.columns.order]
    assert [float(text) for text in shown] == sorted((float(text) for text in shown), reverse=True)
    assert {int(table.columns.order[i.row()]) for i in table.selectionModel().selectedRows()} == {11, 12}
    first = table.columns.index(0, 0)
    QTest.mouseClick(table.viewport(), LEFT, pos=table.visualRect(first).center())
    rightmost = int(np.argmax(columns.table["x_px"]))
    assert filled.model.selection.tolist() == [rightmost]
    assert filled.overlay.markers._selected.tolist() == [rightmost]
    QTest.mouseClick(filled.view.canvas, LEFT, pos=place(filled, 1, 1))
    assert not len(filled.model.selection)
    assert not table.selectionModel().hasSelection()


def test_rectangle_and_lasso(filled, columns):
    inside = (np.abs(columns.xy_px - 40) < 20).all(axis=1)
    drag(filled, [(20, 20), (60, 60)])
    assert filled.model.selection.tolist() == np.flatnonzero(inside).tolist()
    filled.context.actions.trigger("atoms.tool_lasso")
    drag(filled, [(20, 20), (60, 20), (60, 60), (20, 60), (20, 21)])
    assert filled.model.selection.tolist() == np.flatnonzero(inside).tolist()
    filled.context.actions.trigger("atoms.select_inverse")
    assert filled.model.selection.tolist() == np.flatnonzero(~inside).tolist()
    filled.context.actions.trigger("atoms.delete_selected")
    assert len(filled.model.columns()) == inside.sum()
    assert filled.context.undo.undo_text() == f"Delete {(~inside).sum()} columns"


def test_a_drag_is_one_step_and_escape_gives_it_up(filled, columns):
    start = columns.xy_px[8]
    canvas = filled.view.canvas
    QTest.mousePress(canvas, LEFT, pos=place(filled, *start))
    QTest.mouseMove(canvas, place(filled, *start + 3))
    QTest.keyClick(canvas, Qt.Key.Key_Escape)
    QTest.mouseRelease(canvas, LEFT, pos=place(filled, *start + 3))
    assert filled.model.columns() is not None
    assert filled.model.columns().table.tobytes() == columns.table.tobytes()
    drag(filled, [tuple(start), tuple(start + 4), tuple(start + 3)])
    moved = filled.model.columns().xy_px[8]
    np.testing.assert_allclose(moved, start + 3, atol=1.5 / filled.view.canvas.geometry_now.zoom)
    assert len(filled.context.undo) == 1
    for job in filled.context.jobs.active():
        filled.context.jobs.cancel(job.id)
    filled.context.actions.trigger("edit.undo")
    assert filled.model.columns().table.tobytes() == columns.table.tobytes()


def test_delete_tool_region_and_hover(filled, columns):
    filled.context.actions.trigger("atoms.tool_delete")
    QTest.mouseClick(filled.view.canvas, LEFT, pos=place(filled, *columns.xy_px[0]))
    assert 0 not in filled.model.columns().table["column_id"]
    QTest.mouseMove(filled.view.canvas, place(filled, *columns.xy_px[5]))
    text = filled.view.detail.text()
    assert "Column 5" in text
    assert "± 0.5 pm" in text
    filled.context.actions.trigger("atoms.tool_region")
    drag(filled, [(10, 20), (70, 90)])
    assert filled.steps.find_panel.parameters().region_px == filled.model.region_px
    np.testing.assert_allclose(filled.model.region_px, (10.5, 20.5, 70.5, 90.5), atol=1.0)
    QTest.mouseClick(filled.view.canvas, LEFT, pos=place(filled, 50, 50))
    assert filled.model.region_px is None


def test_markers_lie_on_their_pixels(filled, columns):
    """The middle of each ring as painted is where the fit says the column is."""
    filled.view.set_image(Image(np.zeros((104, 104), np.uint8), (0.01, 0.01)), keep_view=True)
    filled.overlay.set_style(replace(filled.overlay.markers.style, quantity=""))
    filled.view.set_contrast(Contrast(0, 255))
    filled.view.set_shown(scale_bar=False)
    light = pixels(filled.view.canvas.grab().toImage())[..., 0].astype(float)
    reach = round(filled.overlay.markers.radius_px(filled.view.canvas.geometry_now) + 5)
    for row in (0, 7, 20, 35):
        centre = filled.view.canvas.geometry_now.point(*columns.xy_px[row])
        left, top = int(centre.x()) - reach, int(centre.y()) - reach
        part = light[top : top + 2 * reach, left : left + 2 * reach]
        assert part.sum() > 5000
        rows, across = np.mgrid[: part.shape[0], : part.shape[1]] + 0.5
        middle = (left + (part * across).sum() / part.sum(), top + (part * rows).sum() / part.sum())
        np.testing.assert_allclose(middle, (centre.x(), centre.y()), atol=0.1)


def test_copied_table_reads_back(filled, columns):
    filled.model.select([3, 4])
    filled.context.actions.trigger("atoms.copy_table")
    lines = QApplication.clipboard().text().splitlines()
    assert len(lines) == 3
    assert lines[0].split("\t")[:3] == ["ID", "x (px)", "y (px)"]
    assert float(lines[1].split("\t")[1]) == pytest.approx(columns.table["x_px"][3], abs=1e-3)
