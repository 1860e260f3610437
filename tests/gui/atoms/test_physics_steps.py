"""The steps that measure, on columns whose answer is known: reasons, keys, edits, vacancies, frames, scripts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import QPoint, Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication
from pytestqt.qtbot import QtBot

from atomseg_app.atoms.defect_operations import VACANCY
from atomseg_app.data import FLAG_VACANT, Columns, Image, ImageSeries, Source, column_table, with_quantities
from atomseg_app.gui.atoms.tab import AtomsTab
from atomseg_app.gui.figure_export import pixels
from atomseg_app.gui.settings import FONT_SCALE_PERCENT, THEME
from atomseg_app.io.tables import read_csv
from atomseg_app.simulate.columns import poisson, render, square_lattice
from tests.gui.atoms.driving import JOB_MS, LEFT, button, idle
from tests.gui.atoms.test_physics_flow import measure, panel_of, pick
from tests.gui.test_shell_looks import cut_controls

KEY = Qt.Key
STRAIN = 0.02


@pytest.fixture
def crystal(rng) -> tuple[Image, Columns]:
    """A square crystal, 2 % wider to the right of its middle, one column missing, as image and table."""
    truth = square_lattice(400, 20.0, rng, amplitudes=(1.0, 1.0), sigma_px=3.5, peak=300)
    middle = 200.0
    x_px = np.where(truth.x_px > middle, middle + (truth.x_px - middle) * (1 + STRAIN), truth.x_px)
    x_px = x_px + rng.normal(0, 0.03, len(x_px))
    truth = replace(truth, x_px=x_px)
    hole = int(np.argmin(np.hypot(truth.x_px - 100, truth.y_px - 200)))
    there = np.arange(len(x_px)) != hole
    seen = replace(truth, **{field.name: getattr(truth, field.name)[there] for field in fields(truth)})
    image = Image(poisson(render(seen, (400, 410)), rng).astype(np.float32), (0.01, 0.01), Source("/data/c.tif"), {})
    table = column_table(int(there.sum()))
    table["x_px"], table["y_px"], table["amplitude"] = seen.x_px, seen.y_px, seen.amplitude
    table["sigma_px"], table["background"], table["ellipticity"], table["angle_deg"] = 3.5, 60.0, 1.0, 0.0
    table["x_err_px"] = table["y_err_px"] = 0.03
    table["integrated_intensity"] = 2 * np.pi * 3.5**2 * table["amplitude"]
    return image, Columns(table, (400, 410), (0.01, 0.01), image.source)


@pytest.fixture
def ready(tab: AtomsTab, crystal: tuple[Image, Columns], qtbot: QtBot) -> AtomsTab:
    """The tab with the crystal and its columns."""
    for item in crystal:
        tab.window().show_item(item)
    tab.context.undo.clear()
    qtbot.waitUntil(lambda: tab.view.canvas.picture_rect().width() > 200)
    return tab


def test_steps_say_why_they_cannot_be_used(tab, image):
    names = ("measure-lattice", "measure-strain", "measure-polarisation", "measure-intensities", "count-atoms",
             "find-defects", "plots")  # fmt: skip
    for name in (*names, "gpa"):
        assert "Open an image first." in tab.context.actions.qaction(f"atoms.{name}").toolTip()
    tab.window().show_item(image)
    for name in names:
        action = tab.context.actions.qaction(f"atoms.{name}")
        assert not action.isEnabled()
        assert "Find columns first." in action.toolTip()
    assert tab.context.actions.qaction("atoms.gpa").isEnabled(), "maps need an image only"
    assert "Show the plot first." in tab.context.actions.qaction("atoms.export_plot").toolTip()
    panel = panel_of(tab, "measure-strain")
    assert not button(tab, "atoms.measure-lattice").isEnabled()
    assert panel.result.isHidden()
    assert not tab.steps.show_panel.vectors.isEnabled()
    assert "Not now" in tab.steps.show_panel.vectors.toolTip()


@pytest.mark.slow
def test_strain_of_a_known_step_by_keys_alone(ready, qtbot):
    """F7 unfolds the step and runs it; a window of 3 in the form counts; Enter in the form runs it again."""
    QTest.keyClick(ready.window(), KEY.Key_F7)
    measuring = ready.physics.measuring
    assert "measure-strain" in measuring.jobs
    panel = panel_of(ready, "measure-strain")
    assert panel.running.isVisible()
    qtbot.waitUntil(lambda: not measuring.jobs, timeout=JOB_MS)
    table = ready.model.columns().table
    wide, narrow = (table["strain_xx"][side & np.isfinite(table["strain_xx"])]
                    for side in (table["x_px"] > 260, table["x_px"] < 140))  # fmt: skip
    assert np.median(wide) - np.median(narrow) == pytest.approx(STRAIN, abs=0.003)
    before = table["strain_xx"].copy()
    window = panel.forms["measure-strain"].fields["window"].edit
    window.setFocus()
    window.selectAll()
    QTest.keyClicks(window, "4")
    QTest.keyClick(window, KEY.Key_Return)
    assert ready.context.notify.dialog is not None, "an even window has no middle"
    ready.context.notify.dialog.close()
    window.selectAll()
    QTest.keyClicks(window, "3")
    QTest.keyClick(window, KEY.Key_Return)
    qtbot.waitUntil(lambda: bool(ready.model.columns().history[-1].parameters.get("window") == 3), timeout=JOB_MS)
    assert not np.array_equal(ready.model.columns().table["strain_xx"], before)
    assert ready.context.undo.undo_text() == "Measure strain"
    assert ready.model.columns().quantities.count("strain_xx") == 1


@pytest.mark.slow
def test_a_result_of_columns_that_were_edited_meanwhile_is_given_up(ready, qtbot):
    ready.context.actions.trigger("atoms.measure-lattice")
    ready.computing.delete([3])
    qtbot.waitUntil(lambda: not ready.physics.measuring.jobs, timeout=JOB_MS)
    assert ready.model.columns().quantities == ()
    assert ready.context.undo.undo_text() == "Delete column"
    assert any("changed while it ran" in text for text in ready.context.notify.banners.texts())


@pytest.mark.slow
def test_a_vacancy_is_marked_where_it_is(ready, crystal, qtbot, tmp_path):
    """The missing column: a row with the flag, a dashed square in the picture and in the figure, a legend, undo."""
    panel = measure(ready, "find-defects", qtbot)
    table = ready.model.columns().table
    vacant = table[table["flag"] == FLAG_VACANT]
    assert len(vacant) == 1, panel.result.text()
    assert np.hypot(vacant["x_px"][0] - 100, vacant["y_px"][0] - 200) < 15
    assert vacant["column_id"][0] not in crystal[1].table["column_id"]
    assert "1 vacancy" in panel.result.text()
    assert ready.overlay.defects.counts()[VACANCY] == 1
    place = ready.view.canvas.geometry_now.point(float(vacant["x_px"][0]), float(vacant["y_px"][0])).toPoint()
    around = np.s_[place.y() - 20 : place.y() + 20, place.x() - 20 : place.x() + 20]
    marked = pixels(ready.view.canvas.grab().toImage())[around].astype(int)
    yellow = (marked[..., 0] > 200) & (marked[..., 1] > 190) & (marked[..., 2] < 120)
    assert yellow.sum() > 20
    QTest.mouseMove(ready.view.canvas, place)
    qtbot.waitUntil(lambda: "vacancy" in ready.view.detail.text(), timeout=5000)
    ready.exporter.write_figure(tmp_path / "figure.png", 96)
    qtbot.waitUntil((tmp_path / "figure.png").exists, timeout=JOB_MS)
    box = ready.steps.show_panel.defects
    ready.steps.ensureWidgetVisible(box)
    box.setFocus()
    QTest.keyClick(box, KEY.Key_Space)
    assert ready.overlay.defects.counts() == {}
    ready.context.actions.trigger("edit.undo")
    assert len(ready.model.columns()) == len(crystal[1])


@pytest.mark.slow
def test_intensities_and_counts_show_what_they_measured(ready, qtbot):
    panel = measure(ready, "measure-intensities", qtbot)
    assert "Intensity by fit" in panel.result.text()
    assert ready.view._overlay_bar.title == "Intensity by fit (grey level × px²)"
    measure(ready, "count-atoms", qtbot)
    assert "atoms in" in panel.result.text()
    assert ready.steps.show_panel.quantity.currentData() == "atoms"
    headings = [ready.table.columns.headerData(i, Qt.Orientation.Horizontal)
                for i in range(ready.table.columns.columnCount())]  # fmt: skip
    assert {"Intensity by fit (grey level × px²)", "Atoms in the column"} <= set(headings)


@pytest.mark.slow
def test_frames_of_a_series_are_measured_one_by_one(tab, crystal, qtbot):
    image, columns = crystal
    series = ImageSeries(np.stack([image.values, image.values]), image.pixel_size_nm, Source("/data/s.tif"))
    tab.window().show_item(series)
    second = columns.table.copy()
    second["frame"], second["column_id"] = 1, second["column_id"] + len(second)
    both = replace(columns, table=np.concatenate([columns.table, second]), source=series.source)
    tab.window().show_item(both)
    for frame in (0, 1):
        tab.model.show_frame(frame)
        panel = measure(tab, "measure-lattice", qtbot)
        assert "a = 20" in panel.result.text()
        table = tab.model.entry.columns.table
        assert np.isfinite(table["spacing_a_px"][table["frame"] == frame]).any()
    assert np.isfinite(table["spacing_a_px"]).mean() > 0.9
    assert len(np.unique(table["column_id"])) == len(table)


@pytest.mark.slow
def test_the_copied_script_measures_the_same(tab, crystal, qtbot, tmp_path):
    file = tmp_path / "image.npy"
    np.save(file, crystal[0].values)
    image = replace(crystal[0], source=Source(str(file)))
    tab.window().show_item(image)
    tab.steps.find_panel.form.set_values({"method": "log", "split": False, "refine": False})
    tab.context.actions.trigger("atoms.find")
    idle(tab, qtbot)
    measure(tab, "measure-lattice", qtbot)
    tab.context.actions.trigger("atoms.copy_python")
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3])}
    script = QApplication.clipboard().text()
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, check=True, timeout=JOB_MS / 1000)
    again = read_csv(tmp_path / "image_columns.csv", image)
    np.testing.assert_allclose(again.table["spacing_a_px"], tab.model.columns().table["spacing_a_px"], rtol=1e-6)


def test_points_of_the_plot_and_columns_of_the_picture_are_selected_together(filled, qtbot):
    """A click in the plot selects in the picture and in the table; a selection in the picture is shown in the plot."""
    QTest.keyClick(filled.window(), KEY.Key_H, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    plots = filled.physics.plots
    pick(plots.across, "nearest")
    pick(plots.up, "amplitude")
    view = plots.view
    qtbot.waitUntil(lambda: view.rect().contains(view.place_of(view.data.x.max(), view.data.y.max())), timeout=10_000)
    loneliest = int(np.argmax(view.data.y))
    QTest.mouseClick(view, LEFT, pos=view.place_of(view.data.x[loneliest], view.data.y[loneliest]))
    ids = filled.model.columns().table["column_id"]
    assert filled.model.selection.tolist() == [ids[view.data.rows[loneliest]]]
    assert filled.table.chosen.sum() == 1
    weakest = int(np.argmin(view.data.y))
    QTest.mouseClick(
        view, LEFT, Qt.KeyboardModifier.ShiftModifier, view.place_of(view.data.x[weakest], view.data.y[weakest])
    )
    assert len(filled.model.selection) == 2
    filled.model.select(ids[:20])
    assert len(view._parts.chosen.data) == np.isin(view.data.rows, np.arange(20)).sum()
    QTest.mouseClick(view, LEFT, pos=QPoint(view.width() - 3, 3))
    assert len(filled.model.selection) == 0, "a click on nothing selects nothing"


def test_twenty_thousand_columns_with_arrows_and_defects_stay_quick(tab, rng, cpu_time: Callable):
    count = 20_000
    table = column_table(count)
    across = np.arange(count) % 160
    table["x_px"], table["y_px"] = 12 + across * 25, 12 + np.arange(count) // 160 * 25
    table["amplitude"], table["sigma_px"] = rng.uniform(1, 2, count), 4.0
    image = Image(np.zeros((3200, 4030), np.uint8), (0.01, 0.01), Source("/data/big.tif"))
    columns = with_quantities(
        Columns(table, (3200, 4030), (0.01, 0.01), image.source),
        {"displacement_x_px": rng.normal(0, 1, count), "displacement_y_px": rng.normal(0, 1, count),
         "strain_xx": rng.normal(0, 0.01, count), "defect": np.where(np.arange(count) % 20, 0.0, 2.0)},
    )  # fmt: skip
    for action in (
        lambda: tab.window().show_item(image), lambda: tab.window().show_item(columns),
        lambda: tab.steps.show_panel.take("strain_xx", "displacement"), lambda: tab.physics.show_plots(True),
    ):  # fmt: skip
        action()
        QTest.qWait(1)
    for name, action, limit_s in (
        ("paint", lambda: tab.view.canvas.grab(), 0.25),
        ("another quantity", lambda: tab.steps.show_panel.take("amplitude"), 0.25),
        ("select half", lambda: tab.model.select(np.arange(count // 2)), 0.35),
        ("scatter", lambda: tab.physics.plots.show_quantities("strain_xx", "amplitude"), 0.35),
    ):
        assert cpu_time(action) < limit_s, name
        QTest.qWait(1)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_control_of_the_steps_is_cut_at_large_text(ready, theme, qtbot, screenshot):
    """Every form at 150 %, in both looks; $ATOMSEG_SCREENSHOTS for eyes."""
    ready.context.settings.set(THEME, theme)
    ready.context.settings.set(FONT_SCALE_PERCENT, 150)
    ready.window().resize(1366, 768)
    for panel in ready.physics.panels:
        for name in panel.operations:
            panel_of(ready, name)
            pick(panel.choice, name)
            ready.steps.ensureWidgetVisible(panel.buttons[name])
            QTest.qWait(100)
            qtbot.waitUntil(lambda panel=panel: not cut_controls(panel), timeout=10_000)
            heights = [field.height() for field in panel.forms[name].fields.values()]
            assert min(heights) >= ready.fontMetrics().height(), name
    screenshot(ready.window(), f"physics-large-{theme}")
