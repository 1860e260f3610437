"""Large images: 20,000 x 20,000 pixels open without being loaded, decoded ones lie in a mapped temporary file."""

from __future__ import annotations

import gc
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import psutil
import pytest

from atomseg_app.benchmarks.dm_writer import write_dm
from atomseg_app.benchmarks.sample_files import sample_image, sample_series
from atomseg_app.errors import Cancelled
from atomseg_app.io import mapped
from atomseg_app.io.files import inspect, read
from atomseg_app.operations import Report
from atomseg_app.places import cache_folder

SIDE = 20_000
MARK = (12_345, 6_789)
BYTES = SIDE * SIDE * 2
ALLOWED_BYTES = 40 << 20


def _sparse(path: Path, head: bytes, offset: int, row: int = MARK[0]) -> None:
    """A file with a header, a value of 7 at MARK, and holes elsewhere."""
    with path.open("r+b" if path.exists() else "wb") as file:
        file.write(head)
        file.truncate(offset + BYTES)
        file.seek(offset + 2 * (row * SIDE + MARK[1]))
        file.write(struct.pack("<H", 7))


def _mrc(path: Path) -> None:
    words = np.zeros(256, "<i4")
    words[:4], words[7:10], words[16:19] = (SIDE, SIDE, 1, 6), (SIDE, SIDE, 1), (1, 2, 3)
    words[10:13] = np.full(3, SIDE * 0.2, "<f4").view("<i4")
    _sparse(path, words.tobytes()[:208] + b"MAP DD\0\0" + words.tobytes()[216:], 1024)


def _npy(path: Path) -> None:
    text = repr({"descr": "<u2", "fortran_order": False, "shape": (SIDE, SIDE)}).ljust(117) + "\n"
    _sparse(path, b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode(), 128)


def _tiff(path: Path) -> None:
    tags = [(256, 4, 1, SIDE), (257, 4, 1, SIDE), (258, 3, 1, 16), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 256),
            (277, 3, 1, 1), (278, 4, 1, SIDE), (279, 4, 1, BYTES)]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    _sparse(path, b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + b"\0" * 4, 256)


def _ser(path: Path) -> None:
    head = struct.pack("<HHHIIIIII", 0x4949, 0x0197, 0x0210, 0x4122, 0x4152, 1, 1, 30, 0) + struct.pack("<I", 34)
    element = struct.pack("<ddIddIHII", 0.0, 2e-11, 0, 0.0, 2e-11, 0, 2, SIDE, SIDE)
    _sparse(path, head + element, 84, SIDE - 1 - MARK[0])  # rows from the bottom up


def _hdf5(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        array = file.create_dataset("Experiments/x/data", (SIDE, SIDE), "u2", fill_time="never")
        array[MARK] = 7


def _dm(path: Path) -> None:
    """A small image whose sizes are raised, with a hole put into the middle of its pixels."""
    write_dm(path, np.full((1, 1), 7, np.uint16), 0.02, "nm")
    content = path.read_bytes()
    array = content.index(b"%%%%\0\0\0\3\0\0\0\x14\0\0\0\4\0\0\0\1")  # array, of u2, one
    pixels = array + 20
    count = struct.pack(">I", SIDE * SIDE)
    sides = b"%%%%" + struct.pack(">II", 1, 5) + struct.pack("<I", 1)
    tail = content[pixels + 2 :]
    at = tail.index(b"Dimensions")
    tail = tail[:at] + tail[at:].replace(sides, sides[:-4] + struct.pack("<I", SIDE), 2)
    with path.open("wb") as file:
        file.write(content[: pixels - 4] + count)
        file.seek(pixels + 2 * (MARK[0] * SIDE + MARK[1]))
        file.write(struct.pack("<H", 7))
        file.seek(pixels + BYTES)
        file.write(tail)


@pytest.mark.parametrize(
    ("name", "write"),
    [("a.mrc", _mrc), ("a.npy", _npy), ("a.tif", _tiff), ("a_1.ser", _ser), ("a.hspy", _hdf5), ("a.dm3", _dm)],
)
def test_open_without_loading(name: str, write: Callable[[Path], None], tmp_path: Path) -> None:
    write(tmp_path / name)
    _open_once(tmp_path)  # what libraries take at their first use is not counted
    gc.collect()
    before = psutil.Process().memory_info().rss
    (info,) = inspect(tmp_path / name)
    item = read(tmp_path / name)
    assert item.values.shape == info.shape == (SIDE, SIDE)
    assert item.values[MARK] == 7
    assert item.values[MARK[0], MARK[1] + 1] == 0
    assert psutil.Process().memory_info().rss - before < ALLOWED_BYTES


def _open_once(folder: Path) -> None:
    for name, write in (("s.tif", _small_tiff), ("s.hspy", _small_hspy)):
        write(folder / name)
        read(folder / name)


def _small_tiff(path: Path) -> None:
    import tifffile

    tifffile.imwrite(path, sample_image())


def _small_hspy(path: Path) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file["Experiments/x/data"] = sample_image()


def _compressed(folder: Path, values: np.ndarray) -> list[Path]:
    import h5py
    import tifffile

    tifffile.imwrite(folder / "strips.tif", values, compression="zlib", rowsperstrip=5)
    tifffile.imwrite(folder / "tiles.tif", values, compression="zlib", tile=(16, 16), predictor=True)
    np.savez_compressed(folder / "a.npz", image=values)
    with h5py.File(folder / "a.hspy", "w") as file:
        file.create_dataset("Experiments/x/data", data=values, chunks=tuple(min(8, n) for n in values.shape),
                            compression="gzip")  # fmt: skip
    return [folder / "strips.tif", folder / "tiles.tif", folder / "a.npz", folder / "a.hspy"]


@pytest.mark.parametrize("values", [sample_image(), sample_series().view(np.uint16)], ids=["image", "series"])
def test_decoded_arrays_are_spooled(values: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a limit below their size, compressed arrays are the same but lie in a file, which goes with them."""
    monkeypatch.setattr(mapped, "IN_MEMORY_BYTES", 100)
    monkeypatch.setattr("atomseg_app.io.tiff.IN_MEMORY_BYTES", 100)
    for path in _compressed(tmp_path, values):
        item = read(path)
        assert isinstance(item.values, np.memmap), path.name
        np.testing.assert_array_equal(item.values, values)
        assert len(list((cache_folder() / "decoded").iterdir())) == 1
        del item
        gc.collect()
        assert list((cache_folder() / "decoded").iterdir()) == []


def test_unpacking_holds_little_and_can_be_cancelled(tmp_path: Path) -> None:
    """120 MB of a compressed stack: progress is told, the process holds less, and Cancel ends it at once."""
    import h5py

    with h5py.File(tmp_path / "a.h5", "w") as file:
        array = file.create_dataset("stack", (60, 1000, 1000), "u2", chunks=(1, 1000, 1000), compression="gzip")
        for index in range(60):
            array[index] = index
    fractions: list[float] = []
    before = psutil.Process().memory_info().rss
    item = read(tmp_path / "a.h5", report=Report(on_progress=lambda fraction, message: fractions.append(fraction)))
    assert psutil.Process().memory_info().rss - before < 100 << 20
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert [int(frame[0, 0]) for frame in item.values] == list(range(60))
    with pytest.raises(Cancelled):
        read(tmp_path / "a.h5", report=Report(cancelled=lambda: len(fractions) > 0))


def test_files_of_ended_processes_are_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped, "IN_MEMORY_BYTES", 100)
    folder = cache_folder() / "decoded"
    folder.mkdir()
    (folder / "999999999-0123").write_bytes(b"left behind")
    np.savez_compressed(tmp_path / "a.npz", image=sample_image())
    item = read(tmp_path / "a.npz")
    assert [path.name.startswith("999999999") for path in folder.iterdir()] == [False]
    assert item.values.shape == sample_image().shape


def test_no_room_to_unpack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mapped, "IN_MEMORY_BYTES", 100)
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 1000}))
    np.savez_compressed(tmp_path / "a.npz", image=sample_image())
    with pytest.raises(ValueError, match=r"a\.npz cannot be read .* of free space are needed"):
        read(tmp_path / "a.npz")
