"""Tables as files: every number comes back, and what others read says the same."""

import csv
import json
import os
import resource
import stat
import subprocess
import sys
from dataclasses import replace

import ase.io
import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from atomseg_app.data import COLUMN_DTYPE, Columns, Image, Source, Step, column_table, with_quantities
from atomseg_app.errors import FileError, UserError
from atomseg_app.io import tables
from atomseg_app.io.atomap_file import write_atomap_hdf5
from atomseg_app.io.atomic_write import atomic_open, atomic_path, write_text

HEADER = (
    "column_id,x_px,y_px,x_nm,y_nm,x_err_px,y_err_px,x_err_pm,y_err_pm,amplitude,background,sigma_px,ellipticity,"
    "angle_deg,integrated_intensity,probability,sublattice,frame,flag"
)


def random_columns(count=50, pixel_size_nm=(0.0127, 0.0131), seed=0) -> Columns:
    rng = np.random.default_rng(seed)
    table = column_table(count)
    for name in COLUMN_DTYPE.names or ():
        if COLUMN_DTYPE[name].kind == "f":
            table[name] = rng.normal(0, 1, count) * 10 ** rng.uniform(-12, 12, count)
            if name not in ("x_px", "y_px"):
                table[name][rng.random(count) < 0.2] = np.nan
    table["column_id"] = rng.permutation(10 * count)[:count]
    table["sublattice"] = rng.integers(-1, 3, count)
    table["frame"] = rng.integers(0, 4, count)
    table["flag"] = rng.integers(0, 4, count)
    step = Step("find-columns", {"method": "log"}, "0.1.0", notes=("masked 3 NaN",))
    return Columns(table, (512, 640), pixel_size_nm, Source("/data/Å é.dm3", "ADF"), {"kV": 80.0}, (step,))


def assert_equal_tables(one, other):
    for name in COLUMN_DTYPE.names or ():
        np.testing.assert_array_equal(one[name], other[name], err_msg=name)


def test_header_and_text_are_those_promised(tmp_path):
    path = tmp_path / "a_columns.csv"
    tables.write_csv(random_columns(), path)
    data = path.read_bytes()
    assert data.decode("utf-8").split("\n")[0] == HEADER
    assert data.endswith(b"\n")
    assert b"\r" not in data
    assert b"nan" not in data
    assert b"inf" not in data
    assert b"#" not in data


def test_cells_in_nm_and_pm_use_the_pixel_size_of_their_axis(tmp_path):
    table = column_table(2)
    table["x_px"], table["y_px"] = (10.0, 3.5), (100.0, 7.25)
    table["x_err_px"], table["y_err_px"] = 0.1, 0.2
    tables.write_csv(Columns(table, (200, 300), (0.01, 0.02)), tmp_path / "a.csv")
    first, second = csv.DictReader((tmp_path / "a.csv").read_text("utf-8").splitlines())
    assert (float(first["x_nm"]), float(first["y_nm"])) == pytest.approx((0.2, 1.0))
    assert (float(second["x_err_pm"]), float(second["y_err_pm"])) == pytest.approx((2.0, 2.0))
    assert {name for name, cell in first.items() if cell == ""} == {
        "amplitude", "background", "sigma_px", "ellipticity", "angle_deg", "integrated_intensity", "probability",
        "sublattice", "flag",
    }  # fmt: skip


@pytest.mark.parametrize("pixel_size_nm", [(None, None), (0.01, None), (0.0127, 0.0127), (1 / 3, 0.1 / 7)])
@pytest.mark.parametrize("count", [0, 1, 200])
def test_csv_round_trip_is_exact_with_the_json_beside_it(tmp_path, pixel_size_nm, count):
    columns = random_columns(count, pixel_size_nm)
    tables.write_csv(columns, tmp_path / "a_columns.csv")
    tables.write_history(columns, tmp_path / "a_columns.json")
    back = tables.read_csv(tmp_path / "a_columns.csv")
    assert_equal_tables(back.table, columns.table)
    assert (back.image_shape, back.pixel_size_nm) == (columns.image_shape, columns.pixel_size_nm)
    assert (back.source, back.metadata, back.history) == (columns.source, columns.metadata, columns.history)


@settings(max_examples=30, deadline=None)
@given(
    size=st.floats(1e-4, 10),
    x=st.lists(st.floats(-1e4, 1e5).filter(lambda v: abs(v) > 1e-3), min_size=1, max_size=20),
)
def test_pixel_size_is_recovered_from_the_table_alone(tmp_path_factory, size, x):
    table = column_table(len(x))
    table["x_px"], table["y_px"] = x, x[::-1]
    path = tmp_path_factory.mktemp("csv") / "a.csv"
    tables.write_csv(Columns(table, (10, 10), (size, None)), path)
    back = tables.read_csv(path)
    assert back.pixel_size_nm[1] is None
    np.testing.assert_array_equal(back.table["y_px"] * back.pixel_size_nm[0], table["y_px"] * size)


def test_image_given_decides_shape_and_calibration(tmp_path):
    tables.write_csv(random_columns(), tmp_path / "a.csv")
    image = Image(np.zeros((40, 50)), (0.5, 0.25), Source("/other.tif"))
    back = tables.read_csv(tmp_path / "a.csv", image)
    assert (back.image_shape, back.pixel_size_nm, back.source) == ((40, 50), (0.5, 0.25), image.source)


def test_csv_made_by_hand_or_by_a_spreadsheet_is_read(tmp_path):
    (tmp_path / "a.csv").write_bytes("\ufeffy_px,x_px,remark\r\n1.5,2,best\r\n3,4.25,=1+1\r\n".encode())
    back = tables.read_csv(tmp_path / "a.csv")
    np.testing.assert_array_equal(back.xy_px, [[2, 1.5], [4.25, 3]])
    assert list(back.table["column_id"]) == [0, 1]
    assert back.image_shape == (4, 6)
    assert np.isnan(back.table["amplitude"]).all()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no x_px and no y_px|no y_px and no x_px"),
        ("x_px;y_px\n1,5;2\n", "comma-separated"),
        ("x_px,y_px\n1,abc\n", "line 2: y_px is 'abc'"),
        ("x_px,y_px\n1,2\n3,\n", "line 3: y_px is empty"),
        ("x_px,y_px\n1,2,3\n", "line 2: the number of cells"),
        ("x_px,y_px\n1\n", "line 2: the number of cells"),
        ("x_px,y_px\n1,inf\n", "finite"),
        ("x_px,y_px,flag\n1,2,strange\n", "line 2: flag is 'strange', but must be one of edited, edge, not-converged"),
        ("column_id,x_px,y_px\n1,2,3\n1,4,5\n", "occurs twice"),
        ("column_id,x_px,y_px\n99999999999999999999,2,3\n", "line 2: column_id"),
        ('x_px,y_px\n"1,2\n', "no CSV"),
    ],
)
def test_bad_csv_is_one_sentence_with_the_line(tmp_path, text, said):
    (tmp_path / "a.csv").write_text(text, encoding="utf-8")
    with pytest.raises(FileError, match=said):
        tables.read_csv(tmp_path / "a.csv")


@pytest.mark.parametrize("data", [b"\xff\xfe\x00x", bytes(range(256)) * 10])
def test_binary_file_named_csv_is_one_sentence(tmp_path, data):
    (tmp_path / "a.csv").write_bytes(data)
    with pytest.raises(FileError, match=r"a\.csv"):
        tables.read_csv(tmp_path / "a.csv")


def test_foreign_json_beside_a_csv_is_named(tmp_path):
    tables.write_csv(random_columns(), tmp_path / "a.csv")
    for text in ("{}", "[" * 100_000, '{"format": "atomseg-columns", "kind": "image"}', "not json"):
        (tmp_path / "a.json").write_text(text, encoding="utf-8")
        with pytest.raises(FileError, match=r"a\.json"):
            tables.read_csv(tmp_path / "a.csv")


def test_json_holds_the_table_the_history_and_the_versions(tmp_path):
    columns = random_columns()
    tables.write_json(columns, tmp_path / "a.json")
    found = json.loads((tmp_path / "a.json").read_text("utf-8"), parse_constant=pytest.fail)
    assert found["versions"]["atomseg"]
    assert found["versions"]["numpy"] == np.__version__
    assert found["history"][0]["notes"] == ["masked 3 NaN"]
    assert list(found["table"][0]) == HEADER.split(",")
    assert [row["x_px"] for row in found["table"]] == columns.table["x_px"].tolist()
    unknown = np.array([row["amplitude"] is None for row in found["table"]])
    np.testing.assert_array_equal(unknown, np.isnan(columns.table["amplitude"]))


def test_ase_reads_the_xyz_in_angstrom(tmp_path):
    columns = random_columns(pixel_size_nm=(0.02, 0.01))
    columns.table["amplitude"] = 7.5
    tables.write_xyz(columns, tmp_path / "a.xyz")
    atoms = ase.io.read(tmp_path / "a.xyz", format="extxyz")
    np.testing.assert_allclose(atoms.positions[:, 0], columns.table["x_px"] * 0.1, rtol=1e-12)
    np.testing.assert_allclose(atoms.positions[:, 1], columns.table["y_px"] * 0.2, rtol=1e-12)
    assert not atoms.pbc.any()
    np.testing.assert_allclose(atoms.cell.lengths()[:2], (64.0, 102.4))
    np.testing.assert_array_equal(atoms.arrays["column_id"], columns.table["column_id"])
    np.testing.assert_array_equal(atoms.arrays["amplitude"], 7.5)
    assert "sigma_px" not in atoms.arrays  # not known for every column


def test_xyz_of_an_uncalibrated_table_is_refused(tmp_path):
    with pytest.raises(UserError, match="pixel size"):
        tables.write_xyz(random_columns(pixel_size_nm=(None, None)), tmp_path / "a.xyz")
    assert not (tmp_path / "a.xyz").exists()


def lattice_table() -> Columns:
    """A lattice with two sublattices of ellipses: major 4.5 px, 30 degrees from +x towards +y."""
    index = np.arange(40)
    table = column_table(40)
    table["x_px"], table["y_px"] = 20.25 + 20 * (index % 8), 20.5 + 20 * (index // 8)
    table["sigma_px"], table["ellipticity"], table["angle_deg"] = np.sqrt(4.5 * 3.0), 1.5, 30.0
    table["sublattice"] = index % 2
    return Columns(table, (120, 200), (0.02, 0.02), Source("/x/particle é.dm3"))


def test_atomap_file_has_the_layout_that_atomap_reads(tmp_path):
    """Groups, datasets and attributes as atomap 0.4.2 writes them; its rotation runs from +x towards -y."""
    columns = lattice_table()
    image = Image(np.random.default_rng(0).random((120, 200)), (0.02, 0.02))
    write_atomap_hdf5(columns, tmp_path / "a.hdf5", image)
    with h5py.File(tmp_path / "a.hdf5") as file:
        assert file.attrs["atom_lattice_type"] == "Atom_Lattice"
        assert file.attrs["name"] == "particle é"
        np.testing.assert_array_equal(file["image_data"], image.values)
        groups = [name for name in file if "sublattice" in name]
        assert [file[name].attrs["sublattice_index"] for name in groups] == [0, 1]
        for label, name in enumerate(groups):
            group = file[name]
            rows = columns.table["sublattice"] == label
            np.testing.assert_array_equal(group["atom_positions"], columns.xy_px[rows])
            np.testing.assert_array_equal(group["modified_image_data"], image.values)
            np.testing.assert_array_equal(group["original_image_data"], image.values)
            np.testing.assert_allclose(group["sigma_x"], 4.5)
            np.testing.assert_allclose(group["sigma_y"], 3.0)
            np.testing.assert_allclose(group["rotation"], np.deg2rad(150))
            assert (group.attrs["pixel_size"], group.attrs["units"]) == (0.02, "nm")


def test_atomap_itself_reads_it(tmp_path):
    api = pytest.importorskip("atomap.api", reason="atomap (extra 'peers') is not installed")
    write_atomap_hdf5(lattice_table(), tmp_path / "a.hdf5", Image(np.random.default_rng(0).random((120, 200))))
    lattice = api.load_atom_lattice_from_hdf5(str(tmp_path / "a.hdf5"))
    assert [len(sublattice.atom_list) for sublattice in lattice.sublattice_list] == [20, 20]
    assert lattice.sublattice_list[0].atom_list[0].rotation_ellipticity == pytest.approx(np.deg2rad(150))


def test_atomap_file_of_nothing_or_of_a_movie_is_refused(tmp_path):
    image = Image(np.zeros((512, 640)))
    for columns in (random_columns(0), random_columns(9)):
        with pytest.raises(UserError, match="atomap"):
            write_atomap_hdf5(columns, tmp_path / "a.hdf5", image)
    assert list(tmp_path.iterdir()) == []


def test_atomic_write_leaves_the_old_file_and_nothing_else_on_failure(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old\n")

    def fail() -> None:
        with atomic_open(path) as stream:
            stream.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert path.read_text() == "old\n"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_write_follows_links_and_makes_ordinary_files(tmp_path):
    target = tmp_path / "folder" / "target.txt"
    target.parent.mkdir()
    target.write_text("old")
    link = tmp_path / "link.txt"
    link.symlink_to(target)
    write_text(link, "new")
    assert link.is_symlink()
    assert target.read_text() == "new"
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE(ordinary.stat().st_mode)


def test_names_as_long_as_the_file_system_allows_work(tmp_path):
    path = tmp_path / ("é" * 120 + ".csv")
    write_text(path, "x")
    assert path.read_text() == "x"


@pytest.mark.parametrize("place", ["folder", "file/below"])
def test_places_that_cannot_be_written_are_one_sentence(tmp_path, place):
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").touch()
    with pytest.raises(FileError, match="could not be written"):
        write_text(tmp_path / place, "x")


FULL_DISK = """
import resource, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
from atomseg_app.io.atomic_write import write_text
from atomseg_app.errors import FileError
try:
    write_text(sys.argv[1], "x" * 5000)
except FileError as problem:
    print(problem)
"""


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no limit of file sizes on this system")
def test_full_disk_is_one_sentence_and_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text("old")
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=True)
    assert "could not be written: File too large" in done.stdout
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.csv"]


def test_atomic_path_keeps_the_extension_for_writers_that_go_by_it(tmp_path):
    with atomic_path(tmp_path / "a.tif") as temporary:
        assert temporary.suffix == ".tif"
        assert temporary.parent == tmp_path
        temporary.write_bytes(b"1")
    assert (tmp_path / "a.tif").read_bytes() == b"1"


def test_quantities_are_written_with_their_lengths_in_nm_and_read_back_exactly(tmp_path):
    rng = np.random.default_rng(3)
    columns = with_quantities(
        random_columns(30), {name: rng.normal(size=30) for name in ("strain_xx", "shift_x_px", "shift_x_err_px")}
    )
    columns.table["strain_xx"][4] = np.nan
    tables.write_csv(columns, tmp_path / "a_columns.csv")
    rows = list(csv.DictReader((tmp_path / "a_columns.csv").read_text("utf-8").splitlines()))
    assert list(rows[0])[-5:] == ["strain_xx", "shift_x_px", "shift_x_nm", "shift_x_err_px", "shift_x_err_pm"]
    assert float(rows[0]["shift_x_nm"]) == pytest.approx(columns.table["shift_x_px"][0] * 0.0131)
    assert float(rows[0]["shift_x_err_pm"]) == pytest.approx(columns.table["shift_x_err_px"][0] * 13.1)
    assert rows[4]["strain_xx"] == ""
    without_json = tables.read_csv(tmp_path / "a_columns.csv")
    tables.write_history(columns, tmp_path / "a_columns.json")
    for back in (without_json, tables.read_csv(tmp_path / "a_columns.csv")):
        assert back.quantities == columns.quantities
        for name in columns.quantities:
            np.testing.assert_array_equal(back.table[name], columns.table[name])


def test_a_scalar_length_has_no_nm_where_pixels_are_not_square(tmp_path):
    columns = with_quantities(random_columns(2), {"spacing_px": 1.0})
    assert "spacing_nm" not in tables.csv_header(columns)
    assert "spacing_nm" in tables.csv_header(replace(columns, pixel_size_nm=(0.01, 0.01)))


def test_a_damaged_cell_of_a_known_quantity_is_one_sentence(tmp_path):
    columns = with_quantities(random_columns(2), {"strain_xx": 0.25})
    tables.write_csv(columns, tmp_path / "a.csv")
    tables.write_history(columns, tmp_path / "a.json")
    text = (tmp_path / "a.csv").read_text("utf-8")
    (tmp_path / "a.csv").write_text(text.replace("0.25", "0.2x", 1), "utf-8")
    with pytest.raises(FileError, match=r"line 2: strain_xx is '0\.2x'"):
        tables.read_csv(tmp_path / "a.csv")
