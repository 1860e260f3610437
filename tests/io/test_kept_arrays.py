"""Large arrays of a recovery journal: written once, gone when nothing speaks of them, found again after a crash."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from atomseg_app.data import Image, TiltSeries, Volume
from atomseg_app.errors import FileError
from atomseg_app.io import journal
from atomseg_app.io.journal import Journal
from atomseg_app.io.kept_arrays import LARGE_BYTES, KeptArrays, folder_of, read_kept
from atomseg_app.io.projects import Project, TabState, load_project, save_project

SIDE = round((LARGE_BYTES / 4) ** (1 / 3)) + 2


@pytest.fixture
def path() -> Path:
    return journal._folder() / "999999-kept.atomseg"


def volume(seed: int) -> Volume:
    return Volume(np.random.default_rng(seed).random((SIDE, SIDE, SIDE), np.float32), (1.0, 1.0, 1.0))


def project(*items: object, note: str = "") -> Project:
    return Project({"tomography": TabState({"note": note}, items)})  # type: ignore[arg-type]


def files(path: Path) -> dict[str, int]:
    return {each.name: each.stat().st_ino for each in folder_of(path).glob("*")}


def test_a_volume_is_written_once_and_goes_when_nobody_speaks_of_it(path: Path) -> None:
    one, other, small = volume(0), volume(1), Image(np.eye(3, dtype=np.float32))
    writer = Journal(path)
    writer.write(project(one, small))
    first = files(path)
    assert len(first) == 1
    assert path.stat().st_size < 20_000
    writer.write(project(replace(one, metadata={"name": "again"}), small, note="changed"))
    writer.write(project(one, other, one))
    both = files(path)
    assert len(both) == 2
    assert first.items() <= both.items(), "the first was not written again"
    found = journal.recover(path).tabs["tomography"].items
    for item, expected in zip(found, (one, other, one), strict=True):
        assert isinstance(item, Volume)
        np.testing.assert_array_equal(item.values, expected.values)
    writer.write(project(other))
    assert files(path) == {name: inode for name, inode in both.items() if name not in first}
    writer.discard()
    assert not path.exists()
    assert not folder_of(path).exists()


def test_a_crash_leaves_them_to_be_recovered_and_discarding_removes_them(path: Path, tmp_path: Path) -> None:
    series = TiltSeries(volume(2).values.transpose(1, 0, 2), tilt_deg=tuple(float(n) for n in range(SIDE)))
    writer = Journal(path)
    writer.write(project(series))
    assert writer._lock is not None
    writer._lock.release()  # as the end of its process does
    (entry,) = [each for each in journal.list_recoverable() if each.path == path]
    assert entry.problem == ""
    recovered = journal.recover(path)
    (item,) = recovered.tabs["tomography"].items
    saved = save_project(tmp_path / "saved.atomseg", recovered)
    journal.discard(path)
    assert not folder_of(path).exists()
    assert saved.path is not None
    (stored,) = load_project(saved.path).tabs["tomography"].items
    for each in (item, stored):
        assert isinstance(each, TiltSeries)
        np.testing.assert_array_equal(each.values, series.values)
    assert not folder_of(saved.path).exists(), "projects hold their arrays themselves"


def test_an_array_that_is_cut_or_missing_is_one_sentence(path: Path) -> None:
    writer = Journal(path)
    writer.write(project(volume(3)))
    (kept,) = folder_of(path).glob("*.npy")
    with kept.open("r+b") as stream:
        stream.truncate(1000)
    with pytest.raises(FileError, match="what it held is lost"):
        journal.recover(path)
    kept.unlink()
    with pytest.raises(FileError, match="what it held is lost"):
        journal.recover(path)
    for token in ("../../secret", 7, None, "0123"):
        with pytest.raises(FileError, match="names no array"):
            read_kept(path, token)
    writer.discard()


def test_an_array_made_anew_at_the_same_place_in_memory_is_another(path: Path) -> None:
    kept = KeptArrays(path)
    values = np.zeros(LARGE_BYTES, np.uint8)
    first = kept.keep(values)
    del values
    assert kept.keep(np.ones(LARGE_BYTES, np.uint8)) != first
    assert kept.keep(np.zeros(LARGE_BYTES - 1, np.uint8)) is None
    kept.discard()


def test_arrays_without_a_journal_go_after_an_hour(path: Path) -> None:
    young, old = (folder_of(path.with_name(f"99999{n}-x.atomseg")) for n in (1, 2))
    for folder in (young, old):
        folder.mkdir()
        (folder / "0123456789abcdef.npy").write_bytes(b"x")
    os.utime(old, (time.time() - 4000,) * 2)
    journal.list_recoverable()
    assert young.exists()
    assert not old.exists()
    young.joinpath("0123456789abcdef.npy").unlink()
    young.rmdir()
