"""Atom counts: mixtures against closed forms, the criterion on clear and on hopeless data, the library, faults."""

from __future__ import annotations

import numpy as np
import pytest

from atomseg_app import operations
from atomseg_app.atoms.counting import counted, counted_by_library
from atomseg_app.atoms.defect_operations import COUNT_ATOMS
from atomseg_app.atoms.mixture import fit_mixture, mixtures
from atomseg_app.atoms.thickness_library import read_library
from atomseg_app.data import FLAG_EDGE, FLAG_NONE, Columns, column_table
from atomseg_app.errors import FileError, UserError
from atomseg_app.operations import Report


def intensities(seed, width, *, atoms=range(3, 9), each=40, one=100.0):
    """Intensities of columns whose atoms scatter ``one`` each, and the true numbers."""
    rng = np.random.default_rng(seed)
    true = np.repeat(np.array(atoms), each)
    return one * true + one * width * rng.normal(size=len(true)), true


def columns_of(values, flag=FLAG_NONE):
    table = column_table(len(values))
    table["x_px"], table["y_px"] = 10.0 * np.arange(len(values)), 5.0
    table["integrated_intensity"], table["flag"] = values, flag
    return Columns(table, (20, 10 * len(values)))


def count(columns, report=None, **parameters):
    found = operations.run(COUNT_ATOMS, (columns,), COUNT_ATOMS.parse(parameters), report or Report())
    assert isinstance(found, Columns)
    return found


def test_one_component_is_mean_and_standard_deviation():
    values = np.random.default_rng(0).normal(5, 2, 300)
    one = fit_mixture(values, np.array([0.0]))
    assert one.means[0] == pytest.approx(values.mean())
    assert one.widths[0] == pytest.approx(values.std())
    closed = -150 * (np.log(2 * np.pi * values.var()) + 1)
    assert one.log_likelihood == pytest.approx(closed)
    assert one.icl == pytest.approx(-2 * closed + 2 * np.log(300))


def test_far_apart_components_have_no_entropy_and_their_own_means():
    values = np.concatenate([np.random.default_rng(k).normal(100 * k, 1, 50) for k in range(4)])
    four = mixtures(values, 4)[-1]
    assert four.means == pytest.approx([values[50 * k : 50 * k + 50].mean() for k in range(4)])
    assert four.weights == pytest.approx([0.25] * 4)
    assert four.entropy < 1e-6


def test_widths_grow_with_the_square_root_of_the_mean():
    rng = np.random.default_rng(1)
    values = np.concatenate([rng.normal(mean, 0.1 * np.sqrt(mean), 400) for mean in (1.0, 4.0, 9.0)])
    three = fit_mixture(values, np.array([1.0, 4.0, 9.0]), growing=True)
    assert three.widths / np.sqrt(three.means) == pytest.approx(0.1, rel=0.1)


@pytest.mark.parametrize("seed", range(3))
def test_atoms_are_counted_where_thicknesses_are_apart(seed):
    values, true = intensities(seed, 0.15)
    counts = counted(values, 15)
    assert (counts.atoms == true).mean() > 0.99
    assert not counts.rivals
    assert np.mean(counts.probability) == pytest.approx((counts.atoms == true).mean(), abs=0.02)


def test_the_probability_is_the_share_of_right_counts():
    right, said = [], []
    for seed in range(6):
        values, true = intensities(seed, 0.28, each=80)
        counts = counted(values, 6, components=6, first_atoms=3)
        right.append(counts.atoms == true)
        said.append(counts.probability)
    assert np.mean(said) == pytest.approx(np.mean(right), abs=0.03)
    assert 0.9 < np.mean(right) < 0.97


def test_hopeless_overlap_is_admitted():
    values, _ = intensities(5, 0.8)
    report = Report()
    found = count(columns_of(values), report, most_components=12)
    assert any("no basis" in note or "not clear" in note for note in report.facts.notes)
    assert found.metadata["atom_counts"]["clear"] is False


def test_a_thickness_without_columns_is_skipped_not_closed_up():
    values, true = intensities(2, 0.06, atoms=(1, 2, 3, 6, 7, 8))
    counts = counted(values, 10)
    assert (counts.atoms == true).all()


@pytest.mark.parametrize("gain", [1e-3, 1.0, 1e4])
def test_counts_do_not_depend_on_the_gain(gain):
    values, true = intensities(3, 0.15)
    assert (counted(gain * values, 10).atoms == true).mean() > 0.99


def test_a_library_that_saturates_is_read_off():
    rng = np.random.default_rng(7)
    atoms = np.arange(1, 16)
    library = 1 - np.exp(-atoms / 10)
    true = rng.integers(1, 13, 400)
    values = library[true - 1] + 0.2 * np.min(np.diff(library)) * rng.normal(size=400)
    counts = counted_by_library(values, atoms, library)
    assert (counts.atoms == true).mean() > 0.97


def test_columns_at_the_border_are_not_counted():
    values, true = intensities(1, 0.1)
    flag = np.where(np.arange(len(values)) % 10 == 0, FLAG_EDGE, FLAG_NONE)
    table = count(columns_of(values, flag), most_components=10).table
    assert np.isnan(table["atoms"][flag == FLAG_EDGE]).all()
    assert (table["atoms"][flag == FLAG_NONE] == true[flag == FLAG_NONE]).all()


def test_the_operation_with_a_library_says_what_does_not_fit(tmp_path):
    path = tmp_path / "library.txt"
    path.write_text("# atoms intensity\n1 100\n2 200\n3, 300 # comment\n4;400\n", "utf-8")
    values, _ = intensities(1, 0.05, atoms=(2, 3, 4, 6))
    report = Report()
    table = count(columns_of(values), report, library=str(path)).table
    assert (table["atoms"][:120] == np.repeat([2, 3, 4], 40)).all()
    assert any("40 columns lie outside the library" in note for note in report.facts.notes)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("1\n2\nx\n", "line 3: 'x' is not a number"),
        ("5\n", "holds 1 intensities"),
        ("1\n3\n2\n", "entry 3 does not"),
        ("1 5\n2\n", "line 2: needs the same"),
        ("1 5\n1 6\n", "must be a number of atoms"),
        ("1\nnan\n", "line 2: needs the same one or two finite numbers"),
    ],
)
def test_a_broken_library_is_refused_naming_the_line(tmp_path, text, sentence):
    path = tmp_path / "library.txt"
    path.write_text(text, "utf-8")
    with pytest.raises(FileError, match=sentence):
        read_library(path)


def test_faults_are_told_in_one_sentence(tmp_path):
    values, _ = intensities(1, 0.1)
    with pytest.raises(UserError, match="no intensity 'brightness'"):
        count(columns_of(values), quantity="brightness")
    with pytest.raises(UserError, match="only 3 columns"):
        count(columns_of(values[:3]))
    with pytest.raises(FileError, match="cannot be read"):
        read_library(tmp_path / "missing.txt")


def test_counts_of_the_platinum_particle_agree_with_its_library(data_folder):
    with np.load(data_folder / "micrographs/PtIr.npz", allow_pickle=False) as file:
        volume = (2 * np.pi * file["rho_A"] ** 2 * file["eta"])[:, 0]
    atoms, library = read_library(data_folder / "micrographs/LibraryPt.txt")
    counts = counted_by_library(volume, atoms, library)
    nearest = np.abs(volume[:, None] - library).argmin(axis=1) + 1  # how StatSTEM reads a library
    assert (counts.atoms == nearest).mean() > 0.9
    assert np.abs(counts.atoms - nearest).max() <= 1
    alone = counted(volume, 25)
    assert len(alone.mixture.means) == 1 or alone.rivals  # 140 columns scatter too much to be counted alone
