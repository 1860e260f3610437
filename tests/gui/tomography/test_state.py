"""What is kept with a project: series with their edits, volumes, names, places."""

from __future__ import annotations

import numpy as np
import pytest

from atomseg_app.data import Columns, column_table
from atomseg_app.gui.entry_edits import CloseEntry
from atomseg_app.gui.tomography.model import Entry
from atomseg_app.jobs.tasks import Task
from tests.gui.driving import OPEN_MS
from tests.gui.tomography.driving import JOB_MS


def test_a_project_keeps_edits_places_and_volumes(tab, series_file, volume, tmp_path, qtbot):
    window = tab.window()
    window.open_paths([str(series_file)])
    qtbot.waitUntil(lambda: tab.model.series() is not None, timeout=JOB_MS)
    tab.editing.set_angle(2, -41.5)
    tab.editing.set_used(4, False)
    tab.editing.set_shift(1, "shift_x_px", 2.5)
    tab.editing.set_axis("y")
    tab.model.show_view(7)
    tab.model.show_row(9)
    kept = tab.model.series()
    tab.model.add(Entry(volume, "block, mlem", tab.model.current_id))
    tab.model.show_place((3, 4, 5))
    path = tmp_path / "project.atomseg"
    window.session.save(path)
    qtbot.waitUntil(lambda: not window.session.saving, timeout=OPEN_MS)
    window.session.close_all()
    assert tab.is_empty()
    window.flow.open_path(str(path))
    qtbot.waitUntil(lambda: len(tab.model.entries) == 2, timeout=JOB_MS)
    assert tab.model.entry.title == "block, mlem"
    assert tab.model.place == (3, 4, 5)
    first = next(iter(tab.model.entries))
    assert tab.model.entry.origin == first
    tab.model.show_entry(first)
    assert (tab.model.view, tab.model.row) == (7, 9)
    found = tab.model.series()
    for name in ("tilt_deg", "excluded", "alignment", "tilt_axis", "pixel_size_nm"):
        assert getattr(found, name) == getattr(kept, name), name
    np.testing.assert_array_equal(found.values, kept.values)


def test_closing_is_a_step_and_keeps_the_rest(filled, volume):
    tab = filled
    series_id = tab.model.current_id
    tab.window().show_item(volume)
    tab.model.show_entry(series_id)
    tab.context.undo.push(CloseEntry(tab.model, series_id))
    assert tab.model.volume() is volume
    tab.context.actions.trigger("edit.undo")
    assert tab.model.current_id == series_id
    assert next(iter(tab.model.entries)) == series_id


def test_tables_are_not_for_this_tab(tab):
    columns = Columns(column_table(1), (4, 4))
    assert not tab.accepts(columns)
    assert not tab.prefers(columns)


@pytest.mark.parametrize("name", ["save-volume", "make-surface"])
def test_tasks_of_the_tab_are_known_by_name(name):
    assert Task(name, {"path": "x"}).title[0].isupper()


def test_an_aligned_series_is_referred_to_and_not_stored(tab, series_file, qtbot):
    """Its images are still those of the file; what was computed from them is stored."""
    from dataclasses import replace

    from atomseg_app.alignment import Alignment
    from atomseg_app.data import Step
    from atomseg_app.io.projects import refer

    tab.window().open_paths([str(series_file)])
    qtbot.waitUntil(lambda: tab.model.series() is not None, timeout=JOB_MS)
    series = tab.model.series()
    aligned = replace(series, alignment=Alignment.none(len(series.values)), history=(Step("align-match", {}, "1"),))
    reference = refer(aligned)
    assert reference is not None
    assert reference.attach(series).alignment == aligned.alignment
    assert refer(aligned.with_step(Step("prepare-tilts", {}, "1"))) is None
