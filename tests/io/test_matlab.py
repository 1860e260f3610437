"""MATLAB files: series with Euler angles as AET keeps them, volumes, images; SciPy as second opinion; bad files."""

from __future__ import annotations

import shutil
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from scipy.io import loadmat, savemat

from atomseg_app.data import ImageSeries, TiltSeries, Volume
from atomseg_app.errors import FileError, NotAnImageError, UserError
from atomseg_app.io.files import inspect, read
from atomseg_app.operations import Report
from atomseg_app.tomography.angle_lists import read_angle_file
from atomseg_app.tomography.tilts import with_angles

RNG = np.random.default_rng(5)
PROJECTIONS = RNG.normal(size=(7, 6, 5)).astype(np.float32)  # x, y, view
EULER = np.stack([np.full(5, 0.2), np.linspace(-60, 60, 5), np.full(5, -0.1)], axis=1)


def write_hdf5(path: Path, **arrays: np.ndarray) -> None:
    """A MATLAB 7.3 file: axes reversed, the class as an attribute, text before the HDF5."""
    import h5py

    names = {"f": {4: b"single", 8: b"double"}, "u": {1: b"uint8"}, "i": {2: b"int16"}}
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, values in arrays.items():
            array = file.create_dataset(name, data=values.T, chunks=values.T.shape, compression="gzip")
            array.attrs["MATLAB_class"] = np.bytes_(names[values.dtype.kind][values.dtype.itemsize])
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM")


WRITERS = {
    "5": lambda path, **arrays: savemat(path, arrays),
    "7": lambda path, **arrays: savemat(path, arrays, do_compression=True),
    "7.3": write_hdf5,
}


@pytest.mark.parametrize("version", WRITERS)
def test_series_and_angles_in_one_file(version: str, tmp_path: Path) -> None:
    WRITERS[version](tmp_path / "a.mat", projections=PROJECTIONS, angles=EULER)
    series = read(tmp_path / "a.mat")
    assert isinstance(series, TiltSeries)
    np.testing.assert_array_equal(series.values, PROJECTIONS.transpose(2, 1, 0))
    assert series.tilt_deg == pytest.approx(EULER[:, 1])
    assert np.asarray(series.euler_deg) == pytest.approx(EULER)
    assert {info.name: info.kind for info in inspect(tmp_path / "a.mat")} == {
        "projections": "tilt-series", "angles": "table",
    }  # fmt: skip


@pytest.mark.parametrize("version", WRITERS)
@pytest.mark.parametrize("turned", [False, True])
def test_angles_in_a_file_beside(version: str, turned: bool, tmp_path: Path) -> None:
    tilts = EULER[:, 1:2].T if turned else EULER[:, 1:2]
    WRITERS[version](tmp_path / "images.mat", proj=PROJECTIONS)
    WRITERS[version](tmp_path / "my_angles.mat", a=tilts)
    WRITERS[version](tmp_path / "angles_of_another.mat", a=np.arange(9.0)[:, None])
    report = Report()
    series = read(tmp_path / "images.mat", report=report)
    assert isinstance(series, TiltSeries)
    assert series.tilt_deg == pytest.approx(EULER[:, 1])
    assert series.euler_deg is None
    assert report.facts.notes == ["images.mat: Its angles are those of my_angles.mat beside it."]
    WRITERS[version](tmp_path / "other_angles.mat", a=EULER)  # now it is not known which
    assert type(read(tmp_path / "images.mat")) is ImageSeries


def test_angles_named_by_the_user(tmp_path: Path) -> None:
    savemat(tmp_path / "p.mat", {"p": PROJECTIONS})
    savemat(tmp_path / "e.mat", {"e": EULER})
    series = read(tmp_path / "p.mat")
    assert type(series) is ImageSeries
    assert with_angles(series, read_angle_file(tmp_path / "e.mat")).euler_deg == tuple(map(tuple, EULER.tolist()))
    with pytest.raises(UserError, match=r"p\.mat cannot be read as MATLAB.*no arrays that could be angles"):
        read_angle_file(tmp_path / "p.mat")
    with pytest.raises(UserError, match="does not exist"):
        read_angle_file(tmp_path / "none.mat")


@pytest.mark.parametrize("version", WRITERS)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
def test_volumes_and_images(version: str, dtype: str, tmp_path: Path) -> None:
    volume = RNG.integers(0, 200, (4, 5, 6)).astype(dtype)
    WRITERS[version](tmp_path / "v.mat", reconstruction=volume)
    back = read(tmp_path / "v.mat")
    assert isinstance(back, Volume)
    np.testing.assert_array_equal(back.values, volume.transpose(2, 1, 0))
    image = RNG.integers(0, 200, (40, 50)).astype(dtype)
    WRITERS[version](tmp_path / "i.mat", image=image, pixel=np.array([[0.5]]))
    np.testing.assert_array_equal(read(tmp_path / "i.mat").values, image)
    WRITERS[version](tmp_path / "t.mat", peaks=np.ones((50, 3)))
    with pytest.raises(NotAnImageError, match="it is a table of numbers"):
        read(tmp_path / "t.mat")


def test_experimental_film_with_its_euler_angles(data_folder: Path) -> None:
    folder = data_folder / "tomography" / "aet_Ta_film"
    series = read(folder / "Projections_area2.mat")
    assert isinstance(series, TiltSeries)
    expected = loadmat(folder / "Projections_area2.mat")["Proj_sub"]
    np.testing.assert_array_equal(series.values, expected.transpose(2, 1, 0))
    assert np.asarray(series.euler_deg) == pytest.approx(loadmat(folder / "angles.mat")["angle"])
    volume = read(folder / "ReconObj_sub2.mat")
    assert isinstance(volume, Volume)
    assert volume.shape == (131, 61, 131)


@pytest.mark.parametrize("dose", ["1p6e4", "1p6e5", "8p0e3"])
def test_simulated_silicon(dose: str, data_folder: Path) -> None:
    path = data_folder / "tomography" / "aet_aSi208" / f"aSi_2nmFosCetr_Dose{dose}_cov35pm_ForBM3D.mat"
    series = read(path)
    assert isinstance(series, TiltSeries)
    assert series.tilt_deg == pytest.approx(np.arange(0, 180, 3))
    np.testing.assert_array_equal(series.values, loadmat(path)["Trunc_projections_forBM3D"].transpose(2, 1, 0))


def test_objects_and_cells_are_never_opened(tmp_path: Path) -> None:
    cell = np.empty((1, 2), object)
    cell[0] = [np.zeros((3, 3)), "text"]
    savemat(tmp_path / "a.mat", {"cell": cell, "struct": {"image": np.zeros((4, 4))}, "text": "words"})
    with pytest.raises(FileError, match="cells, structs and objects are never opened"):
        read(tmp_path / "a.mat")
    savemat(tmp_path / "a.mat", {"cell": cell, "image": np.ones((4, 4), np.float32)})
    assert read(tmp_path / "a.mat").values.sum() == 16
    savemat(tmp_path / "a.mat", {"wave": np.ones((4, 4), complex)})
    with pytest.raises(NotAnImageError, match="complex numbers"):
        read(tmp_path / "a.mat")


def test_sizes_that_are_not_there(tmp_path: Path) -> None:
    """Dimensions of gigabytes in a small file, plain or packed, are refused before memory is taken."""
    savemat(tmp_path / "a.mat", {"a": np.zeros((4, 4, 4), np.float32)})
    content = bytearray((tmp_path / "a.mat").read_bytes())
    dims = content.index(struct.pack("<3i", 4, 4, 4))
    content[dims : dims + 12] = struct.pack("<3i", 40_000, 40_000, 4)
    (tmp_path / "a.mat").write_bytes(bytes(content))
    with pytest.raises(FileError, match="does not fit its 256 bytes"):
        read(tmp_path / "a.mat")
    at = content.index(struct.pack("<2I", 7, 256))
    content[at : at + 8] = struct.pack("<2I", 7, 4 * 30_000 * 30_000)
    content[dims : dims + 12] = struct.pack("<3i", 30_000, 30_000, 1)
    matrix = bytes(content[128:])
    matrix = struct.pack("<2I", 14, 2**32 - 8) + matrix[8:]
    packed = zlib.compress(matrix)
    (tmp_path / "b.mat").write_bytes(bytes(content[:128]) + struct.pack("<2I", 15, len(packed)) + packed)
    with pytest.raises(FileError, match=r"more than .* of compressed data can hold"):
        read(tmp_path / "b.mat")


def test_other_byte_order(tmp_path: Path) -> None:
    values = np.arange(60, dtype=">i2").reshape(3, 4, 5)
    dims, name = struct.pack(">3i", 5, 4, 3), b"images\0\0"
    body = struct.pack(">4I", 6, 8, 10, 0) + struct.pack(">2I", 5, 12) + dims + b"\0" * 4
    body += struct.pack(">2I", 1, 6) + name + struct.pack(">2I", 3, values.nbytes) + values.tobytes()
    head = b"MATLAB 5.0 MAT-file".ljust(124) + b"\1\0MI"
    (tmp_path / "big.mat").write_bytes(head + struct.pack(">2I", 14, len(body)) + body)
    series = read(tmp_path / "big.mat")
    np.testing.assert_array_equal(series.values, values)
    assert series.values.dtype.isnative
    np.testing.assert_array_equal(loadmat(tmp_path / "big.mat")["images"].T, values)


def test_a_damaged_file_of_angles_beside_does_no_harm(tmp_path: Path) -> None:
    savemat(tmp_path / "p.mat", {"p": PROJECTIONS})
    shutil.copyfile(tmp_path / "p.mat", tmp_path / "angles.mat")
    (tmp_path / "angles2.mat").write_bytes(b"MATLAB 5.0".ljust(126) + b"IM" + b"\1" * 40)
    (tmp_path / "angle3.mat").write_bytes(b"")
    assert type(read(tmp_path / "p.mat")) is ImageSeries
