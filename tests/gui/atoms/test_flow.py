"""The 2D atoms tab in a real window, from a dropped file to tables: finding, notes, frames, closing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from atomseg_app.atoms.operations import FIND_COLUMNS, FindColumns
from atomseg_app.data import FLAG_EDITED, Image, ImageSeries, Source, Step
from atomseg_app.gui.atoms.tab import NOT_CALIBRATED
from atomseg_app.io.tables import CSV_HEADER, read_csv
from atomseg_app.jobs.job import Job
from atomseg_app.jobs.tasks import Task, TaskResult
from atomseg_app.simulate.columns import poisson, render, square_lattice
from tests.gui.atoms.driving import JOB_MS, LEFT, button, drag, idle, nearest_error, place
from tests.gui.driving import drop


@pytest.mark.slow
def test_from_a_dropped_file_to_a_table(tab, truth, image, tmp_path, qtbot):
    """Drop, calibrate, find, delete, add, move, fit again, undo everything, redo everything, export."""
    file = tmp_path / "ein Bild.npy"
    np.save(file, image.values)
    window = tab.window()
    assert drop(window, QPoint(500, 400), [file])
    qtbot.waitUntil(lambda: tab.model.entry is not None, timeout=JOB_MS)
    assert NOT_CALIBRATED in tab.context.notify.banners.texts()
    edit = tab.steps.calibrate.pixel
    edit.setFocus()
    QTest.keyClicks(edit, "10,0")
    QTest.keyClick(edit, Qt.Key.Key_Return)
    assert tab.model.image().pixel_size_nm == (0.01, 0.01)
    assert NOT_CALIBRATED not in tab.context.notify.banners.texts()

    tab.steps.ensureWidgetVisible(tab.steps.find_panel.button)
    QTest.mouseClick(tab.steps.find_panel.button, LEFT)
    assert tab.steps.find_panel.stop.isVisible()
    idle(tab, qtbot)
    assert nearest_error(tab.model.columns(), truth).max() < 0.5
    assert len(tab.model.columns()) == len(truth.x_px)
    assert str(len(truth.x_px)) in tab.steps.find_panel.result.text()
    assert tab.table.model().rowCount() == len(truth.x_px)
    assert np.isfinite(tab.model.columns().table["x_err_px"]).all()
    states = [tab.model.columns()]

    def finish_step() -> None:
        idle(tab, qtbot)
        states.append(tab.model.columns())

    x, y = float(truth.x_px[14]), float(truth.y_px[14])
    QTest.mouseClick(tab.view.canvas, LEFT, pos=place(tab, x, y))
    assert len(tab.model.selection) == 1
    QTest.keyClick(tab.view.canvas, Qt.Key.Key_Delete)
    finish_step()
    assert nearest_error(tab.model.columns(), truth)[14] > 5
    tab.context.actions.trigger("atoms.tool_add")
    QTest.mouseClick(tab.view.canvas, LEFT, pos=place(tab, x + 1.5, y - 1.0))
    finish_step()
    assert nearest_error(tab.model.columns(), truth)[14] < 0.3
    row = tab.model.columns().table[tab.model.selected_rows()[0]]
    assert row["flag"] == FLAG_EDITED
    assert 0 < row["x_err_px"] < 0.3
    tab.context.actions.trigger("atoms.tool_select")
    other = (float(truth.x_px[20]), float(truth.y_px[20]))
    drag(tab, [other, (other[0] + 1.2, other[1] + 1.2)])
    finish_step()
    assert nearest_error(tab.model.columns(), truth)[20] < 0.3
    QTest.mouseClick(button(tab, "atoms.refit"), LEFT)
    finish_step()

    for state in states[-2::-1]:
        tab.context.actions.trigger("edit.undo")
        assert tab.model.columns().table.tobytes() == state.table.tobytes()
    for state in states[1:]:
        tab.context.actions.trigger("edit.redo")
        assert tab.model.columns().table.tobytes() == state.table.tobytes()

    entry = tab.model.entry
    for form, suffix in (("csv", ".csv"), ("json", ".json"), ("xyz", ".xyz"), ("atomap-hdf5", ".hdf5")):
        tab.exporter.write_table(entry.columns, tab.model.image(), tmp_path / f"out{suffix}", form)
    idle(tab, qtbot)
    assert all((tmp_path / f"out{suffix}").stat().st_size > 500 for suffix in (".csv", ".json", ".xyz", ".hdf5"))
    back = read_csv(tmp_path / "out.csv", tab.model.image())
    np.testing.assert_array_equal(back.table["x_px"], entry.columns.table["x_px"])
    assert (tmp_path / "out.csv").read_text().splitlines()[0] == ",".join(CSV_HEADER)


@pytest.mark.slow
def test_copied_script_finds_the_same_columns_without_a_window(tab, image, tmp_path, qtbot):
    file = tmp_path / "it's here.npy"
    np.save(file, image.values)
    tab.window().show_item(replace(image, source=Source(str(file))))
    tab.steps.find_panel.form.set_values({"refine": False, "split": False})
    assert not tab.context.actions.qaction("atoms.copy_python").isEnabled()
    tab.view.canvas.setFocus()
    QTest.keyClick(tab.view.canvas, Qt.Key.Key_Return)
    assert tab.computing.finding is not None
    idle(tab, qtbot)
    tab.context.actions.trigger("atoms.copy_python")
    script = QApplication.clipboard().text()
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True, timeout=JOB_MS / 1000)
    again = read_csv(tmp_path / "it's here_columns.csv", image)
    np.testing.assert_allclose(again.xy_px, tab.model.columns().xy_px, atol=1e-6)
    assert len(again) > 30


@pytest.mark.slow
def test_finding_is_cancelled_and_survives_a_killed_process(tab, rng, qtbot):
    """Cancel leaves the old columns; kill -9 is told in one sentence, and the next find works."""
    window = tab.window()
    truth = square_lattice(512, 16.0, rng, displacement_px=0.4, sigma_px=3.0)
    window.show_item(Image(poisson(render(truth, (512, 512)), rng), (0.01, 0.01)))
    QTest.keyClick(tab.view.canvas, Qt.Key.Key_F5)
    job = tab.computing.finding
    qtbot.waitUntil(lambda: job.fraction > 0, timeout=JOB_MS)
    QTest.mouseClick(tab.steps.find_panel.stop, LEFT)
    qtbot.waitUntil(lambda: job.finished, timeout=JOB_MS)
    assert job.state == "cancelled"
    assert len(tab.model.columns()) == 0
    assert tab.steps.find_panel.button.isVisible()
    assert tab.context.notify.dialog is None

    QTest.keyClick(tab.view.canvas, Qt.Key.Key_F5)
    job = tab.computing.finding
    qtbot.waitUntil(lambda: job.fraction > 0, timeout=JOB_MS)
    os.kill(tab.context.jobs.worker_pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    qtbot.waitUntil(lambda: job.finished, timeout=JOB_MS)
    assert job.state == "failed"
    assert tab.context.notify.dialog is not None
    tab.context.notify.dialog.close()

    tab.steps.find_panel.form.set_values({"region_px": (0, 0, 80, 80), "refine": False, "split": False})
    QTest.mouseClick(tab.steps.find_panel.button, LEFT)
    idle(tab, qtbot)
    found = tab.model.columns()
    assert len(found) >= 9
    assert found.xy_px.max() < 80


def test_frames_of_a_series_keep_their_own_columns(tab, image, columns, rng):
    series = ImageSeries(rng.poisson(5, (3, 104, 104)), (0.01, 0.01), Source("/data/movie.mrc"))
    table = np.concatenate([columns.table, columns.table[:5]])
    table["frame"][-5:] = 2
    table["column_id"] = np.arange(len(table))
    tab.window().show_item(series)
    tab.window().show_item(replace(columns, table=table, source=series.source))
    assert tab.table.model().rowCount() == 36
    assert tab.frame_bar.isVisible()
    QTest.keyClick(tab.view.canvas, Qt.Key.Key_PageDown)
    assert (tab.model.frame, tab.table.model().rowCount()) == (1, 0)
    tab.frame_bar.slider.setValue(2)
    assert tab.table.model().rowCount() == 5
    np.testing.assert_array_equal(tab.view.image.values, series.values[2])
    tab.window().show_item(image)
    assert not tab.frame_bar.isVisible()


def test_closing_and_state(filled, columns):
    state, items = filled.save_state()
    filled.context.actions.trigger("image.close")
    assert filled.is_empty()
    filled.context.actions.trigger("edit.undo")
    assert len(filled.model.columns()) == len(columns)
    filled.clear()
    assert filled.is_empty()
    filled.restore_state(state, items)
    assert len(filled.model.columns()) == len(columns)
    assert len(filled.tour()) <= 7


def test_a_table_without_its_image_is_refused(tab, columns):
    with pytest.raises(ValueError, match="104 × 104"):
        tab.add_item(columns)


def test_notes_stand_under_the_button_and_go_with_their_image(filled, image, columns):
    """No banner tells them; another image hides them, and undoing the search takes them back."""
    noted = ("Scan lines are displaced.", "A label was left out.")
    found = replace(columns, history=(Step(FIND_COLUMNS.name, {}, "1", notes=noted),))
    job = Job(1, "Find columns", Task("operation"))
    notes, model, banners = filled.steps.find_panel.notes, filled.model, filled.context.notify.banners.texts()
    first = model.current_id
    assert not notes.isVisible()
    filled.computing._take_found(first, 0, FindColumns(), TaskResult(items=(found,)), job)
    assert notes.isVisible()
    assert notes.text().splitlines() == list(noted)
    assert filled.steps.find_panel.result.isVisible()
    filled.window().show_item(replace(image, source=Source("/data/other.tif")))
    assert not notes.isVisible()
    model.show_entry(first)
    assert notes.isVisible()
    filled.context.undo.undo()
    assert not notes.isVisible()
    assert filled.context.notify.banners.texts() == banners


def test_notes_of_a_series_tell_the_frame_and_those_of_another_entry_wait(tab, image, columns):
    """A search that ends when something else is shown says nothing there."""
    tab.window().show_item(ImageSeries(np.stack([image.values] * 3), (0.01, 0.01), Source("/data/series.tif")))
    series = tab.model.current_id
    tab.window().show_item(image)
    found = replace(columns, history=(Step(FIND_COLUMNS.name, {}, "1", notes=("Lines are displaced.",)),))
    job = Job(1, "Find columns", Task("operation"))
    tab.computing._take_found(series, 1, FindColumns(), TaskResult(items=(found,)), job)
    panel = tab.steps.find_panel
    assert not panel.notes.isVisible()
    assert not panel.result.isVisible()
    tab.model.show_entry(series)
    assert panel.notes.text() == "Frame 2: Lines are displaced."
