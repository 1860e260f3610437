"""Every format: a small file written here gives back its values, type, pixel size, tilt and voltage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from atomseg_app.benchmarks.sample_files import PIXEL_NM, SAMPLES, TILTS_DEG, sample_image, sample_series
from atomseg_app.data import Image, ImageSeries, TiltSeries, Volume
from atomseg_app.errors import NotAnImageError
from atomseg_app.io.files import SUPPORTED, inspect, read
from atomseg_app.operations import Report

UNCALIBRATED = ("image.png", "image.jpg", "image.bmp", "image.npy", "plain.mat", "packed.mat", "hdf5.mat")
TILTED = ("tilts.mrc", "plain.npz", "packed.npz", "berkeley.emd", "signal.hspy", "signal.zspy", "zipped.zspy")
WITH_VOLTAGE = (
    "image.dm3",
    "image.dm4",
    "stack.dm3",
    "document.emi",
    "tilts.mrc",
    "velox.emd",
    "berkeley.emd",
    "signal.hspy",
)
LOSSY = ("image.jpg", "image.bmp")
READABLE = [name for name in SAMPLES if name != "map.blo"]


def test_every_format_has_a_sample() -> None:
    covered = {Path(name).suffix for name in SAMPLES}
    aliases = {".jpeg", ".tiff", ".hdf5", ".nxs", ".mrcs", ".rec", ".ali", ".st", ".map"}
    assert covered | aliases == set(SUPPORTED)


@pytest.mark.parametrize("name", READABLE)
def test_round_trip(name: str, tmp_path: Path) -> None:
    SAMPLES[name](tmp_path / name)
    (info,) = inspect(tmp_path / name)
    item = read(tmp_path / name)
    assert not info.refusal
    expected = sample_image() if item.values.ndim == 2 else sample_series()
    if name not in LOSSY:
        assert item.values.dtype.itemsize == expected.dtype.itemsize
        np.testing.assert_array_equal(item.values, expected)
    else:
        np.testing.assert_allclose(item.values, expected >> 4, atol=60 if name.endswith("jpg") else 0)
    assert (info.shape, info.dtype, info.kind) == (item.values.shape, item.values.dtype.name, item.kind)
    sizes = item.pixel_size_nm
    assert sizes == pytest.approx((PIXEL_NM,) * len(sizes)) if name not in UNCALIBRATED else sizes == (None, None)
    assert not item.values.flags.writeable
    if name in TILTED:
        assert isinstance(item, TiltSeries)
        assert item.tilt_deg == pytest.approx(TILTS_DEG)
    if name in WITH_VOLTAGE:
        assert item.metadata["kV"] == 200.0


def test_single_images_keep_their_tilt(tmp_path: Path) -> None:
    for name in ("image.dm3", "document.emi", "velox.emd"):
        SAMPLES[name](tmp_path / name)
        item = read(tmp_path / name)
        assert isinstance(item, Image)
        assert item.metadata["tilt_deg"] == pytest.approx(-12.5)


def test_four_axes_are_refused_by_name(tmp_path: Path) -> None:
    SAMPLES["map.blo"](tmp_path / "map.blo")
    (info,) = inspect(tmp_path / "map.blo")
    assert (info.kind, info.shape, info.pixel_size_nm) == ("diffraction-4d", (2, 3, 4, 4), (5.0, 5.0))
    with pytest.raises(NotAnImageError, match=r"map\.blo cannot be opened as an image: it has 4 axes") as refusal:
        read(tmp_path / "map.blo")
    assert (refusal.value.kind, refusal.value.shape) == ("diffraction-4d", (2, 3, 4, 4))


def test_uncompressed_files_are_mapped(tmp_path: Path) -> None:
    mapped = ("image.dm3", "image_1.ser", "tilts.mrc", "image.tif", "big.tif", "imagej.tif", "image.npy", "plain.npz",
              "berkeley.emd", "plain.mat", "hdf5.mat", "volume.vti", "volume.nrrd", "volume.h5")  # fmt: skip
    for name in mapped:
        SAMPLES[name](tmp_path / name)
        assert isinstance(read(tmp_path / name).values, np.memmap), name


def test_folder_of_tilts_is_one_series(tmp_path: Path) -> None:
    from atomseg_app.benchmarks.dm_writer import write_dm

    frames = sample_series().astype(np.float32)
    for number, angle in ((1, -60.0), (2, 0.0), (10, 45.5)):
        tags = {"Microscope Info": {"Stage Position": {"Stage Alpha": angle}}}
        write_dm(tmp_path / f"tilt_{number}.dm3", frames[number % 5], PIXEL_NM, "nm", tags)
    series = read(tmp_path)
    assert isinstance(series, TiltSeries)
    assert series.tilt_deg == (-60.0, 0.0, 45.5)
    assert series.pixel_size_nm == (PIXEL_NM, PIXEL_NM)
    np.testing.assert_array_equal(series.values, frames[[1, 2, 0]])


def test_ser_beside_its_emi_knows_tilt_and_voltage(tmp_path: Path) -> None:
    SAMPLES["document.emi"](tmp_path / "document.emi")
    item = read(tmp_path / "document_1.ser")
    assert (item.metadata["tilt_deg"], item.metadata["kV"]) == (-12.5, 200.0)


def test_angles_come_from_the_files_beside(tmp_path: Path) -> None:
    path = tmp_path / "series.npy"
    np.save(path, sample_series())
    assert isinstance(read(path), ImageSeries)
    path.with_suffix(".rawtlt").write_text("\n".join(f"{angle:.2f}" for angle in TILTS_DEG), "ascii")
    series = read(path)
    assert isinstance(series, TiltSeries)
    assert series.tilt_deg == TILTS_DEG
    path.with_suffix(".rawtlt").write_text("1\n2\n3\n", "ascii")  # of another series
    assert isinstance(read(path), ImageSeries)


def test_refined_angles_of_an_aligned_stack(tmp_path: Path) -> None:
    SAMPLES["tilts.mrc"](tmp_path / "tilts.mrc")
    (tmp_path / "tilts.mrc").rename(tmp_path / "tilts.ali")
    (tmp_path / "tilts.rawtlt").write_text("1 2 3 4 5", "ascii")
    (tmp_path / "tilts.tlt").write_text("1.1 2.1 3.1 4.1 5.1", "ascii")
    assert inspect(tmp_path / "tilts.ali")[0].tilt_deg == (1.1, 2.1, 3.1, 4.1, 5.1)
    (tmp_path / "tilts.ali").rename(tmp_path / "tilts.rec")
    assert isinstance(read(tmp_path / "tilts.rec"), Volume)


def test_mrc_volume_with_permuted_axes(tmp_path: Path) -> None:
    import mrcfile

    values = np.arange(2 * 3 * 4, dtype=np.float32).reshape(2, 3, 4)  # (z, y, x)
    with mrcfile.new(tmp_path / "volume.mrc") as file:
        file.set_data(np.ascontiguousarray(values.transpose(1, 2, 0)))  # stored: sections y, rows x, columns z
        file.set_volume()
        file.header.mapc, file.header.mapr, file.header.maps = 3, 1, 2
        file.voxel_size = 2.5
    volume = read(tmp_path / "volume.mrc")
    assert isinstance(volume, Volume)
    assert volume.pixel_size_nm == pytest.approx((0.25, 0.25, 0.25))
    np.testing.assert_array_equal(volume.values, values)


def test_mrc_written_by_another_program(tmp_path: Path) -> None:
    import mrcfile

    for number, values in enumerate((sample_image(), sample_series(), sample_image().astype(np.float16))):
        path = tmp_path / f"{number}.mrc"
        mrcfile.write(path, values, voxel_size=1.5)
        item = read(path)
        np.testing.assert_array_equal(item.values, values)
        assert item.pixel_size_nm[-2:] == pytest.approx((0.15, 0.15))


def test_big_endian_files_give_native_values(tmp_path: Path) -> None:
    import tifffile

    tifffile.imwrite(tmp_path / "big.tif", sample_image(), byteorder=">")
    np.save(tmp_path / "big.npy", sample_image().astype(">u2"))
    for name in ("big.tif", "big.npy"):
        values = read(tmp_path / name).values
        assert values.dtype == np.dtype(np.uint16)
        assert values.dtype.isnative
        np.testing.assert_array_equal(values, sample_image())


def test_fortran_order(tmp_path: Path) -> None:
    values = np.asfortranarray(sample_series())
    np.save(tmp_path / "fortran.npy", values)
    np.savez_compressed(tmp_path / "fortran.npz", data=values)
    for name in ("fortran.npy", "fortran.npz"):
        np.testing.assert_array_equal(read(tmp_path / name).values, values)


def test_grey_picture_saved_in_colour(tmp_path: Path) -> None:
    from PIL import Image as PillowImage

    values = (sample_image() >> 4).astype(np.uint8)
    PillowImage.fromarray(np.stack([values] * 3, axis=-1)).save(tmp_path / "grey.png")
    report = Report()
    item = read(tmp_path / "grey.png", report=report)
    np.testing.assert_array_equal(item.values, values)
    assert report.facts.notes == []


def test_colours_become_luminance_with_a_note(tmp_path: Path) -> None:
    import tifffile
    from PIL import Image as PillowImage

    rgb = np.random.default_rng(1).integers(0, 255, (30, 20, 3)).astype(np.uint8)
    PillowImage.fromarray(rgb).save(tmp_path / "colour.png")
    tifffile.imwrite(tmp_path / "colour.tif", rgb, photometric="rgb")
    for name in ("colour.png", "colour.tif"):
        report = Report()
        item = read(tmp_path / name, report=report)
        expected = np.rint(rgb @ np.array([0.299, 0.587, 0.114]))
        np.testing.assert_array_equal(item.values, expected)
        assert [note for note in report.facts.notes if "luminance" in note]


def test_archives_name_their_images(tmp_path: Path) -> None:
    table, image = np.zeros((50, 3)), sample_image()
    np.savez(tmp_path / "all.npz", peaks=table, other=image + 1, image=image, dx_A=0.2, kV=80.0)
    infos = inspect(tmp_path / "all.npz")
    assert [info.name for info in infos] == ["image", "peaks", "other"]
    assert {info.name: info.kind for info in infos}["peaks"] == "table"
    assert read(tmp_path / "all.npz", "other").values[0, 0] == image[0, 0] + 1
    assert read(tmp_path / "all.npz").pixel_size_nm == pytest.approx((0.02, 0.02))
    assert read(tmp_path / "all.npz").metadata["kV"] == 80.0


def test_sidecar_of_an_array(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", sample_image())
    text = '{"scan": {"field_of_view_x": 8.0, "field_of_view_y": 2.4, "field_of_view_units": "nm", "voltage": "60 kV"}}'
    (tmp_path / "a.json").write_text(text, "utf-8")
    item = read(tmp_path / "a.npy")
    assert item.pixel_size_nm == pytest.approx((0.1, 0.2))
    assert item.metadata["kV"] == 60.0


def test_print_resolution_is_no_pixel_size(tmp_path: Path) -> None:
    import tifffile

    tifffile.imwrite(tmp_path / "dpi.tif", sample_image(), resolution=(300, 300), resolutionunit="INCH", metadata=None)
    assert read(tmp_path / "dpi.tif").pixel_size_nm == (None, None)


def test_ome_sizes_and_units(tmp_path: Path) -> None:
    import tifffile

    for unit, factor in (("µm", 1000), ("nm", 1), ("Å", 0.1), ("pm", 0.001)):
        metadata = {"PhysicalSizeX": 0.5, "PhysicalSizeXUnit": unit, "PhysicalSizeY": 0.25, "PhysicalSizeYUnit": unit}
        tifffile.imwrite(tmp_path / "a.ome.tif", sample_image(), metadata=metadata)
        assert read(tmp_path / "a.ome.tif").pixel_size_nm == pytest.approx((0.25 * factor, 0.5 * factor))


def test_pages_of_a_tiff_are_frames(tmp_path: Path) -> None:
    import tifffile

    tifffile.imwrite(tmp_path / "frames.tif", sample_series(), photometric="minisblack")
    series = read(tmp_path / "frames.tif")
    assert isinstance(series, ImageSeries)
    np.testing.assert_array_equal(series.values, sample_series())
