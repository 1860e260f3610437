"""The 2D atoms tab in a real window, driven with real events: from a dropped file to tables and figures."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QAbstractButton, QAbstractItemView, QApplication, QHeaderView, QScrollBar, QWidget
from pytestqt.qtbot import QtBot

from atomseg_app.atoms.operations import FIND_COLUMNS, FindColumns
from atomseg_app.data import FLAG_EDITED, Columns, Image, ImageSeries, Source, Step, column_table
from atomseg_app.gui.atoms.tab import NOT_CALIBRATED, AtomsTab
from atomseg_app.gui.contrast import Contrast
from atomseg_app.gui.figure_export import pixels
from atomseg_app.gui.main_window import MainWindow
from atomseg_app.gui.settings import FONT_SCALE_PERCENT, THEME
from atomseg_app.io.tables import CSV_HEADER, read_csv
from atomseg_app.jobs.job import Job
from atomseg_app.jobs.tasks import Task, TaskResult
from atomseg_app.simulate.columns import TrueColumns, poisson, render, square_lattice
from tests.gui.driving import drop

LEFT = Qt.MouseButton.LeftButton
JOB_MS = 120_000


@pytest.fixture
def truth(rng) -> TrueColumns:
    """36 columns 16 px apart, displaced at random."""
    return square_lattice(104, 16.0, rng, displacement_px=0.4, sigma_px=3.0, peak=200)


@pytest.fixture
def image(truth, rng) -> Image:
    """Their image, 0.01 nm a pixel."""
    return Image(
        poisson(render(truth, (104, 104)), rng).astype(np.float32), (0.01, 0.01), Source("/data/lattice.tif"), {}
    )


@pytest.fixture
def columns(truth, image) -> Columns:
    """The truth as a table."""
    table = column_table(len(truth.x_px))
    table["x_px"], table["y_px"], table["amplitude"] = truth.x_px, truth.y_px, truth.amplitude
    table["sigma_px"], table["background"] = 3.0, 60.0
    table["x_err_px"], table["y_err_px"] = 0.05, 0.05
    return Columns(table, (104, 104), (0.01, 0.01), image.source)


@pytest.fixture
def tab(main_window: MainWindow) -> AtomsTab:
    """The tab of a window as users get it."""
    main_window.resize(1400, 900)
    tab = main_window.tabs["atoms"]
    assert isinstance(tab, AtomsTab)
    return tab


@pytest.fixture
def filled(tab: AtomsTab, image: Image, columns: Columns, qtbot: QtBot) -> AtomsTab:
    """The tab with an image and its columns, nothing computed."""
    window = tab.window()
    assert isinstance(window, MainWindow)
    window.show_item(image)
    window.show_item(columns)
    tab.context.undo.clear()
    qtbot.waitUntil(lambda: tab.view.canvas.picture_rect().width() > 200)
    return tab


@pytest.fixture
def cpu_time() -> Callable[[Callable[[], object]], float]:
    """Seconds of processor time that a call takes in this thread."""

    def measure(action: Callable[[], object]) -> float:
        start = time.thread_time()
        action()
        return time.thread_time() - start

    return measure


def place(tab: AtomsTab, x_px: float, y_px: float) -> QPoint:
    """Where an image position lies on the canvas."""
    return tab.view.canvas.geometry_now.point(x_px, y_px).toPoint()


def drag(tab: AtomsTab, path: list[tuple[float, float]]) -> None:
    """Drag with the left button along image positions."""
    canvas = tab.view.canvas
    points = [place(tab, *position) for position in path]
    QTest.mousePress(canvas, LEFT, pos=points[0])
    for start, end in itertools.pairwise(points):
        for share in (0.5, 1.0):
            QTest.mouseMove(canvas, start + (end - start) * share)
    QTest.mouseRelease(canvas, LEFT, pos=points[-1])


def button(tab: AtomsTab, action_id: str) -> QAbstractButton:
    """The button of an action in the tab."""
    found = tab.findChild(QAbstractButton, f"button.{action_id}")
    assert found is not None
    return found


def idle(tab: AtomsTab, qtbot: QtBot) -> None:
    """Wait until no job of the tab is left."""
    titles = ("Find columns", "Fit ", "Export", "Measure")
    qtbot.waitUntil(
        lambda: not [job for job in tab.context.jobs.active() if job.title.startswith(titles)], timeout=JOB_MS
    )


def nearest_error(columns: Columns, truth: TrueColumns) -> np.ndarray:
    """Distance of each true column to the nearest found one."""
    true = np.stack([truth.x_px, truth.y_px], axis=1)
    return np.linalg.norm(true[:, None] - columns.xy_px[None], axis=2).min(axis=1)


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
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
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


def test_calibrating_by_a_known_distance(tab, rng):
    tab.window().show_item(Image(rng.normal(0, 1, (100, 200))))
    tab.context.actions.trigger("atoms.tool_calibrate")
    drag(tab, [(20, 30), (120, 30)])
    edit = tab.steps.calibrate.length
    assert edit.isVisible()
    QTest.keyClicks(edit, "2.5")
    QTest.keyClick(edit, Qt.Key.Key_Return)
    assert tab.model.image().pixel_size_nm == pytest.approx((0.025, 0.025), rel=0.02)
    assert tab.context.undo.undo_text() == "Calibrate"
    tab.context.actions.trigger("edit.undo")
    assert tab.model.image().pixel_size_nm == (None, None)
    edit = tab.steps.calibrate.pixel
    QTest.keyClicks(edit, "-3")
    QTest.keyClick(edit, Qt.Key.Key_Return)
    assert tab.model.image().pixel_size_nm == (None, None)
    assert tab.context.notify.dialog is not None
    tab.context.notify.dialog.close()
    edit = tab.steps.calibrate.field
    QTest.keyClicks(edit, "20")
    QTest.keyClick(edit, Qt.Key.Key_Return)
    assert tab.model.image().pixel_size_nm == pytest.approx((0.1, 0.1))


def test_distance_between_columns(filled, columns):
    filled.context.actions.trigger("atoms.tool_distance")
    QTest.mouseClick(filled.view.canvas, LEFT, pos=place(filled, *columns.xy_px[0]))
    QTest.mouseClick(filled.view.canvas, LEFT, pos=place(filled, *columns.xy_px[3]))
    length = np.linalg.norm(columns.xy_px[3] - columns.xy_px[0]) * 0.01
    assert filled.steps.measure.distance.text().startswith(f"{length:.4f} nm ± 0.7 pm")


def test_bars_of_the_histogram_select_their_columns(filled, columns):
    histogram = filled.steps.measure.histogram
    bar = int(np.argmax(histogram.distances.counts))
    filled.steps.ensureWidgetVisible(histogram)
    QTest.mouseClick(histogram, LEFT, pos=histogram.bar_rect(bar).center().toPoint())
    assert len(filled.model.selection) == histogram.distances.counts[bar]
    values = histogram.distances.values[filled.model.selected_rows()]
    assert (values >= histogram.distances.edges[bar]).all()
    assert (values <= histogram.distances.edges[bar + 1]).all()
    assert "nm" in filled.steps.measure.spacing.text()


def test_bars_are_chosen_by_keys_and_the_wheel_belongs_to_the_panel(filled):
    histogram = filled.steps.measure.histogram
    filled.steps.ensureWidgetVisible(histogram)
    histogram.setFocus()
    bars = histogram.distances.counts
    for _ in range(int(np.argmax(bars)) + 1):
        QTest.keyClick(histogram, Qt.Key.Key_Right)
    QTest.keyClick(histogram, Qt.Key.Key_Return)
    assert len(filled.model.selection) == bars.max()
    window, at = filled.window(), histogram.bar_rect(int(np.argmax(bars))).center().toPoint()
    assert window.childAt(histogram.mapTo(window, at)) is histogram  # not the plot inside
    shown = histogram.bar_rect(0)
    wheel = QWheelEvent(
        QPointF(at), QPointF(histogram.mapToGlobal(at)), QPoint(), QPoint(0, 120), Qt.MouseButton.NoButton,
        Qt.KeyboardModifier.NoModifier, Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    QApplication.sendEvent(histogram, wheel)
    assert not wheel.isAccepted()
    assert histogram.bar_rect(0) == shown


def test_plot_of_distances_follows_the_look(filled):
    """Bars, paper and text of the plot are those of the look, after a switch, too; the text takes the size chosen."""
    histogram, settings = filled.steps.measure.histogram, filled.context.settings
    filled.steps.ensureWidgetVisible(histogram)
    heights = []
    for theme, percent in (("dark", 100), ("light", 150)):
        settings.set(THEME, theme)
        settings.set(FONT_SCALE_PERCENT, percent)
        colours = filled.context.theme.colours
        picture = histogram.grab().toImage()
        seen = {picture.pixelColor(x, y).name() for x in range(picture.width()) for y in range(picture.height())}
        assert {colours.base, colours.muted, colours.text, colours.link} <= seen
        heights.append(histogram.sizeHint().height())
        assert histogram.bar_rect(0).left() > 0
    assert heights[1] > 1.3 * heights[0]


def test_plotting_library_waits_for_distances_and_brings_no_scipy():
    code = """
import sys
import numpy as np
from PySide6.QtWidgets import QApplication
from atomseg_app.gui.atoms.neighbours import DistanceHistogram, distances_of

application = QApplication([])
histogram = DistanceHistogram()
histogram.show()
histogram.grab()
assert "pyqtgraph" not in sys.modules
histogram.hide()
histogram.set_distances(distances_of(np.array([1.0, 1.1, 1.2]), "nm"))
assert "pyqtgraph" not in sys.modules
histogram.show()
histogram.grab()
assert "pyqtgraph" in sys.modules
print(sorted({"scipy", "h5py", "matplotlib"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr


def test_the_wheel_scrolls_the_steps_and_changes_no_value(tab):
    """Scrolling over a list once changed the colour map under the pointer."""
    box = tab.steps.show_panel.colour_map
    before = box.currentIndex()
    for focused, moves in ((False, 0), (True, 1)):
        if focused:
            box.setFocus()
        centre = QPointF(box.rect().center())
        wheel = QWheelEvent(
            centre,
            box.mapToGlobal(centre),
            QPoint(),
            QPoint(0, -120),
            Qt.MouseButton.NoButton,
            Qt.KeyboardModifier.NoModifier,
            Qt.ScrollPhase.NoScrollPhase,
            False,
        )
        QApplication.sendEvent(box, wheel)
        assert box.currentIndex() == before + moves


def test_power_spectrum_reads_the_spacing(tab, qtbot):
    """Waves of 12 px at 30 degrees: their spot lies at d = 12 px, which is 0.24 nm."""
    y, x = np.mgrid[:256, :300]
    turn = np.deg2rad(30)
    tab.window().show_item(Image(np.sin(2 * np.pi * (x * np.cos(turn) + y * np.sin(turn)) / 12), (0.02, 0.02)))
    tab.context.actions.trigger("image.fft")
    pane = tab.steps.measure.fft
    qtbot.waitUntil(lambda: pane.spectrum is not None, timeout=10_000)
    scale = pane._scale()
    spot = QPointF(
        pane.width() / 2 + np.cos(turn) / 0.24 * scale, pane.height() / 2 + np.sin(turn) / 0.24 * scale
    )  # fmt: skip
    tab.steps.ensureWidgetVisible(pane)

    def reads_the_spacing() -> bool:  # the screen's own pointer may answer in between
        QTest.mouseMove(pane, spot.toPoint())
        text = tab.steps.measure.fft_reading.text()
        return text.startswith("d = ") and float(text.split()[2]) == pytest.approx(0.24, rel=0.05)

    qtbot.waitUntil(reads_the_spacing, timeout=5_000)
    picture = pane.grab().toImage()
    around = [
        picture.pixelColor(round(spot.x()) + dx, round(spot.y()) + dy).lightness()
        for dx in range(-3, 4)
        for dy in range(-3, 4)
    ]
    assert max(around) > 200


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


def test_copied_table_reads_back(filled, columns):
    filled.model.select([3, 4])
    filled.context.actions.trigger("atoms.copy_table")
    lines = QApplication.clipboard().text().splitlines()
    assert len(lines) == 3
    assert lines[0].split("\t")[:3] == ["ID", "x (px)", "y (px)"]
    assert float(lines[1].split("\t")[1]) == pytest.approx(columns.table["x_px"][3], abs=1e-3)


def test_twenty_thousand_columns_stay_quick(tab, rng, cpu_time):
    """Painting, selecting and sorting 20,000 columns: 0.1 s each, counted in time of the processor."""
    count = 20_000
    table = column_table(count)
    across = np.arange(count) % 160
    table["x_px"], table["y_px"] = 12 + across * 25 + rng.normal(0, 1, count), 12 + np.arange(count) // 160 * 25
    table["amplitude"], table["x_err_px"], table["y_err_px"] = rng.uniform(1, 2, count), 0.1, 0.1
    table["sigma_px"] = 4.0
    image = Image(np.zeros((3200, 4030), np.uint8), (0.01, 0.01), Source("/data/big.tif"))
    tab.window().show_item(image)
    tab.window().show_item(Columns(table, (3200, 4030), (0.01, 0.01), image.source))
    tab.view.canvas.grab()
    for name, action, limit_s in (
        ("paint", lambda: tab.view.canvas.grab(), 0.1),
        ("pan", lambda: (tab.view.canvas.zoom(1.01), tab.view.canvas.grab()), 0.15),
        ("select half at random", lambda: tab.model.select(rng.permutation(count)[: count // 2]), 0.3),
        ("sort", lambda: tab.table.sortByColumn(5, Qt.SortOrder.DescendingOrder), 0.3),
        ("delete one", lambda: tab.computing.delete([17]), 0.3),
    ):
        assert cpu_time(action) < limit_s, name


def test_every_control_has_a_name_and_a_tip(filled):
    """Screen readers and hesitant users find out what each control is, and why it cannot be used."""
    nameless, silent = [], []
    for widget in filled.findChildren(QWidget):
        if widget.focusPolicy() == Qt.FocusPolicy.NoFocus or widget.objectName().startswith("qt_"):
            continue
        name = widget.accessibleName() or (widget.text() if isinstance(widget, QAbstractButton) else "")
        if not name and not isinstance(widget, QScrollBar | QAbstractItemView | QHeaderView):
            nameless.append((type(widget).__name__, widget.objectName()))
        if isinstance(widget, QAbstractButton) and not widget.isEnabled() and "Not now" not in widget.toolTip():
            silent.append((type(widget).__name__, widget.text(), widget.toolTip()))
    assert not nameless
    assert not silent


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


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pictures_of_the_tab(filled, theme, screenshot):
    """For eyes: $ATOMSEG_SCREENSHOTS. The canvas takes the colours of the look."""
    filled.context.settings.set(THEME, theme)
    assert filled.view.canvas.paper.name() == filled.context.theme.colours.window
    filled.model.select([1, 2, 3])
    screenshot(filled.window(), f"atoms-{theme}")
