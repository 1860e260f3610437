"""Writes one small valid file of every format, from seeded noise: for tests and as seeds of the mutated files."""

from __future__ import annotations

import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from atomseg_app.benchmarks.dm_writer import write_dm
from atomseg_app.data import Array, Volume
from atomseg_app.io.volume_writer import write_volume

PIXEL_NM = 0.02
TILTS_DEG = (-60.0, -30.0, 0.0, 30.0, 60.0)
_TAGS = {"Microscope Info": {"Voltage": 200000.0, "Stage Position": {"Stage Alpha": -12.5}}}


def sample_image() -> Array:
    """The image (24, 40) of 16 bits that every sample of one image holds (8 bits where a format has no more)."""
    return np.random.default_rng(7).integers(0, 4000, (24, 40)).astype(np.uint16)


def sample_series() -> Array:
    """The series (5, 16, 20) of 16 bits."""
    return np.random.default_rng(8).integers(0, 4000, (5, 16, 20)).astype(np.int16)


def write_samples(folder: Path) -> list[Path]:
    """Write every sample into a folder; side files (.emi's .ser, .mdoc) are not listed. Returns the paths."""
    written = []
    for name, write in SAMPLES.items():
        path = folder / name
        write(path)
        written.append(path)
    return written


def _dm(path: Path) -> None:
    write_dm(path, sample_image(), PIXEL_NM, "nm", _TAGS)


def _dm_stack(path: Path) -> None:
    write_dm(path, sample_series(), PIXEL_NM * 1000, "pm", _TAGS)


def _ser(path: Path) -> None:
    """Header, one dimension, offsets of the image and of its time stamp, the image, the time stamp."""
    values, step = sample_image(), PIXEL_NM * 1e-9
    head = struct.pack("<HHHIIIIII", 0x4949, 0x0197, 0x0210, 0x4122, 0x4152, 1, 1, 62, 1)
    dimension = struct.pack("<IddIII", 1, 0.0, 1.0, 0, 0, 0)
    element = struct.pack("<ddIddIHII", 0.0, step, 0, 0.0, step, 0, 2, values.shape[1], values.shape[0])
    pixels = values[::-1].astype("<u2").tobytes()
    offsets = struct.pack("<II", 70, 70 + len(element) + len(pixels))
    path.write_bytes(head + dimension + offsets + element + pixels + struct.pack("<HHI", 0x4152, 0, 0))


def _emi(path: Path) -> None:
    _ser(path.with_name(f"{path.stem}_1.ser"))
    entry = "<Data><Label>{}</Label><Value>{}</Value><Unit>{}</Unit></Data>"
    entries = entry.format("High tension", 200, "kV") + entry.format("Stage A", "-12.50", "deg")
    described = f"<ExperimentalDescription><Root>{entries}</Root></ExperimentalDescription>"
    path.write_bytes(b"JK\0\2" + b"\0" * 60 + f"<ObjectInfo>{described}</ObjectInfo>".encode() + b"\0" * 60)


def _mrc(path: Path) -> None:
    values = sample_series()
    words = np.zeros(256, "<i4")
    words[:4], words[7:10] = (*values.shape[::-1], 1), (*values.shape[:0:-1], 1)
    words[10:13] = np.array([values.shape[2] * PIXEL_NM * 10, values.shape[1] * PIXEL_NM * 10, 1], "<f4").view("<i4")
    words[16:19], words[23] = (1, 2, 3), 2 * len(values)
    header = bytearray(words.tobytes())
    header[104:108], header[208:214] = b"SERI", b"MAP DD"
    header[128:132] = struct.pack("<hh", 2, 1)
    angles = b"".join(struct.pack("<h", round(angle * 100)) for angle in TILTS_DEG)
    path.write_bytes(bytes(header) + angles + values.astype("<i2").tobytes())
    path.with_name(f"{path.name}.mdoc").write_text("Voltage = 200\nPixelSpacing = 0.2\n", "utf-8")


def _tiff(**options: Any) -> Callable[[Path], None]:
    """Writer of the image, or with ``imagej`` of the series, calibrated in pixels per cm or in ImageJ's way."""

    def write(path: Path) -> None:
        import tifffile

        if options.get("imagej"):
            values, scale = sample_series().view(np.uint16), 1 / PIXEL_NM
            calibration: dict[str, Any] = {"metadata": {"unit": "nm"}}
        else:
            values, scale = sample_image(), 1e7 / PIXEL_NM
            calibration = {"resolutionunit": 3, "metadata": None}
        tifffile.imwrite(path, values, resolution=(scale, scale), **calibration, **options)

    return write


def _picture(path: Path) -> None:
    from PIL import Image as PillowImage

    values = sample_image()
    PillowImage.fromarray(values if path.suffix == ".png" else (values >> 4).astype(np.uint8)).save(path)


def _npy(path: Path) -> None:
    np.save(path, sample_image())


def _npz(path: Path) -> None:
    (np.savez_compressed if "packed" in path.name else np.savez)(
        path, images=sample_series(), tilts=np.array(TILTS_DEG), pixel_size_nm=PIXEL_NM
    )


def _velox(path: Path) -> None:
    import h5py

    facts = (
        '{"BinaryResult": {"PixelSize": {"width": "2e-11", "height": "2e-11"}, "PixelUnitX": "m", "PixelUnitY": "m",'
        ' "Detector": "HAADF"}, "Stage": {"AlphaTilt": "-0.2181661565"}, "Optics": {"AccelerationVoltage": "200000"}}'
    )
    metadata = np.frombuffer(facts.encode().ljust(1000, b"\0"), np.uint8)[:, None]
    with h5py.File(path, "w") as file:
        group = file.create_group("Data/Image/0123456789abcdef")
        group.create_dataset("Data", data=sample_image()[..., None], chunks=(24, 40, 1))
        group.create_dataset("Metadata", data=metadata)


def _ncem(path: Path) -> None:
    import h5py

    values = sample_series().transpose(2, 1, 0)
    with h5py.File(path, "w") as file:
        group = file.create_group("data/tilt_series")
        group.attrs["emd_group_type"] = 1
        group.create_dataset("data", data=values)
        axes = [("x", "[n_m]", np.arange(20) * PIXEL_NM), ("y", "[n_m]", np.arange(16) * PIXEL_NM)]
        for index, (name, unit, positions) in enumerate([*axes, ("tilt", "[deg]", np.array(TILTS_DEG))]):
            dim = group.create_dataset(f"dim{index + 1}", data=positions)
            dim.attrs["name"], dim.attrs["units"] = name, unit
        file.create_group("microscope").attrs["voltage"] = "200kV"


def _signal_axes() -> list[dict[str, Any]]:
    """HyperSpy's axes of the sample series."""
    tilt = {"name": "tilt", "scale": 30.0, "offset": -60.0, "units": "°", "size": 5, "navigate": True}
    sizes = (("y", 16), ("x", 20))
    common = {"scale": PIXEL_NM, "offset": 0.0, "units": "nm", "navigate": False}
    return [tilt, *({"name": name, "size": size, **common} for name, size in sizes)]


def _hspy(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file.attrs.update({"file_format": "HyperSpy", "file_format_version": "3.3"})
        group = file.create_group("Experiments/sample")
        group.create_group("original_metadata")
        group.create_dataset("data", data=sample_series(), chunks=(1, 16, 20), compression="gzip")
        for index, axis in enumerate(_signal_axes()):
            group.create_group(f"axis-{index}").attrs.update(axis)
        group.create_group("metadata/Acquisition_instrument/TEM").attrs["beam_energy"] = 200.0


def _zspy(path: Path) -> None:
    import zarr
    from zarr.storage import LocalStore

    root = zarr.create_group(LocalStore(path), zarr_format=2)
    root.attrs.update({"file_format": "ZSpy", "file_format_version": "3.3"})
    group = root.create_group("Experiments/sample")
    group.create_group("metadata")
    group.create_group("original_metadata")
    array = group.create_array("data", shape=(5, 16, 20), chunks=(1, 16, 20), dtype="int16")
    array[...] = sample_series()
    for index, axis in enumerate(_signal_axes()):
        group.create_group(f"axis-{index}", attributes=axis)


def _zipped_zspy(path: Path) -> None:
    folder = path.with_suffix(".store")
    _zspy(folder)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder))
    shutil.rmtree(folder)


def _blockfile(path: Path) -> None:
    head = struct.pack("<6sHIIIHHHHHddI", b"IMGBLO", 0x0102, 0x1000, 0x1010, 131141, 4, 0, 3, 2, 0, 5.0, 5.0, 200000)
    patterns = np.random.default_rng(9).integers(0, 255, (6, 22)).astype(np.uint8)
    path.write_bytes(head.ljust(0x1010, b"\0") + patterns.tobytes())


def _mat(path: Path) -> None:
    """The series as MATLAB keeps it, first axis fastest: versions 5 (plain), 7 (packed) and 7.3 (HDF5)."""
    from scipy.io import savemat

    if "hdf5" not in path.name:
        savemat(path, {"images": sample_series().transpose()}, do_compression="packed" in path.name)
        return
    import h5py

    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset("images", data=sample_series()).attrs["MATLAB_class"] = np.bytes_(b"int16")
    with path.open("r+b") as stream:
        stream.write(b"MATLAB 7.3 MAT-file".ljust(124) + b"\0\2IM")


def _volume(path: Path) -> None:
    write_volume(path, Volume(sample_series(), (PIXEL_NM,) * 3))


SAMPLES: dict[str, Callable[[Path], None]] = {
    "image.dm3": _dm, "image.dm4": _dm, "stack.dm3": _dm_stack, "image_1.ser": _ser, "document.emi": _emi,
    "tilts.mrc": _mrc, "image.tif": _tiff(), "packed.tif": _tiff(compression="zlib"), "big.tif": _tiff(bigtiff=True),
    "tiled.tif": _tiff(tile=(16, 16), compression="zlib", predictor=True), "imagej.tif": _tiff(imagej=True),
    "image.png": _picture, "image.jpg": _picture, "image.bmp": _picture, "image.npy": _npy, "plain.npz": _npz,
    "packed.npz": _npz, "velox.emd": _velox, "berkeley.emd": _ncem, "signal.hspy": _hspy, "zipped.zspy": _zipped_zspy,
    "signal.zspy": _zspy, "map.blo": _blockfile, "plain.mat": _mat, "packed.mat": _mat, "hdf5.mat": _mat,
    "volume.vti": _volume, "volume.nrrd": _volume, "volume.ome.zarr": _volume, "volume.h5": _volume,
}  # fmt: skip
"""File name to the function that writes it."""
