"""Volumes that are saved come back: values, type, voxel size; by our own reader and by others."""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path

import numpy as np
import pytest

from atomseg_app.data import ImageSeries, Step, TiltSeries, Volume
from atomseg_app.errors import Cancelled, FileError, NotAnImageError, UserError
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
        with pytest.raises(UserError, match="are no volume; reconstruct them first"):
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


def test_tiff_by_another_reader(tmp_path: Path) -> None:
    import tifffile

    volume = sample()
    write_volume(tmp_path / "v.tif", volume)
    with tifffile.TiffFile(tmp_path / "v.tif") as tiff:
        np.testing.assert_array_equal(tiff.asarray(), volume.values)
        assert tiff.series[0].axes == "ZYX"
        facts, tags = tiff.imagej_metadata, tiff.pages[0].tags
        assert facts is not None
        assert (facts["unit"], facts["spacing"], facts["slices"]) == ("nm", SIZES_NM[0], 5)
        y, x = (tags[name].value for name in ("YResolution", "XResolution"))
    assert (y[1] / y[0], x[1] / x[0]) == pytest.approx(SIZES_NM[1:])


def test_hdf5_as_fiji_and_ilastik_read_it(tmp_path: Path) -> None:
    import h5py

    write_volume(tmp_path / "v.h5", sample())
    with h5py.File(tmp_path / "v.h5") as file:
        array = file["volume"]
        assert array.attrs["axes"] == "zyx"
        assert array.attrs["element_size_um"] == pytest.approx([size / 1000 for size in SIZES_NM])
        (step,) = json.loads(file.attrs["history"])
    assert step["parameters"] == {"algorithm": "mlem", "iterations": 30}


def test_emd_in_the_order_of_tomviz(tmp_path: Path) -> None:
    """(x, y, z) with float positions in nm; its first two give the spacing."""
    import h5py

    volume = sample()
    write_volume(tmp_path / "v.emd", volume)
    with h5py.File(tmp_path / "v.emd") as file:
        group = file["data/tomography"]
        assert (group.attrs["emd_group_type"], file.attrs["version_major"], file.attrs["version_minor"]) == (1, 0, 2)
        np.testing.assert_array_equal(group["data"][...].transpose(2, 1, 0), volume.values)
        for index, (name, size) in enumerate(zip("xyz", SIZES_NM[::-1], strict=True), 1):
            dim = group[f"dim{index}"]
            assert (dim.attrs["name"], dim.attrs["units"], dim.dtype) == (name, "[n_m]", np.float32)
            assert dim[1] - dim[0] == pytest.approx(size)


def test_ome_zarr_has_coarser_levels_in_the_same_place(tmp_path: Path) -> None:
    """A ramp keeps its values at the places that scale and translation give; sums are kept by the mean of eight."""
    import zarr

    z, y, x = np.meshgrid(np.arange(6.0), np.arange(140.0), np.arange(301.0), indexing="ij")
    values = (100 * z + 10 * y + x).astype(np.float32)
    write_volume(tmp_path / "v.ome.zarr", Volume(values, SIZES_NM))
    root = zarr.open_group(tmp_path / "v.ome.zarr", mode="r")
    assert root.metadata.zarr_format == 3
    (image,) = root.attrs["ome"]["multiscales"]
    assert [axis["unit"] for axis in image["axes"]] == ["nanometer"] * 3
    assert [root[str(level)].shape for level in range(3)] == [(6, 140, 301), (3, 70, 150), (1, 35, 75)]
    for level in image["datasets"]:
        scale = np.array(level["coordinateTransformations"][0]["scale"])
        moved = np.array(([t["translation"] for t in level["coordinateTransformations"][1:]] or [[0, 0, 0]])[0])
        array = root[level["path"]][...]
        index = np.stack(np.meshgrid(*(np.arange(size) for size in array.shape), indexing="ij"), -1)
        at = (index * scale + moved) / np.array(SIZES_NM)
        np.testing.assert_allclose(array, at @ [100, 10, 1], rtol=1e-5)
    assert [tuple(root[str(level)].metadata.dimension_names) for level in range(3)] == [("z", "y", "x")] * 3


def test_ome_zarr_of_nothing_but_zeros(tmp_path: Path) -> None:
    """Pieces that are all zero are written too, and pack no more than a reader that mistrusts sizes believes."""
    values = np.zeros((80, 300, 900), np.float32)  # 86 MB
    write_volume(tmp_path / "v.ome.zarr", Volume(values))
    assert not read(tmp_path / "v.ome.zarr").values.any()


def test_ome_zarr_of_other_programs(tmp_path: Path) -> None:
    """Version 0.4 (Zarr 2) with axes t, c, z, y, x of which two have one entry; a series of images; damage."""
    import zarr

    values = np.arange(2 * 3 * 4, dtype=np.uint16).reshape(2, 3, 4)
    root = zarr.create_group(tmp_path / "a.zarr", zarr_format=2)
    root.create_array("0", shape=(1, 1, 2, 3, 4), dtype="uint16")[...] = values[None, None]
    axes = [{"name": "t", "type": "time"}, {"name": "c", "type": "channel"},
            *({"name": name, "type": "space", "unit": "micrometer"} for name in "zyx")]  # fmt: skip
    level = {"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [1, 1, 0.5, 0.25, 0.125]}]}
    root.attrs["multiscales"] = [{"version": "0.4", "axes": axes, "datasets": [level]}]
    volume = read(tmp_path / "a.zarr")
    assert isinstance(volume, Volume)
    np.testing.assert_array_equal(volume.values, values)
    assert volume.pixel_size_nm == (500, 250, 125)
    root.attrs["multiscales"] = [{"axes": axes, "datasets": [{**level, "path": "1"}]}]
    with pytest.raises(FileError, match="array 1 is missing"):
        read(tmp_path / "a.zarr")
    root.attrs["multiscales"] = [{"axes": axes}]
    with pytest.raises(FileError, match=r"\(multiscales\) is damaged"):
        read(tmp_path / "a.zarr")
    root.attrs["multiscales"] = []
    with pytest.raises(FileError, match="neither HyperSpy nor OME"):
        read(tmp_path / "a.zarr")


def test_a_folder_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "v.ome.zarr").mkdir()
    write_volume(tmp_path / "v.ome.zarr", sample())  # an empty one is
    (tmp_path / "w.ome.zarr").mkdir()
    (tmp_path / "w.ome.zarr" / "thesis.txt").write_text("words", "utf-8")
    with pytest.raises(FileError, match="something else of that name is in the way"):
        write_volume(tmp_path / "w.ome.zarr", sample())
    assert (tmp_path / "w.ome.zarr" / "thesis.txt").exists()


VTK_FILES = Path(__file__).parent / "vtk_files"


@pytest.mark.parametrize("path", sorted(VTK_FILES.glob("*.vti")), ids=lambda path: path.stem)
def test_files_written_by_vtk(path: Path) -> None:
    """VTK 9.7 wrote the same 3 x 4 x 5 values in its encodings, with and without zlib; LZ4 is refused by name."""
    expected = (np.arange(3 * 4 * 5) % 50).reshape(3, 4, 5)
    if "lz4" in path.stem:
        with pytest.raises(NotAnImageError, match="vtkLZ4DataCompressor"):
            read(path)
        return
    volume = read(path)
    assert isinstance(volume, Volume)
    assert volume.values.dtype == (np.float32 if "big" in path.stem else np.uint8)
    np.testing.assert_array_equal(volume.values, expected)
    assert volume.pixel_size_nm == (None, None, None)


def test_vti_is_laid_out_as_vtk_says(tmp_path: Path) -> None:
    """The XML before the values, their count of bytes behind the underscore, x fastest."""
    from xml.etree import ElementTree

    volume = sample()
    write_volume(tmp_path / "v.vti", volume)
    content = (tmp_path / "v.vti").read_bytes()
    xml, _, rest = content.partition(b"<AppendedData")
    image = ElementTree.fromstring(xml + b"</VTKFile>").find("ImageData")
    assert image is not None
    assert (image.get("WholeExtent"), image.get("Spacing")) == ("0 6 0 5 0 4", "0.0625 0.125 0.35")
    start = len(xml) + len(b"<AppendedData") + rest.index(b"_") + 1
    assert struct.unpack_from("<Q", content, start) == (volume.values.nbytes,)
    assert content[start + 8 : start + 8 + volume.values.nbytes] == volume.values.tobytes()
    assert (start + 8) % 64 == 0
    assert isinstance(read(tmp_path / "v.vti").values, np.memmap)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"0 6 0 5 0 4", b"0 6 0 5 0 9", "not as many as its extent says"),
        (b'<Piece Extent="0 6', b'<Piece Extent="0 5', "in several pieces"),
        (b"Float32", b"Float16", "unknown type"),
        (b"<?xml version", b"<!DOCTYPE ersio", "declares entities"),
        (b'Components="1"', b'Components="3"', "3 values a voxel"),
    ],
)
def test_damaged_vti(old: bytes, new: bytes, words: str, tmp_path: Path) -> None:
    write_volume(tmp_path / "v.vti", sample())
    content = (tmp_path / "v.vti").read_bytes()
    (tmp_path / "v.vti").write_bytes(content.replace(old, new))
    with pytest.raises(FileError, match=words):
        read(tmp_path / "v.vti")


def test_wide_numbers_are_rounded_with_a_note(tmp_path: Path) -> None:
    volume, report = sample("float64"), Report()
    write_volume(tmp_path / "v.mrc", volume, report)
    np.testing.assert_array_equal(read(tmp_path / "v.mrc").values, volume.values)
    assert report.facts.notes == ["MRC holds no float64 values; they were rounded to 32-bit floats."]
