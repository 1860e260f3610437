"""Filling a missing wedge in the window: from a dropped series to a volume that says what of it was inferred."""

from __future__ import annotations

import numpy as np
import pytest
from PySide6.QtCore import QPoint, QPointF
from PySide6.QtGui import QColor
from PySide6.QtTest import QTest

from atomseg_app.data import Source, Step, TiltSeries, Volume
from atomseg_app.gui.tomography.data_list import describe
from atomseg_app.gui.tomography.fourier_pane import FourierPane
from atomseg_app.gui.tomography.model import Entry
from atomseg_app.gui.tomography.wedge_flow import is_filled
from atomseg_app.gui.tomography.wedge_panel import missing_in
from tests.gui.driving import drop
from tests.gui.tomography.conftest import ANGLES, SIDE
from tests.gui.tomography.driving import JOB_MS, LEFT, button, click, idle
from tests.tomography.wedge_models import shelve


@pytest.mark.slow
def test_from_a_dropped_series_to_a_filled_volume_and_back(tab, series_file, qtbot):
    shelve("wedge-residual")
    assert drop(tab.window(), QPoint(600, 400), [series_file])
    qtbot.waitUntil(lambda: tab.model.series() is not None, timeout=JOB_MS)
    series_id, steps = tab.model.current_id, tab.steps
    QTest.mouseClick(steps.fill_section.head, LEFT)
    panel = steps.fill
    qtbot.waitUntil(panel.run.isVisible)
    assert "from 72 to 108 degrees: 20 % of all directions" in panel.missing.text()
    assert not button(tab, "tomography.swap_filled").isEnabled()
    panel.run.form("fill-wedge").set_values({"uncertainty": True, "device": "cpu"})
    formed = []
    tab.computing.previewed.connect(lambda _job, name, array: formed.append((name, array.shape)))
    click(tab, "tomography.fill-wedge")
    assert panel.run.cancel.isVisible()
    idle(tab, qtbot)
    qtbot.waitUntil(lambda: panel.look() is not None, timeout=JOB_MS)
    assert ("slice", (SIDE, SIDE)) in formed
    titles = [entry.title for entry in tab.model.entries.values()]
    name = titles[0]
    assert titles[1:] == [f"{name}, filled best", f"{name}, filled best, uncertainty"]
    filled_id, filled = tab.model.current_id, tab.model.volume()
    assert tab.model.entry.title == f"{name}, filled best"
    assert describe(tab.model.entry).endswith("partly inferred")
    assert filled.shape == (SIDE, SIDE, SIDE)
    assert any(note.startswith("Inferred, not measured: 72 to 108") for note in filled.history[-1].notes)
    assert any("Inferred, not measured" in text for text in tab.context.notify.toast_texts())
    assert "Part of this volume is inferred, by wedge-residual" in panel.told.text()
    assert "R-factor" in panel.told.text()
    assert [curve.name for curve in panel.power.curves] == ["measured", "inferred", "views"]
    assert panel.fourier.isVisible()
    ((start, stop),) = panel.fourier.gaps_deg
    assert (start, stop) == (72, 108)

    click(tab, "tomography.swap_filled")  # there is no plain one yet: it is reconstructed
    idle(tab, qtbot)
    plain_id, plain = tab.model.current_id, tab.model.volume()
    assert not is_filled(plain)
    assert panel.look() is None
    tab.model.show_place((5, 6, 7))
    click(tab, "tomography.swap_filled")
    assert (tab.model.current_id, tab.model.place) == (filled_id, (5, 6, 7))
    click(tab, "tomography.swap_filled")
    assert tab.model.current_id == plain_id
    click(tab, "tomography.fourier_view")
    idle(tab, qtbot)
    assert panel.look() is not None
    tab.model.show_entry(filled_id)
    click(tab, "tomography.filled_series")
    idle(tab, qtbot)
    whole = tab.model.series()
    assert whole is not None
    measured = [view for view in range(len(whole.values)) if view not in whole.metadata["inferred_views"]]
    assert np.array_equal(whole.values[measured], tab.model.entries[series_id].data.values)
    assert missing_in(whole) == "The views leave no wedge out."
    for _ in range(3):
        tab.context.undo.undo()
    assert list(tab.model.entries) == [series_id]
    tab.context.undo.redo()
    assert [entry.title for entry in tab.model.entries.values()] == titles
    assert tab.model.entry.title == f"{name}, filled best"


def test_cancelled_nothing_is_opened(filled, qtbot):
    tab = filled
    shelve("wedge-residual")
    rng = np.random.default_rng(2)
    tilts = tuple(np.arange(-60.0, 61.0, 3.0))
    tab.window().show_item(
        TiltSeries(rng.random((41, 200, 96), np.float32), source=Source("/data/b.mrc"), tilt_deg=tilts)
    )
    before = list(tab.model.entries)
    tab.steps.fill_section.unfold()
    click(tab, "tomography.fill-wedge")
    job = tab.computing.jobs["fill-wedge"]
    qtbot.waitUntil(lambda: job.message.startswith("slices"), timeout=JOB_MS)
    QTest.mouseClick(tab.steps.fill.run.cancel, LEFT)
    qtbot.waitUntil(lambda: not tab.context.jobs.active(), timeout=10_000)
    assert job.state == "cancelled"
    assert list(tab.model.entries) == before


def test_a_missing_model_is_told(filled, qtbot, monkeypatch):
    tab = filled
    form = tab.steps.fill.run.form("fill-wedge")
    form.set_values({"model": "no-such-model"})
    tab.steps.fill_section.unfold()
    click(tab, "tomography.fill-wedge")
    idle(tab, qtbot)
    dialog = tab.context.notify.dialog
    assert dialog is not None
    assert "There is no model 'no-such-model'" in dialog.report()
    dialog.close()
    assert len(tab.model.entries) == 1


def test_uncertainty_and_differences_are_not_what_one_goes_back_to(filled, qtbot):
    """Of several volumes, the swap takes the last plain reconstruction of the same series."""
    tab = filled
    series_id = tab.model.current_id
    shape = np.zeros((4, SIDE, 4), np.float32)

    def add(operation: str, origin: int = series_id, **facts: object) -> int:
        return tab.model.add(Entry(Volume(shape, metadata=facts, history=(Step(operation, {}, "1"),)), origin=origin))

    other = add("reconstruct", -1)
    add("reconstruct")
    plain = add("reconstruct")
    add("compare-volumes")
    add("fill-wedge", quantity="uncertainty")
    infilled = add("fill-wedge")
    tab.context.actions.trigger("tomography.swap_filled")
    assert tab.model.current_id == plain
    tab.context.actions.trigger("tomography.swap_filled")
    assert tab.model.current_id == infilled
    tab.model.show_entry(other)
    assert not tab.context.actions.qaction("tomography.swap_filled").isEnabled()


def test_the_form_asks_for_what_the_method_needs(filled, qtbot):
    tab = filled
    tab.steps.fill_section.unfold()
    qtbot.waitUntil(tab.steps.fill.run.isVisible)
    form = tab.steps.fill.run.form("fill-wedge")
    for method, shown in (("best", "uncertainty"), ("self", "minutes"), ("residual", "uncertainty")):
        form.set_values({"method": method})
        asked = {name for name in ("uncertainty", "minutes") if form.fields[name].isVisible()}
        assert asked == {shown}
    assert button(tab, "tomography.fill-wedge").height() > 20
    form.set_values({"method": "self"})
    assert not tab.steps.fill.run.stop.isHidden()


def test_the_wedge_is_drawn_where_nothing_was_measured(qtbot):
    pane = FourierPane()
    qtbot.addWidget(pane)
    pane.resize(260, 280)
    pane.show()
    flat = np.full((64, 64), -1.0, np.float32)
    flat[32, 32] = 3.0
    pane.show_power(flat, [(60.0, 120.0)], 0.5)
    area = pane.area()
    picture = pane.grab().toImage()
    ratio = pane.devicePixelRatioF()

    def colour(x: float, y: float) -> QColor:
        return picture.pixelColor(round((area.left() + x * area.width()) * ratio), round(y * area.height() * ratio))

    inside, above, beside = colour(0.5, 0.9), colour(0.55, 0.1), colour(0.9, 0.45)
    assert inside.red() > inside.blue() + 5
    assert above.red() > above.blue() + 5
    assert abs(beside.red() - beside.blue()) <= 2
    point = area.center() + QPointF(0, 0.25 * area.height())
    assert pane.text_at(point) == "Details of 2 nm, seen at -90°: inferred"
    assert "seen at 0°: measured" in pane.text_at(area.center() + QPointF(40, 0))
    assert missing_in(None).startswith("Show a tilt series")
    assert len(ANGLES) == 12
