"""Bad files: every one gives a single clear sentence that names it, takes little memory, and loses nothing."""

from __future__ import annotations

import contextlib
import json
import re
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest

from atomseg_app.benchmarks.dm_writer import write_dm
from atomseg_app.benchmarks.sample_files import SAMPLES, sample_image, sample_series
from atomseg_app.errors import FileError, NotAnImageError, UserError
from atomseg_app.io.files import find_inputs, inspect, read
from atomseg_app.operations import Report

FILES = [name for name in SAMPLES if name not in ("signal.zspy", "volume.ome.zarr")]
SINGLE = [name for name in FILES if name not in ("map.blo", "document.emi")]


def sentence(path: Path, *words: str) -> str:
    """The message that reading a file fails with, checked to be one for users."""
    with pytest.raises(FileError) as failure:
        read(path)
    text = str(failure.value)
    assert path.name in text
    assert "\n" not in text
    assert text.endswith(".")
    for word in words:
        assert word in text, text
    return text


@pytest.mark.parametrize("name", FILES)
def test_cut_files(name: str, tmp_path: Path) -> None:
    """At no length does a beginning of a file pass for all of it, but where only padding is lost."""
    SAMPLES[name](tmp_path / name)
    content = (tmp_path / name).read_bytes()
    whole = None if name == "map.blo" else read(tmp_path / name).values.copy()
    for part in (0.02, 0.1, 0.3, 0.5, 0.8, 0.95):
        (tmp_path / name).write_bytes(content[: int(len(content) * part)])
        values = None
        with contextlib.suppress(UserError):
            values = read(tmp_path / name).values
        if values is None:
            with pytest.raises(UserError, match=re.escape(name)):
                read(tmp_path / name)
        else:
            np.testing.assert_array_equal(values, whole)
            assert name == "document.emi" or part > 0.3


@pytest.mark.parametrize("name", FILES)
def test_empty_files(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"")
    sentence(tmp_path / name, "is empty")


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("other", [".tif", ".dm3", ".png", ".mrc", ".npy", ".h5"])
def test_misnamed_files_open_by_content(name: str, other: str, tmp_path: Path) -> None:
    SAMPLES[name](tmp_path / name)
    expected = read(tmp_path / name)
    renamed = (tmp_path / name).rename(tmp_path / f"misnamed{other}")
    lines: list[str] = []
    item = read(renamed, report=Report(on_log=lambda level, text: lines.append(text)))
    np.testing.assert_array_equal(item.values, expected.values)
    assert bool(lines) == (item.metadata["format"] not in _titles(other))


def _titles(suffix: str) -> set[str]:
    from atomseg_app.io.formats import FORMATS

    return {form.title for form in FORMATS if suffix in form.extensions}


@pytest.mark.parametrize("name", ["a.dm3", "a.tif", "a.png", "a.emd", "a.ser", "a.npz"])
def test_text_under_another_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text("x_px,y_px\n1,2\n" * 200, "utf-8")
    sentence(tmp_path / name, "whatever its name says")


def test_unknown_format_and_missing_file(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("a,b\n1,2\n", "utf-8")
    sentence(tmp_path / "table.csv", "no format that can be opened", ".dm3")
    sentence(tmp_path / "nowhere.dm3", "does not exist")
    with pytest.raises(FileError, match="cannot be read as folder of images: there are no images"):
        inspect(tmp_path)


def test_an_unreadable_name() -> None:
    with pytest.raises(FileError, match=r"cannot be opened|does not exist"):
        read("a\0b.dm3")


def test_paths_with_spaces_and_other_letters(tmp_path: Path) -> None:
    folder = tmp_path / "Messung Nr. 5 – Gold µm 金"
    folder.mkdir()
    for name in SAMPLES:
        path = folder / f"größe & 測定 {name}"
        SAMPLES[name](path)
        assert inspect(path)
        if name != "map.blo":
            assert read(path).values.size


@pytest.mark.parametrize("suffix", ["npy", "tif", "mrc", "hspy"])
def test_files_full_of_nan_open_with_a_note(suffix: str, tmp_path: Path) -> None:
    import mrcfile
    import tifffile

    values = np.full((6, 7), np.nan, np.float32)
    path = tmp_path / f"nan.{suffix}"
    if suffix == "npy":
        np.save(path, values)
    elif suffix == "tif":
        tifffile.imwrite(path, values)
    elif suffix == "mrc":
        with pytest.warns(RuntimeWarning, match="NaN"):
            mrcfile.write(path, values)
    else:
        _write_hspy(path, values)
    report = Report()
    item = read(path, report=report)
    assert np.isnan(item.values).all()
    assert item.metadata["non_finite_pixels"] == 42
    assert any("none of its pixels is a finite number" in note for note in report.facts.notes)


def _write_hspy(path: Path, values: np.ndarray, **options: object) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset("Experiments/x/data", data=values, **options)


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (0, 0), (0, 4, 4)])
def test_images_without_pixels(shape: tuple[int, ...], tmp_path: Path) -> None:
    np.save(tmp_path / "none.npy", np.empty(shape, np.float32))
    _write_hspy(tmp_path / "none.hspy", np.empty(shape, np.float32))
    write_dm(tmp_path / "none.dm3", np.empty(shape, np.float32), 1.0, "nm")
    for name in ("none.npy", "none.hspy", "none.dm3"):
        sentence(tmp_path / name, "it is empty")


def test_images_of_one_pixel(tmp_path: Path) -> None:
    import tifffile
    from PIL import Image as PillowImage

    one = np.array([[7]], np.uint16)
    np.save(tmp_path / "one.npy", one)
    tifffile.imwrite(tmp_path / "one.tif", one)
    PillowImage.fromarray(one).save(tmp_path / "one.png")
    write_dm(tmp_path / "one.dm3", one, 0.1, "nm")
    _write_hspy(tmp_path / "one.hspy", one)
    for name in ("one.npy", "one.tif", "one.png", "one.dm3", "one.hspy"):
        item = read(tmp_path / name)
        assert (item.kind, item.values.tolist()) == ("image", [[7]])


@pytest.mark.parametrize("dtype", ["c8", "c16"])
def test_complex_images_are_refused(dtype: str, tmp_path: Path) -> None:
    np.save(tmp_path / "fft.npy", np.zeros((4, 4), dtype))
    assert inspect(tmp_path / "fft.npy")[0].kind == "complex"
    with pytest.raises(NotAnImageError, match="complex numbers") as refusal:
        read(tmp_path / "fft.npy")
    assert refusal.value.kind == "complex"


def test_spectra_are_refused(tmp_path: Path) -> None:
    write_dm(tmp_path / "eels.dm3", np.zeros((1, 64), np.float32), 0.1, "eV")
    np.save(tmp_path / "line.npy", np.zeros(100))
    for name in ("eels.dm3", "line.npy"):
        assert inspect(tmp_path / name)[0].kind == "spectrum"
        with pytest.raises(NotAnImageError, match=rf"{name} cannot be opened as an image: it is a spectrum"):
            read(tmp_path / name)


def test_nothing_that_can_run_code_is_loaded(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path(tmp_path / "exploded").touch, ())

    np.save(tmp_path / "objects.npy", np.array([Bomb(), Bomb()], object), allow_pickle=True)
    np.savez(tmp_path / "objects.npz", a=np.array([[Bomb()]], object))
    sentence(tmp_path / "objects.npy", "Python objects")
    sentence(tmp_path / "objects.npz")
    assert not (tmp_path / "exploded").exists()


def test_unknown_dataset_is_named(tmp_path: Path) -> None:
    SAMPLES["velox.emd"](tmp_path / "velox.emd")
    with pytest.raises(UserError, match=r"velox\.emd holds no dataset 'x'; it holds 'Data/Image/0123"):
        read(tmp_path / "velox.emd", "x")


def test_document_without_its_series(tmp_path: Path) -> None:
    SAMPLES["document.emi"](tmp_path / "document.emi")
    (tmp_path / "document_1.ser").unlink()
    sentence(tmp_path / "document.emi", "document_1.ser, which is not beside it")


def test_headers_that_promise_more_than_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sizes of 40,000 squared in headers of small files: refused before an array of that size is made."""
    big = 40_000
    SAMPLES["tilts.mrc"](tmp_path / "a.mrc")
    _patch(tmp_path / "a.mrc", 0, struct.pack("<3i", big, big, 9))
    SAMPLES["image_1.ser"](tmp_path / "a.ser")
    _patch(tmp_path / "a.ser", 70 + 42, struct.pack("<II", big, big))
    (tmp_path / "a.npy").write_bytes(_npy_header((big, big)) + b"\0" * 100)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("image.npy", _npy_header((big, big)) + b"\0" * 100)
    _png(tmp_path / "a.png", big, big)
    _tiff(tmp_path / "a.tif", big, big)
    _hdf5_chunks(tmp_path / "a.hspy", big)
    monkeypatch.setattr("numpy.zeros", _no_big_array)
    monkeypatch.setattr("numpy.empty", _no_big_array)
    for name in ("a.mrc", "a.ser", "a.npy", "a.npz", "a.png", "a.tif", "a.hspy"):
        sentence(tmp_path / name)


def _no_big_array(shape: object, *args: object, **options: object) -> np.ndarray:
    assert np.prod(shape) < 1e6, f"an array {shape} was made"
    return np.ndarray(shape, *args, **options)


def _patch(path: Path, at: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


def _npy_header(shape: tuple[int, ...]) -> bytes:
    text = repr({"descr": "<u2", "fortran_order": False, "shape": shape}).ljust(117) + "\n"
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text.encode()


def _png(path: Path, width: int, height: int) -> None:
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"\0" * 100)) + chunk(b"IEND", b""))


def _tiff(path: Path, width: int, height: int) -> None:
    tags = [(256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8),
            (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, width * height)]  # fmt: skip
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    path.write_bytes(b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + b"\0" * 104)


def _hdf5_chunks(path: Path, size: int) -> None:
    import h5py

    with h5py.File(path, "w") as file:
        array = file.create_dataset("Experiments/x/data", (size, size), "u2", chunks=(100, 100), compression="gzip")
        array[:100, :100] = 1


def test_zip_bombs(tmp_path: Path) -> None:
    """An archive member that unpacks to far more than a stream of its size can."""
    np.savez_compressed(tmp_path / "bomb.npz", image=np.zeros((2000, 2000), np.uint16))
    assert read(tmp_path / "bomb.npz").values.sum() == 0  # 8 MB of zeros in 8 kB is honest
    content = bytearray((tmp_path / "bomb.npz").read_bytes())
    at = content.rindex(b"PK\1\2") + 24
    content[at : at + 4] = struct.pack("<I", 0x7FFFFFFF)
    (tmp_path / "bomb.npz").write_bytes(bytes(content))
    sentence(tmp_path / "bomb.npz", "not as long as its header says")


def test_hdf5_that_looks_elsewhere(tmp_path: Path) -> None:
    """Values in other files, by external storage, virtual sources or links, are not followed."""
    import h5py

    (tmp_path / "secret.bin").write_bytes(b"\7" * 400)
    with h5py.File(tmp_path / "external.h5", "w") as file:
        file.create_dataset("image", (20, 20), "u1", external=[(str(tmp_path / "secret.bin"), 0, 400)])
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["image"] = sample_image()
    with h5py.File(tmp_path / "link.h5", "w") as file:
        file["image"] = h5py.ExternalLink("other.h5", "/image")
        file["soft"] = h5py.SoftLink("/image")
    with h5py.File(tmp_path / "virtual.h5", "w") as file:
        layout = h5py.VirtualLayout(sample_image().shape, "u2")
        layout[...] = h5py.VirtualSource(tmp_path / "other.h5", "image", sample_image().shape)
        file.create_virtual_dataset("image", layout)
    sentence(tmp_path / "external.h5", "other files")
    sentence(tmp_path / "virtual.h5", "other files")
    sentence(tmp_path / "link.h5", "no array")


def test_a_file_that_another_program_writes(tmp_path: Path) -> None:
    """A lock of another process, or none to be had on a network drive, does not keep a file from being read."""
    import h5py

    code = (
        "import h5py, sys\n"
        "file = h5py.File(sys.argv[1], 'w', locking=True)\n"
        "file['image'] = [[1, 2], [3, 4]]\n"
        "file.flush()\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.h5")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdin is not None
        assert writer.stdout.readline() == "ready\n"
        with pytest.raises(OSError, match="lock"):
            h5py.File(tmp_path / "a.h5", "r", locking=True)
        assert read(tmp_path / "a.h5").values.tolist() == [[1, 2], [3, 4]]
        writer.stdin.close()


def test_arrays_written_in_part(tmp_path: Path) -> None:
    import h5py

    with h5py.File(tmp_path / "part.h5", "w") as file:
        array = file.create_dataset("image", (40, 40), "u2", chunks=(10, 10))
        array[:10] = 3
        file.create_dataset("never", (40, 40), "u2")
    sentence(tmp_path / "part.h5", "only 4 of the 16 pieces")
    with pytest.raises(FileError, match="never written in full"):
        read(tmp_path / "part.h5", "never")


def test_a_loop_in_a_heap_of_texts_ends(tmp_path: Path) -> None:
    """The HDF5 library reads a free space of no size for ever; such a file must be refused before it does."""
    SAMPLES["signal.hspy"](tmp_path / "a.hspy")
    content = bytearray((tmp_path / "a.hspy").read_bytes())
    heap = content.index(b"GCOL")
    size = struct.unpack_from("<Q", content, heap + 8)[0]
    content[heap + 16 : heap + size] = b"\0" * (size - 16)
    (tmp_path / "a.hspy").write_bytes(bytes(content))
    sentence(tmp_path / "a.hspy", "heap of texts")


def test_folder_of_unlike_images(tmp_path: Path) -> None:
    np.save(tmp_path / "1.npy", np.zeros((4, 4)))
    np.save(tmp_path / "2.npy", np.zeros((4, 5)))
    with pytest.raises(FileError, match=r"2\.npy differs from 1\.npy in size"):
        read(tmp_path)


def test_damaged_side_files_do_no_harm(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", sample_series())
    for name, text in (("a.json", '{"pixel_size_nm": '), ("a.rawtlt", "one\ntwo"), ("a.mdoc", "TiltAngle = x\n" * 5)):
        (tmp_path / name).write_text(text, "utf-8")
    assert read(tmp_path / "a.npy").kind == "image-series"
    (tmp_path / "a.json").write_text("[" * 100_000, "utf-8")
    assert read(tmp_path / "a.npy").pixel_size_nm == (None, None)


def test_inputs_keep_their_order(tmp_path: Path) -> None:
    for name in ("b10.dm3", "b2.dm3", "notes.txt", "sub/c.tif", ".hidden.png"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    SAMPLES["document.emi"](tmp_path / "sub" / "scan.emi")
    SAMPLES["signal.zspy"](tmp_path / "sub" / "store.zspy")
    names = [str(path.relative_to(tmp_path)) for path in find_inputs([tmp_path])]
    assert names == ["b2.dm3", "b10.dm3", "sub/c.tif", "sub/scan_1.ser", "sub/store.zspy"]
    given = [tmp_path / "notes.txt", str(tmp_path / "b*.dm3"), tmp_path / "b2.dm3"]
    assert [path.name for path in find_inputs(given)] == ["notes.txt", "b2.dm3", "b10.dm3"]
    with pytest.raises(UserError, match="does not exist"):
        find_inputs([tmp_path / "missing*.tif"])


def test_infos_are_json(tmp_path: Path) -> None:
    from dataclasses import asdict

    for name in SAMPLES:
        SAMPLES[name](tmp_path / name)
        json.dumps([asdict(info) for info in inspect(tmp_path / name)])


def test_links_that_lead_round_in_circles(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", sample_image())
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    assert [path.name for path in find_inputs([tmp_path])] == ["a.npy"]


def test_pieces_of_a_zarr_store_that_promise_more(tmp_path: Path) -> None:
    """The codecs would take the size that a piece states on its word."""
    SAMPLES["signal.zspy"](tmp_path / "a.zspy")
    piece = next(path for path in (tmp_path / "a.zspy").rglob("0.0.0"))
    piece.write_bytes(b"\x28\xb5\x2f\xfd\xe0" + struct.pack("<Q", 1 << 40) + b"\0" * 20)
    sentence(tmp_path / "a.zspy", "a piece of its array is damaged")


def test_hdf5_objects_beyond_the_end(tmp_path: Path) -> None:
    """A size of gigabytes in an object header, of the old and the new kind, is refused before the library obeys it."""
    import h5py

    for libver, mark in (("earliest", b"\1\0"), ("latest", b"OHDR")):
        path = tmp_path / f"{libver}.h5"
        with h5py.File(path, "w", libver=libver) as file:
            at = h5py.h5o.get_info(file.create_dataset("image", data=sample_image()).id).addr
        content = bytearray(path.read_bytes())
        assert content[at : at + len(mark)] == mark
        if libver == "earliest":
            content[at + 8 : at + 12] = struct.pack("<I", 0xFFFFFF00)
        else:
            content[at + 5] |= 3  # a size of eight bytes, read from what follows
        path.write_bytes(bytes(content))
        sentence(path, "reaches beyond its end")


def test_names_in_circles(tmp_path: Path) -> None:
    """The library follows free blocks of a heap of names for ever, taking memory for each."""
    SAMPLES["signal.hspy"](tmp_path / "a.hspy")
    content = bytearray((tmp_path / "a.hspy").read_bytes())
    at = content.index(b"HEAP\0\0\0\0")
    size, _, address = struct.unpack_from("<3Q", content, at + 8)
    content[at + 16 : at + 24] = struct.pack("<Q", size - 32)
    content[address + size - 32 : address + size - 16] = struct.pack("<QQ", size - 32, 32)
    (tmp_path / "a.hspy").write_bytes(bytes(content))
    sentence(tmp_path / "a.hspy", "heap of names")
