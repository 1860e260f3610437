"""Calibration, distances, their histogram and the power spectrum, driven with real events."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtTest import QTest
from PySide6.QtWidgets import QApplication

from atomseg_app.data import Image
from atomseg_app.gui.settings import FONT_SCALE_PERCENT, THEME
from tests.gui.atoms.driving import LEFT, drag, place


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
