"""The table of structures against handbook distances, its own formulas, and ASE's independent space groups."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from atomseg_app.errors import UserError
from atomseg_app.places import resources_folder
from atomseg_app.simulate.crystals import (
    Floats,
    Structure,
    atomic_number,
    basis_pm,
    cell_formula,
    expand,
    structure,
    structures,
    symmetry_operations,
)

EVERY = pytest.mark.parametrize("one", structures(), ids=str)


def shortest_pm(one: Structure, first: str, second: str) -> float:
    """Shortest distance between atoms of two elements, over neighbouring cells too."""
    cell = expand(one)
    shifts = np.array(np.meshgrid(*[[-1, 0, 1]] * 3)).reshape(3, -1).T
    from_here = cell.xyz[cell.numbers == atomic_number(first)]
    to = (cell.xyz[cell.numbers == atomic_number(second)][:, None] + shifts).reshape(-1, 3)
    length = np.linalg.norm((from_here[:, None] - to[None]) @ cell.basis_pm, axis=-1)
    return float(length[length > 1].min())


@pytest.mark.parametrize(
    ("name", "first", "second", "expected_pm"),
    [
        ("Si", "Si", "Si", 235.2),
        ("C diamond", "C", "C", 154.4),
        ("Au", "Au", "Au", 288.4),
        ("Fe", "Fe", "Fe", 248.2),
        ("SrTiO3", "Ti", "O", 195.25),
        ("SrTiO3", "Sr", "O", 276.1),
        ("GaAs", "Ga", "As", 244.8),
        ("MgO", "Mg", "O", 210.6),
        ("CeO2", "Ce", "O", 234.3),
        ("TiO2 rutile", "Ti", "O", 194.6),
        ("TiO2 anatase", "Ti", "O", 193.4),
        ("MgAl2O4", "Al", "O", 192.8),
        ("Al2O3", "Al", "O", 185.5),
        ("Y3Al5O12", "Al", "O", 176.1),
        ("MoS2 2H sheet", "Mo", "S", 241.8),
        ("graphene", "C", "C", 141.8),
        ("Bi2Te3", "Bi", "Te", 306.6),
        ("YBa2Cu3O7", "Cu", "O", 185.0),
        ("SiO2 quartz", "Si", "O", 160.5),
        ("LiFePO4", "P", "O", 152.3),
        ("CaCO3 calcite", "C", "O", 129.4),
    ],
)
def test_shortest_distances_are_those_of_the_literature(name: str, first: str, second: str, expected_pm: float) -> None:
    assert shortest_pm(structure(name), first, second) == pytest.approx(expected_pm, abs=0.3)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("Au", 19.28), ("Si", 2.329), ("SrTiO3", 5.117), ("Al2O3", 3.987), ("CeO2", 7.215), ("NaCl", 2.163), ("W", 19.25)],
)
def test_densities_are_those_of_the_handbooks(name: str, expected: float) -> None:
    masses = {"Au": 196.967, "Si": 28.085, "Sr": 87.62, "Ti": 47.867, "O": 15.999, "Al": 26.982, "Ce": 140.116,
              "Na": 22.990, "Cl": 35.453, "W": 183.84}  # fmt: skip
    one = structure(name)
    grams = sum(masses[element] * count for element, count in cell_formula(one).items()) / 6.02214076e23
    cubic_cm = abs(np.linalg.det(basis_pm(one.cell))) * 1e-30
    assert grams / cubic_cm == pytest.approx(expected, rel=0.005)


ELEMENTS = [one for one in structures() if one.prototype.split()[-1] in ("A1", "A2", "A3", "A4")]


@pytest.mark.parametrize("one", ELEMENTS, ids=str)
def test_cells_of_elements_agree_with_those_of_ase(one: Structure) -> None:
    from ase.data import reference_states

    reference = reference_states[atomic_number(one.sites[0].element)]
    known = {"A1": "fcc", "A2": "bcc", "A3": "hcp", "A4": "diamond"}[one.prototype.split()[-1]]
    assert reference["symmetry"] == known
    assert one.cell[0] == pytest.approx(100 * reference["a"], rel=0.004)
    if known == "hcp":
        assert one.cell[2] / one.cell[0] == pytest.approx(reference["c/a"], rel=0.005)


@EVERY
def test_the_cell_holds_whole_formulas(one: Structure) -> None:
    formula = {element: float(count or 1) for element, count in re.findall(r"([A-Z][a-z]?)([\d.]*)", one.formula)}
    counts = cell_formula(one)
    assert set(counts) == set(formula)
    units = {round(counts[element] / formula[element], 6) for element in formula}
    assert len(units) == 1
    assert units.pop().is_integer()


@EVERY
def test_no_two_atoms_are_closer_than_any_bond(one: Structure) -> None:
    """A wrong origin or sign puts atoms on top of each other; the shortest bond of the table is C-O of calcite."""
    cell = expand(one)
    shifts = np.array(np.meshgrid(*[[-1, 0, 1]] * 3)).reshape(3, -1).T
    apart = (cell.xyz[:, None] - cell.xyz[None])[None] + shifts[:, None, None]
    length = np.linalg.norm(apart @ cell.basis_pm, axis=-1)
    assert length[length > 1].min() > (125 if set(cell_formula(one)) & {"B", "C", "P"} else 150)
    if all(site.occupancy == 1 for site in one.sites):
        assert (length < 1).sum() == len(cell.xyz)


@EVERY
def test_ase_reproduces_the_cell_from_the_asymmetric_unit(one: Structure) -> None:
    from ase.spacegroup import Spacegroup

    _, _, suffix = one.symbol.partition(":")
    group = Spacegroup(one.space_group, 2 if suffix == "2" else 1)
    cell = expand(one)
    for index, site in enumerate(one.sites):
        reference, _ = group.equivalent_sites([site.xyz], symprec=2e-3)
        ours = cell.xyz[cell.site == index]
        assert len(reference) == len(ours)
        apart = ours[:, None] - np.array(reference)[None]
        length = np.linalg.norm((apart - np.round(apart)) @ cell.basis_pm, axis=-1)
        assert length.min(axis=1).max() < 0.5
        assert len(set(length.argmin(axis=1))) == len(reference)


@EVERY
def test_the_operations_are_a_group(one: Structure) -> None:
    """Every product of two operations is an operation, up to whole lattice vectors."""
    rotations, translations = symmetry_operations(one.operations)
    known = {_key(r, t) for r, t in zip(rotations, translations, strict=True)}
    assert len(known) == len(one.operations)
    pick = np.random.default_rng(3).integers(0, len(rotations), (60, 2))
    for i, j in pick:
        assert _key(rotations[i] @ rotations[j], rotations[i] @ translations[j] + translations[i]) in known


def _key(rotation: Floats, translation: Floats) -> tuple[int, ...]:
    return (*rotation.astype(int).ravel(), *(np.round(translation * 24).astype(int) % 24))


@EVERY
def test_the_cell_fits_its_crystal_system(one: Structure) -> None:
    """The metric is the same after every rotation of the group."""
    basis = basis_pm(one.cell)
    metric = basis @ basis.T
    for rotation in symmetry_operations(one.operations)[0]:
        np.testing.assert_allclose(rotation.T @ metric @ rotation, metric, atol=1e-3)


def test_the_committed_operations_are_gemmis() -> None:
    gemmi = pytest.importorskip("gemmi")
    from atomseg_app.simulate.symmetry import operations

    for one in structures():
        assert list(one.operations) == operations(one.symbol)
        assert gemmi.find_spacegroup_by_name(one.symbol).number == one.space_group


HELD_OUT = {
    "Pd", "Ta", "Ru", "Ge", "InP", "AlN", "TiN", "UO2", "KTaO3", "LaAlO3", "La1.85Sr0.15CuO4", "Co3O4", "SnO2",
    "Fe2O3", "Bi2Se3", "WSe2 2H sheet", "FePt",
}  # fmt: skip


def test_what_is_held_out_stays_held_out() -> None:
    """Networks are judged on these: moving one into the training set would spoil every figure since."""
    assert {one.name for one in structures() if one.held_out} == HELD_OUT


def test_names_and_contents_differ_and_every_structure_has_a_source() -> None:
    assert len({one.name for one in structures()}) == len(structures()) >= 80
    assert len({(one.symbol, one.cell, one.sites) for one in structures()}) == len(structures())
    for one in structures():
        assert re.search(r"\(\d{4}\)", one.citation), one.name


def test_what_was_checked_is_said_in_the_readmes_words() -> None:
    folder = resources_folder() / "crystals"
    entries = json.loads((folder / "structures.json").read_text("utf-8"))["structures"]
    checked = [entry["checked"] for entry in entries if "checked" in entry]
    assert len(checked) >= 40
    for told in checked:
        parts = re.fullmatch(r"((?:citation|cell|sites)(?:, (?:cell|sites))*)( \(COD \d{7}\))?", told)
        assert parts, told
        assert all(f"`{part}`" in (folder / "README.md").read_text("utf-8") for part in parts[1].split(", "))
    numbers = re.findall(r"COD (\d+)", " ".join(checked))
    assert len(set(numbers)) == len(numbers), "a record belongs to one structure"


def test_a_wrong_name_or_element_is_one_sentence() -> None:
    with pytest.raises(UserError, match="no structure 'unobtainium'"):
        structure("unobtainium")
    with pytest.raises(UserError, match="'Xx' is not the symbol"):
        atomic_number("Xx")
