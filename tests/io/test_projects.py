"""Project files, their lock, and the recovery journal: nothing lost, nothing believed."""

import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from dataclasses import replace

import numpy as np
import pytest

from atomseg_app.data import Columns, Image, ImageSeries, Source, Step, column_table, to_parts
from atomseg_app.errors import FileError
from atomseg_app.io import journal, projects
from atomseg_app.io.journal import Journal
from atomseg_app.io.project_lock import lock_project
from atomseg_app.io.projects import FileReference, Project, TabState, load_project, open_references, save_project


def columns(count: int = 5) -> Columns:
    table = column_table(count)
    table["x_px"] = np.linspace(0.1, 99.7, count)
    table["y_px"] = np.linspace(3.3, 42.0, count)
    table["flag"][:1] = 1
    step = Step("find-columns", {"method": "log"}, "0.1.0", notes=("masked 3 NaN",))
    return Columns(table, (64, 128), (0.01, 0.02), Source("/a/Å b.dm3"), {"kV": 200.0}, (step,))


def file_image(folder, name="image.npy", shape=(20, 30)) -> Image:
    path = folder / name
    np.save(path, np.arange(np.prod(shape), dtype=np.float32).reshape(shape))
    return Image(np.load(path, mmap_mode="r"), (0.1, 0.1), Source(str(path)), {"detector": "HAADF"})


def read(path, dataset):
    return Image(np.load(path), (None, None), Source(str(path), dataset or ""))


def same(one, other) -> None:
    (header, array), (other_header, other_array) = to_parts(one), to_parts(other)
    assert header == other_header
    assert array.dtype == other_array.dtype
    assert array.tobytes() == other_array.tobytes()


def test_round_trip_of_everything_that_is_stored(tmp_path):
    made_here = Image(np.random.default_rng(0).random((7, 9)).T, (0.5, None), metadata={"note": "no file"})
    items = (columns(), made_here, columns(0))
    project = Project({"atoms": TabState({"zoom": 1.5, "limits": [0.1, 99.9], "text": "Ångström"}, items)})
    saved = save_project(tmp_path / "a b.atomseg", project)
    loaded = load_project(tmp_path / "a b.atomseg")
    assert loaded.tabs["atoms"].state == project.tabs["atoms"].state
    assert loaded.path == saved.path == tmp_path / "a b.atomseg"
    assert (loaded.read_only, loaded.message) == (False, "")
    for one, other in zip(items, loaded.tabs["atoms"].items, strict=True):
        same(one, other)


def test_images_of_files_are_referred_to_and_calibration_of_the_user_is_kept(tmp_path):
    image = file_image(tmp_path, shape=(1000, 1000)).with_pixel_size(0.05)
    save_project(tmp_path / "p.atomseg", Project({"atoms": TabState({}, (image,))}))
    assert (tmp_path / "p.atomseg").stat().st_size < 5000
    loaded = load_project(tmp_path / "p.atomseg")
    (reference,) = loaded.tabs["atoms"].items
    assert isinstance(reference, FileReference)
    assert not reference.missing
    assert not reference.changed
    (opened,) = open_references(loaded, read).tabs["atoms"].items
    same(opened, image)


def test_frame_of_a_series_comes_back_as_that_frame(tmp_path):
    path = tmp_path / "movie.npy"
    np.save(path, np.arange(60).reshape(3, 4, 5))
    series = ImageSeries(np.load(path), (None, None), Source(str(path)))
    save_project(tmp_path / "p.atomseg", Project({"atoms": TabState({}, (series.frame(2),))}))
    opened = open_references(load_project(tmp_path / "p.atomseg"), lambda *_: series).tabs["atoms"].items[0]
    same(opened, series.frame(2))


def test_images_changed_by_an_operation_or_without_their_file_are_stored(tmp_path):
    image = file_image(tmp_path)
    changed = image.with_step(Step("crop", {}, "0.1.0"))
    gone = file_image(tmp_path, "gone.npy")
    os.unlink(gone.source.path)
    save_project(tmp_path / "p.atomseg", Project({"atoms": TabState({}, (changed, gone))}))
    for one, other in zip((changed, gone), load_project(tmp_path / "p.atomseg").tabs["atoms"].items, strict=True):
        same(one, other)


def test_project_moved_with_its_images_finds_them(tmp_path):
    (tmp_path / "old" / "data").mkdir(parents=True)
    image = file_image(tmp_path / "old" / "data")
    save_project(tmp_path / "old" / "p.atomseg", Project({"atoms": TabState({}, (image,))}))
    (tmp_path / "old").rename(tmp_path / "new")
    (reference,) = load_project(tmp_path / "new" / "p.atomseg").tabs["atoms"].items
    assert reference.path == tmp_path / "new" / "data" / "image.npy"


def test_relocating_one_missing_file_finds_its_siblings(tmp_path):
    for folder in ("was/one", "was/two"):
        (tmp_path / folder).mkdir(parents=True)
    images = (file_image(tmp_path / "was/one", "a.npy"), file_image(tmp_path / "was/two", "b.npy"))
    save_project(tmp_path / "p.atomseg", Project({"atoms": TabState({}, images)}))
    (tmp_path / "was").rename(tmp_path / "is")
    project = load_project(tmp_path / "p.atomseg")
    assert all(reference.missing for reference in projects.references(project))
    fixed = projects.relocate(project, tmp_path / "was/one/a.npy", tmp_path / "is/one/a.npy")
    assert [r.path for r in projects.references(fixed)] == [tmp_path / "is/one/a.npy", tmp_path / "is/two/b.npy"]
    assert not any(reference.missing for reference in projects.references(fixed))


def test_changed_and_missing_files_are_told_and_nothing_is_lost(tmp_path):
    images = (file_image(tmp_path, "a.npy"), file_image(tmp_path, "b.npy"))
    save_project(tmp_path / "p.atomseg", Project({"atoms": TabState({}, (*images, columns()))}))
    np.save(tmp_path / "a.npy", np.zeros((3, 3)))
    os.unlink(tmp_path / "b.npy")

    def reader(path, dataset):
        if not path.exists():
            raise FileError(f"{path} is not there.")
        return read(path, dataset)

    loaded = load_project(tmp_path / "p.atomseg")
    assert [reference.changed for reference in projects.references(loaded)] == [True, False]
    opened = open_references(loaded, reader)
    assert "(3, 3), not (20, 30)" in opened.message
    assert "b.npy is not there" in opened.message
    assert [type(item) for item in opened.tabs["atoms"].items] == [FileReference, FileReference, Columns]
    save_project(tmp_path / "q.atomseg", opened)  # references that cannot be opened survive a save
    assert projects.references(load_project(tmp_path / "q.atomseg")) == projects.references(loaded)


def test_failed_save_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "p.atomseg"
    save_project(path, Project({"atoms": TabState({"n": 1}, (columns(),))}))
    before = path.read_bytes()

    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np.lib.format, "write_array", full)
    with pytest.raises(FileError, match="No space left"):
        save_project(path, Project({"atoms": TabState({"n": 2}, (columns(),))}))
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir() if entry.suffix == ".atomseg"] == ["p.atomseg"]


def rewrite(path, **changes) -> None:
    """Change the manifest of a project."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    manifest = {**json.loads(entries["manifest.json"]), **changes}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in {**entries, "manifest.json": json.dumps(manifest)}.items():
            archive.writestr(name, data)


def test_newer_schema_opens_read_only_and_cannot_be_saved_over(tmp_path):
    path = tmp_path / "p.atomseg"
    save_project(path, Project({"atoms": TabState({"n": 1}, (columns(),))}))
    rewrite(path, schema=99, version="9.9")
    loaded = load_project(path)
    assert loaded.read_only
    assert "9.9" in loaded.message
    same(loaded.tabs["atoms"].items[0], columns())
    with pytest.raises(FileError, match="read-only"):
        save_project(path, loaded)
    assert not save_project(tmp_path / "copy.atomseg", loaded).read_only


def test_older_schema_is_migrated_and_its_file_kept(tmp_path, monkeypatch):
    path = tmp_path / "p.atomseg"
    save_project(path, Project({"old name": TabState({"n": 1})}))
    before = path.read_bytes()
    monkeypatch.setattr(projects, "SCHEMA", 2)
    renamed = {1: lambda manifest: {**manifest, "tabs": {"atoms": manifest["tabs"]["old name"]}}}
    monkeypatch.setattr(projects, "MIGRATIONS", renamed)
    loaded = load_project(path)
    assert loaded.tabs["atoms"].state == {"n": 1}
    save_project(path, loaded)
    assert (tmp_path / "p.schema1.atomseg").read_bytes() == before
    assert load_project(path).schema == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"tabs": {"atoms": {"state": {}, "items": [{"header": {"kind": "columns"}, "array": 0}]}}},
        {"tabs": {"atoms": {"state": {}, "items": [{"header": {"kind": "pickle"}, "array": 0}]}}},
        {"tabs": {"atoms": {"state": {}, "items": [{"array": 7, "header": {}}]}}},
        {"tabs": []},
        {"tabs": {"atoms": None}},
        {"schema": "1"},
        {"schema": 0},
        {"format": "zip"},
    ],
)
def test_manifest_that_makes_no_sense_is_one_sentence(tmp_path, changes):
    path = tmp_path / "p.atomseg"
    save_project(path, Project({"atoms": TabState({}, (columns(),))}))
    rewrite(path, **changes)
    with pytest.raises(FileError, match=r"p\.atomseg"):
        load_project(path)


def test_every_truncation_and_flipped_byte_is_refused_or_harmless(tmp_path):
    path = tmp_path / "p.atomseg"
    save_project(path, Project({"atoms": TabState({"n": 1}, (columns(3),))}))
    good = path.read_bytes()
    rng = np.random.default_rng(1)
    damaged = [good[:cut] for cut in rng.integers(0, len(good), 150)]
    for _ in range(150):
        data = bytearray(good)
        data[rng.integers(len(data))] ^= 1 << rng.integers(8)
        damaged.append(bytes(data))
    refused = 0
    for data in damaged:
        path.write_bytes(data)
        try:
            loaded = load_project(path)
        except FileError:
            refused += 1
        else:
            assert set(loaded.tabs) == {"atoms"}
    assert refused > 200


def npy(dtype: str, shape: tuple[int, ...], body: bytes) -> bytes:
    header = f"{{'descr': {dtype}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + body


@pytest.mark.parametrize(
    "entry",
    [
        npy("'|O'", (1,), b"cos\nsystem\n"),
        npy("'<f8'", (1 << 40,), b"\0" * 64),
        npy("'<f8'", (1 << 62, 1 << 62), b"\0" * 64),
        npy("'<f8'", (-1,), b"\0" * 64),
        b"not an array",
    ],
)
def test_array_that_lies_or_could_run_code_is_refused_before_memory_is_taken(tmp_path, entry):
    path = tmp_path / "p.atomseg"
    with zipfile.ZipFile(path, "w") as archive:
        items = [{"header": to_parts(columns())[0], "array": 0}]
        manifest = {"format": "atomseg-project", "schema": 1, "tabs": {"a": {"state": {}, "items": items}}}
        archive.writestr("manifest.json", json.dumps(manifest))
        archive.writestr("0.npy", entry)
    with pytest.raises(FileError):
        load_project(path)


def test_compressed_bomb_and_deep_json_are_refused(tmp_path):
    path = tmp_path / "p.atomseg"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", b" " * 50_000_000)
    with pytest.raises(FileError, match="claims"):
        load_project(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", b"[" * 200_000)
    with pytest.raises(FileError):
        load_project(path)


def test_second_opener_is_told_who_has_the_project(tmp_path):
    path = tmp_path / "p.atomseg"
    first = lock_project(path)
    assert first.held
    second = lock_project(path)
    assert not second.held
    assert str(os.getpid()) in second.owner
    second.release()  # not its to give back
    assert not lock_project(path).held
    first.release()
    assert lock_project(path).held


def test_lock_of_a_dead_process_is_taken_over_and_of_another_machine_is_not(tmp_path):
    path = tmp_path / "p.atomseg"
    lock = tmp_path / "p.atomseg.lock"
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    mine = lock_project(path)
    content = json.loads(lock.read_text())
    lock.write_text(json.dumps({**content, "pid": ended.pid}))
    assert lock_project(path).held
    lock.write_text(json.dumps({**content, "started": content["started"] - 1000}))  # its number was used again
    assert lock_project(path).held
    lock.write_text(json.dumps({**content, "host": "another"}))
    assert "another" in lock_project(path).owner
    lock.write_text("")
    os.utime(lock, (time.time() - 60,) * 2)  # a lock that was never filled
    assert lock_project(path).held
    assert mine.token


CRASH = """
import os, sys
from tests.io.test_projects import columns
from atomseg_app.io.journal import Journal
from atomseg_app.io.projects import Project, TabState
from pathlib import Path
keep = Journal()
for count in range(1, 1000000):
    keep.write(Project({"atoms": TabState({"n": count}, (columns(count % 50 + 1),))}, Path("/data/work.atomseg")))
    if count == 3:
        print("ready", flush=True)
"""


def test_session_is_recovered_after_kill_9_in_the_middle_of_writing():
    process = subprocess.Popen([sys.executable, "-c", CRASH], stdout=subprocess.PIPE)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == b"ready\n"
        assert journal.list_recoverable() == []  # its window still lives
        time.sleep(0.05)
        process.send_signal(signal.SIGKILL)
        process.wait()
    (entry,) = journal.list_recoverable()
    assert entry.problem == ""
    assert "work" in entry.contents
    assert "columns" in entry.contents
    project = journal.recover(entry.path)
    count = project.tabs["atoms"].state["n"]
    assert count >= 3
    same(project.tabs["atoms"].items[0], columns(count % 50 + 1))
    assert str(project.path) == "/data/work.atomseg"
    journal.discard(entry.path)
    assert journal.list_recoverable() == []


def test_damaged_snapshot_is_listed_with_its_problem():
    mine = Journal()
    mine.write(Project({"atoms": TabState({}, (columns(),))}))
    mine.path.write_bytes(mine.path.read_bytes()[:-40])
    mine.path.with_name(f"{mine.path.name}.lock").unlink()
    (entry,) = journal.list_recoverable()
    assert "damaged" in entry.problem


def test_journal_of_20000_columns_and_a_big_image_is_small_and_quick(tmp_path):
    image = file_image(tmp_path, shape=(2000, 2000))
    big = columns(20_000)
    mine = Journal()
    seconds = []
    for n in range(5):
        start = time.process_time()
        mine.write(Project({"atoms": TabState({"n": n}, (image, replace(big)))}))
        seconds.append(time.process_time() - start)
    assert min(seconds) < 0.1
    assert mine.path.stat().st_size < 3_000_000
    mine.discard()
    assert not mine.path.exists()
