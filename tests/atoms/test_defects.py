"""Defects: what is usual against closed forms, false alarms at the declared rate, vacancies, rims, ramps, topology."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial import cKDTree

from atomseg_app import operations
from atomseg_app.atoms import defect_operations as codes
from atomseg_app.atoms.defect_operations import FIND_DEFECTS
from atomseg_app.atoms.dislocations import dislocations
from atomseg_app.atoms.grains import fit_lattice
from atomseg_app.atoms.lattice import positions_of
from atomseg_app.atoms.reference import departures, two_sided
from atomseg_app.atoms.vacant import enclosed, sites_beyond, vacant_sites
from atomseg_app.benchmarks.defect_scenes import amplitude_bound
from atomseg_app.benchmarks.defects import defects_of, find
from atomseg_app.data import FLAG_EDGE, FLAG_NONE, FLAG_VACANT, Columns, Image, column_table
from atomseg_app.errors import UserError
from atomseg_app.operations import Report
from atomseg_app.simulate.columns import TrueColumns, poisson, render

INTENSITY = (codes.VACANCY, codes.WEAK, codes.STRONG, codes.ANTISITE, codes.INTERSTITIAL)
SIGMA = 3.0


def grid(side=8, spacing=14.0, turn_deg=7.0, jitter=0.1, seed=0):
    """Positions (n, 2) of a turned square lattice with rows of ``side`` columns, 12 px inside its image; its size."""
    rng = np.random.default_rng(seed)
    steps = np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2) * spacing
    turn = np.deg2rad(turn_deg)
    xy = steps @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    xy = xy - xy.min(axis=0) + 12.0 + rng.normal(0, jitter, xy.shape)
    return xy, int(np.ceil(xy.max() + 12))


def scene(xy, size, share, *, peak=200.0, ramp=0.0, seed=1):
    """Image of columns whose intensities are ``share`` of a usual one that changes by ``ramp`` along x."""
    usual = peak * (1 + ramp * (xy[:, 0] / size - 0.5))
    n = len(xy)
    truth = TrueColumns(xy[:, 0], xy[:, 1], usual * share, np.full(n, SIGMA), np.full(n, 0.2 * peak))
    return Image(poisson(render(truth, (size, size)), np.random.default_rng(seed)))


def columns_at(xy, size, share=1.0, peak=200.0):
    """Table of columns at places, as if found."""
    table = column_table(len(xy))
    table["x_px"], table["y_px"], table["x_err_px"], table["y_err_px"] = xy[:, 0], xy[:, 1], 0.05, 0.05
    table["amplitude"], table["background"] = peak * np.broadcast_to(share, len(xy)), 0.2 * peak
    table["sigma_px"], table["ellipticity"], table["angle_deg"], table["probability"] = SIGMA, 1.0, 0.0, 1.0
    depth = np.minimum(xy, size - 1 - xy).min(axis=1)
    table["flag"] = np.where(depth < 2 * SIGMA - 0.5, FLAG_EDGE, FLAG_NONE)
    return Columns(table, (size, size))


def intensity_defects(found):
    return np.flatnonzero(np.isin(found.table["defect"], INTENSITY))


@pytest.mark.parametrize(
    ("count", "own", "error", "ramp"), [(60, 0.05, 10.0, 0.0), (60, 0.0, 30.0, 1.0), (100, 0.03, 30.0, 0.5)]
)
def test_p_values_of_sound_columns_are_honest_in_the_tail(count, own, error, ramp):
    rng = np.random.default_rng(3)
    p = []
    for _ in range(60):
        xy = rng.uniform(0, 100, (count, 2))
        level = 1000 * (1 + ramp * xy[:, 0] / 100)
        value = level * (1 + own * rng.normal(size=count)) + error * rng.normal(size=count)
        p.append(departures(xy, value, np.full(count, error), np.zeros(count, int), np.ones(count, bool)).p_value)
    share = np.mean(np.concatenate(p) < 0.01)
    assert share == pytest.approx(0.01, abs=0.006)


@pytest.mark.parametrize(("alarms", "count"), [(1.0, 60), (6.0, 60), (6.0, 20)])
def test_as_many_sound_values_are_called_as_are_asked_for(alarms, count):
    """Also where the p-value asked for is so large that what it calls would narrow the scatter of the rest."""
    rng = np.random.default_rng(8)
    xy, chance, groups = rng.uniform(0, 100, (count, 2)), alarms / count, 50
    called = 0
    for _ in range(groups):
        value = 1000 * (1 + 0.05 * rng.normal(size=count))
        found = departures(
            xy, value, np.full(count, 1.0), np.zeros(count, int), np.ones(count, bool), chance=0.2 / count
        )
        called += int((found.p_value < chance).sum())
    assert called / groups == pytest.approx(alarms, abs=0.1 * alarms + 3 * np.sqrt(alarms / groups))


def test_pictures_without_defects_give_the_false_alarms_asked_for():
    """36 are expected, 6 more or fewer by chance; three times as many came where the called ones set the scatter."""
    pictures, alarms, found = 12, 3.0, 0
    for seed in range(pictures):
        xy, size = grid(side=9, seed=seed)
        share = 1 + 0.02 * np.random.default_rng([seed, 1]).normal(size=len(xy))
        image = scene(xy, size, share, ramp=0.3, seed=seed)
        found += len(intensity_defects(defects_of(columns_at(xy, size), image, false_alarms=alarms)))
    assert 0.7 * pictures * alarms - 6 < found < 1.3 * pictures * alarms + 6


def test_departures_follow_gain_and_forget_a_ramp_that_all_share():
    rng = np.random.default_rng(4)
    xy, value = rng.uniform(0, 100, (80, 2)), 100 + 3 * rng.normal(size=80)
    value[7] = 140
    error, group, member = np.full(80, 3.0), np.zeros(80, int), np.ones(80, bool)
    plain = departures(xy, value, error, group, member)
    scaled = departures(xy, 50 * value, 50 * error, group, member)
    assert scaled.score == pytest.approx(plain.score, rel=1e-4)
    assert np.argmax(plain.score) == 7
    sloped = departures(xy, value + xy @ [0.8, -0.3], error, group, member)
    assert sloped.score[7] > 8
    assert sloped.expected[7] == pytest.approx(100 + xy[7] @ [0.8, -0.3], abs=3)


def test_one_outlier_does_not_hide_others():
    rng = np.random.default_rng(5)
    xy, value = rng.uniform(0, 100, (40, 2)), 100 + rng.normal(size=40)
    value[:6] = [60, 65, 70, 110, 112, 115]
    found = departures(xy, value, np.full(40, 0.1), np.zeros(40, int), np.ones(40, bool), chance=0.005)
    assert set(np.flatnonzero(found.p_value < 0.005)) == set(range(6))


def test_small_groups_and_strangers_are_not_judged():
    value, group = np.arange(20.0), np.array([0] * 13 + [1] * 5 + [-1] * 2)
    found = departures(np.random.default_rng(0).uniform(0, 9, (20, 2)), value, np.ones(20), group, np.ones(20, bool))
    assert np.isfinite(found.p_value[:13]).all()
    assert np.isnan(found.p_value[13:]).all()


def test_two_sided_p_values_are_those_of_the_tables():
    assert two_sided(np.array([1.959964]), np.array([np.inf]))[0] == pytest.approx(0.05, abs=1e-6)
    assert two_sided(np.array([-2.228139]), np.array([10.0]))[0] == pytest.approx(0.05, abs=1e-6)


@pytest.mark.parametrize("turn_deg", [0.0, 20.0])
def test_vacancy_weak_and_strong_columns_are_found_and_nothing_else(turn_deg):
    xy, size = grid(turn_deg=turn_deg)
    share = np.ones(len(xy))
    missing, weak, strong = 27, 20, 45
    share[[missing, weak, strong]] = 0.0, 0.6, 1.4
    image = scene(xy, size, share, ramp=0.6)
    there = np.arange(len(xy)) != missing
    found = defects_of(columns_at(xy[there], size, share[there]), image)
    table = found.table
    rows = intensity_defects(found)
    assert sorted(table["defect"][rows]) == [codes.VACANCY, codes.WEAK, codes.STRONG]
    for code, place in ((codes.VACANCY, missing), (codes.WEAK, weak), (codes.STRONG, strong)):
        row = rows[table["defect"][rows] == code][0]
        assert np.hypot(*(found.xy_px[row] - xy[place])) < 0.5
        assert table["defect_probability"][row] > 0.9
        assert table["intensity_ratio"][row] == pytest.approx(share[place], abs=0.1)
    assert (table["flag"] == FLAG_VACANT).sum() == 1
    assert table["probability"][-1] < 0.1
    assert len(set(table["column_id"])) == len(table)
    assert found.metadata["defects"]["numbers"]["vacancy"] == 1


def test_searching_again_gives_the_same_vacancies_once():
    xy, size = grid()
    there = np.arange(len(xy)) != 27
    image = scene(xy, size, there.astype(float))
    once = defects_of(columns_at(xy[there], size), image)
    twice = defects_of(once, image)
    assert (once.table["flag"] == FLAG_VACANT).sum() == 1
    assert once.table.tobytes() == twice.table.tobytes()


def test_a_thickness_ramp_without_defects_and_the_rim_of_a_particle_give_none():
    xy, size = grid(side=10)
    image = scene(xy, size, np.ones(len(xy)), ramp=1.2)
    assert not len(intensity_defects(defects_of(columns_at(xy, size), image)))
    round_one = np.hypot(*(xy - xy.mean(axis=0)).T) < 55
    particle = scene(xy[round_one], size, np.ones(round_one.sum()))
    assert not len(intensity_defects(defects_of(columns_at(xy[round_one], size), particle)))


def test_sites_at_facets_corners_and_the_border_are_not_vacant_but_holes_are():
    xy, size = grid(side=9, jitter=0.0, turn_deg=0.0)
    hole = 4 * 9 + 4
    lattice = fit_lattice(columns_at(np.delete(xy, hole, axis=0), size))
    sites = vacant_sites(lattice, (size, size), 2 * SIGMA)
    assert len(sites) == 1
    assert sites.xy[0] == pytest.approx(xy[hole], abs=0.1)
    inside = enclosed(fit_lattice(columns_at(xy, size)), xy, np.zeros(len(xy), int), (size + 40.0, size + 40.0))
    rim = (xy.max(axis=0) - xy < 1).any(axis=1)
    assert not inside[rim].any()
    assert inside[hole]


def test_columns_missed_at_the_border_make_no_defects_of_their_neighbours():
    spacing, size = 14.0, 155  # rows along the border whose columns are half in the image
    x, y = np.meshgrid(np.arange(1.0, size, spacing), np.arange(8.0, size, spacing))
    xy = np.stack([x.ravel(), y.ravel()], axis=1) + np.random.default_rng(2).normal(0, 0.1, (x.size, 2))
    image = scene(xy, size, np.ones(len(xy)), peak=1000.0)
    missed = (xy[:, 0] < 3) & (np.arange(len(xy)) % 3 == 0)
    assert missed.sum() >= 3
    columns = columns_at(xy[~missed], size, peak=1000.0)
    lattice = fit_lattice(columns)
    beyond = sites_beyond(lattice, (size, size), 0.0, SIGMA)
    assert cKDTree(beyond.xy).query(xy[missed])[0].max() < 1.0
    found = defects_of(columns, image)
    assert not len(intensity_defects(found))


def test_an_interstitial_is_told_from_columns_of_the_lattice():
    xy, size = grid(spacing=20.0, side=7)
    middle = xy[24] + np.array([10.0, 10.0])
    all_of_them = np.concatenate([xy, [middle]])
    image = scene(all_of_them, size, np.append(np.ones(len(xy)), 0.5))
    found = defects_of(columns_at(all_of_them, size, np.append(np.ones(len(xy)), 0.5)), image)
    rows = intensity_defects(found)
    assert found.table["defect"][rows].tolist() == [codes.INTERSTITIAL]
    assert found.xy_px[rows[0]] == pytest.approx(middle)


def test_exchanged_columns_of_two_sublattices_are_antisites():
    corner, size = grid(side=7, spacing=20.0, turn_deg=0.0)
    centre = corner[(corner < corner.max(axis=0) - 5).all(axis=1)] + 10.0
    xy = np.concatenate([corner, centre])
    share = np.concatenate([np.ones(len(corner)), np.full(len(centre), 0.4)])
    share[[24, len(corner) + 14]] = 0.4, 1.0
    image = scene(xy, size, share)
    found = defects_of(columns_at(xy, size, share), image)
    rows = intensity_defects(found)
    assert sorted(rows) == [24, len(corner) + 14]
    assert (found.table["defect"][rows] == codes.ANTISITE).all()


def edge_dislocation(spacing=10.0, half=9):
    """Positions round an edge dislocation of Burgers vector (spacing, 0) by isotropic elasticity (Hirth & Lothe)."""
    steps = np.arange(-half, half + 1) + 0.5
    x, y = (v.ravel() * spacing for v in np.meshgrid(steps, steps))
    nu, b = 0.3, spacing
    square = x**2 + y**2
    ux = b / (2 * np.pi) * (np.arctan2(y, x) + x * y / (2 * (1 - nu) * square))
    uy = (
        -b
        / (2 * np.pi)
        * ((1 - 2 * nu) / (4 * (1 - nu)) * np.log(square / b**2) + (x**2 - y**2) / (4 * (1 - nu) * square))
    )
    xy = np.stack([x + ux, y + uy], axis=1)
    # The cut along -x leaves half a step on each side; columns that meet there are one.
    keep = np.ones(len(xy), bool)
    for i in range(len(xy)):
        near = np.hypot(*(xy[:i] - xy[i]).T)
        keep[i] = not (near[keep[:i]] < 0.4 * spacing).any()
    return xy[keep] + 110.0


def test_a_dislocation_is_found_with_its_burgers_vector_and_a_perfect_or_sheared_crystal_has_none():
    xy = edge_dislocation()
    lattice = fit_lattice(columns_at(xy, 220))
    cores = dislocations(lattice)
    assert len(cores) == 1
    vector = np.array(cores[0].burgers) @ lattice.grains[cores[0].grain].vectors_px
    assert abs(vector) == pytest.approx([10.0, 0.0], abs=1.0)
    assert np.hypot(*(np.array(cores[0].xy) - 110.0)) < 15
    perfect, size = grid(side=12, jitter=0.6)
    assert not dislocations(fit_lattice(columns_at(perfect, size)))
    sheared = perfect @ np.array([[1.03, 0.0], [0.05, 0.98]])
    assert not dislocations(fit_lattice(columns_at(sheared, size + 20)))
    with_hole = np.delete(perfect, 66, axis=0)
    assert not dislocations(fit_lattice(columns_at(with_hole, size)))


def test_pixels_that_are_not_square_change_nothing():
    xy, size = grid(turn_deg=0.0)
    share = np.ones(len(xy))
    share[20] = 0.5
    image = scene(xy, size, share)
    columns = columns_at(xy, size, share)
    stretched = replace(columns, pixel_size_nm=(0.02, 0.01))
    before, after = defects_of(columns, image), defects_of(stretched, image)
    assert positions_of(stretched)[0][:, 1] == pytest.approx(2 * columns.table["y_px"])
    assert intensity_defects(before).tolist() == intensity_defects(after).tolist() == [20]


def test_faults_are_told_in_one_sentence():
    xy, size = grid()
    image = scene(xy, size, np.ones(len(xy)))
    with pytest.raises(UserError, match="there are 5 columns"):
        defects_of(columns_at(xy[:5], size), image)
    scattered = np.random.default_rng(0).uniform(15, size - 15, (10, 2))
    with pytest.raises(UserError, match="No lattice was found"):
        defects_of(columns_at(scattered, size), image)
    with pytest.raises(UserError, match="false_alarms"):
        FIND_DEFECTS.parse({"false_alarms": 0})


def test_the_bound_of_an_amplitude_is_that_of_counting_where_there_is_no_background():
    assert amplitude_bound(np.array([50.0]), 3.0, 1e-9)[0] == pytest.approx(50 / np.sqrt(2 * np.pi * 9 * 50), rel=1e-3)


def test_all_defects_of_the_multislice_crystal_are_found_from_the_image_alone(data_folder):
    with np.load(data_folder / "micrographs/abtem_sto_001_haadf.npz", allow_pickle=False) as file:
        truth, pixel = file["truth_xyA_Z_n_flag"], float(file["sampling_A"])
        image = Image(file["poisson_600e_per_px"].astype(np.float32), (pixel / 10, pixel / 10))
    found = defects_of(find(image), image)
    rows = intensity_defects(found)
    distance = np.hypot(*np.moveaxis(found.xy_px[rows][:, None] * pixel - truth[None, :, :2], -1, 0))
    nearest = distance.argmin(axis=1)
    right = (distance.min(axis=1) < 0.5) & (truth[nearest, 4] > 0)
    assert len(set(nearest[right])) == 6
    assert (~right).sum() <= 1
    assert (
        found.table["defect"][rows[right]] == np.where(truth[nearest[right], 4] == 1, codes.WEAK, codes.STRONG)
    ).all()


def test_the_operations_are_registered_and_load():
    for name in ("find-defects", "measure-intensities", "count-atoms"):
        assert callable(operations.get(name).load())
    assert Report().facts.notes == []
