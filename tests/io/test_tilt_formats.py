"""Where microscopes and programs leave tilt angles: built as they write them, read back as degrees."""

from __future__ import annotations

import json
import math
import struct
from pathlib import Path

import numpy as np
import pytest

from atomseg_app.benchmarks.sample_files import sample_series
from atomseg_app.data import ImageSeries, TiltSeries, Volume
from atomseg_app.io.files import inspect, read
from atomseg_app.operations import Report

TILTS = (-60.0, -35.5, 0.0, 20.25, 60.0)


def tilted(path: Path) -> TiltSeries:
    """A file read, checked to be a tilt series of the sample's values."""
    item = read(path)
    assert isinstance(item, TiltSeries)
    np.testing.assert_array_equal(item.values, sample_series())
    return item


def test_velox_frames_in_radians(tmp_path: Path) -> None:
    """Each frame has its own stage angle, a text in radians."""
    import h5py

    frames = [
        json.dumps({"Stage": {"AlphaTilt": str(math.radians(angle))}, "BinaryResult": {
            "PixelSize": {"width": "3e-10", "height": "3e-10"}, "PixelUnitX": "m", "PixelUnitY": "m"}})
        for angle in TILTS
    ]  # fmt: skip
    text = np.stack([np.frombuffer(frame.encode().ljust(500, b"\0"), np.uint8) for frame in frames], axis=1)
    with h5py.File(tmp_path / "v.emd", "w") as file:
        group = file.create_group("Data/Image/abc")
        group.create_dataset("Data", data=sample_series().transpose(1, 2, 0), chunks=(16, 20, 1))
        group.create_dataset("Metadata", data=text)
    series = tilted(tmp_path / "v.emd")
    assert series.tilt_deg == pytest.approx(TILTS)
    assert series.pixel_size_nm == pytest.approx((0.3, 0.3))


@pytest.mark.parametrize("unit", ["[deg]", "[rad]"])
def test_tomviz_series(unit: str, tmp_path: Path) -> None:
    """Angles first, float32, in degrees or radians."""
    import h5py

    angles = np.asarray(TILTS if unit == "[deg]" else np.radians(TILTS), np.float32)
    with h5py.File(tmp_path / "t.emd", "w") as file:
        group = file.create_group("data/tomography")
        group.attrs["emd_group_type"] = np.uint32(1)
        group.create_dataset("data", data=sample_series())
        dims = (("angles", unit, angles), ("y", "[n_m]", np.arange(16) * 0.5), ("x", "[n_m]", np.arange(20) * 0.5))
        for index, (name, units, positions) in enumerate(dims, 1):
            dim = group.create_dataset(f"dim{index}", data=np.asarray(positions, np.float32))
            dim.attrs["name"], dim.attrs["units"] = name, units
        file.create_group("data/tomography/tomviz_scalars")["Scalars"] = h5py.SoftLink("/data/tomography/data")
    series = tilted(tmp_path / "t.emd")
    assert series.tilt_deg == pytest.approx(TILTS, abs=1e-4)
    assert series.pixel_size_nm == pytest.approx((0.5, 0.5))


def test_hyperspy_tilts_of_etspy(data_folder: Path) -> None:
    series = read(data_folder / "tomography" / "HAADF_Aligned.hspy")
    assert isinstance(series, TiltSeries)
    assert series.tilt_deg == pytest.approx(np.arange(-76, 77, 2))
    assert series.pixel_size_nm == pytest.approx((3.36, 3.36), rel=1e-3)


def mrc(path: Path, extended: bytes, mark: bytes, numbers: tuple[int, int]) -> None:
    """The sample as MRC with this extended header."""
    values = sample_series()
    head = bytearray(1024)
    struct.pack_into("<10i", head, 0, *values.shape[::-1], 1, 0, 0, 0, values.shape[2], values.shape[1], 1)
    struct.pack_into("<6f", head, 40, 5.0 * values.shape[2], 5.0 * values.shape[1], 1, 90, 90, 90)
    struct.pack_into("<3i", head, 64, 1, 2, 3)
    struct.pack_into("<i", head, 92, len(extended))
    struct.pack_into("<4s", head, 104, mark)
    struct.pack_into("<2h", head, 128, *numbers)
    head[208:212] = b"MAP "
    path.write_bytes(bytes(head) + extended + values.astype("<i2").tobytes())


@pytest.mark.parametrize("mark", [b"SERI", b"\0\0\0\0"])
@pytest.mark.parametrize("flags", [0b1, 0b111101, 0b100011])
def test_serialem_header_with_and_without_its_mark(mark: bytes, flags: int, tmp_path: Path) -> None:
    """A section has the tilt in hundredths of a degree first, then what the flags say."""
    size = sum(length for bit, length in enumerate((2, 6, 4, 2, 2, 4)) if flags >> bit & 1)
    content = b"".join(struct.pack("<h", round(100 * angle)).ljust(size, b"\7") for angle in TILTS)
    mrc(tmp_path / "s.st", content, mark, (size, flags))
    assert tilted(tmp_path / "s.st").tilt_deg == pytest.approx(TILTS)
    mrc(tmp_path / "s.st", content, mark, (size, flags & ~1))  # no tilt in it
    assert type(read(tmp_path / "s.st")) is ImageSeries


def test_other_numbers_there_are_no_angles(tmp_path: Path) -> None:
    mrc(tmp_path / "s.st", b"\7" * 200, b"\0\0\0\0", (7, 13))
    assert type(read(tmp_path / "s.st")) is ImageSeries


def test_old_fei_header(tmp_path: Path) -> None:
    records = np.zeros((1024, 32), "<f4")
    records[:5, 0], records[:5, 11] = TILTS, 3e-10
    mrc(tmp_path / "f.mrc", records.tobytes(), b"\0\0\0\0", (0, 32))
    assert tilted(tmp_path / "f.mrc").tilt_deg == pytest.approx(TILTS)


@pytest.mark.parametrize("name", ["stack.tif", "stack.mdoc"])
def test_tiff_stack_with_the_mdoc_of_serialem(name: str, tmp_path: Path) -> None:
    import tifffile

    tifffile.imwrite(tmp_path / "stack.tif", sample_series(), photometric="minisblack")
    sections = "".join(f"[ZValue = {z}]\nTiltAngle = {angle}\n" for z, angle in enumerate(TILTS))
    side = tmp_path / (f"{name}.mdoc" if name.endswith("tif") else name)
    side.write_text("PixelSpacing = 5\nVoltage = 200\n" + sections, "utf-8")
    series = tilted(tmp_path / "stack.tif")
    assert series.tilt_deg == TILTS
    assert series.metadata["tilt_source"] == side.name


def test_angles_that_may_be_radians_are_told(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", sample_series())
    (tmp_path / "a.tlt").write_text("\n".join(f"{math.radians(angle):.6f}" for angle in TILTS), "ascii")
    report = Report()
    assert isinstance(read(tmp_path / "a.npy", report=report), TiltSeries)
    assert report.facts.notes == [
        "a.npy: Its angles run from -1.0472 to 1.0472 degrees; if they are radians, give them with 'rad' in a first "
        "line (--angles FILE)."
    ]


def test_a_volume_of_one_slice_stays_a_volume(tmp_path: Path) -> None:
    from atomseg_app.io.volume_writer import write_volume

    for extension in (".mrc", ".rec", ".h5", ".emd", ".ome.zarr", ".vti"):
        write_volume(tmp_path / f"v{extension}", Volume(np.ones((1, 4, 5), np.float32), (0.5, 0.5, 0.5)))
        (info,) = inspect(tmp_path / f"v{extension}")
        assert (info.kind, info.shape) == ("volume", (1, 4, 5)), extension
        if extension != ".emd":  # one position gives no step
            assert info.pixel_size_nm == pytest.approx((0.5, 0.5, 0.5)), extension


def test_opening_loads_nothing(tmp_path: Path) -> None:
    """A series of 6 GB, a hole in the disk, opens by its header and gives one view."""
    import psutil

    views, side = 90, 4096
    head = bytearray(1024)
    struct.pack_into("<10i", head, 0, side, side, views, 2, 0, 0, 0, side, side, 1)
    struct.pack_into("<3i", head, 64, 1, 2, 3)
    head[208:212] = b"MAP "
    with (tmp_path / "big.st").open("wb") as file:
        file.write(head)
        file.truncate(1024 + 4 * views * side * side)
    (tmp_path / "big.tlt").write_text("\n".join(str(angle) for angle in range(-45, 45)), "ascii")
    before = psutil.Process().memory_info().rss
    series = read(tmp_path / "big.st")
    assert isinstance(series, TiltSeries)
    assert series.shape == (views, side, side)
    assert float(series.values[40, 5, 5]) == 0
    assert psutil.Process().memory_info().rss - before < 20 << 20
