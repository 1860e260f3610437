"""Particles and porous bodies with known answers: spheres, slabs, caps, shells; units; distributions."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from atomseg_app.data import Labels
from atomseg_app.errors import UserError
from atomseg_app.label_classes import LabelClass
from atomseg_app.operations import Report
from atomseg_app.segmentation.envelope import binning, envelope, share_in_blocks, signed_depth
from atomseg_app.segmentation.measure_settings import MeasureLabels
from atomseg_app.segmentation.measurement_files import particle_header, write_particles, write_pores, write_totals
from atomseg_app.segmentation.particles import PARTICLE_DTYPE, measure
from atomseg_app.segmentation.pores import pore_diameters
from atomseg_app.segmentation.size_fits import fit_sizes

CLASSES = (LabelClass(0, "pores"), LabelClass(1, "support"), LabelClass(2, "metal"))


def distance(shape: tuple[int, ...], centre: tuple[float, ...]) -> np.ndarray:
    return np.sqrt(sum((g - c) ** 2 for g, c in zip(np.indices(shape), centre, strict=True)))


def on_a_slab(size_nm: tuple[float | None, ...] = (0.5,) * 3) -> Labels:
    """A slab of support up to z = 19.5, a sphere half sunk into it, one above, one cut off."""
    shape = (48, 60, 64)
    values = np.zeros(shape, np.uint8)
    values[:20] = 1
    values[distance(shape, (19.5, 20, 20)) <= 8] = 2
    values[distance(shape, (32.0, 20, 44)) <= 5] = 2
    values[distance(shape, (30.0, 59, 63)) <= 6] = 2
    return Labels(values, size_nm, classes=CLASSES)


def test_spheres_on_a_slab_in_nm() -> None:
    found = measure(on_a_slab())
    assert found.unit == "nm"
    assert len(found.table) == 3
    big, small, cut = sorted(found.table, key=lambda row: (row["at_border"], -row["volume"]))
    assert not big["at_border"]
    assert not small["at_border"]
    assert cut["at_border"]
    assert big["diameter"] == pytest.approx(8.0, rel=0.01)
    assert big["volume"] == pytest.approx(4 / 3 * np.pi * 4**3, rel=0.02)
    assert big["surface"] == pytest.approx(4 * np.pi * 16, rel=0.03)
    assert big["sphericity"] == pytest.approx(1, abs=0.02)
    assert (big["x"], big["y"], big["z"]) == pytest.approx((10, 10, 9.75), abs=0.05)
    assert big["contact"] == pytest.approx(2 * np.pi * 16, rel=0.05)
    assert small["contact"] == 0
    assert -1.5 < big["depth"] < 0.1, "the ball of the closing sinks a little into the dent"
    assert small["depth"] == pytest.approx(-(32 - 19.5) * 0.5, abs=0.3)
    assert small["nearest"] == pytest.approx(0.5 * np.hypot(12.5, 24), abs=0.05)


def test_units_are_never_mixed(tmp_path: Path) -> None:
    in_nm, in_px = measure(on_a_slab()), measure(on_a_slab((None,) * 3))
    report = Report()
    in_part = measure(on_a_slab((None, 0.5, 0.5)), report=report)
    assert "not known on all axes" in report.facts.notes[0]
    assert (in_px.unit, in_part.unit) == ("px", "px")
    np.testing.assert_allclose(in_px.table["diameter"], 2 * in_nm.table["diameter"])
    np.testing.assert_allclose(in_px.table["contact"], 4 * in_nm.table["contact"])
    for found in (in_nm, in_px):
        write_particles(tmp_path / "p.csv", found)
        write_totals(tmp_path / "t.csv", found)
        write_pores(tmp_path / "s.csv", found)
        text = "".join((tmp_path / f"{name}.csv").read_text("utf-8") for name in "pts")
        other = "px" if found.unit == "nm" else "nm"
        assert found.unit in text
        assert f"_{other}" not in text
        rows = list(csv.DictReader((tmp_path / "p.csv").read_text("utf-8").splitlines()))
        assert tuple(rows[0]) == particle_header(found.unit)
        assert float(rows[0][f"volume_{found.unit}3"]) == found.table["volume"][0]
        units = {
            row["quantity"]: row["unit"] for row in csv.DictReader((tmp_path / "t.csv").read_text("utf-8").splitlines())
        }
        assert units["particles_per_volume"] == f"per_{found.unit}3"
        assert units["porosity"] == ""


def test_totals_of_the_slab() -> None:
    found = {each.name: each.value for each in measure(on_a_slab()).totals}
    values = on_a_slab().values
    for each in CLASSES:
        assert found[f"volume_fraction of {each.name}"] == pytest.approx((values == each.value).mean())
    assert found["particles"] == 3
    assert found["particles_at_border"] == 1
    assert found["mean_diameter"] == pytest.approx((8 + 5) / 2, rel=0.02)
    assert found["porosity"] == pytest.approx(0, abs=0.01)


def test_what_is_measured_is_chosen_by_name_or_number() -> None:
    labels = on_a_slab()
    by_name = measure(labels, MeasureLabels(particles="Support", support="2"))
    assert len(by_name.table) == 1
    with pytest.raises(UserError, match=r"no class 'gold'.*metal \(2\)"):
        measure(labels, MeasureLabels(particles="gold"))
    with pytest.raises(UserError, match="one class only"):
        measure(Labels(labels.values, classes=(CLASSES[0],)))


def test_nothing_to_measure_is_no_error(tmp_path: Path) -> None:
    found = measure(Labels(np.zeros((6, 7, 8), np.uint8), classes=CLASSES))
    assert found.table.dtype == PARTICLE_DTYPE
    assert len(found.table) == 0
    totals = {each.name: each.value for each in found.totals}
    assert totals["mean_diameter"] is None
    write_particles(tmp_path / "none.csv", found)
    write_totals(tmp_path / "t.csv", found)
    assert (tmp_path / "none.csv").read_text("utf-8").count("\n") == 1


def test_an_envelope_closes_pores_and_leaves_what_is_wide_open() -> None:
    solid = np.zeros((30, 60, 60), bool)
    solid[:, 10:50, 10:50] = True
    solid[:, 20:26, 20:26] = False
    solid[:, 10:16, 30:34] = False
    body = envelope(solid, 5.0, (1, 1, 1))
    assert body[:, 12:48, 12:48].all(), "pores and a groove 4 wide are closed"
    assert not body[:, :9].any()
    assert not envelope(solid, 1.0, (1, 1, 1))[5, 23, 23]
    depth = signed_depth(body, (2.0, 2.0, 2.0))
    assert depth[15, 30, 30] == pytest.approx(39, abs=2.1), "half of 40 voxels of 2, to the faces in y and x"
    assert depth[15, 5, 30] == pytest.approx(-9, abs=1.1)
    assert not envelope(np.zeros((4, 4, 4), bool), 2, (1, 1, 1)).any()
    assert np.isnan(signed_depth(np.ones((4, 4, 4), bool), (1, 1, 1))).all()


def test_blocks_share_out_what_they_hold() -> None:
    random = np.random.default_rng(3)
    values = random.integers(0, 3, (7, 9, 11)).astype(np.uint8)
    shares = share_in_blocks(values, 2, 4)
    assert shares.shape == (2, 3, 3)
    assert shares[0, 1, 2] == pytest.approx((values[:4, 4:8, 8:] == 2).mean())
    assert shares[1, 2, 0] == pytest.approx((values[4:, 8:, :4] == 2).mean())
    assert binning((200, 200, 200), 1_000_000) == 2
    assert binning((50, 50, 50)) == 1


def test_pores_of_two_sizes() -> None:
    solid = np.ones((48, 96, 48), bool)
    solid[distance(solid.shape, (24, 24, 24)) <= 14] = False
    solid[distance(solid.shape, (24, 70, 24)) <= 6] = False
    diameters = pore_diameters(solid, np.ones_like(solid), (0.5, 0.5, 0.5))
    assert diameters[24, 24, 24] == pytest.approx(14, rel=0.06)
    assert diameters[24, 70, 24] == pytest.approx(6, rel=0.12)
    large, small = diameters[:, :45][~solid[:, :45]], diameters[:, 50:][~solid[:, 50:]]
    assert np.median(large) == pytest.approx(14, rel=0.08)
    assert np.median(small) == pytest.approx(6, rel=0.15)
    assert not diameters[solid].any()


def test_fits_find_the_distribution_that_sizes_are_drawn_from() -> None:
    random = np.random.default_rng(5)
    sizes = np.exp(random.normal(np.log(4.0), 0.35, 4000))
    first, second = fit_sizes(sizes)
    assert (first.name, second.name) == ("log-normal", "normal")
    assert (first.centre, first.width) == pytest.approx((4.0, 0.35), rel=0.03)
    assert first.log_likelihood == pytest.approx(stats.lognorm.logpdf(sizes, first.width, 0, first.centre).sum())
    assert first.ks == pytest.approx(stats.kstest(sizes, "lognorm", (first.width, 0, first.centre)).statistic)
    grid = np.linspace(0.01, 30, 4000)
    for fit in (first, second):
        assert np.trapezoid(fit.density(grid), grid) == pytest.approx(1, abs=0.02)
    assert fit_sizes(random.normal(10, 1, 4000))[0].name == "normal"
    assert fit_sizes([1.0, 2.0]) == ()
    assert fit_sizes([2.0, 2.0, 2.0]) == ()
