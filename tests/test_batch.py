"""Batches: where results go, what the summary says, and that one file's misfortune stays its own."""

import csv
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree

from atomseg_app import batch
from atomseg_app.atoms.spacing import nearest_px
from atomseg_app.batch import FileTask, SummaryRow, output_paths
from atomseg_app.data import Columns, Image, ImageSeries, Source, Step, Volume, column_table
from atomseg_app.errors import UserError
from atomseg_app.io import tables
from atomseg_app.operations import Report
from atomseg_app.pool import Died, run_in_pool


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    """Images here are small: more threads would only wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield
    torch.set_num_threads(threads)


def names(outputs, root):
    return [str(output.result.relative_to(root)) for output in outputs]


def test_results_go_beside_the_input(tmp_path):
    (output,) = output_paths([tmp_path / "a b.dm3"])
    assert output.result == tmp_path / "a b_columns.csv"
    assert output.json == tmp_path / "a b_columns.json"
    assert output.figure == tmp_path / "a b_columns.png"


def test_results_keep_relative_paths_under_the_output_folder(tmp_path):
    inputs = [tmp_path / "in/x.tif", tmp_path / "in/deep/x.tif"]
    assert names(output_paths(inputs, tmp_path / "out"), tmp_path / "out") == ["x_columns.csv", "deep/x_columns.csv"]
    roots = [tmp_path, tmp_path / "in/deep"]
    found = names(output_paths(inputs, tmp_path / "out", roots), tmp_path / "out")
    assert found == ["in/x_columns.csv", "x_columns.csv"]


@pytest.mark.parametrize("pair", [("a.dm3", "a.tif"), ("A.dm3", "a.tif")])
def test_inputs_that_would_collide_keep_their_extension(tmp_path, pair):
    inputs = [tmp_path / name for name in (*pair, "b.tif")]
    assert names(output_paths(inputs), tmp_path) == [
        f"{pair[0]}_columns.csv",
        f"{pair[1]}_columns.csv",
        "b_columns.csv",
    ]


def test_inputs_that_still_collide_are_named(tmp_path):
    inputs = [tmp_path / "one/a.tif", tmp_path / "two/a.tif"]
    with pytest.raises(UserError, match=r"one/a\.tif and .*two/a\.tif"):
        output_paths(inputs, tmp_path / "out", [tmp_path / "one", tmp_path / "two"])
    with pytest.raises(UserError, match="both write"):
        output_paths([tmp_path / "a.tif", tmp_path / "a.dm3", tmp_path / "a.tif.png"])


@settings(max_examples=200, deadline=None)
@given(st.lists(st.from_regex(r"([ab]/){0,2}[abA]\.(tif|dm3|TIF|tif\.tif)", fullmatch=True), unique=True))
def test_no_two_inputs_ever_write_the_same_file(paths):
    inputs = [Path("/data") / path for path in paths]
    try:
        outputs = output_paths(inputs, Path("/out"))
    except UserError as problem:
        assert "both write" in str(problem)  # noqa: PT017 - either outcome is right
    else:
        assert len({str(output.result).casefold() for output in outputs}) == len(inputs)


def columns_at(points, pixel_size_nm=(0.1, 0.2), frames=None) -> Columns:
    table = column_table(len(points))
    table["x_px"], table["y_px"] = np.reshape(points, (-1, 2)).T
    if frames is not None:
        table["frame"] = frames
    return Columns(table, (100, 100), pixel_size_nm, Source("/data/a.tif"))


def test_summary_of_a_square_lattice():
    columns = columns_at([(x, y) for x in range(0, 50, 10) for y in range(0, 50, 10)], (0.1, 0.2))
    columns.table["x_err_px"], columns.table["y_err_px"] = 0.3, 0.4
    row = batch.summary_row(columns)
    assert row.columns == 25
    assert row.mean_spacing_px == pytest.approx(10)
    assert row.mean_spacing_nm == pytest.approx(1.0)  # the nearest lies along y
    assert row.median_error_pm == pytest.approx(np.hypot(0.3 * 200, 0.4 * 100) / np.sqrt(2))


@pytest.mark.parametrize("points", [[], [(1, 2)]])
def test_summary_of_next_to_nothing_has_no_numbers_that_are_not_known(points):
    row = batch.summary_row(columns_at(points))
    assert (row.columns, row.mean_spacing_px, row.mean_spacing_nm, row.median_error_pm) == (
        len(points),
        None,
        None,
        None,
    )


def test_summary_of_an_uncalibrated_image_has_no_nm():
    row = batch.summary_row(columns_at([(0, 0), (3, 4)], (None, None)))
    assert (row.mean_spacing_px, row.mean_spacing_nm, row.median_error_pm) == (5.0, None, None)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 5)), min_size=2, max_size=60))
def test_nearest_distances_are_those_of_a_tree(points):
    found = nearest_px(columns_at(points))
    np.testing.assert_allclose(found, cKDTree(points).query(points, 2)[0][:, 1])


def test_nearest_distances_stay_in_their_frame_and_are_quick():
    assert nearest_px(columns_at([(0, 0), (1, 0), (9, 0)], frames=[0, 1, 0])).tolist() == [9, np.inf, 9]
    rng = np.random.default_rng(0)
    start = time.process_time()
    nearest_px(columns_at(rng.uniform(0, 4096, (20_000, 2))))
    assert time.process_time() - start < 1


def test_summary_text_is_csv_that_no_spreadsheet_runs():
    rows = [SummaryRow("=cmd|' /C calc'!A0.tif", 3, 0.2, 20.5, None, 1.25), SummaryRow("b,c.tif", error='is "broken"')]
    text = batch.summary_text(rows)
    assert text.startswith("file,columns,mean_spacing_nm,mean_spacing_px,median_error_pm,seconds,error\n")
    assert "\r" not in text
    one, two = csv.DictReader(text.splitlines())
    assert one["file"] == "'=cmd|' /C calc'!A0.tif"
    assert (one["columns"], one["mean_spacing_nm"], one["median_error_pm"], one["error"]) == ("3", "0.2", "", "")
    assert (two["file"], two["columns"], two["error"]) == ("b,c.tif", "", 'is "broken"')


class Stub:
    """An operation that needs no file reader or torch: one column in the middle of each image."""

    name = "stub"

    def load(self):
        return self

    title, inputs, output = "Stub", ("image",), "columns"

    def __call__(self, image, parameters, report):
        report.note("said once")
        found = columns_at([(image.shape[1] / 2, image.shape[0] / 2)], image.pixel_size_nm)
        return replace(
            found, image_shape=image.shape, source=image.source, metadata=image.metadata, history=image.history
        )


def test_frames_of_a_series_become_one_table_with_ids_of_their_own():
    from atomseg_app.atoms.operations import FindColumns

    series = ImageSeries(np.zeros((3, 4, 6)), (0.1, 0.1), Source("/m.tif"), {"kV": 80}, (Step("before", {}, "1"),))
    fractions = []
    report = Report(on_progress=lambda fraction, _: fractions.append(fraction))
    images = batch.images_of(series, Path("/m.tif"))
    found = batch.run_on_images(Stub(), images, None, FindColumns(), report)
    assert found.table["frame"].tolist() == [0, 1, 2]
    assert found.table["column_id"].tolist() == [0, 1, 2]
    assert [step.operation for step in found.history] == ["before", "stub"]
    assert found.history[-1].notes == ("said once",)
    assert found.metadata == {"kV": 80}


def test_a_volume_is_refused_with_what_to_do():
    with pytest.raises(UserError, match=r"v\.mrc holds a volume, not an image; choose another dataset"):
        batch.images_of(Volume(np.zeros((2, 2, 2))), Path("v.mrc"))
    assert len(batch.images_of(Image(np.zeros((2, 2))), Path("a.tif"))) == 1


def simulated_file(path: Path, seed=0, size=128) -> Path:
    """A small .npy micrograph of a 16 px lattice."""
    from atomseg_app.simulate.columns import poisson, render, square_lattice

    rng = np.random.default_rng(seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, poisson(render(square_lattice(size, 16, rng), (size, size)), rng))
    return path


def task(path: Path, **changes) -> FileTask:
    return FileTask(path, output_paths([path])[0], "find-columns", {"device": "cpu"}, **changes)


def test_one_file_gives_table_history_figure_and_row(tmp_path):
    path = simulated_file(tmp_path / "a.npy")
    columns, row = batch.process_one(task(path, pixel_size_nm=0.02, figure=True), Report())
    assert len(columns) == row.columns == 36
    assert columns.pixel_size_nm == (0.02, 0.02)
    assert row.mean_spacing_nm == pytest.approx(0.32, rel=0.02)
    back = tables.read_csv(tmp_path / "a_columns.csv")
    assert back.table.tobytes() == columns.table.tobytes()
    assert back.history == columns.history
    assert sorted(os.listdir(tmp_path)) == ["a.npy", "a_columns.csv", "a_columns.json", "a_columns.png"]


def test_existing_results_are_kept_unless_told_otherwise(tmp_path):
    path = simulated_file(tmp_path / "a.npy")
    for result in output_paths([path])[0].result, output_paths([path])[0].json:
        result.write_text("precious")
        assert "--overwrite" in batch.attempt(task(path), Report()).error
        assert result.read_text() == "precious"
        assert not batch.attempt(task(path, overwrite=True), Report()).error
        assert result.read_text() != "precious"
        result.unlink()
        output_paths([path])[0].json.unlink(missing_ok=True)
        output_paths([path])[0].result.unlink(missing_ok=True)


def test_what_goes_wrong_in_a_file_becomes_its_row(tmp_path, monkeypatch, caplog):
    assert "missing.npy" in batch.attempt(task(tmp_path / "missing.npy"), Report()).error
    for problem, said in ((MemoryError(), "more memory"), (ZeroDivisionError("oops"), "internal error .*oops")):

        def fail(*_args, problem=problem):
            raise problem

        monkeypatch.setattr(batch, "process_one", fail)
        row = batch.attempt(task(tmp_path / "a.npy"), Report())
        assert re.search(said, row.error)
    assert "oops" in caplog.text  # with its traceback, for the log


def act(what):
    """What the workers of these tests do."""
    kind, value = what
    if kind == "exit":
        os._exit(value)
    if kind == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if kind == "sleep":
        time.sleep(value)
    if kind == "threads":
        return os.environ["OMP_NUM_THREADS"]
    return value


def test_a_worker_that_dies_costs_only_its_task():
    tasks = [("say", 1), ("kill", 0), ("say", 2), ("exit", 3), ("say", 4), ("say", 5)]
    deaths = {}
    found = dict(run_in_pool(act, tasks, 2, deaths.__setitem__))
    assert set(deaths) == {("kill", 0), ("exit", 3)}
    assert all(process_id > 0 for process_id in deaths.values())
    assert found == {
        ("say", 1): 1, ("kill", 0): Died("SIGKILL"), ("say", 2): 2, ("exit", 3): Died("exit code 3"), ("say", 4): 4,
        ("say", 5): 5,
    }  # fmt: skip


def test_results_come_as_they_finish_and_closing_ends_the_workers():
    running = run_in_pool(act, [("sleep", 60), ("say", 1)], 2)
    assert next(running) == (("say", 1), 1)
    workers = [child for child in psutil.Process().children() if "spawn_main" in " ".join(child.cmdline())]
    assert workers
    start = time.monotonic()
    running.close()
    assert time.monotonic() - start < 5
    assert not any(worker.is_running() for worker in workers)


def test_cores_are_shared_out_among_workers_unless_the_user_said_otherwise(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert dict(run_in_pool(act, [("threads", 0)], 2)) == {("threads", 0): "4"}
    assert "OMP_NUM_THREADS" not in os.environ
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert dict(run_in_pool(act, [("threads", 0)], 2)) == {("threads", 0): "3"}


ORPHANS = """
import time
from tests.test_batch import act
from atomseg_app.pool import run_in_pool
if __name__ == "__main__":
    for _ in run_in_pool(act, [("say", 1), ("sleep", 0.5), ("sleep", 0.5)], 2):
        print("one", flush=True)
        time.sleep(60)
"""


def test_no_worker_outlives_a_parent_that_is_killed(tmp_path):
    (tmp_path / "script.py").write_text(ORPHANS)
    root = Path(__file__).parents[1]
    with subprocess.Popen(
        [sys.executable, str(tmp_path / "script.py")],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(root)},
    ) as parent:
        assert parent.stdout is not None
        assert parent.stdout.readline() == b"one\n"
        workers = psutil.Process(parent.pid).children(recursive=True)
        parent.kill()
    assert workers
    _, alive = psutil.wait_procs(workers, timeout=10)
    assert not alive


def test_processes_give_the_rows_that_one_process_gives(tmp_path):
    tasks = [task(simulated_file(tmp_path / f"{n}.npy", n)) for n in range(2)]
    tasks.append(task(tmp_path / "missing.npy"))
    rows = {row.file: row for row in batch.run_in_processes(tasks, 2)}
    again = {row.file: row for row in batch.run_here([replace(t, overwrite=True) for t in tasks], lambda _: Report())}
    assert {name: replace(row, seconds=None) for name, row in rows.items()} == {
        name: replace(row, seconds=None) for name, row in again.items()
    }
