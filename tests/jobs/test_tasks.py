"""The program's own tasks, run here as the command line runs them, and the real ones through the compute process."""

import time

import numpy as np
import pytest

from atomseg_app.data import Columns, Image, Source, column_table
from atomseg_app.errors import Cancelled, UserError
from atomseg_app.io.tables import read_csv
from atomseg_app.jobs.failures import TaskFailed
from atomseg_app.jobs.tasks import BUILT_IN, EXTRA_TASKS, Task, run_task, task_function
from atomseg_app.operations import Report
from atomseg_app.simulate.columns import poisson, render, square_lattice
from tests.jobs import faulty


@pytest.fixture
def lattice():
    rng = np.random.default_rng(3)
    truth = square_lattice(200, 20.0, rng)
    return truth, Image(poisson(render(truth, (200, 200)), rng), (0.02, 0.02), Source("/data/lattice.dm4"))


@pytest.fixture
def columns():
    table = column_table(4)
    table["x_px"], table["y_px"] = [1.5, 2.5, 3.5, 4.5], [5, 6, 7, 8]
    return Columns(table, (10, 12), (0.1, 0.1), Source("/data/a.dm4"))


@pytest.mark.parametrize("name", sorted(BUILT_IN))
def test_every_task_has_a_function_and_a_title(name):
    assert callable(task_function(name))
    arguments = {"operation": "find-columns"} if name == "operation" else {}
    assert Task(name, arguments).title != name


def test_find_columns_gives_the_same_here_and_there(make_host, lattice):
    truth, image = lattice
    host = make_host(warm=True)
    parameters = {"device": "cpu", "refine": False}
    task = Task("operation", {"operation": "find-columns", "parameters": parameters}, (image,))
    report = Report()
    (there,) = host.run(task, report).items
    (here,) = run_task(task, Report()).items
    assert len(there) == len(truth.x_px)
    np.testing.assert_allclose(there.xy_px, here.xy_px, atol=1e-3)
    assert there.source.name == "lattice"
    assert there.history[-1].operation == "find-columns"
    assert report.facts.device == "cpu"


def test_parameters_are_checked_before_anything_runs(lattice):
    arguments = {"operation": "find-columns", "parameters": {"false_alarms": -1}}
    with pytest.raises(UserError, match="false_alarms"):
        run_task(Task("operation", arguments, (lattice[1],)), Report())


def test_inspect_and_open(host, tmp_path):
    path = tmp_path / "ein Bild å.npy"
    np.save(path, np.arange(12.0).reshape(3, 4))
    (info,) = host.run(Task("inspect", {"path": str(path)}), Report()).value
    assert (info["kind"], info["shape"], info["refusal"]) == ("image", [3, 4], "")
    (image,) = host.run(Task("open", {"path": str(path), "dataset": info["name"]}), Report()).items
    np.testing.assert_array_equal(image.values, np.arange(12.0).reshape(3, 4))
    assert image.source.path == str(path)
    assert image.values.base.filename == str(path), "opened without a copy"


@pytest.mark.parametrize("task", ["inspect", "open"])
def test_a_file_that_is_not_there_is_one_sentence(host, task):
    with pytest.raises(TaskFailed) as caught:
        host.run(Task(task, {"path": "/nowhere/a.dm4"}), Report())
    assert caught.value.failure.reason == "user"
    assert "a.dm4" in caught.value.failure.sentence


def test_what_a_task_writes_is_known():
    assert Task("export", {"format": "csv", "path": "/a/b.csv"}).targets == ("/a/b.csv",)
    assert Task("batch-file", {"outputs": {"csv": "/a.csv", "json": "/a.json"}}).targets == ("/a.csv", "/a.json")
    assert Task("open", {"path": "/a/b.dm4"}).targets == ()


@pytest.mark.parametrize("wanted", ["csv", "json", "xyz", "atomap-hdf5"])
def test_export(host, tmp_path, columns, lattice, wanted):
    path = tmp_path / f"columns.{wanted}"
    inputs = (columns, lattice[1]) if wanted == "atomap-hdf5" else (columns,)
    result = host.run(Task("export", {"format": wanted, "path": str(path)}, inputs), Report())
    assert result.value == str(path)
    assert path.stat().st_size > 50


def test_an_exported_table_is_the_table(host, tmp_path, columns):
    path = tmp_path / "columns.csv"
    host.run(Task("export", {"format": "csv", "path": str(path)}, (columns,)), Report())
    np.testing.assert_allclose(read_csv(path).xy_px, columns.xy_px)


def test_export_refuses_what_it_cannot_write(columns, lattice):
    with pytest.raises(UserError, match=r"cannot be exported as 'docx'; formats: csv"):
        run_task(Task("export", {"format": "docx", "path": "x"}, (columns,)), Report())
    with pytest.raises(UserError, match="takes columns, but was given image"):
        run_task(Task("export", {"format": "csv", "path": "x"}, (lattice[1],)), Report())


def test_devices_are_listed_with_what_they_can_do(host):
    devices = host.run(Task("devices"), Report()).value
    assert devices[0]["kind"] == "cpu"
    for device in devices:
        assert set(device) == {"name", "kind", "free_bytes", "capability", "usable", "why_not"}
        assert device["usable"] == (device["why_not"] == "")
        assert device["name"]
    assert devices[0]["free_bytes"] > 1e6


def test_the_compute_process_warms_up_when_idle(make_host):
    host = make_host(warm=True)
    host.start()
    deadline = time.monotonic() + 30
    while "torch" not in host.run(Task("facts"), Report()).value["modules"]:
        assert time.monotonic() < deadline
        time.sleep(0.4)


def test_a_task_that_was_cancelled_does_not_begin(lattice):
    with pytest.raises(Cancelled):
        run_task(Task("echo"), Report(cancelled=lambda: True))


def test_extra_tasks_do_not_replace_the_programs_own(monkeypatch):
    monkeypatch.setitem(faulty.TASKS, "open", faulty.echo)
    assert task_function("open").__module__ == "atomseg_app.jobs.functions"


def test_without_the_variable_there_are_no_extra_tasks(monkeypatch):
    monkeypatch.delenv(EXTRA_TASKS)
    with pytest.raises(UserError, match="There is no task 'echo'"):
        task_function("echo")
