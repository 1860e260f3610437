"""CIF files: round trips of the bundled table, files that ASE writes, and what broken files say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from atomseg_app.errors import FileError, UserError
from atomseg_app.simulate.cif import read_cif
from atomseg_app.simulate.crystals import Structure, expand, structure, structures
from atomseg_app.simulate.projection import project, zones


def cif_text(one: Structure, *, operations: bool) -> str:
    """A CIF with standard uncertainties as in publications."""
    keys = [f"_cell_length_{k} {v / 100:.5f}(2)" for k, v in zip("abc", one.cell, strict=False)]
    keys += [f"_cell_angle_{k} {v:.4f}" for k, v in zip(("alpha", "beta", "gamma"), one.cell[3:], strict=True)]
    lines = ["data_test", *keys, f"_symmetry_space_group_name_H-M '{one.symbol}'"]
    if operations:
        lines += ["loop_", "_space_group_symop_operation_xyz", *(f"'{triplet}'" for triplet in one.operations)]
    lines += ["loop_", *(f"_atom_site_{k}" for k in ("label", "fract_x", "fract_y", "fract_z", "occupancy"))]
    for number, site in enumerate(one.sites):
        lines.append(f"{site.element}{number + 1} " + " ".join(f"{v:.9f}" for v in (*site.xyz, site.occupancy)))
    return "\n".join(lines) + "\n"


def same_crystal(first: Structure, second: Structure, atol_pm: float = 0.1) -> None:
    one, two = expand(first), expand(second)
    np.testing.assert_allclose(one.basis_pm, two.basis_pm, atol=atol_pm)
    assert sorted(one.numbers) == sorted(two.numbers)
    apart = one.xyz[:, None] - two.xyz[None]
    length = np.linalg.norm((apart - np.round(apart)) @ one.basis_pm, axis=-1)
    length[one.numbers[:, None] != two.numbers[None]] = np.inf
    assert length.min(axis=1).max() < atol_pm


@pytest.mark.parametrize("one", structures(), ids=str)
@pytest.mark.parametrize("operations", [True, False])
def test_every_bundled_structure_comes_back_from_a_cif(one: Structure, operations: bool, tmp_path: Path) -> None:
    path = tmp_path / "one.cif"
    path.write_text(cif_text(one, operations=operations), "utf-8")
    back = read_cif(path)
    same_crystal(one, back)
    assert back.space_group == one.space_group
    assert zones(back) or one.sheet or one.zones


@pytest.mark.parametrize("name", ["SrTiO3", "Si", "LiFePO4", "Al2O3"])
def test_a_cif_of_ase_shows_the_same_columns(name: str, tmp_path: Path) -> None:
    from ase import Atoms
    from ase.io import write

    one = structure(name)
    cell = expand(one)
    path = tmp_path / "from_ase.cif"
    write(path, Atoms(numbers=cell.numbers, scaled_positions=cell.xyz, cell=cell.basis_pm / 100, pbc=True))
    back = read_cif(path)
    assert back.name == "from_ase"
    same_crystal(one, back, atol_pm=1.0)
    for zone in zones(one):
        ours, theirs = project(one, zone), project(back, zone)
        density = [len(p.x_pm) / p.area_pm2 for p in (ours, theirs)]
        assert density[0] == pytest.approx(density[1], rel=1e-3)


def test_formula_and_occupancies_are_read(tmp_path: Path) -> None:
    path = tmp_path / "lsco.cif"
    path.write_text(cif_text(structure("La1.85Sr0.15CuO4"), operations=True), "utf-8")
    assert read_cif(path).formula == "La3.7Sr0.3Cu2O8"
    path.write_text(cif_text(structure("SrTiO3"), operations=True), "utf-8")
    assert read_cif(path).formula == "SrTiO3"


def test_the_two_origins_of_one_group_are_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "spinel.cif"
    path.write_text(cif_text(structure("MgAl2O4"), operations=False).replace("m:2", "m"), "utf-8")
    with pytest.raises(UserError, match="without origin choice"):
        read_cif(path)


def test_deuterium_is_hydrogen(tmp_path: Path) -> None:
    path = tmp_path / "heavy.cif"
    path.write_text(cif_text(structure("LiF"), operations=True).replace("\nLi1", "\nD1"), "utf-8")
    assert sorted(set(expand(read_cif(path)).numbers)) == [1, 9]


GOOD = cif_text(structure("SrTiO3"), operations=True)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("_cell_length_a 3.90500(2)", "_cell_length_a ?", "no possible cell"),
        ("_cell_length_a 3.90500(2)", "_cell_length_a -3.9", "no possible cell"),
        ("_cell_angle_alpha 90.0000", "_cell_angle_alpha 5", "no possible cell"),
        (" 90.0000", " 130.0000", "no possible cell"),
        ("_cell_angle_gamma 90.0000\n", "", "no possible cell"),
        ("Sr1 0.000000000", "Sr1 ?", "no position for atom 'Sr1'"),
        ("Sr1 ", "Qq1 ", "no known element for atom 'Qq1'"),
        ("0.000000000 1.000000000\n", "0.000000000 7.0\n", "occupancies lie between"),
        (" 1.000000000\n", " 0.0\n", "only empty sites"),
        ("'x,y,z'", "'x,y,nonsense'", "cannot be read"),
        ("_atom_site_fract_x", "_atom_site_cartn_x", "no atoms in fractional coordinates"),
    ],
)
def test_faults_are_one_sentence(old: str, new: str, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.cif"
    assert old in GOOD
    path.write_text(GOOD.replace(old, new), "utf-8")
    with pytest.raises(UserError, match=sentence) as caught:
        read_cif(path)
    assert str(caught.value).startswith("bad.cif")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"not a crystal", "no valid CIF"),
        (b"data_x\n_cell_length_a 'open\n", "no valid CIF"),
        (b"", "no atoms"),
        (b"II*\0" * 9, "not text"),
        (b"#" * (9 << 20), "larger than 8 MiB"),
    ],
)
def test_other_files_are_refused(content: bytes, sentence: str, tmp_path: Path) -> None:
    path = tmp_path / "other.cif"
    path.write_bytes(content)
    with pytest.raises(UserError, match=sentence):
        read_cif(path)
    with pytest.raises(FileError, match="cannot be opened"):
        read_cif(tmp_path / "missing.cif")


def test_no_symmetry_and_too_many_atoms_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "bare.cif"
    text = cif_text(structure("LiF"), operations=False)
    path.write_text(text.replace("F m -3 m", "?"), "utf-8")
    with pytest.raises(UserError, match="names no known space group"):
        read_cif(path)
    atoms = "\n".join(f"Li{i} {i * 0.0011:.4f} {i * 0.0023:.4f} 0.1311 1.0" for i in range(40))
    path.write_text(text + atoms + "\n", "utf-8")
    with pytest.raises(UserError, match="more than 2000 atoms"):
        read_cif(path)


def test_damaged_files_read_or_say_why(tmp_path: Path) -> None:
    """400 files with bytes changed, cut or doubled: a structure or one sentence, nothing else."""
    rng = np.random.default_rng(8)
    path = tmp_path / "damaged.cif"
    outcomes = set()
    for _ in range(400):
        data = bytearray(GOOD.encode())
        for _ in range(rng.integers(1, 6)):
            start = int(rng.integers(0, len(data)))
            kind = rng.integers(0, 3)
            if kind == 0:
                data[start] = int(rng.integers(1, 256))
            elif kind == 1:
                del data[start : start + int(rng.integers(1, 60))]
            else:
                data[start:start] = data[start : start + int(rng.integers(1, 60))]
        path.write_bytes(bytes(data))
        try:
            read_cif(path)
        except UserError as problem:
            outcomes.add(str(problem))
        else:
            outcomes.add("read")
    assert "read" in outcomes
    assert len(outcomes) > 20
    assert not any("\n" in sentence for sentence in outcomes)
