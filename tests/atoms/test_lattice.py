"""Lattices of known crystals: vectors, grains and sublattices come out whatever the turn, scale, noise and gaps."""

from dataclasses import replace

import numpy as np
import pytest

from atomseg_app.atoms.grains import Options, fit_lattice
from atomseg_app.atoms.lattice import STEPS, kept_lattice, with_lattice
from atomseg_app.atoms.translations import reduced
from atomseg_app.data import Columns, column_table
from tests.atoms.crystals import columns_at, crystal

SQUARE, HEXAGON = ((20, 0), (0, 20)), ((20, 0), (-10, 10 * np.sqrt(3)))


def only_grain(columns, **options):
    lattice = fit_lattice(columns, Options(**options))
    assert len(lattice.grains) == 1
    return lattice, lattice.grains[0]


@pytest.mark.parametrize("turn_deg", [0, 17, 45, 88.5])
@pytest.mark.parametrize("scale", [0.5, 1, 2.3])
def test_vectors_follow_turn_and_scale(turn_deg, scale):
    a, b = np.array([(20, 0), (6, 26)]) * scale
    columns, _ = crystal(a, b, turn_deg=turn_deg, size_px=400 * scale, noise_px=0.1 * scale)
    lattice, grain = only_grain(columns)
    assert (lattice.grain == 0).all()
    assert abs(np.linalg.det(grain.vectors_px)) == pytest.approx(520 * scale**2, rel=2e-3)
    turn = np.deg2rad(turn_deg)
    ideal = np.array([a, b]) @ [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
    whole = grain.vectors_px @ np.linalg.inv(ideal)
    np.testing.assert_allclose(whole, np.rint(whole), atol=2e-3)
    np.testing.assert_allclose(lattice.ideal(), columns.xy_px, atol=0.8 * scale)


def test_errors_of_the_vectors_cover_the_truth():
    inside = []
    for seed in range(40):
        columns, _ = crystal(*SQUARE, size_px=300, noise_px=0.3, seed=seed)
        _, grain = only_grain(columns)
        inside.append(np.abs(grain.lengths_px - 20) < grain.lengths_err_px)
    assert 0.55 < np.mean(inside) < 0.82


def test_a_translation_moves_the_origin_alone():
    columns, _ = crystal(*HEXAGON, noise_px=0.2)
    shift = np.array([3.7, -2.1])
    moved = columns_at(columns.xy_px + shift, columns.table["amplitude"], 0.2)
    one, other = fit_lattice(columns), fit_lattice(moved)
    np.testing.assert_allclose(one.grains[0].vectors_px, other.grains[0].vectors_px, atol=1e-9)
    np.testing.assert_allclose(other.ideal() - one.ideal(), np.tile(shift, (len(columns), 1)), atol=1e-8)


def test_missing_and_false_columns_are_put_up_with():
    columns, _ = crystal(*SQUARE, noise_px=0.35)
    rng = np.random.default_rng(5)
    kept = columns.xy_px[rng.random(len(columns)) < 0.85]
    false = rng.uniform(10, 490, (30, 2))
    lattice, grain = only_grain(columns_at(np.concatenate([kept, false])))
    np.testing.assert_allclose(grain.lengths_px, 20, atol=0.01)
    assert (lattice.grain[: len(kept)] == 0).mean() > 0.97
    assert (lattice.grain[len(kept) :] == 0).mean() < 0.25
    away = lattice.xy[: len(kept)] - lattice.ideal()[: len(kept)]
    assert np.nanstd(away) == pytest.approx(0.35, rel=0.2)


def test_columns_far_from_their_place_are_still_on_it():
    columns, _ = crystal(*SQUARE)
    xy = columns.xy_px
    middle = int(np.argmin(np.hypot(*(xy - 250).T)))
    xy[middle] += (3.2, 0)  # beyond the reach of a step
    lattice, _ = only_grain(columns_at(xy))
    assert lattice.grain[middle] == 0
    np.testing.assert_allclose(xy[middle] - lattice.ideal()[middle], (3.2, 0), atol=0.05)


@pytest.mark.parametrize("turn_deg", [10.0, 25.0])
def test_two_grains(turn_deg):
    left, _ = crystal(*SQUARE, noise_px=0.3, turn_deg=3)
    right, _ = crystal(*SQUARE, noise_px=0.3, turn_deg=3 + turn_deg, seed=1)
    xy = np.concatenate([left.xy_px[left.xy_px[:, 0] < 245], right.xy_px[right.xy_px[:, 0] > 255]])
    lattice = fit_lattice(columns_at(xy))
    assert len(lattice.grains) == 2
    directions = sorted(grain.direction_deg for grain in lattice.grains)
    np.testing.assert_allclose(directions, [3, 3 + turn_deg], atol=0.05)
    side = (xy[:, 0] > 250).astype(int)
    assert len(set(zip(side[lattice.grain >= 0], lattice.grain[lattice.grain >= 0], strict=True))) <= 4
    agree = np.mean((lattice.grain == side)[lattice.grain >= 0])
    assert max(agree, 1 - agree) > 0.98


@pytest.mark.parametrize(
    ("vectors", "sites", "weights", "found"),
    [
        (HEXAGON, ((1 / 3, 2 / 3), (2 / 3, 1 / 3)), (1, 0.3), 2),
        (HEXAGON, ((1 / 3, 2 / 3), (2 / 3, 1 / 3)), (1, 1), 2),
        (((54.3, 0), (0, 38.4)), ((0, 0), (0.25, 0), (0.5, 0.5), (0.75, 0.5)), (1, 1, 1, 1), 2),  # Si [110], primitive
        (((40, 0), (0, 40)), ((0, 0), (0.5, 0.5)), (1, 0.8), 2),  # perovskite [001]: intensity alone tells them apart
        (((40, 0), (0, 40)), ((0, 0), (0.5, 0.5)), (1, 1), 1),
        (((40, 0), (0, 40)), ((0, 0), (0.5, 0.5), (0.5, 0), (0, 0.5)), (1, 0.6, 0.2, 0.2), 4),
    ],
)
def test_sublattices(vectors, sites, weights, found):
    columns, site = crystal(*vectors, sites=sites, weights=weights, turn_deg=7, noise_px=0.2, size_px=700)
    lattice, grain = only_grain(columns)
    assert len(grain.sites) == found
    assert np.abs(lattice.xy - lattice.ideal()).max() < 1.5
    if len(set(weights)) == len(weights):
        np.testing.assert_array_equal(lattice.site, np.argsort(np.argsort(-np.array(weights)))[site])


def test_intensity_that_slopes_or_scatters_makes_no_sublattices():
    columns, _ = crystal(*SQUARE, noise_px=0.2)
    rng = np.random.default_rng(0)
    x = columns.table["x_px"]
    columns.table["amplitude"] = np.sqrt(1.02 - (x / 250 - 1) ** 2) * rng.normal(1, 0.15, len(x))
    assert len(only_grain(columns)[1].sites) == 1


def test_intensities_that_swap_across_an_interface_still_tell_sublattices_apart():
    columns, site = crystal((40, 0), (0, 40), sites=((0, 0), (0.5, 0.5)), noise_px=0.2, size_px=800)
    bright = (columns.table["y_px"] > 400) == (site == 0)
    columns.table["amplitude"] = np.where(bright, 1.0, 0.6)
    lattice, grain = only_grain(columns)
    assert len(grain.sites) == 2
    assert len(set(zip(site, lattice.site, strict=True))) == 2
    assert len(only_grain(columns, use_intensity=False)[1].sites) == 1


@pytest.mark.parametrize(
    "xy",
    [np.zeros((0, 2)), [(1.0, 2.0)], np.random.default_rng(0).uniform(0, 500, (400, 2)), np.arange(80).reshape(-1, 2)],
    ids=["none", "one", "random", "line"],
)  # fmt: skip
def test_what_is_no_crystal_has_no_grain(xy):
    lattice = fit_lattice(columns_at(xy))
    assert lattice.grains == ()
    assert (lattice.grain == -1).all()


def test_a_table_keeps_its_lattice_and_steps():
    columns, _ = crystal(*HEXAGON, sites=((0, 0), (1 / 3, 2 / 3)), weights=(1, 0.5), noise_px=0.2)
    lattice = fit_lattice(columns)
    again = kept_lattice(with_lattice(columns, lattice))
    for name in ("grain", "index", "site", "steps"):
        np.testing.assert_array_equal(getattr(again, name), getattr(lattice, name), err_msg=name)
    np.testing.assert_allclose(again.ideal(), lattice.ideal())
    some = np.flatnonzero((lattice.steps >= 0).all(axis=1))
    for direction, step in enumerate(STEPS):
        there = lattice.steps[some, direction]
        np.testing.assert_array_equal(lattice.index[there] - lattice.index[some], np.tile(step, (len(some), 1)))


def test_neighbours_reach_round_missing_columns():
    columns, _ = crystal(*SQUARE, size_px=200)
    gone = int(np.argmin(np.hypot(*(columns.xy_px - 100).T)))
    xy = np.delete(columns.xy_px, gone, axis=0)
    lattice = fit_lattice(columns_at(xy, size_px=200))
    rows, offsets = lattice.neighbours(2)
    assert offsets.shape == (25, 2)
    whole = lattice.index[rows] - lattice.index[:, None]
    assert (whole == offsets)[rows >= 0].all()
    near = int(np.argmin(np.hypot(*(xy - columns.xy_px[gone] - (20, 0)).T)))
    assert np.count_nonzero(rows[near] < 0) == 1


def test_frames_have_grains_of_their_own():
    columns, _ = crystal(*SQUARE, size_px=250)
    table = np.concatenate([columns.table, columns.table])
    table["frame"][len(columns) :] = 1
    lattice = fit_lattice(replace(columns, table=table))
    assert len(lattice.grains) == 2
    np.testing.assert_array_equal(lattice.grain, table["frame"])


def test_pixels_that_are_not_square_give_true_angles():
    columns, _ = crystal(*SQUARE, turn_deg=20)
    squeezed = columns_at(columns.xy_px * (1, 0.5), pixel_size_nm=(0.02, 0.01))
    _, grain = only_grain(squeezed)
    assert grain.angle_deg == pytest.approx(90, abs=0.01)
    np.testing.assert_allclose(grain.lengths_px, 20, atol=1e-3)


def test_vectors_are_reduced_in_one_way():
    assert reduced(np.array([(20.0, 0), (45, 30)])).tolist() == [[20, 0], [5, 30]]
    hexagon = np.array(HEXAGON)
    for combination in ([[1, 0], [0, 1]], [[1, 1], [0, 1]], [[-1, 0], [2, 1]], [[3, 1], [2, 1]]):
        vectors = reduced(np.array(combination) @ hexagon)
        np.testing.assert_allclose(vectors, hexagon, atol=1e-9)
    assert len(fit_lattice(Columns(column_table(0), (5, 5)))) == 0
