"""What measured quantities become in the window - units, colours, arrows, marks, plots, tables - without a window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PySide6.QtCore import QRectF

from atomseg_app.atoms.defect_operations import ANTISITE, DEFECTS, VACANCY
from atomseg_app.data import (
    FLAG_VACANT,
    Columns,
    Image,
    ImageSeries,
    Source,
    Step,
    column_table,
    with_quantities,
)
from atomseg_app.gui.atoms import edits, saved_state
from atomseg_app.gui.atoms.arrows import arrows_of, enlargement_for, strokes
from atomseg_app.gui.atoms.colouring import KIND_COLOURS, colouring, with_quantity
from atomseg_app.gui.atoms.defect_marks import KINDS, DefectLayer, codes_of
from atomseg_app.gui.atoms.map_layers import displayed, layer_of
from atomseg_app.gui.atoms.markers import MarkerStyle
from atomseg_app.gui.atoms.measured_edits import input_of, with_measured
from atomseg_app.gui.atoms.model import Entry, new_entry
from atomseg_app.gui.atoms.plot_data import PlotChoice, plot_data
from atomseg_app.gui.atoms.quantities import Spread, Vectors, available, colour_limits, measured, nearest, vectors_of
from atomseg_app.gui.atoms.summaries import summary
from atomseg_app.gui.colour_maps import DIVERGING, colour_table
from atomseg_app.gui.view_geometry import ViewGeometry


@pytest.fixture
def strained(columns: Columns) -> Columns:
    """Columns with strain, a displacement along x, sublattices and defects."""
    count = len(columns)
    ramp = np.linspace(-0.01, 0.02, count)
    measured_of = with_quantities(
        columns,
        {
            "strain_xx": ramp, "strain_xx_err": np.full(count, 1e-3), "rotation_deg": 50 * ramp,
            "displacement_x_px": np.full(count, 0.25), "displacement_y_px": np.zeros(count),
            "spacing_a_px": np.full(count, 16.0), "grain": np.where(ramp > 0, 0.0, -1.0),
            "defect": np.zeros(count),
        },
    )  # fmt: skip
    measured_of.table["sublattice"] = np.arange(count) % 2
    return measured_of


def test_units_of_quantities_follow_their_names_and_the_calibration(strained):
    found = available(strained)
    labels = {key: found[key].label(strained) for key in strained.quantities}
    assert labels["strain_xx"] == "Strain εxx (%)"
    assert labels["strain_xx_err"] == "Error: strain εxx (%)"
    assert labels["rotation_deg"] == "Rotation (°)"
    assert labels["displacement_x_px"] == "Displacement x (pm)"
    assert labels["spacing_a_px"] == "Spacing along a (nm)"
    assert found["strain_xx"].values(strained)[-1] == pytest.approx(2.0)
    assert found["displacement_x_px"].values(strained) == pytest.approx(2.5)  # 0.25 px of 10 pm
    assert found["spacing_a_px"].values(strained) == pytest.approx(0.16)
    bare = replace(strained, pixel_size_nm=(None, None))
    assert available(bare)["displacement_x_px"].label(bare) == "Displacement x (px)"
    assert available(bare)["displacement_x_px"].values(bare) == pytest.approx(0.25)
    tall = replace(strained, pixel_size_nm=(0.02, 0.01))
    assert available(tall)["displacement_x_px"].values(tall) == pytest.approx(2.5)
    assert available(tall)["spacing_a_px"].label(tall).endswith("(px)"), "a length of any direction needs square pixels"


@pytest.mark.parametrize(
    ("name", "spread"),
    [("strain_xy", Spread.SIGNED), ("strain_xy_err", Spread.RISING), ("rotation_deg", Spread.SIGNED),
     ("polar_px", Spread.RISING), ("polar_x_px", Spread.SIGNED), ("grain", Spread.KINDS), ("defect", Spread.KINDS),
     ("atoms", Spread.RISING), ("cell_intensity", Spread.RISING)],
)  # fmt: skip
def test_spreads(name, spread):
    assert measured(name).spread is spread


def test_limits_of_signed_values_are_even_about_zero(rng):
    low, high = colour_limits(rng.normal(0.3, 1, 1000), Spread.SIGNED)
    assert low == -high
    assert colour_limits(np.full(3, np.nan), Spread.SIGNED) == (-1.0, 1.0)
    assert colour_limits(np.zeros(3), Spread.SIGNED) == (-1.0, 1.0)


def test_zero_has_the_middle_colour_and_each_kind_its_own(strained):
    style = with_quantity(MarkerStyle(), "strain_xx", available(strained)["strain_xx"])
    assert style.colour_map == DIVERGING
    found = colouring(strained, style)
    assert found.shades[np.argmin(np.abs(strained.table["strain_xx"]))] == pytest.approx(0.5, abs=0.03)
    typed = colouring(strained, replace(style, limits=(0.0, 1.0)))
    assert typed.bar().low == 0.0
    assert typed.automatic == found.limits
    back = with_quantity(style, "amplitude", available(strained)["amplitude"])
    assert back.colour_map == "viridis"
    kinds = colouring(strained, replace(style, quantity="sublattice"))
    assert [text for _, text in kinds.bar().ticks()] == ["0", "1"]
    for kind in (0, 1):
        place = kinds.shades[np.flatnonzero(strained.table["sublattice"] == kind)[0]]
        colour = kinds.colours[round(place * (len(kinds.colours) - 1))]
        assert colour.tolist() == KIND_COLOURS[kind].tolist()
    assert colouring(strained, replace(style, quantity="strain_yy")) is None


def test_the_diverging_map_is_lightest_in_its_middle_and_even_to_both_sides():
    lightness = np.cbrt((colour_table(DIVERGING) / 255.0) ** 2.2 @ [0.2126, 0.7152, 0.0722])
    assert abs(int(np.argmax(lightness)) - 127.5) < 3
    assert (np.diff(lightness[:127]) > 0).all()
    assert (np.diff(lightness[129:]) < 0).all()
    assert abs(lightness[0] - lightness[-1]) < 0.1


def test_arrows_have_a_key_of_a_round_true_length(strained):
    vectors = vectors_of(strained)["displacement"]
    arrows = arrows_of(strained, vectors, 20.0, 16.0)
    geometry = ViewGeometry(800, 600, 52, 52, zoom=5.0)
    lines = strokes(arrows, geometry)
    shafts = lines[: len(lines) // 3]
    assert np.hypot(shafts[:, 2] - shafts[:, 0], shafts[:, 3] - shafts[:, 1]) == pytest.approx(0.25 * 20 * 5)
    middle = (shafts[:, :2] + shafts[:, 2:]) / 2
    assert np.allclose(np.sort(middle, axis=0), np.sort(geometry.to_screen(strained.xy_px), axis=0))
    length, text = arrows.key(geometry)
    assert length / (20 * 5) * 10 == pytest.approx(float(text.removesuffix(" pm")))
    assert float(text.removesuffix(" pm")) in (1, 2, 5, 10)
    assert arrows_of(replace(strained, pixel_size_nm=(None, None)), vectors, 20.0, 16.0).key(geometry)[1].endswith("px")


def test_automatic_arrows_fill_the_spacing_and_unknown_ones_are_left_out(strained):
    assert enlargement_for(np.full((5, 2), np.nan), 16.0) == 1.0
    factor = arrows_of(strained, Vectors("displacement", ""), 0.0, 16.0).factor
    assert 0.3 * 16 < factor * 0.25 <= 16
    strained.table["displacement_y_px"][3:] = np.nan
    assert len(arrows_of(strained, Vectors("displacement", ""), 0.0, 16.0).xy_px) == 3


def test_vacant_sites_are_marked_and_are_no_neighbours(strained):
    table = strained.table.copy()
    table["flag"][0] = FLAG_VACANT
    table["defect"][5] = ANTISITE
    holed = replace(strained, table=table)
    assert codes_of(holed)[[0, 5, 1]].tolist() == [VACANCY, ANTISITE, 0]
    distances = nearest(holed)
    assert np.isnan(distances[0])
    alone = np.isfinite(distances).sum()
    assert alone == len(holed) - 1
    layer = DefectLayer(lambda _: 5.0, QRectF)
    layer.set_columns(holed)
    assert layer.counts() == {VACANCY: 1, ANTISITE: 1}
    assert set(KINDS) == set(range(1, len(DEFECTS))), "every kind of defect has a mark"
    assert len({kind.outline for kind in KINDS.values()}) == len(KINDS), "told apart without colours"


def test_plots_count_select_and_correlate(strained):
    data = plot_data(strained, PlotChoice("strain_xx"))
    assert data.x_title == ("Strain εxx", "%")
    assert sum(len(data.bar_rows(bar)) for bar in range(len(data.bars.counts))) == len(strained)
    both = plot_data(strained, PlotChoice("strain_xx", "rotation_deg"))
    assert "r = 1.00" in both.summary()
    rows = both.rows_within(0, 99, -99, 99)
    assert (strained.table["strain_xx"][rows] >= 0).all()
    assert len(rows) == (strained.table["strain_xx"] >= 0).sum()
    assert both.point_at(both.x[7], both.y[7], 3.0, 1.5) == 7
    assert both.point_at(99, 99, 3.0, 1.5) == -1
    few = plot_data(strained, PlotChoice("strain_xx", "", (1, 2, 3)))
    assert strained.table["column_id"][few.rows].tolist() == [1, 2, 3]
    strained.table["rotation_deg"][:] = np.nan
    assert "Nothing to plot" in plot_data(strained, PlotChoice("strain_xx", "rotation_deg")).summary()
    assert plot_data(strained, PlotChoice("strain_yy")) is None


def series_entry(columns: Columns) -> Entry:
    """Two frames with the same columns."""
    second = columns.table.copy()
    second["frame"], second["column_id"] = 1, second["column_id"] + 100
    entry = new_entry(ImageSeries(np.zeros((2, *columns.image_shape)), (0.01, 0.01), Source("/data/a.tif")))
    return replace(entry, columns=replace(columns, table=np.concatenate([columns.table, second])))


def test_results_of_frames_are_kept_apart(columns):
    """A lattice fitted to one frame was once that of all frames."""
    entry = series_entry(columns)
    for frame in (0, 1):
        asked = input_of(entry, frame)
        assert "lattice" not in asked.metadata
        result = with_quantities(asked, {"strain_xx": np.full(len(asked), float(frame))})
        result = replace(result, metadata={**result.metadata, "lattice": {"grains": [frame]}})
        entry = replace(entry, columns=with_measured(entry, frame, result))
    for frame in (0, 1):
        asked = input_of(entry, frame)
        assert asked.metadata["lattice"] == {"grains": [frame]}
        assert (asked.table["strain_xx"] == frame).all()
        assert asked.table["column_id"].tolist() == (columns.table["column_id"] + 100 * frame).tolist()


def test_rows_that_a_result_adds_get_ids_that_no_frame_has(columns):
    entry = series_entry(columns)
    asked = input_of(entry, 0)
    more = np.concatenate([asked.table, asked.table[-1:]])
    more["column_id"][-1] = asked.table["column_id"].max() + 1
    more["flag"][-1] = FLAG_VACANT
    merged = with_measured(entry, 0, replace(asked, table=more))
    assert len(np.unique(merged.table["column_id"])) == len(merged) == 2 * len(columns) + 1
    assert (merged.table["frame"] == 0).sum() == len(columns) + 1


def test_finding_again_forgets_what_was_measured_of_other_columns(strained, columns):
    """Old grains with new columns once left every strain unknown."""
    old = replace(strained, metadata={"kV": 300, "lattice": {"grains": []}})
    new = edits.with_found(old, columns, 0, None)
    assert new.quantities == ()
    assert new.metadata == {"kV": 300}
    part = edits.with_found(old, columns, 0, (0, 0, 50, 104))
    assert "strain_xx" in part.quantities, "those outside the region keep theirs"


def test_maps_are_shown_in_percent_with_their_names(rng):
    facts = {"layers": ["strain_xx", "rotation_deg"], "units": ["", "°"]}
    maps = ImageSeries(rng.normal(0, 0.01, (2, 8, 8)), (0.01, 0.01), Source(dataset="maps"), facts)
    first, second = displayed(maps.frame(0)), displayed(maps.frame(1))
    np.testing.assert_allclose(first.values, 100 * maps.values[0], rtol=1e-6)
    assert first.metadata["intensity_unit"] == "%"
    assert second.values is maps.frame(1).values or np.shares_memory(second.values, maps.values)
    assert layer_of(facts, 1).title == "Rotation"
    assert layer_of(facts, 2) is None
    plain = Image(np.zeros((4, 4)))
    assert displayed(plain) is plain


def test_summaries_need_a_run_and_name_values_with_errors(strained):
    assert summary("measure-strain", strained) == []
    ran = strained.with_step(Step("measure-strain", {}, "0"))
    line = summary("measure-strain", ran)[0]
    assert line.startswith("Strain εxx: 0.5 ±")
    assert "%" in line
    assert "error of one 0.1" in line
    grain = {"vectors_px": [[39.0, 0.0], [0.0, 39.1]], "vectors_err_px": [[0.01, 0.0], [0.0, 0.01]],
             "sites": [[0, 0]], "columns": 361, "angle_deg": 90.0}  # fmt: skip
    lattice = replace(strained, metadata={"lattice": {"grains": [grain]}}).with_step(Step("measure-lattice", {}, "0"))
    assert summary("measure-lattice", lattice) == [
        "a = 390.0 ± 0.1 pm, b = 391.0 ± 0.1 pm, angle 90.00°; 1 sublattice, 361 columns."
    ]


def test_a_style_with_limits_and_arrows_survives_saving():
    style = MarkerStyle(quantity="strain_xx", limits=(-1.0, 2.0), vectors="polar", enlargement=20.0, defects=False)
    assert saved_state.to_style(saved_state.of_style(style)) == style
    listed = {**saved_state.of_style(style), "limits": [-1.0, 2.0]}  # as JSON gives it back
    assert saved_state.to_style(listed) == style


def test_columns_without_a_table_row_draw_nothing():
    empty = Columns(column_table(0), (4, 4))
    assert codes_of(empty).tolist() == []
    assert plot_data(empty, PlotChoice()) is None
