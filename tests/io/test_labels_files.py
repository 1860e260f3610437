"""Labels as files: every format gives them back, with their classes; what is no label or another shape is refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import zarr

from atomseg_app.data import Labels, Volume
from atomseg_app.errors import FileError, UserError
from atomseg_app.io.files import inspect, read
from atomseg_app.io.history_files import history_path
from atomseg_app.io.labels import read_labels, with_ignored, write_labels
from atomseg_app.io.volume_writer import VOLUME_EXTENSIONS, write_volume
from atomseg_app.label_classes import IGNORE, LabelClass

CLASSES = (LabelClass(0, "pores"), LabelClass(1, "γ-alumina", "#112233"), LabelClass(2, "metal"))
SIZES = (0.3, 0.25, 0.2)


def sample() -> Labels:
    values = np.random.default_rng(1).integers(0, 3, (6, 7, 9)).astype(np.uint8)
    values[0, 0, :3] = IGNORE
    return Labels(values, SIZES, classes=CLASSES)


@pytest.mark.parametrize("extension", VOLUME_EXTENSIONS)
def test_every_format_gives_labels_back_with_their_classes(extension: str, tmp_path: Path) -> None:
    labels = sample()
    write_labels(tmp_path / f"v{extension}", labels)
    back = read_labels(tmp_path / f"v{extension}")
    np.testing.assert_array_equal(back.values, labels.values)
    assert back.values.dtype == np.uint8
    assert back.classes == CLASSES
    assert back.pixel_size_nm == pytest.approx(SIZES, rel=1e-5)
    history_path(tmp_path / f"v{extension}").unlink()
    bare = read_labels(tmp_path / f"v{extension}")
    assert [each.value for each in bare.classes] == [0, 1, 2]
    if extension == ".nrrd":
        assert bare.classes[1:] == CLASSES[1:], "segments of 3D Slicer"


def test_a_json_of_other_labels_or_a_damaged_one_names_nothing(tmp_path: Path) -> None:
    path = tmp_path / "v.tif"
    write_labels(path, sample())
    told = json.loads(history_path(path).read_text("utf-8"))
    for wrong in ({**told, "result": "w.tif"}, {**told, "shape": [1, 2, 3]}, {**told, "classes": [{"value": 400}]},
                  {**told, "classes": [told["classes"][0]] * 2}, [1], "x"):  # fmt: skip
        history_path(path).write_text(json.dumps(wrong), "utf-8")
        assert [each.name for each in read_labels(path).classes] == ["background", "class 1", "class 2"]
    history_path(path).write_text("{", "utf-8")
    assert len(read_labels(path).classes) == 3


@pytest.mark.parametrize("kind", ["int64", "float32", "bool", ">i2"])
def test_whole_numbers_of_any_type_are_labels(kind: str, tmp_path: Path) -> None:
    values = (np.arange(24).reshape(2, 3, 4) % 2).astype(kind)
    np.save(tmp_path / "v.npy", values)
    np.testing.assert_array_equal(read_labels(tmp_path / "v.npy").values, values.astype(np.uint8))


@pytest.mark.parametrize(
    ("value", "told"), [(-1, "from -1"), (256, "to 256"), (0.5, "between the whole"), (np.nan, "nan")]
)
def test_what_is_no_label_is_refused_in_a_sentence(value: float, told: str, tmp_path: Path) -> None:
    values = np.zeros((3, 4, 5), np.float32)
    values[1, 2, 3] = value
    np.save(tmp_path / "v.npy", values)
    with pytest.raises(UserError, match=told) as failure:
        read_labels(tmp_path / "v.npy")
    assert "slice 1" in str(failure.value)


def test_another_shape_than_the_volume_is_refused_with_both(tmp_path: Path) -> None:
    write_labels(tmp_path / "v.tif", sample())
    volume = Volume(np.zeros((6, 9, 7), np.float32), SIZES)
    with pytest.raises(UserError, match=r"6 x 7 x 9 .*6 x 9 x 7"):
        read_labels(tmp_path / "v.tif", like=volume)
    np.save(tmp_path / "bare.npy", sample().values)
    assert read_labels(tmp_path / "bare.npy", like=Volume(np.zeros((6, 7, 9)), SIZES)).pixel_size_nm == SIZES
    np.save(tmp_path / "picture.npy", np.zeros((4, 5), np.uint8))
    with pytest.raises(UserError, match="kind image"):
        read_labels(tmp_path / "picture.npy")


def test_a_pickle_is_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "v.npy", np.array([[[{}]]], object), allow_pickle=True)
    with pytest.raises(FileError, match="objects"):
        read_labels(tmp_path / "v.npy")


def test_ignored_values_are_told() -> None:
    labels = Labels(np.array([[[0, 1, 2]]], np.uint8), classes=CLASSES)
    ignored = with_ignored(labels, 0)
    assert ignored.values.tolist() == [[[IGNORE, 1, 2]]]
    assert [each.value for each in ignored.classes] == [1, 2]
    with pytest.raises(UserError, match="stands for unpainted"):
        with_ignored(sample(), 0)


def test_coarser_levels_of_labels_are_no_means(tmp_path: Path) -> None:
    values = (2 * (np.random.default_rng(2).random((140, 20, 24)) > 0.5)).astype(np.uint8)
    write_labels(tmp_path / "v.ome.zarr", Labels(values, SIZES, classes=CLASSES))
    root = zarr.open_group(tmp_path / "v.ome.zarr", mode="r")
    coarse = np.asarray(root["1"])
    np.testing.assert_array_equal(coarse, values[::2, ::2, ::2])
    colours = dict(root.attrs)["ome"]["image-label"]["colors"]
    assert colours[1] == {"label-value": 1, "rgba": [0x11, 0x22, 0x33, 255]}


def test_nrrd_of_other_programs(tmp_path: Path) -> None:
    values = np.arange(2 * 3 * 4, dtype=">i2").reshape(2, 3, 4)
    head = (
        "NRRD0004\r\n# made by hand\r\ntype: short\r\ndimension: 3\r\nsizes: 4 3 2\r\nencoding: gzip\r\n"
        'endian: big\r\nspace directions: (0,2,0) (3,0,4) none\r\nspace units: "um" "um" "um"\r\n\r\n'
    )
    path = tmp_path / "v.nrrd"
    path.write_bytes(head.encode() + gzip.compress(values.tobytes()))
    back = read(path)
    assert isinstance(back, Volume)
    np.testing.assert_array_equal(back.values, values)
    assert back.pixel_size_nm == (None, 5000.0, 2000.0)
    for wrong, told in (
        (head.replace("4 3 2", "4 3"), "sizes"), (head.replace("4 3 2", "4000000 30000 2"), "promises"),
        (head.replace("gzip", "bzip2"), "bzip2"), (head.replace("short", "block"), "block"),
        (head.replace("encoding", "data file: a.raw\r\nencoding"), "another file"), (head.rstrip(), "no end"),
        (head.replace("encoding", "line skip: 3\r\nencoding"), "behind"),
        (head.replace("type: short\r\n", ""), "'type'"),
    ):  # fmt: skip
        path.write_bytes(wrong.encode() + gzip.compress(values.tobytes()))
        with pytest.raises(FileError, match=told):
            read(path)
    path.write_bytes(head.encode() + gzip.compress(values.tobytes())[:-20])
    with pytest.raises(FileError, match="cut short"):
        read(path)


def test_raw_nrrd_is_mapped_and_a_wrong_size_takes_no_memory(tmp_path: Path) -> None:
    write_volume(tmp_path / "v.nrrd", Volume(np.ones((4, 5, 6), np.float32), (1.0, None, 1.0)))
    assert isinstance(read(tmp_path / "v.nrrd").values.base, np.memmap)
    assert inspect(tmp_path / "v.nrrd")[0].pixel_size_nm == (None, None, None)
    content = (tmp_path / "v.nrrd").read_bytes().replace(b"sizes: 6 5 4", b"sizes: 60000 50000 4")
    (tmp_path / "v.nrrd").write_bytes(content)
    with pytest.raises(FileError, match="cut short"):
        read(tmp_path / "v.nrrd")
