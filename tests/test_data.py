"""Data objects: calibration is never guessed, and nothing is lost when they are taken apart for transport."""

import json
from dataclasses import FrozenInstanceError

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atomseg_app import places
from atomseg_app.alignment import Alignment
from atomseg_app.data import (
    COLUMN_DTYPE,
    Columns,
    Image,
    ImageSeries,
    Labels,
    Source,
    Step,
    TiltSeries,
    Volume,
    column_table,
    from_parts,
    joined,
    to_parts,
    with_quantities,
)
from atomseg_app.errors import FileError, NotAnImageError, UserError
from atomseg_app.label_classes import LabelClass, numbered

STEP = Step("find-columns", {"method": "log"}, "0.1.0", "cpu", 1.5, "2026-01-01T00:00:00+00:00", ("masked NaN",))
COMMON = {"source": Source("/a b/Å.dm3", "ADF"), "metadata": {"kV": 200.0, "list": [1, 2]}, "history": (STEP,)}


def an_item(kind: str):
    rng = np.random.default_rng(1)
    if kind == "image":
        return Image(rng.integers(0, 65535, (3, 4)).astype(np.uint16), (0.1, 0.2), **COMMON)
    if kind == "image-series":
        return ImageSeries(rng.random((2, 3, 4)), (None, None), **COMMON)
    if kind == "tilt-series":
        lies = Alignment((1.5, -2.0), (0.0, 0.25), (0.0, 0.1), axis_offset_px=7.0, axis_rotation_deg=1.5)
        return TiltSeries(
            rng.random((2, 3, 4), np.float32), (0.1, 0.1), tilt_deg=(-60.0, 60.0), tilt_axis="x", alignment=lies,
            excluded=(1,), euler_deg=((0.0, -60.0, 1.0), (0.0, 60.0, 2.0)), **COMMON,
        )  # fmt: skip
    if kind == "volume":
        return Volume(rng.random((2, 3, 4)), (0.3, 0.2, 0.1), **COMMON)
    if kind == "labels":
        classes = (LabelClass(2, "platinum", "#ff0000"), LabelClass(0, "pores"))
        return Labels(rng.integers(0, 3, (2, 3, 4), np.uint8), (0.3, 0.2, 0.1), classes=classes, **COMMON)
    table = column_table(3)
    table["x_px"] = 1.25
    return Columns(table, (64, 32), (0.1, None), **COMMON)


@pytest.mark.parametrize("kind", ["image", "image-series", "tilt-series", "volume", "labels", "columns"])
def test_parts_make_the_same_item_again_through_json(kind):
    item = an_item(kind)
    header, array = to_parts(item)
    again = from_parts(json.loads(json.dumps(header)), array)
    assert type(again) is type(item)
    assert getattr(again, "alignment", None) == getattr(item, "alignment", None)
    assert getattr(again, "classes", None) == getattr(item, "classes", None)
    other_header, other_array = to_parts(again)
    assert other_header == header
    assert (other_array.dtype, other_array.shape) == (array.dtype, array.shape)
    assert other_array.tobytes() == array.tobytes()
    assert again.history == item.history
    assert again.source == item.source


def test_columns_come_back_from_raw_bytes():
    columns = an_item("columns")
    header, table = to_parts(columns)
    again = from_parts(header, table.view(np.uint8))
    assert again.table.dtype == COLUMN_DTYPE
    assert again.table.tobytes() == table.tobytes()


def test_unknown_kind_is_one_sentence():
    with pytest.raises(UserError, match="'spectrum' is not known"):
        from_parts({"kind": "spectrum"}, np.zeros(3))


@pytest.mark.parametrize("bad", [0, -1.0, float("nan"), float("inf"), None])
def test_a_size_that_is_no_length_counts_as_unknown(bad):
    image = Image(np.zeros((2, 2)), (0.1, bad))
    assert image.pixel_size_nm == (0.1, None)
    assert not image.calibrated


def test_calibration_is_unknown_unless_given_and_is_kept_for_each_axis():
    assert Image(np.zeros((2, 2))).pixel_size_nm == (None, None)
    assert Volume(np.zeros((2, 2, 2))).pixel_size_nm == (None, None, None)
    volume = Volume(np.zeros((2, 3, 4)), (0.3, 0.2, 0.1))
    assert volume.slice_z(1).pixel_size_nm == (0.2, 0.1)
    assert volume.with_pixel_size(0.5).pixel_size_nm == (0.5, 0.5, 0.5)
    assert Image(np.zeros((2, 2))).with_pixel_size(0.1, 0.2).pixel_size_nm == (0.1, 0.2)
    assert Volume(np.zeros((2, 2, 2)), (None, 0.1, 0.1)).calibrated  # in the plane


@pytest.mark.parametrize("sizes", [(0.1,), (0.1, 0.2, 0.3)])
def test_wrong_number_of_pixel_sizes_is_refused(sizes):
    with pytest.raises(UserError, match=f"{len(sizes)} values for 2 axes"):
        Image(np.zeros((2, 2)), sizes)


@pytest.mark.parametrize(("cls", "shape"), [(Image, (3,)), (Image, (1, 2, 3)), (ImageSeries, (2, 2)), (Volume, (2, 2))])
def test_wrong_number_of_axes_names_the_shape(cls, shape):
    with pytest.raises(UserError, match="has shape"):
        cls(np.zeros(shape))


def test_tilts_must_match_the_images():
    with pytest.raises(UserError, match="2 images but 1 tilt"):
        TiltSeries(np.zeros((2, 3, 3)), tilt_deg=(0.0,))
    with pytest.raises(UserError, match="2 images, but the alignment is of 3 views"):
        TiltSeries(np.zeros((2, 3, 3)), tilt_deg=(0.0, 1.0), alignment=Alignment.none(3))
    with pytest.raises(UserError, match="View 2 cannot be excluded"):
        TiltSeries(np.zeros((2, 3, 3)), tilt_deg=(0.0, 1.0), excluded=(2,))


def test_frames_and_slices_are_views_that_say_which_they_are():
    series = ImageSeries(np.arange(24.0).reshape(2, 3, 4), (0.1, 0.2), **COMMON)
    frame = series.frame(1)
    assert frame.values.base is not None
    np.testing.assert_array_equal(frame.values, series.values[1])
    assert frame.metadata == {**COMMON["metadata"], "frame": 1}
    assert (frame.pixel_size_nm, frame.source, frame.history) == ((0.1, 0.2), series.source, series.history)
    assert Volume(np.zeros((2, 3, 4)), (1, 2, 3)).slice_z(1).metadata["slice_z"] == 1


def test_nothing_is_changed_in_place():
    image = Image(np.zeros((2, 2)))
    more = image.with_step(STEP)
    assert (image.history, more.history) == ((), (STEP,))
    assert more.values is image.values
    with pytest.raises(FrozenInstanceError):
        image.pixel_size_nm = (1, 1)


def test_memory_maps_stay_memory_maps(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((4, 5)))
    image = Image(np.load(tmp_path / "a.npy", mmap_mode="r")).with_pixel_size(0.1)
    assert isinstance(image.values, np.memmap)


def test_new_table_knows_nothing_but_its_ids():
    table = column_table(4)
    assert table["column_id"].tolist() == [0, 1, 2, 3]
    assert (table["sublattice"] == -1).all()
    assert all(np.isnan(table[name]).all() for name in COLUMN_DTYPE.names if COLUMN_DTYPE[name].kind == "f")
    assert (table["flag"] == 0).all()


def test_column_table_of_another_type_is_refused():
    with pytest.raises(UserError, match="COLUMN_DTYPE"):
        Columns(np.zeros((3, 2)), (4, 4))


@given(
    st.builds(
        Step, st.text(), st.dictionaries(st.text(), st.integers() | st.floats(allow_nan=False) | st.text()), st.text(),
        notes=st.lists(st.text()).map(tuple),
    )
)  # fmt: skip
def test_history_survives_json(step):
    assert Step.from_json(json.loads(json.dumps(step.to_json()))) == step


@pytest.mark.parametrize(
    ("source", "name"),
    [(Source("/a/b c.tar.dm3"), "b c.tar"), (Source("", "ADF"), "ADF"), (Source(), "untitled")],
)
def test_name_of_a_source(source, name):
    assert source.name == name


def test_errors_for_the_user_are_one_family():
    problem = NotAnImageError("a.dm3 holds a spectrum.", kind="spectrum", shape=(2048,))
    assert isinstance(problem, FileError)
    assert isinstance(problem, UserError)
    assert (str(problem), problem.kind, problem.shape) == ("a.dm3 holds a spectrum.", "spectrum", (2048,))


def test_own_folders_are_below_the_home_given(tmp_path, monkeypatch):
    monkeypatch.setenv("ATOMSEG_HOME", str(tmp_path / "a b"))
    folders = [places.settings_folder(), places.log_folder(), places.data_folder(), places.cache_folder()]
    assert len(set(folders)) == 4
    assert all(folder.is_dir() and folder.is_relative_to(tmp_path / "a b") for folder in folders)
    assert (places.resources_folder() / "samples").is_dir()


def test_quantities_follow_the_fields_and_come_back_from_raw_bytes():
    columns = Columns(column_table(3), (10, 10))
    measured = with_quantities(columns, {"strain_xx": [0.1, np.nan, 0.3], "displacement_x_px": np.arange(3)})
    assert measured.quantities == ("strain_xx", "displacement_x_px")
    assert columns.quantities == ()
    again = with_quantities(measured, {"strain_xx": 1.0})
    assert again.quantities == measured.quantities
    assert (again.table["strain_xx"] == 1).all()
    header, array = to_parts(measured)
    raw = np.frombuffer(array.tobytes(), np.uint8)
    back = from_parts(json.loads(json.dumps(header)), raw)
    assert back.table.dtype == measured.table.dtype
    np.testing.assert_array_equal(back.table["strain_xx"], measured.table["strain_xx"])


@pytest.mark.parametrize("name", ["Strain", "strain xx", "x_px", "", "1st"])
def test_a_quantity_needs_a_name_of_its_own(name):
    with pytest.raises(UserError, match="cannot name a quantity"):
        with_quantities(Columns(column_table(1), (5, 5)), {name: 0.0})


def test_joined_tables_have_the_quantities_of_all():
    one = with_quantities(Columns(column_table(2), (5, 5)), {"strain_xx": 1.0}).table
    table = joined([one, column_table(1)])
    assert table["strain_xx"].tolist()[:2] == [1, 1]
    assert np.isnan(table["strain_xx"][2])


def test_labels_say_what_is_wrong_with_them():
    values = np.zeros((1, 2, 2), np.uint8)
    assert [each.value for each in an_item("labels").classes] == [0, 2]
    assert [each.name for each in numbered([0, 3, 255])] == ["background", "class 3"]
    with pytest.raises(UserError, match="uint8"):
        Labels(values.astype(np.int32))
    with pytest.raises(UserError, match="the value 1"):
        Labels(values, classes=(LabelClass(1, "a"), LabelClass(1, "b")))
    with pytest.raises(UserError, match="the name 'a'"):
        Labels(values, classes=(LabelClass(1, "a"), LabelClass(2, "a")))
    for wrong in ({"value": 255, "name": "a"}, {"value": 1, "name": " "}, {"value": 1, "name": "a", "colour": "red"}):
        with pytest.raises(UserError):
            LabelClass.from_json(wrong)
