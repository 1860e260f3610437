"""The operation: from an image to a table in the frame of the file, and the fit again of touched columns."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from atomseg_app import operations
from atomseg_app.atoms import find, tiles
from atomseg_app.atoms.operations import FIND_COLUMNS, REFIT_COLUMNS
from atomseg_app.data import FLAG_EDGE, FLAG_EDITED, FLAG_NONE, FLAG_NOT_CONVERGED, Columns, Image, Source
from atomseg_app.errors import Cancelled, UserError
from atomseg_app.operations import Report


def found(values, **parameters) -> Columns:
    image = Image(values, (0.01, 0.01), Source("a.npy"))
    result = operations.run(FIND_COLUMNS, (image,), FIND_COLUMNS.parse(parameters), Report())
    assert isinstance(result, Columns)
    return result


def again(values, columns, **parameters) -> Columns:
    result = operations.run(REFIT_COLUMNS, (Image(values), columns), REFIT_COLUMNS.parse(parameters), Report())
    assert isinstance(result, Columns)
    return result


def test_the_table_is_complete_and_ordered(lattice):
    image = lattice(240, 40.0)
    columns = found(image.values)
    table = columns.table
    assert len(table) == len(image.truth.x_px)
    assert columns.image_shape == (240, 240)
    assert columns.pixel_size_nm == (0.01, 0.01)
    assert columns.source.name == "a"
    assert table["column_id"].tolist() == list(range(len(table)))
    assert (np.diff(table["y_px"]) >= 0).all()
    error, index = image.errors(table["x_px"], table["y_px"])
    assert len(set(index)) == len(index)
    assert np.abs(error).max() < 0.6
    assert table["amplitude"] == pytest.approx(image.truth.amplitude[index], rel=0.25)
    assert np.median(table["background"]) == pytest.approx(12.0, rel=0.05)
    assert table["integrated_intensity"] == pytest.approx(2 * np.pi * table["amplitude"] * table["sigma_px"] ** 2)
    assert (table["ellipticity"] >= 1).all()
    assert np.abs(table["angle_deg"]).max() <= 90
    assert ((table["probability"] > 0.5) & (table["probability"] <= 1)).all()
    assert (table["flag"] == FLAG_NONE).all()
    assert columns.history[-1].operation == "find-columns"


def test_a_region_gives_positions_in_the_frame_of_the_file(lattice):
    image = lattice(300, 40.0)
    whole = found(image.values).xy_px
    part = found(image.values, region_px=(95, 55, 260, 240)).xy_px
    deep = part[(part[:, 0] > 110) & (part[:, 0] < 245) & (part[:, 1] > 70) & (part[:, 1] < 225)]
    nearest = np.hypot(deep[:, None, 0] - whole[:, 0], deep[:, None, 1] - whole[:, 1]).min(axis=1)
    assert len(deep) > 30
    assert nearest.max() < 0.1
    assert part.min(axis=0).tolist() >= [94.5, 54.5]


@pytest.mark.parametrize("region", [(0, 0, 301, 10), (10, 10, 10, 20), (-1, 0, 20, 20)])
def test_a_region_outside_the_image_is_refused(lattice, region):
    with pytest.raises(UserError, match="region"):
        found(lattice(300, 40.0).values, region_px=region)


def test_dark_columns_have_negative_amplitudes(lattice):
    image = lattice(240, 60.0)
    dark = found(200.0 - image.values)
    error, _ = image.errors(dark.table["x_px"], dark.table["y_px"])
    assert len(dark) == len(image.truth.x_px)
    assert np.abs(error).max() < 0.6
    assert (dark.table["amplitude"] < 0).all()
    assert (dark.table["integrated_intensity"] < 0).all()


def test_a_column_cut_by_the_border_is_marked(lattice):
    image = lattice(240, 60.0)
    values = image.values[int(np.rint(image.truth.y_px.min())) :]
    table = found(values).table
    at_top = table["y_px"] < 3
    assert at_top.sum() >= 9
    assert (table["flag"][at_top] == FLAG_EDGE).all()
    assert (table["flag"][table["y_px"] > 12] == FLAG_NONE).all()


@pytest.mark.parametrize(
    "values",
    [np.full((64, 64), 7.0), np.full((64, 64), np.nan), np.ones((1, 1)), np.zeros((3, 200), np.uint8)],
    ids=["constant", "nan", "one pixel", "strip"],
)
def test_an_image_without_columns_gives_none_or_a_sentence(values):
    try:
        count = len(found(values))
    except UserError:
        count = 0
    assert count == 0


def test_noise_alone_gives_no_columns():
    values = np.random.default_rng(4).poisson(20.0, (400, 400))
    assert len(found(values)) <= 2


def test_without_refinement_positions_are_those_of_the_detection(lattice):
    image = lattice(240, 40.0)
    table = found(image.values, refine=False).table
    assert len(table) == len(image.truth.x_px)
    assert np.isnan(table["x_err_px"]).all()
    assert np.isfinite(table["amplitude"]).all()


def test_tiles_give_the_columns_of_the_whole(lattice, monkeypatch):
    image = lattice(400, 40.0)
    whole = found(image.values)
    monkeypatch.setattr(tiles, "_TILE_PX", 200)
    monkeypatch.setattr(tiles, "_OVERLAP_PX", 60)
    tiled = found(image.values)
    assert len(tiled) == len(whole) == len(image.truth.x_px)
    apart = np.hypot(tiled.xy_px[:, None, 0] - whole.xy_px[:, 0], tiled.xy_px[:, None, 1] - whole.xy_px[:, 1])
    assert apart.min(axis=1).max() < 0.05


def test_a_fit_again_of_two_columns_moves_only_them(lattice):
    image = lattice(300, 60.0)
    before = found(image.values)
    moved = before.table.copy()
    moved["x_px"][[40, 90]] += 2.0
    moved["flag"][40] = FLAG_EDITED
    moved["amplitude"][90] = moved["sigma_px"][90] = np.nan  # as a column added by hand
    after = again(image.values, replace(before, table=moved), column_ids=(40, 90))
    others = np.delete(np.arange(len(moved)), [40, 90])
    assert (after.table[others] == moved[others]).all()
    assert after.xy_px[[40, 90]] == pytest.approx(before.xy_px[[40, 90]], abs=0.05)
    assert after.table["x_err_px"][[40, 90]] == pytest.approx(before.table["x_err_px"][[40, 90]], rel=0.1)
    assert after.table["column_id"][40] == 40
    assert after.table["flag"][40] == FLAG_EDITED
    assert after.table["amplitude"][90] == pytest.approx(before.table["amplitude"][90], rel=0.05)


def test_a_fit_again_of_all_is_the_first_fit(lattice):
    image = lattice(240, 60.0)
    before = found(image.values)
    after = again(image.values, before)
    assert after.xy_px == pytest.approx(before.xy_px, abs=0.01)
    assert after.table["x_err_px"] == pytest.approx(before.table["x_err_px"], rel=0.05)


def test_a_fit_again_where_nothing_is_says_so(lattice):
    """A marker put between the columns has nothing to hold on to: it is not reported as a good fit."""
    image = lattice(240, 60.0)
    before = found(image.values)
    moved = before.table.copy()
    far = int(np.argmin(np.hypot(moved["x_px"] - 120, moved["y_px"] - 120)))
    moved["x_px"][far] += 10.0
    moved["y_px"][far] += 10.0
    after = again(image.values, replace(before, table=moved), column_ids=(far,)).table[far]
    back = np.hypot(after["x_px"] - before.table["x_px"][far], after["y_px"] - before.table["y_px"][far]) < 1.0
    assert back or after["flag"] == FLAG_NOT_CONVERGED or after["amplitude"] < 5 * after["x_err_px"]


def test_ids_that_are_not_there_change_nothing(lattice):
    image = lattice(200, 60.0)
    before = found(image.values)
    assert (again(image.values, before, column_ids=(99999,)).table == before.table).all()


def test_cancelling_stops_the_operation(lattice):
    image = Image(lattice(200, 40.0).values)
    with pytest.raises(Cancelled):
        operations.run(FIND_COLUMNS, (image,), FIND_COLUMNS.parse({}), Report(cancelled=lambda: True))


def test_progress_rises_to_one(lattice):
    seen: list[float] = []
    report = Report(on_progress=lambda fraction, _: seen.append(fraction))
    find.find_columns(Image(lattice(200, 40.0).values), FIND_COLUMNS.parse({}), report)  # type: ignore[arg-type]
    assert seen == sorted(seen)
    assert seen[-1] == 1.0
