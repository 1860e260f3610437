"""The tab as a whole: quick with many columns, every control named, pictures in both looks."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF, Qt
from PySide6.QtGui import QWheelEvent
from PySide6.QtWidgets import QAbstractButton, QAbstractItemView, QApplication, QHeaderView, QScrollBar, QWidget

from atomseg_app.data import Columns, Image, Source, column_table
from atomseg_app.gui.settings import FONT_SCALE_PERCENT, THEME


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


def test_the_table_makes_room_for_larger_text(filled, qtbot):
    """Columns kept their widths when text grew, and positions ended in dots."""
    filled.context.settings.set(FONT_SCALE_PERCENT, 150)
    table = filled.table
    index = table.columns.index(0, 1)
    wanted = table.fontMetrics().horizontalAdvance("0000.000")
    assert table.columnWidth(1) > wanted
    assert table.rowHeight(0) >= table.fontMetrics().height()
    assert "." in index.data()
    filled.context.settings.set(FONT_SCALE_PERCENT, 100)
    assert table.columnWidth(1) < 1.2 * wanted


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_pictures_of_the_tab(filled, theme, screenshot):
    """For eyes: $ATOMSEG_SCREENSHOTS. The canvas takes the colours of the look."""
    filled.context.settings.set(THEME, theme)
    assert filled.view.canvas.paper.name() == filled.context.theme.colours.window
    filled.model.select([1, 2, 3])
    screenshot(filled.window(), f"atoms-{theme}")
