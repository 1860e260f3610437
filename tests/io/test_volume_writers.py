"""Volumes that are saved come back: values, type, voxel size; by our own reader and by others."""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import pytest

from atomseg_app.data import ImageSeries, Step, TiltSeries, Volume
from atomseg_app.errors import Cancelled, FileError, UserError
from atomseg_app.io.files import read
from atomseg_app.io.volume_writer import VOLUME_EXTENSIONS, write_volume
from atomseg_app.operations import Report

SIZES_NM = (0.35, 0.125, 0.0625)
STEP = Step("reconstruct", {"algorithm": "mlem", "iterations": 30}, "1.0")


def sample(dtype: str = "float32", sizes_nm: tuple[float | None, ...] = SIZES_NM) -> Volume:
    """A volume of 5 x 6 x 7 voxels, all different."""
    values = (np.arange(5 * 6 * 7).reshape(5, 6, 7) - (0 if dtype.startswith("u") else 50)).astype(dtype)
    return Volume(values, sizes_nm, history=(STEP,))


@pytest.mark.parametrize("extension", VOLUME_EXTENSIONS)
def test_round_trip(extension: str, tmp_path: Path) -> None:
    volume = sample()
    write_volume(tmp_path / f"v{extension}", volume)
    back = read(tmp_path / f"v{extension}")
    assert isinstance(back, Volume)
    assert back.values.dtype == np.float32
    np.testing.assert_array_equal(back.values, volume.values)
    assert back.pixel_size_nm == pytest.approx(SIZES_NM, rel=1e-6)


@pytest.mark.parametrize("extension", VOLUME_EXTENSIONS)
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "float16", "float32", "bool", ">i2", ">f4"])
def test_no_value_is_changed(extension: str, dtype: str, tmp_path: Path) -> None:
    volume, report = sample(dtype), Report()
    write_volume(tmp_path / f"v{extension}", volume, report)
    np.testing.assert_array_equal(read(tmp_path / f"v{extension}").values, volume.values)
    assert report.facts.notes == []


@pytest.mark.parametrize("extension", VOLUME_EXTENSIONS)
def test_a_size_that_is_not_known_stays_so(extension: str, tmp_path: Path) -> None:
    write_volume(tmp_path / f"v{extension}", sample(sizes_nm=(None, None, None)))
    back = read(tmp_path / f"v{extension}")
    assert isinstance(back, Volume)
    assert back.pixel_size_nm == (None, None, None)


@pytest.mark.parametrize("extension", VOLUME_EXTENSIONS)
def test_a_series_is_no_volume(extension: str, tmp_path: Path) -> None:
    series = TiltSeries(np.zeros((2, 3, 4), np.float32), tilt_deg=(0, 1))
    for item in (series, ImageSeries(series.values)):
        with pytest.raises(UserError, match="is no volume; reconstruct it first"):
            write_volume(tmp_path / f"v{extension}", item)  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("extension", VOLUME_EXTENSIONS)
def test_nothing_half_written(extension: str, tmp_path: Path) -> None:
    """A write that is cancelled leaves the earlier file and nothing else."""

    def stop(fraction: float, message: str) -> None:
        raise Cancelled

    path = tmp_path / f"v{extension}"
    write_volume(path, sample())
    with pytest.raises(Cancelled):
        write_volume(path, sample("int16"), Report(stop))
    assert [each.name for each in tmp_path.iterdir()] == [path.name]
    assert read(path).values.dtype == np.float32
    (tmp_path / "file").write_text("", "utf-8")
    with pytest.raises(FileError, match="could not be written"):
        write_volume(tmp_path / "file" / path.name, sample())


@pytest.mark.parametrize("name", ["volume", "volume.png", "volume.mrc.txt", ".mrc"])
def test_names_of_no_format(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a volume is saved as one of \.mrc"):
        write_volume(tmp_path / name, sample())


def test_mrc_by_another_reader(tmp_path: Path) -> None:
    import mrcfile

    volume = sample()
    write_volume(tmp_path / "v.mrc", volume)
    said = io.StringIO()
    assert mrcfile.validate(tmp_path / "v.mrc", print_file=said), said.getvalue()
    with mrcfile.open(tmp_path / "v.mrc") as file:
        np.testing.assert_array_equal(file.data, volume.values)
        assert file.is_volume()
        voxel = file.voxel_size
        assert (voxel.z, voxel.y, voxel.x) == pytest.approx([10 * size for size in SIZES_NM])
        labels = file.get_labels()
    assert labels[0].startswith("AtomSeg ")
    assert labels[1].rstrip() == "reconstruct algorithm=mlem iterations=30"


def test_mrc_statistics_are_those_of_the_finite_values(tmp_path: Path) -> None:
    volume = sample()
    volume.values[0, 0, 0], volume.values[4, 5, 6] = np.nan, np.inf
    write_volume(tmp_path / "v.mrc", volume)
    finite = volume.values[np.isfinite(volume.values)]
    content = (tmp_path / "v.mrc").read_bytes()
    low, high, mean = struct.unpack_from("<3f", content, 76)
    (rms,) = struct.unpack_from("<f", content, 216)
    assert (low, high) == (finite.min(), finite.max())
    assert (mean, rms) == pytest.approx((finite.mean(), finite.std()))


def test_wide_numbers_are_rounded_with_a_note(tmp_path: Path) -> None:
    volume, report = sample("float64"), Report()
    write_volume(tmp_path / "v.mrc", volume, report)
    np.testing.assert_array_equal(read(tmp_path / "v.mrc").values, volume.values)
    assert report.facts.notes == ["MRC holds no float64 values; they were rounded to 32-bit floats."]
