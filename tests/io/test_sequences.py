"""Many files as one series: folders, patterns, lists of files; angles of their tags or of a list; scans at a tilt."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from atomseg_app.benchmarks.dm_writer import write_dm
from atomseg_app.benchmarks.sample_files import sample_image
from atomseg_app.data import ImageSeries, TiltSeries
from atomseg_app.errors import FileError, UserError
from atomseg_app.io.files import inspect, read, read_as_one
from atomseg_app.operations import Report


def images(folder: Path, count: int, name: str = "tilt_{}.tif", start: int = 1) -> None:
    """Images whose values tell their number."""
    import tifffile

    for number in range(start, start + count):
        tifffile.imwrite(folder / name.format(number), sample_image() + number)


def numbers(series: object) -> list[int]:
    """Number of each image of a series."""
    assert isinstance(series, ImageSeries)
    return [int(value) for value in series.values[:, 0, 0] - sample_image()[0, 0]]


@pytest.mark.parametrize("pattern", ["tilt_*.tif", "tilt_%d.tif", "tilt_[0-9]*.tif"])
def test_a_pattern_is_one_series_in_the_order_of_numbers(pattern: str, tmp_path: Path) -> None:
    images(tmp_path, 12)
    images(tmp_path, 1, "other_{}.tif", 90)
    series = read(tmp_path / pattern)
    assert numbers(series) == list(range(1, 13))
    assert series.source.path == str(tmp_path / pattern)
    assert numbers(read(series.source.path)) == numbers(series)


def test_padded_numbers(tmp_path: Path) -> None:
    images(tmp_path, 3, "tilt_{:03d}.tif")
    (tmp_path / "tilt_old.tif").write_bytes((tmp_path / "tilt_001.tif").read_bytes())
    assert numbers(read(tmp_path / "tilt_%03d.tif")) == [1, 2, 3]


def test_files_named_one_by_one(tmp_path: Path) -> None:
    images(tmp_path, 11)
    images(tmp_path, 1, "other_{}.tif", 90)
    paths = sorted(tmp_path.glob("tilt_*.tif"))  # as a shell sorts them: 1, 10, 11, 2
    assert numbers(read_as_one(paths)) == list(range(1, 12))
    with pytest.raises(UserError, match=r"not all of .*tilt_\*\.tif .*tilt_4\.tif is left out"):
        read_as_one([path for path in paths if path.stem != "tilt_4"])
    with pytest.raises(UserError, match="different folders"):
        read_as_one([tmp_path / "a" / "1.tif", tmp_path / "b" / "2.tif"])
    assert read_as_one([paths[0]]).kind == "image"


def test_a_file_whose_name_looks_like_a_pattern(tmp_path: Path) -> None:
    images(tmp_path, 1, "[{}].tif")
    assert read(tmp_path / "[1].tif").kind == "image"
    with pytest.raises(FileError, match="cannot be read as numbered images: no file is called so"):
        inspect(tmp_path / "none_*.tif")


def test_a_list_of_angles_in_the_folder(tmp_path: Path) -> None:
    images(tmp_path, 4)
    assert read(tmp_path).kind == "image-series"
    (tmp_path / "any.rawtlt").write_text("-3\n0\n3\n6\n", "ascii")
    for path in (tmp_path, tmp_path / "tilt_*.tif"):
        series = read(path)
        assert isinstance(series, TiltSeries)
        assert series.tilt_deg == (-3, 0, 3, 6)
        assert series.metadata["tilt_source"] == "any.rawtlt"
    images(tmp_path, 1, "tilt_{}.tif", 5)
    report = Report()
    assert read(tmp_path, report=report).kind == "image-series"
    (note,) = report.facts.notes
    assert note.endswith("any.rawtlt has 4 angles but there are 5 images; it was not used.")
    (tmp_path / "other.tlt").write_text("1\n2\n3\n4\n5\n", "ascii")  # which of the two is not known
    assert read(tmp_path).kind == "image-series"


def test_files_of_which_one_tells_no_angle(tmp_path: Path) -> None:
    for number in range(3):
        tags = {"Microscope Info": {"Stage Position": {"Stage Alpha": 10.0 * number}}} if number != 1 else {}
        write_dm(tmp_path / f"{number}.dm3", sample_image().astype(np.float32), 0.5, "nm", tags)
    report = Report()
    assert read(tmp_path, report=report).kind == "image-series"
    assert any(
        note.endswith("1 of its 3 files tell no tilt angle (1.dm3); give the angles.") for note in report.facts.notes
    )


def test_folder_of_digital_micrograph_tilts(data_folder: Path) -> None:
    """Three real DM3 files: stage angles in degrees, from their tags."""
    series = read(data_folder / "tomography" / "DM_Series_Test")
    assert isinstance(series, TiltSeries)
    assert series.shape == (3, 128, 128)
    assert series.tilt_deg == pytest.approx((-72.003, -69.0036, -66.0042), abs=1e-3)
    assert series.pixel_size_nm == pytest.approx((19.1087, 19.1087), rel=1e-4)
    first = read(data_folder / "tomography" / "DM_Series_Test" / "BF_001.dm3")
    np.testing.assert_array_equal(series.values[0], first.values)


def test_serialem_scans_at_several_tilts(data_folder: Path, tmp_path: Path) -> None:
    """Pairs of .mrc and .mdoc, two scans each: all scans are views at the angle of their pair."""
    source = data_folder / "tomography" / "SerialEM_MultiTilt_Test"
    for number, angle in enumerate((-2.0, 0.0, 2.0)):
        shutil.copyfile(source / "test_000.mrc", tmp_path / f"test_{number:03d}.mrc")
        text = (source / "test_000.mdoc").read_text("ascii").replace("TiltAngle = -0.000488", f"TiltAngle = {angle}")
        (tmp_path / f"test_{number:03d}.mdoc").write_text(text, "ascii")
    report = Report()
    series = read(tmp_path, report=report)
    assert isinstance(series, TiltSeries)
    assert series.tilt_deg == (-2, -2, 0, 0, 2, 2)
    assert series.shape == (6, 1024, 1024)
    assert series.pixel_size_nm == pytest.approx((0.788, 0.788))
    assert series.metadata["kV"] == 300.0
    np.testing.assert_array_equal(series.values[4:], read(source / "test_000.mrc").values)
    assert report.facts.notes == [f"{tmp_path.name}: Its 3 files hold up to 2 images each; all of them are views."]


def test_series_that_differ_in_size(tmp_path: Path) -> None:
    np.save(tmp_path / "1.npy", np.zeros((4, 4)))
    np.save(tmp_path / "2.npy", np.zeros((5, 4)))
    with pytest.raises(FileError, match=r"2\.npy differs from 1\.npy in size"):
        read(tmp_path / "*.npy")
    np.save(tmp_path / "2.npy", np.zeros((2, 4, 4)))
    with pytest.raises(FileError, match=r"2\.npy does not hold one single image"):
        read(tmp_path / "*.npy")
