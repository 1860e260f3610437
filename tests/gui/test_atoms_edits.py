"""Edits of columns as tables, undo steps, saved state, quantities, and what the tools compute: no window needed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from atomseg_app.data import (
    FLAG_EDITED,
    FLAG_NOT_CONVERGED,
    Columns,
    Image,
    ImageSeries,
    Source,
    TiltSeries,
    Volume,
    column_table,
)
from atomseg_app.gui.atoms import edits, saved_state
from atomseg_app.gui.atoms.computing import _cut, _shifted, surroundings, unmoved
from atomseg_app.gui.atoms.edits import ChangeEntry, CloseEntry
from atomseg_app.gui.atoms.markers import ErrorStyle, MarkerStyle
from atomseg_app.gui.atoms.measure_panel import distance_text
from atomseg_app.gui.atoms.model import AtomsModel, new_entry
from atomseg_app.gui.atoms.neighbours import distances_of
from atomseg_app.gui.atoms.quantities import QUANTITIES, colour_limits
from atomseg_app.gui.atoms.tools import points_inside
from atomseg_app.gui.undo import UndoStack
from atomseg_app.simulate.columns import render, square_lattice


@pytest.fixture
def image(rng) -> Image:
    """A lattice of 36 columns, 16 px apart, 0.01 nm a pixel."""
    truth = square_lattice(100, 16.0, rng, sigma_px=3.0)
    return Image(render(truth, (100, 100)).astype(np.float32), (0.01, 0.01), Source("/data/a.tif"))


@pytest.fixture
def columns(image, rng) -> Columns:
    """The truth of that lattice with errors."""
    truth = square_lattice(100, 16.0, np.random.default_rng(20240521), sigma_px=3.0)
    table = column_table(len(truth.x_px))
    table["x_px"], table["y_px"], table["amplitude"] = truth.x_px, truth.y_px, truth.amplitude
    table["sigma_px"] = 3.0
    table["x_err_px"], table["y_err_px"] = 0.1, 0.2
    return Columns(table, (100, 100), (0.01, 0.01), image.source)


@pytest.fixture
def model(image, columns) -> AtomsModel:
    """A model that shows them."""
    result = AtomsModel()
    result.add(replace(new_entry(image), columns=columns))
    return result


def same(first: Columns, second: Columns) -> bool:
    return first.table.tobytes() == second.table.tobytes()


def test_added_columns_go_to_the_nearest_peak(image, columns):
    target = columns.table[10]
    without = edits.without(columns, [10])
    added, column_id = edits.added(without, image, target["x_px"] + 2, target["y_px"] - 2, 0)
    row = added.table[added.table["column_id"] == column_id][0]
    assert np.hypot(row["x_px"] - target["x_px"], row["y_px"] - target["y_px"]) < 0.8
    assert row["flag"] == FLAG_EDITED
    assert row["amplitude"] == pytest.approx(target["amplitude"], rel=0.4)
    assert len(set(added.table["column_id"].tolist())) == len(added)


def test_dark_columns_are_added_dark(image, columns):
    table = columns.table.copy()
    table["amplitude"] *= -1
    dark = replace(columns, table=table)
    added, column_id = edits.added(dark, replace(image, values=-image.values), *columns.xy_px[5] + 1.5, 0)
    row = added.table[added.table["column_id"] == column_id][0]
    assert row["amplitude"] < 0
    assert np.hypot(*(columns.xy_px[5] - (row["x_px"], row["y_px"]))) < 0.8


@pytest.mark.parametrize("place", [(0, 0), (99, 99), (99.4, 0), (50, 99)])
def test_columns_can_be_added_at_the_border_and_where_there_is_nothing(image, columns, place):
    for values in (image.values, np.zeros_like(image.values), np.full_like(image.values, np.nan)):
        added, column_id = edits.added(columns, replace(image, values=values), *place, 0)
        row = added.table[added.table["column_id"] == column_id][0]
        assert np.isfinite([row["x_px"], row["y_px"]]).all()
        assert np.hypot(row["x_px"] - place[0], row["y_px"] - place[1]) < 6


def test_moving_forgets_the_error_and_marks_the_column(columns):
    moved = edits.moved(columns, 3, 12.5, 34.5)
    row = moved.table[3]
    assert (row["x_px"], row["y_px"], row["flag"]) == (12.5, 34.5, FLAG_EDITED)
    assert np.isnan([row["x_err_px"], row["y_err_px"]]).all()
    assert same(columns, replace(moved, table=np.concatenate([moved.table[:3], columns.table[3:4], moved.table[4:]])))


def test_history_counts_edits_by_hand(columns):
    edited = edits.without(edits.moved(edits.without(columns, [1, 2]), 5, 1, 1), [7])
    (step,) = edited.history
    assert (step.operation, dict(step.parameters)) == (edits.BY_HAND, {"deleted": 3, "moved": 1})


def test_found_columns_replace_those_of_their_frame_and_region_only(columns):
    other = columns.table.copy()
    other["frame"], other["column_id"] = 1, np.arange(len(other)) + 100
    both = replace(columns, table=np.concatenate([columns.table, other]))
    found = replace(columns, table=columns.table[:4].copy())
    result = edits.with_found(both, found, 0, None)
    assert (result.table["frame"] == 1).sum() == len(columns)
    assert (result.table["frame"] == 0).sum() == 4
    assert len(set(result.table["column_id"].tolist())) == len(result)
    part = edits.with_found(columns, found, 0, (0, 0, 50, 50))
    x, y = columns.table["x_px"], columns.table["y_px"]
    outside = ~((x < 49.5) & (y < 49.5))
    assert len(part) == outside.sum() + 4


def test_a_fit_changes_its_columns_and_leaves_deleted_ones_deleted(columns):
    table = columns.table.copy()
    table["x_px"] += 0.5
    table["flag"][2] = FLAG_NOT_CONVERGED
    fitted = replace(columns, table=table[np.random.default_rng(0).permutation(len(table))])
    now = edits.without(columns, [1])
    result = edits.with_fit(now, fitted, [1, 2, 3], edited=True)
    assert 1 not in result.table["column_id"]
    moved = result.table["x_px"] != now.table["x_px"]
    assert result.table["column_id"][moved].tolist() == [2, 3]
    assert result.table["flag"][moved].tolist() == [FLAG_NOT_CONVERGED, FLAG_EDITED]


def test_a_local_fit_sees_the_surroundings_in_their_own_frame(rng):
    image = Image(rng.normal(0, 1, (1000, 1000)))
    table = column_table(400)
    table["x_px"], table["y_px"], table["sigma_px"] = rng.uniform(0, 999, 400), rng.uniform(0, 999, 400), 3.0
    columns = Columns(table, (1000, 1000))
    part, offset = surroundings(image, columns, [7])
    sub_image, sub_columns = _cut(image, columns, part)
    assert sub_image.values.size < 0.05 * image.values.size
    assert 7 in sub_columns.table["column_id"]
    back = _shifted(sub_columns, offset)
    rows = np.isin(table["column_id"], back.table["column_id"])
    np.testing.assert_allclose(back.xy_px, columns.xy_px[rows], atol=1e-9)
    x, y = columns.xy_px[7] - offset
    assert sub_image.values[round(y), round(x)] == image.values[round(y + offset[1]), round(x + offset[0])]
    assert surroundings(image, columns, table["column_id"])[0] == (0, 0, 1000, 1000)


def test_a_fit_that_comes_late_leaves_columns_alone_that_were_moved_or_deleted(columns):
    now = edits.without(edits.moved(columns, 2, 1.0, 1.0), [3])
    assert unmoved(columns, now, np.array([1, 2, 3, 4])) == [1, 4]


def test_undo_brings_back_every_state(model, rng):
    stack, states = UndoStack(), [model.columns()]
    for number in range(12):
        columns = model.columns()
        kind = number % 3
        if kind == 0:
            new = edits.moved(columns, int(rng.choice(columns.table["column_id"])), *rng.uniform(0, 99, 2))
        elif kind == 1:
            new = edits.without(columns, rng.choice(columns.table["column_id"], 2, replace=False))
        else:
            new = edits.added(columns, model.image(), *rng.uniform(5, 94, 2), 0)[0]
        stack.push(ChangeEntry(model, model.current_id, "Edit", replace(model.entry, columns=new)))
        states.append(model.columns())
    for state in states[-2::-1]:
        stack.undo()
        assert same(model.columns(), state)
    for state in states[1:]:
        stack.redo()
        assert same(model.columns(), state)
    assert len(stack) == 12


def test_the_fit_after_an_edit_is_the_same_step_unless_something_came_between(model):
    stack = UndoStack()
    entry_id, before = model.current_id, model.columns()

    def push(number: int, continues: ChangeEntry | None = None) -> ChangeEntry:
        after = replace(model.entry, columns=edits.moved(model.columns(), number, 1.0, 1.0))
        command = ChangeEntry(model, entry_id, "Move column", after, continues)
        stack.push(command)
        return command

    first = push(1)
    push(2, first)
    assert len(stack) == 1
    third = push(3)
    push(4)
    push(5, third)
    assert len(stack) == 4
    while stack.undo_text():
        stack.undo()
    assert same(model.columns(), before)


def test_closing_is_undone_with_the_columns(model, image):
    stack = UndoStack()
    first = model.current_id
    model.add(new_entry(image))
    model.show_entry(first)
    stack.push(CloseEntry(model, first))
    assert first not in model.entries
    stack.undo()
    assert next(iter(model.entries)) == first
    assert model.current_id == first
    assert len(model.columns()) == 36


def test_selection_follows_the_columns(model):
    model.select([1, 2, 999])
    assert model.selection.tolist() == [1, 2]
    model.replace(model.current_id, replace(model.entry, columns=edits.without(model.entry.columns, [1])))
    assert model.selection.tolist() == [2]
    assert model.columns().table["column_id"][model.selected_rows()].tolist() == [2]


def test_calibration_changes_data_and_columns_and_keeps_the_height_of_voxels(columns):
    entry = edits.recalibrated(new_entry(Volume(np.zeros((3, 4, 5)), (2.0, None, None))), 0.3, 0.2)
    assert entry.data.pixel_size_nm == (2.0, 0.3, 0.2)
    assert entry.columns.pixel_size_nm == (0.3, 0.2)


def test_state_is_saved_and_restored(columns, rng):
    model = AtomsModel()
    model.add(replace(new_entry(Image(rng.normal(0, 1, (100, 100)))), columns=columns))
    model.add(new_entry(TiltSeries(rng.normal(0, 1, (3, 8, 9)), tilt_deg=(-1.0, 0.0, 1.0))))
    model.show_frame(2)
    model.add(new_entry(ImageSeries(rng.normal(0, 1, (4, 8, 9)))))
    model.show_entry(2)
    state, items = saved_state.of_model(model)
    again = AtomsModel()
    saved_state.restore_model(again, state, items)
    assert [entry.data.kind for entry in again.entries.values()] == ["image", "tilt-series", "image-series"]
    assert (again.current_id, again.frame) == (2, 2)
    assert same(again.entries[1].columns, columns)
    # An image that is missing takes nothing else with it: its columns are not put on another one.
    rest = AtomsModel()
    saved_state.restore_model(rest, state, items[1:])
    assert len(rest.entries) == 2
    assert not any(len(entry.columns) for entry in rest.entries.values())


def test_style_is_saved_and_restored():
    style = MarkerStyle(False, "amplitude", "inferno", 1.5, ErrorStyle.BARS, 50.0)
    assert saved_state.to_style(saved_state.of_style(style)) == style
    assert saved_state.to_style({"unknown": 1}) == MarkerStyle()


# -- measuring


def test_quantities_have_values_and_units(columns):
    for quantity in QUANTITIES.values():
        values = quantity.values(columns)
        assert values.shape == (36,)
    assert QUANTITIES["nearest"].values(columns) == pytest.approx(0.16)
    assert QUANTITIES["nearest"].label(columns) == "Nearest neighbour (nm)"
    assert QUANTITIES["position_error"].values(columns) == pytest.approx(np.sqrt((1.0 + 4.0) / 2))
    bare = replace(columns, pixel_size_nm=(None, None))
    assert QUANTITIES["nearest"].values(bare) == pytest.approx(16.0)
    assert QUANTITIES["position_error"].label(bare) == "Position error (px)"


def test_colour_limits_of_odd_values():
    assert colour_limits(np.full(3, np.nan)) == (0.0, 1.0)
    low, high = colour_limits(np.full(5, -2.0))
    assert low < -2.0 < high


def test_histogram_of_distances(rng):
    values = rng.normal(0.25, 0.01, 2000)
    values[3] = np.nan
    distances = distances_of(values, "nm")
    assert distances.counts.sum() == 1999
    rows = np.concatenate([distances.rows_of(index) for index in range(len(distances.counts))])
    assert sorted(rows.tolist()) == [index for index in range(2000) if index != 3]
    known = values[np.isfinite(values)]
    assert f"{known.mean():.4f} ± {known.std(ddof=1):.4f} nm" in distances.summary()
    for odd in (np.full(4, 2.0), np.full(4, np.nan), np.array([1.0])):
        assert distances_of(odd, "px").counts.sum() == np.isfinite(odd).sum()


def test_distance_and_its_error(columns, image):
    """Along x only the errors along x count: 0.1 px each, so 0.1 * sqrt(2) px together, which is 1.4 pm."""
    order = np.lexsort((columns.table["x_px"], columns.table["y_px"].round(3)))
    first, second = int(order[0]), int(order[1])
    text = distance_text(tuple(columns.xy_px[first]), tuple(columns.xy_px[second]), (first, second), columns, image)
    assert text.startswith("0.1600 nm ± 1.4 pm")
    free = distance_text((0.0, 0.0), (3.0, 4.0), (-1, -1), columns, replace(image, pixel_size_nm=(None, None)))
    assert free.startswith("5.00 px   53.1°")
    stretched = distance_text((0.0, 0.0), (3.0, 4.0), (-1, -1), columns, image.with_pixel_size(0.02, 0.01))
    assert stretched.startswith(f"{np.hypot(0.03, 0.08):.4f} nm")


def test_lasso_agrees_with_the_winding_of_angles(rng):
    """Reference: inside, the directions to the corners turn once round; outside, they come back."""
    turn = np.sort(rng.uniform(0, 2 * np.pi, 25))
    polygon = np.stack([np.cos(turn), np.sin(turn)], axis=1) * rng.uniform(0.3, 1.0, 25)[:, None] * 10
    points = rng.uniform(-10, 10, (500, 2))
    angles = np.arctan2(*(polygon[None] - points[:, None]).transpose(2, 0, 1)[::-1])
    steps = np.angle(np.exp(1j * (np.roll(angles, -1, axis=1) - angles)))
    expected = np.abs(steps.sum(axis=1)) > np.pi
    assert (points_inside(points, polygon) == expected).all()
    assert expected.any()
    assert not points_inside(points, polygon[:2]).any()
