"""From a sample to physics in the window, with real events: lattice, strain, shifts, defects, maps, plots, files."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PySide6.QtCore import Qt
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QComboBox, QFileDialog
from pytestqt.qtbot import QtBot

from atomseg_app import places
from atomseg_app.data import ImageSeries
from atomseg_app.gui.atoms.operations_panel import OperationsPanel
from atomseg_app.gui.atoms.tab import AtomsTab
from atomseg_app.gui.colour_maps import DIVERGING
from atomseg_app.gui.figure_export import pixels
from atomseg_app.gui.settings import THEME
from atomseg_app.io.tables import read_csv
from tests.gui.atoms.driving import JOB_MS, LEFT, button, idle

KEY = Qt.Key


def sample(tab: AtomsTab, name: str, qtbot: QtBot) -> None:
    """Open a bundled sample, and find its columns by the button."""
    window = tab.window()
    window.resize(1560, 980)
    window.open_paths([str(places.resources_folder() / "samples" / f"{name}.tif")])
    qtbot.waitUntil(lambda: tab.model.entry is not None, timeout=JOB_MS)
    tab.steps.find_panel.form.set_values({"method": "log", "split": False})
    tab.steps.ensureWidgetVisible(tab.steps.find_panel.button)
    QTest.mouseClick(tab.steps.find_panel.button, LEFT)
    idle(tab, qtbot)
    assert len(tab.model.columns()) > 100


def panel_of(tab: AtomsTab, operation: str) -> OperationsPanel:
    """The panel that has an operation, its section unfolded."""
    for panel, section in zip(tab.physics.panels, tab.physics.sections, strict=True):
        if operation in panel.operations:
            section.unfold()
            return panel
    raise AssertionError(operation)


def pick(box: QComboBox, key: object) -> None:
    """Choose an entry with the arrow keys, as from the keyboard."""
    box.setFocus()
    target = box.findData(key)
    assert target >= 0, [box.itemData(row) for row in range(box.count())]
    while box.currentIndex() != target:
        QTest.keyClick(box, KEY.Key_Down if box.currentIndex() < target else KEY.Key_Up)


def measure(tab: AtomsTab, operation: str, qtbot: QtBot) -> OperationsPanel:
    """Choose an operation, press its button, wait for its result."""
    panel = panel_of(tab, operation)
    pick(panel.choice, operation)
    pressed = button(tab, f"atoms.{operation}")
    tab.steps.ensureWidgetVisible(pressed)
    assert pressed.isVisible()
    assert pressed.isEnabled(), pressed.toolTip()
    QTest.mouseClick(pressed, LEFT)
    assert operation in tab.physics.measuring.jobs
    qtbot.waitUntil(lambda: operation not in tab.physics.measuring.jobs, timeout=JOB_MS)
    return panel


def shots(tab: AtomsTab, name: str, screenshot) -> None:
    """Pictures in both looks, for eyes: $ATOMSEG_SCREENSHOTS."""
    if "ATOMSEG_SCREENSHOTS" not in os.environ:
        return
    for theme in ("light", "dark"):
        tab.context.settings.set(THEME, theme)
        QTest.qWait(50)
        screenshot(tab.window(), f"physics-{name}-{theme}")


@pytest.mark.slow
def test_a_perovskite_from_columns_to_domains(tab, qtbot, tmp_path, monkeypatch, screenshot):
    """The two domains of the sample: Ti-O columns shifted by 15 pm, up on the left, down on the right."""
    sample(tab, "perovskite_domains", qtbot)
    states = [tab.model.columns()]
    for operation, check in (
        ("measure-lattice", check_lattice), ("measure-strain", check_strain), ("measure-polarisation", check_shifts),
        ("find-defects", check_defects),
    ):  # fmt: skip
        panel = measure(tab, operation, qtbot)
        states.append(tab.model.columns())
        kept = np.isin(states[-1].table["column_id"], states[0].table["column_id"])
        np.testing.assert_array_equal(states[-1].table["column_id"][kept], states[0].table["column_id"])
        check(tab, panel)
        shots(tab, operation, screenshot)
    check_plots(tab, qtbot, screenshot)
    check_files(tab, qtbot, tmp_path, monkeypatch)
    for state in states[-2::-1]:
        tab.context.actions.trigger("edit.undo")
        assert tab.model.columns().table.tobytes() == state.table.tobytes()
    assert tab.view._overlay_bar is None, "what colours the markers was not measured of these columns"
    assert tab.overlay.arrows.arrows is None
    assert "(not measured)" in tab.steps.show_panel.quantity.currentText()
    for state in states[1:]:
        tab.context.actions.trigger("edit.redo")
        assert tab.model.columns().table.tobytes() == state.table.tobytes()
    assert tab.overlay.arrows.arrows is not None


def check_lattice(tab: AtomsTab, panel: OperationsPanel) -> None:
    assert "a = 39" in panel.result.text() or "a = 27" in panel.result.text() or "a = 55" in panel.result.text()
    assert "2 sublattices" in panel.result.text()
    assert tab.steps.show_panel.quantity.currentData() == "sublattice"
    assert tab.view._overlay_bar.title == "Sublattice"


def check_strain(tab: AtomsTab, panel: OperationsPanel) -> None:
    bar = tab.view._overlay_bar
    assert bar.title == "Strain εxx (%)"
    assert bar.low == pytest.approx(-bar.high)
    assert tab.overlay.markers.style.colour_map == DIVERGING
    assert "%" in panel.result.text()
    limits = tab.steps.show_panel.limits
    tab.steps.ensureWidgetVisible(limits)
    limits.high.selectAll()
    QTest.keyClicks(limits.high, "0,25")
    QTest.keyClick(limits.high, KEY.Key_Return)
    assert tab.view._overlay_bar.high == 0.25
    limits.histogram.setFocus()
    QTest.keyClick(limits.histogram, KEY.Key_Right)
    assert tab.view._overlay_bar.low > bar.low
    QTest.mouseClick(limits.auto, LEFT)
    assert (tab.view._overlay_bar.low, tab.view._overlay_bar.high) == (bar.low, bar.high)


def check_shifts(tab: AtomsTab, panel: OperationsPanel) -> None:
    table = tab.model.columns().table
    known = np.isfinite(table["polar_y_px"])
    for side, shift_pm in ((table["x_px"] < 300, -15), (table["x_px"] > 468, 15)):
        # y is downwards, a pixel 10 pm.
        assert np.median(table["polar_y_px"][side & known]) * 10 == pytest.approx(shift_pm, abs=2)
    arrows = tab.overlay.arrows.arrows
    assert len(arrows.xy_px) == known.sum()
    length, text = arrows.key(tab.view.canvas.geometry_now)
    drawn_pm = length / (tab.view.canvas.geometry_now.scale[0] * arrows.factor) * 10
    assert float(text.removesuffix(" pm")) == pytest.approx(drawn_pm)
    assert "Polar shift y" in panel.result.text()


def check_defects(tab: AtomsTab, panel: OperationsPanel) -> None:
    assert "false alarms expected" in panel.result.text()
    codes = tab.model.columns().table["defect"]
    assert sum(tab.overlay.defects.counts().values()) == np.count_nonzero(codes)


def check_plots(tab: AtomsTab, qtbot: QtBot, screenshot) -> None:
    """A rectangle in the plot selects one domain; keys walk along the bars."""
    QTest.keyClick(tab.window(), KEY.Key_H, Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
    plots = tab.physics.plots
    assert plots.isVisible()
    pick(plots.across, "polar_y_px")
    pick(plots.up, "integrated_intensity")
    data = plots.view.data
    top, bottom = float(data.y.max()), float(data.y.min())
    qtbot.waitUntil(lambda: plots.view.rect().contains(plots.view.place_of(data.x.max(), top)), timeout=10_000)
    reach = (plots.view.place_of(data.x.max(), top) - plots.view.place_of(0.0, bottom)) / 40
    start, end = plots.view.place_of(0.0, bottom) - reach, plots.view.place_of(data.x.max(), top) + reach
    start.setX(plots.view.place_of(0.0, bottom).x())
    QTest.mousePress(plots.view, LEFT, pos=start)
    QTest.mouseMove(plots.view, (start + end) / 2)
    QTest.mouseMove(plots.view, end)
    QTest.mouseRelease(plots.view, LEFT, pos=end)
    chosen, table = tab.model.selected_rows(), tab.model.columns().table
    assert len(chosen) == pytest.approx((data.x > 0).sum(), abs=3)
    assert np.median(table["x_px"][chosen]) > 384, "the domain on the right"
    shots(tab, "scatter", screenshot)
    pick(plots.up, "")
    plots.view.setFocus()
    highest = int(np.argmax(plots.view.data.bars.counts))
    for _ in range(highest + 1):
        QTest.keyClick(plots.view, KEY.Key_Right)
    QTest.keyClick(plots.view, KEY.Key_Return)
    assert len(tab.model.selection) == plots.view.data.bars.counts[highest]
    shots(tab, "histogram", screenshot)
    plots.only.setFocus()
    QTest.keyClick(plots.only, KEY.Key_Space)
    assert len(plots.view.data.x) == len(tab.model.selection)
    QTest.keyClick(plots.only, KEY.Key_Space)


def check_files(tab: AtomsTab, qtbot: QtBot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plot, figure and table as files; the figure is what is shown, the table has every quantity."""
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: (str(tmp_path / "plot.png"), "PNG (*.png)"))
    tab.context.actions.trigger("atoms.export_plot")
    assert (tmp_path / "plot.png").stat().st_size > 3000
    tab.exporter.write_figure(tmp_path / "figure.png", 96)
    qtbot.waitUntil((tmp_path / "figure.png").exists, timeout=JOB_MS)
    entry = tab.model.entry
    tab.exporter.write_table(entry.columns, tab.model.image(), tmp_path / "out.csv", "csv")
    idle(tab, qtbot)
    back = read_csv(tmp_path / "out.csv", tab.model.image())
    assert set(entry.columns.quantities) <= set(back.quantities)
    np.testing.assert_array_equal(back.table["strain_xx"], entry.columns.table["strain_xx"])
    assert "polar_x_nm" in (tmp_path / "out.csv").read_text().splitlines()[0]


@pytest.mark.slow
def test_phase_maps_open_beside_their_image(tab, qtbot, screenshot):
    """Maps of the silicon sample: a series of four layers, each even about zero; undo closes them again."""
    window = tab.window()
    window.resize(1560, 980)
    window.open_paths([str(places.resources_folder() / "samples" / "silicon_110.tif")])
    qtbot.waitUntil(lambda: tab.model.entry is not None, timeout=JOB_MS)
    image_id, before = tab.model.current_id, tab.view.contrast()
    measure(tab, "gpa", qtbot)
    maps = tab.model.entry.data
    assert isinstance(maps, ImageSeries)
    assert maps.shape == (4, 512, 512)
    assert maps.calibrated
    limits = []
    for name in ("Strain εxx (%)", "Strain εyy (%)", "Strain εxy (%)", "Rotation (°)"):
        bar = tab.view._image_bar()
        assert bar.title == name
        assert bar.low == pytest.approx(-bar.high)
        assert tab.view.contrast().colour_map == DIVERGING
        limits.append(bar.high)
        if name.startswith("Strain εxx"):
            shots(tab, "maps", screenshot)
            share = float(np.nanmax(np.abs(maps.values[0])))
            assert limits[0] <= 100 * share + 1e-3
        QTest.keyClick(window, KEY.Key_PageDown)
    assert len({round(limit, 6) for limit in limits}) == 4, "each layer has limits of its own"
    tab.context.actions.trigger("edit.undo")
    assert tab.model.current_id == image_id
    assert len(tab.model.entries) == 1
    assert tab.view.contrast() == before
    assert not tab.view.show_colour_bar
    tab.context.actions.trigger("edit.redo")
    assert tab.view.contrast().colour_map == DIVERGING
    grey = pixels(tab.view.canvas.grab().toImage())
    assert (np.ptp(grey.astype(int), axis=2) > 60).mean() > 0.05, "the map is drawn in colours"
