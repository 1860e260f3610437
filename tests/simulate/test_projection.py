"""Projections against known pictures, conserved atoms, and independence of origin, cell and equivalent axis."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from atomseg_app.errors import UserError
from atomseg_app.simulate.crystals import Site, Structure, expand, structure, structures
from atomseg_app.simulate.projection import Projection, library, project, resolvable, zones

EVERY = pytest.mark.parametrize("one", library(None), ids=lambda p: f"{p.structure}-{p.zone}")


def spacings_pm(one: Projection, reach: int = 2) -> np.ndarray:
    """Distances from each column to all others (K, n), sorted, cells around included."""
    xy = np.stack([one.x_pm, one.y_pm], axis=1)
    cells = [i * one.a_pm + j * one.b_pm for i in range(-reach, reach + 1) for j in range(-reach, reach + 1)]
    everywhere = (xy[None] + np.array(cells)[:, None]).reshape(-1, 2)
    return np.sort(np.linalg.norm(xy[:, None] - everywhere[None], axis=-1), axis=1)


def fingerprint(one: Projection) -> np.ndarray:
    """What no shift, turn or mirror changes: of each column its atoms and distances to its neighbours."""
    rows = [
        [sum(z * n for z, n in atoms), *spacing[:12]]
        for atoms, spacing in zip(one.atoms, spacings_pm(one), strict=True)
    ]
    table = np.array(rows)
    return table[np.lexsort(np.round(table.T[::-1], 2))]


def test_silicon_110_is_dumbbells() -> None:
    one = project(structure("Si"), (1, 1, 0))
    assert len(one.x_pm) == 2
    np.testing.assert_allclose(spacings_pm(one)[:, 1], 543.07 / 4, atol=0.01)
    assert one.repeat_pm == pytest.approx(543.07 / np.sqrt(2))
    assert one.atoms == (((14, 1.0),), ((14, 1.0),))


def test_strontium_titanate_001_has_four_columns_one_of_titanium_and_oxygen() -> None:
    one = project(structure("SrTiO3"), (0, 0, 1))
    assert sorted(one.atoms) == [((8, 1.0),), ((8, 1.0),), ((8, 1.0), (22, 1.0)), ((38, 1.0),)]
    assert one.area_pm2 == pytest.approx(390.5**2)
    assert one.repeat_pm == pytest.approx(390.5)
    np.testing.assert_allclose(spacings_pm(one)[:, 1], 390.5 / 2, atol=1e-6)


def test_a_multislice_picture_has_its_columns_where_the_projection_has_them() -> None:
    """5 × 5 cells of SrTiO3 in abTEM, columns displaced by a few pm at random: one by one, with the same heavy atom."""
    folder = os.environ.get("ATOMSEG_TEST_DATA")
    if not folder:
        pytest.skip("ATOMSEG_TEST_DATA is not set")
    with np.load(Path(folder) / "micrographs" / "abtem_sto_001_haadf.npz", allow_pickle=False) as file:
        truth, image, pm = file["truth_xyA_Z_n_flag"], file["haadf"], 100 * float(file["sampling_A"])
    one = project(structure("SrTiO3"), (0, 0, 1))
    cells = np.array([i * one.a_pm + j * one.b_pm for i in range(5) for j in range(5)])
    xy = (np.stack([one.x_pm, one.y_pm], axis=1)[:, None] + cells).reshape(-1, 2)
    heaviest = np.repeat([max(z for z, _ in atoms) for atoms in one.atoms], len(cells))
    # Strontium is at our origin, and half a cell into the picture.
    apart = xy[:, None] + 390.5 / 2 - 100 * truth[None, :, :2]
    apart -= 5 * 390.5 * np.round(apart / (5 * 390.5))
    length = np.linalg.norm(apart, axis=-1)
    nearest = length.argmin(axis=1)
    assert sorted(nearest) == list(range(len(truth))) == list(range(len(xy)))
    assert (truth[nearest, 2] == heaviest).all()
    displaced = apart[np.arange(len(xy)), nearest]
    assert np.abs(displaced.mean(axis=0)).max() < 3 * displaced.std() / np.sqrt(len(xy))
    assert length.min(axis=1).max() < 25
    # Every heavy column is brighter where it is than anywhere 70 pm away.
    rows, columns = np.round(truth[:, 1::-1].T * 100 / pm).astype(int)
    step = round(70 / pm)
    around = [
        image[(rows + dy) % 256, (columns + dx) % 256] for dy, dx in ((step, 0), (-step, 0), (0, step), (0, -step))
    ]
    assert (image[rows % 256, columns % 256] > np.max(around, axis=0))[truth[:, 2] > 20].all()


def test_gold_001_is_square_and_111_hexagonal() -> None:
    square, hexagonal = project(structure("Au"), (0, 0, 1)), project(structure("Au"), (1, 1, 1))
    np.testing.assert_allclose(spacings_pm(square)[0, 1:5], 407.825 / 2)
    np.testing.assert_allclose(spacings_pm(hexagonal)[0, 1:7], 407.825 / np.sqrt(6))
    assert hexagonal.repeat_pm == pytest.approx(407.825 * np.sqrt(3))


def test_a_sheet_of_molybdenum_disulfide_is_a_honeycomb_with_two_sulphurs_in_a_column() -> None:
    one = project(structure("MoS2 2H sheet"), (0, 0, 1))
    assert one.sheet
    assert sorted(one.atoms) == [((16, 2.0),), ((42, 1.0),)]
    np.testing.assert_allclose(spacings_pm(one)[:, 1:4], 316.02 / np.sqrt(3), atol=1e-6)


def test_mixed_sites_are_shared_in_one_column() -> None:
    one = project(structure("La1.85Sr0.15CuO4"), (1, 0, 0))
    assert ((38, 0.075), (57, 0.925)) in one.atoms


@EVERY
def test_no_atom_is_lost_or_counted_twice(one: Projection) -> None:
    cell = expand(one.structure)
    density = cell.occupancy.sum() / abs(np.linalg.det(cell.basis_pm))
    seen = sum(count for column in one.atoms for _, count in column) / (one.area_pm2 * one.repeat_pm)
    assert seen == pytest.approx(density, rel=1e-6)


@EVERY
def test_the_cell_is_reduced_and_holds_its_columns(one: Projection) -> None:
    length_a, length_b = np.linalg.norm(one.a_pm), np.linalg.norm(one.b_pm)
    assert one.a_pm[1] == pytest.approx(0, abs=1e-6)
    assert one.a_pm[0] > 0
    assert one.b_pm[1] > 0
    assert length_a <= length_b + 1e-3
    assert abs(one.a_pm @ one.b_pm) <= length_a**2 / 2 + 1
    share = np.stack([one.x_pm, one.y_pm], axis=1) @ np.linalg.inv(np.stack([one.a_pm, one.b_pm]))
    assert (share > -1e-5).all()
    assert (share < 1 + 1e-5).all()
    assert len(one.x_pm) == 1 or spacings_pm(one)[:, 1].min() > 0.9


@pytest.mark.parametrize("name", ["SrTiO3", "LaMnO3", "Si3N4 β", "Bi2Te3", "Ga2O3 β", "Co3O4"])
def test_a_shifted_origin_shows_the_same_picture(name: str) -> None:
    """All atoms of the cell, moved together and given without symmetry."""
    one = structure(name)
    shift = np.array([0.137, 0.291, 0.083])
    moved = in_p1(one, lambda xyz: xyz + shift)
    for zone in zones(one):
        before, after = project(one, zone), project(moved, zone)
        whole = round(after.area_pm2 * after.repeat_pm / (before.area_pm2 * before.repeat_pm))
        assert len(after.x_pm) == whole_columns(before, after)
        assert whole >= 1
        if len(after.x_pm) == len(before.x_pm) and whole == 1:
            np.testing.assert_allclose(fingerprint(after), fingerprint(before), atol=0.6)


def whole_columns(before: Projection, after: Projection) -> int:
    """Columns in the larger cell that is left where centrings are forgotten."""
    return round(len(before.x_pm) * after.area_pm2 / before.area_pm2)


def in_p1(one: Structure, change) -> Structure:  # type: ignore[no-untyped-def]
    cell = expand(one)
    sites = tuple(
        Site(one.sites[i].element, float(o), tuple(change(xyz)))
        for i, o, xyz in zip(cell.site, cell.occupancy, cell.xyz, strict=True)
    )
    return replace(one, space_group=1, symbol="P 1", operations=("x,y,z",), sites=sites)


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("Co3O4", (0, 1, 2), (2, 0, -1)),
        ("TiO2 rutile", (1, 0, 0), (0, 1, 0)),
        ("GaN", (1, 0, 0), (1, 1, 0)),
        ("Si", (1, 1, 2), (-1, 2, 1)),
    ],
)
def test_equivalent_axes_show_the_same_picture(
    name: str, first: tuple[int, int, int], second: tuple[int, int, int]
) -> None:
    a, b = project(structure(name), first), project(structure(name), second)
    assert a.repeat_pm == pytest.approx(b.repeat_pm)
    np.testing.assert_allclose(fingerprint(a), fingerprint(b), atol=0.05)


def test_a_multiple_of_an_axis_is_the_same_axis() -> None:
    a, b = project(structure("GaAs"), (1, 1, 0)), project(structure("GaAs"), (2, 2, 0))
    assert a.repeat_pm == pytest.approx(b.repeat_pm)
    np.testing.assert_allclose(a.x_pm, b.x_pm, atol=1e-9)


def test_pnma_along_b_is_the_pseudocubic_picture() -> None:
    """LaMnO3 along [010] is a perovskite along a cubic axis: Mn columns 399 pm apart, cell √2 × √2 of it."""
    one = project(structure("LaMnO3"), (0, 1, 0))
    manganese = [i for i, atoms in enumerate(one.atoms) if any(z == 25 for z, _ in atoms)]
    assert len(manganese) == 2
    assert one.area_pm2 == pytest.approx(574.73 * 553.67)


@pytest.mark.parametrize("name", ["LaAlO3", "BiFeO3"])
def test_rhombohedral_perovskites_are_seen_along_pseudocubic_axes(name: str) -> None:
    """[2 4 1] of the hexagonal cell is <001> of the cubic one: an almost square cell of twice the cubic repeat."""
    one = project(structure(name), (2, 4, 1))
    assert one.a_pm[0] == pytest.approx(one.b_pm[1], rel=0.01)
    assert abs(one.b_pm[0]) < 0.02 * one.a_pm[0]
    assert one.repeat_pm == pytest.approx(2 * one.a_pm[0], rel=0.01)


def test_every_structure_has_an_axis_and_none_more_than_four() -> None:
    for one in structures():
        assert 1 <= len(zones(one)) <= 4, one.name
        assert all(resolvable(project(one, zone)) for zone in zones(one)), one.name


def test_the_library_is_parted_by_what_is_held_out() -> None:
    trained, kept = library(False), library(True)
    assert not any(one.structure.held_out for one in trained)
    assert all(one.structure.held_out for one in kept)
    assert len(trained) + len(kept) == len(library(None))
    assert not {one.structure.name for one in trained} & {one.structure.name for one in kept}


def test_no_axis_is_one_sentence() -> None:
    with pytest.raises(UserError, match="at least one index"):
        project(structure("Si"), (0, 0, 0))
