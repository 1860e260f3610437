"""Arrays cross unchanged, whatever their dtype and layout, and files are neither copied needlessly nor left behind."""

import gc
import os

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from atomseg_app.data import COLUMN_DTYPE, column_table
from atomseg_app.errors import UserError
from atomseg_app.jobs import arrays as module
from atomseg_app.jobs.arrays import SegmentCache, Segments, attach, reference_in_file

DTYPES = st.sampled_from(["u1", "<i2", ">i2", "f2", "<f4", ">f4", "f8", "c8", "?", "<u4"]).map(np.dtype)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("segments")


@given(data=st.data())
def test_any_array_comes_back(folder, data):
    array = data.draw(arrays.arrays(DTYPES, arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=6)))
    array = array.transpose(data.draw(st.permutations(range(array.ndim))))
    segments = Segments([folder], "p-")
    back = attach(segments.write(array))
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert back.tobytes() == array.tobytes()
    segments.remove_all()
    assert list(folder.iterdir()) == []


def test_a_column_table_comes_back(tmp_path):
    table = column_table(5)
    table["x_px"] = np.arange(5)
    back = attach(Segments([tmp_path], "p-").write(table))
    assert back.dtype == COLUMN_DTYPE
    assert back.tobytes() == table.tobytes()


def test_what_arrives_is_read_only_and_outlives_its_file(tmp_path):
    segments = Segments([tmp_path], "p-")
    reference = segments.write(np.arange(10))
    back = attach(reference)
    segments.remove(reference)
    assert list(tmp_path.iterdir()) == []
    assert back.sum() == 45
    assert not back.flags.writeable


def test_arrays_of_objects_are_refused(tmp_path):
    with pytest.raises(TypeError, match="Python objects"):
        Segments([tmp_path], "p-").write(np.array([{}], object))
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def mapped(tmp_path):
    path = tmp_path / "file with spaces å.raw"
    path.write_bytes(bytes(13) + np.arange(60 * 70, dtype=">i2").tobytes())
    return np.memmap(path, ">i2", "r", 13, (60, 70))


@pytest.mark.parametrize(
    "view",
    [
        lambda a: a,
        lambda a: a[7],
        lambda a: a[3:50:2, 65:2:-3],
        lambda a: a.T,
        lambda a: np.asarray(a)[5:],
        lambda a: a[10:][10:, ::-1],
        lambda a: a.reshape(70, 60)[:, 3],
        lambda a: a.view("u1"),
        lambda a: np.broadcast_to(a[1], (4, 70)),
    ],
)
def test_views_of_a_mapped_file_cross_without_a_copy(mapped, view):
    array = view(mapped)
    reference = reference_in_file(array)
    assert reference["path"] == str(mapped.filename)
    np.testing.assert_array_equal(attach(reference), array)


def test_what_arrives_from_a_file_can_be_sent_on_without_a_copy(mapped):
    again = reference_in_file(attach(reference_in_file(mapped[5:]))[2:])
    np.testing.assert_array_equal(attach(again), mapped[7:])


def test_a_file_that_was_replaced_is_not_referred_to(mapped, tmp_path):
    other = tmp_path / "other"
    other.write_bytes(bytes(13 + 2 * 60 * 70))
    os.replace(other, mapped.filename)
    assert reference_in_file(mapped) is None


@pytest.mark.parametrize("damage", [os.unlink, lambda path: os.truncate(path, 100)])
def test_a_file_that_is_gone_or_cut_short_is_not_referred_to(mapped, damage):
    damage(mapped.filename)
    assert reference_in_file(mapped) is None


def test_private_changes_to_a_mapped_file_are_copied(mapped):
    private = np.memmap(mapped.filename, ">i2", "c", 13, (60, 70))
    private[0, 0] = 99
    assert reference_in_file(private) is None


def test_a_read_only_array_is_written_once_while_it_lives(tmp_path):
    cache = SegmentCache(Segments([tmp_path], "in-"))
    array = np.arange(1000)
    array.flags.writeable = False
    first, again = cache.reference(array), cache.reference(array)
    assert first == again
    assert len(list(tmp_path.iterdir())) == 1
    del array
    gc.collect()
    assert list(tmp_path.iterdir()) == []


def test_an_array_that_can_change_is_written_each_time(tmp_path):
    cache = SegmentCache(Segments([tmp_path], "in-"))
    array = np.arange(1000)
    first, _ = cache.reference(array)
    array[0] = 7
    second, used_once = cache.reference(array)
    assert used_once
    assert (attach(first)[0], attach(second)[0]) == (0, 7)


def test_a_new_array_at_the_same_address_is_another_array(tmp_path):
    cache = SegmentCache(Segments([tmp_path], "in-"))
    for n in range(50):
        array = np.full(10, n)
        array.flags.writeable = False
        assert attach(cache.reference(array)[0])[0] == n
        del array


def test_without_room_the_next_folder_serves(tmp_path, monkeypatch):
    small, large = tmp_path / "small", tmp_path / "large"
    small.mkdir()
    large.mkdir()
    usage = module.shutil.disk_usage
    monkeypatch.setattr(module.shutil, "disk_usage", lambda f: usage(f) if f == large else usage(f)._replace(free=1000))
    reference = Segments([small, large], "p-").write(np.arange(10))
    assert str(large) in reference["path"]


def test_a_full_disk_is_told_in_one_sentence(tmp_path):
    resource = pytest.importorskip("resource", reason="file size limits are those of POSIX")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        with pytest.raises(UserError, match=r"no room for an array of .* GB .*free some space"):
            Segments([tmp_path], "p-").write(np.zeros(100_000))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_only_own_files_are_removed(tmp_path, mapped):
    segments = Segments([tmp_path], "out-1-")
    other = Segments([tmp_path], "out-12-").write(np.arange(3))
    segments.remove(reference_in_file(mapped))
    segments.remove(other)
    segments.write(np.arange(3))
    segments.remove_all()
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([os.path.basename(mapped.filename), "out-12-0"])


def test_the_limit_of_open_files_is_raised_as_far_as_allowed():
    resource = pytest.importorskip("resource", reason="limits are those of POSIX")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, before[1]))
    try:
        module.allow_many_descriptors()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (min(8192, before[1]), before[1])
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
