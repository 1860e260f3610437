"""Where each program keeps its pixel size: TIFF tags, units, and the axes that are no lengths."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from atomseg_app.benchmarks.dm_writer import write_dm
from atomseg_app.benchmarks.sample_files import sample_image, sample_series
from atomseg_app.io.dataset import Axis, dataset
from atomseg_app.io.files import inspect, read
from atomseg_app.io.units import degrees_per, is_energy, kilovolts, length_nm, plain
from atomseg_app.operations import Report


@pytest.mark.parametrize(
    ("unit", "nm"),
    [("nm", 1), ("n_m", 1), ("[n_m]", 1), ("µm", 1e3), ("μm", 1e3), ("um", 1e3), ("micron", 1e3), ("\\u00B5m", 1e3),
     ("Å", 0.1), ("A", 0.1), ("Angstrom", 0.1), ("pm", 1e-3), ("m", 1e9), (b"nm", 1)],
)  # fmt: skip
def test_lengths(unit: object, nm: float) -> None:
    assert length_nm(2.0, unit) == pytest.approx(2 * nm)


@pytest.mark.parametrize("unit", ["", None, "1/nm", "nm^-1", "1 / Å", "A^-1", "s", "eV", "deg", "mrad", "px", "[]"])
def test_units_that_are_no_lengths(unit: object) -> None:
    assert length_nm(2.0, unit) is None


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf"), None])
def test_steps_that_are_no_sizes(scale: float | None) -> None:
    assert length_nm(scale, "nm") is None


def test_angles_energies_voltages() -> None:
    assert degrees_per("[deg]") == degrees_per("°") == 1
    assert degrees_per("rad") == pytest.approx(57.29578)
    assert degrees_per("mrad") is None  # a detector angle
    assert is_energy("keV")
    assert not is_energy("nm")
    assert [kilovolts(text) for text in ("300kV", "80000 V", "200", 300000.0, "60 kV", "", None, "x")] == [
        300, 80, 200, 300, 60, None, None, None,
    ]  # fmt: skip
    assert plain("[n_m]") == "nm"


@pytest.mark.parametrize(
    ("axes", "kind", "sizes"),
    [
        ([Axis(4, 2, "nm"), Axis(5, 3, "nm")], "image", (2, 3)),
        ([Axis(3), Axis(4, 2, "nm"), Axis(5, 3, "nm")], "image-series", (2, 3)),
        ([Axis(3, 1, "s"), Axis(4, 2, "nm"), Axis(5, 3, "nm")], "image-series", (2, 3)),
        ([Axis(3, 7, "nm"), Axis(4, 2, "nm"), Axis(5, 3, "nm")], "volume", (7, 2, 3)),
        ([Axis(3, 7, "deg"), Axis(4, 2, "nm"), Axis(5, 3, "nm")], "tilt-series", (2, 3)),
        ([Axis(1, 7, "nm"), Axis(4, 2, "nm"), Axis(5, 3, "nm")], "image", (2, 3)),
        ([Axis(9, 1, "eV"), Axis(4, 2, "nm"), Axis(5, 3, "nm")], "spectrum-image", (2, 3)),
        ([Axis(1, 1, "nm"), Axis(9, 1, "eV")], "spectrum", (1,)),
        ([Axis(9)], "spectrum", ()),
        ([Axis(2, 6, "nm"), Axis(3, 6, "nm"), Axis(4, 1, "1/nm"), Axis(5, 1, "1/nm")], "diffraction-4d", (6, 6)),
    ],
)
def test_what_axes_say(axes: list[Axis], kind: str, sizes: tuple[float, ...]) -> None:
    shape = tuple(axis.size for axis in axes)
    entry = dataset("", axes, np.dtype("f4"), lambda report: np.zeros(shape, "f4"))
    assert (entry.info.kind, entry.info.pixel_size_nm) == (kind, sizes)
    assert entry.load(Report()).shape == entry.info.shape


def test_angles_that_do_not_differ_make_no_tilt_series() -> None:
    axes = [Axis(3), Axis(4), Axis(5)]
    for given, kind, angles in (([5.0], "image-series", (5.0,) * 3), ([1, 2, 3], "tilt-series", (1, 2, 3)),
                                ([2, 2, 2], "image-series", (2, 2, 2)), ([1, 2], "image-series", None),
                                ([1, 2, float("nan")], "image-series", None)):  # fmt: skip
        info = dataset("", axes, np.dtype("f4"), lambda report: np.zeros((3, 4, 5)), tilt_deg=given).info
        assert (info.kind, info.tilt_deg) == (kind, angles)


def _ini(**sections: dict[str, str]) -> str:
    return "\r\n".join(f"[{name}]\r\n" + "\r\n".join(f"{k}={v}" for k, v in s.items()) for name, s in sections.items())


@pytest.mark.parametrize(
    ("code", "text", "sizes"),
    [
        (34680, _ini(Beam={"HV": "30000"}, Scan={"PixelWidth": "2e-9", "PixelHeight": "3e-9"}), (3, 2)),
        (34118, "0\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 1.5 nm\r\n", (1.5, 1.5)),
    ],
    ids=["FEI", "Zeiss"],
)
def test_tags_of_scanning_microscopes(code: int, text: str, sizes: tuple[float, ...], tmp_path: Path) -> None:
    import tifffile

    tifffile.imwrite(tmp_path / "a.tif", sample_image(), metadata=None, extratags=[(code, 2, 0, text, True)])
    assert read(tmp_path / "a.tif").pixel_size_nm == pytest.approx(sizes)


def test_digital_micrograph_tags_in_a_tiff(tmp_path: Path) -> None:
    import tifffile

    tags = [
        (65003, 2, 0, "nm", True),
        (65004, 2, 0, "pm", True),
        (65009, 12, 1, 0.5, True),
        (65010, 12, 1, 250.0, True),
    ]
    tifffile.imwrite(tmp_path / "a.tif", sample_image(), metadata=None, resolution=(72, 72), extratags=tags)
    assert read(tmp_path / "a.tif").pixel_size_nm == pytest.approx((0.25, 0.5))


def test_imagej_slices_with_a_spacing_are_a_volume(tmp_path: Path) -> None:
    import tifffile

    values = sample_series().view(np.uint16)
    metadata = {"unit": "nm", "spacing": 0.5, "axes": "ZYX"}
    tifffile.imwrite(tmp_path / "a.tif", values, imagej=True, resolution=(2, 4), metadata=metadata)
    volume = read(tmp_path / "a.tif")
    assert (volume.kind, volume.pixel_size_nm) == ("volume", (0.5, 0.25, 0.5))


def test_entities_in_xml_are_not_expanded(tmp_path: Path) -> None:
    import tifffile

    pixels = (
        '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="40" SizeY="24" SizeC="1" SizeZ="1" SizeT="1"'
        ' PhysicalSizeX="2" PhysicalSizeY="2"><TiffData/></Pixels>'
    )
    ome = f'<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">{pixels}</Image></OME>'
    tifffile.imwrite(tmp_path / "b.ome.tif", sample_image(), description=ome, metadata=None)
    assert read(tmp_path / "b.ome.tif").pixel_size_nm == (2000, 2000)
    text = f'<!DOCTYPE OME [<!ENTITY a "aaaa">]>{ome}'
    tifffile.imwrite(tmp_path / "a.ome.tif", sample_image(), description=text, metadata=None)
    assert read(tmp_path / "a.ome.tif").pixel_size_nm == (None, None)


def test_steps_and_units_of_each_axis_in_dm(tmp_path: Path) -> None:
    write_dm(tmp_path / "reciprocal.dm4", sample_image(), 0.3, "1/nm")
    assert inspect(tmp_path / "reciprocal.dm4")[0].pixel_size_nm == (None, None)
    write_dm(tmp_path / "angstrom.dm3", sample_image(), 0.3, "Å")
    assert read(tmp_path / "angstrom.dm3").pixel_size_nm == pytest.approx((0.03, 0.03))


def test_importing_the_module_loads_no_reader() -> None:
    """The window asks for supported extensions; nothing heavy may come with them."""
    code = (
        "import sys, atomseg_app.io.files\n"
        "heavy = {'h5py', 'tifffile', 'zarr', 'PIL', 'mrcfile', 'imageio', 'rsciio', 'scipy', 'torch'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
