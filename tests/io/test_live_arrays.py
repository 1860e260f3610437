"""Arrays in files that are changed in place: kept by a journal as they are, taken over after a crash, tidied up."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from atomseg_app.errors import UserError
from atomseg_app.io import live_arrays
from atomseg_app.io.kept_arrays import KeptArrays, read_kept
from atomseg_app.io.live_arrays import adopted, file_of, live_array

SHAPE = (20, 512, 512)


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATOMSEG_HOME", str(tmp_path / "home"))


def test_a_live_array_is_a_file_that_goes_with_it() -> None:
    array = live_array(SHAPE, np.uint8, 255)
    path = file_of(array)
    assert path is not None
    assert path.stat().st_size >= array.nbytes
    assert (array == 255).all()
    assert file_of(array[3:5]) is None, "a part has no file of its own"
    assert file_of(np.zeros(3)) is None
    del array
    gc.collect()
    assert not path.exists()


def test_a_journal_takes_it_in_once_and_sees_what_is_written_later(tmp_path: Path) -> None:
    kept = KeptArrays(tmp_path / "home" / "data" / "recovery" / "one.atomseg")
    array = live_array(SHAPE, np.uint8, 255)
    token = kept.keep(array)
    array[4, 5, 6] = 2
    assert kept.keep(array) == token
    found = read_kept(tmp_path / "home" / "data" / "recovery" / "one.atomseg", token)
    assert found[4, 5, 6] == 2
    assert found.shape == SHAPE
    file = file_of(array)
    assert file is not None
    assert os.stat(file).st_nlink == 2, "no copy was made"
    del array
    gc.collect()
    again = adopted(found)
    assert again is not None
    kept.discard()
    again[4, 5, 7] = 1
    assert again[4, 5, 6] == 2
    assert file_of(again) is not None


def test_only_whole_arrays_of_their_own_file_are_taken_over(tmp_path: Path) -> None:
    raw = np.memmap(tmp_path / "raw.dat", np.uint8, "w+", shape=(4, 5, 6))
    np.save(tmp_path / "one.npy", raw)
    mapped = np.load(tmp_path / "one.npy", mmap_mode="r")
    assert adopted(np.asarray(raw.copy())) is None
    assert adopted(raw) is None
    assert adopted(mapped[1:]) is None
    assert adopted(mapped) is not None


def test_where_files_have_one_name_only_it_is_copied_each_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(95, "no second names here")

    monkeypatch.setattr(os, "link", refuse)
    journal = tmp_path / "one.atomseg"
    kept, array = KeptArrays(journal), live_array(SHAPE, np.uint8, 255)
    first = kept.keep(array)
    array[0, 0, 0] = 1
    second = kept.keep(array)
    assert first != second
    assert read_kept(journal, first)[0, 0, 0] == 255
    assert read_kept(journal, second)[0, 0, 0] == 1
    assert adopted(read_kept(journal, second)) is None


def test_files_of_processes_that_are_gone_are_removed() -> None:
    script = """
import numpy as np, os, signal
from atomseg_app.io.live_arrays import file_of, live_array
array = live_array((4, 100, 100), np.uint8, 255)
print(file_of(array), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False)
    left = Path(done.stdout.strip())
    assert left.exists(), done.stderr
    mine = live_array((4, 10, 10), np.uint8, 255)
    live_arrays.tidy()
    assert not left.exists()
    path = file_of(mine)
    assert path is not None
    assert path.exists()


def test_no_room_is_told_before_anything_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="no room for 1e\\+18 GB"):
        live_array((10**9, 10**9, 10**9), np.uint8, 0)
    assert not list(live_arrays._folder().iterdir())
