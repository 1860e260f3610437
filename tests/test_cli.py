"""The command line as a user types it: names, exit codes, sentences, Ctrl+C, and what it must not import."""

import csv
import json
import os
import pty
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from atomseg_app import __version__, cli, operations
from atomseg_app.io import tables
from tests.test_batch import simulated_file

ROOT = Path(__file__).parents[1]
COMMAND = [sys.executable, "-m", "atomseg_app"]


@pytest.fixture(autouse=True)
def _one_thread(monkeypatch):
    """Images here are small: more threads would only wait for each other."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder with a space and a letter beyond ASCII in its name, as the current one."""
    place = tmp_path / "mes données"
    place.mkdir()
    monkeypatch.chdir(place)
    return place


def run(*arguments) -> int:
    return cli.main([str(argument) for argument in arguments])


def start(*arguments, **options) -> subprocess.Popen:
    """A command that hears Ctrl-C, which shells keep from what they start in the background, these tests included."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    if os.name != "nt":
        options.setdefault("preexec_fn", lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        **options,
    )  # fmt: skip


def test_one_file_to_table_history_and_figure(folder, capsys):
    simulated_file(folder / "a b.npy")
    assert run("find-columns", "a b.npy", "--pixel-size-nm", 0.02, "--figure", "--device", "cpu") == 0
    assert sorted(os.listdir()) == ["a b.npy", "a b_columns.csv", "a b_columns.json", "a b_columns.png"]
    out, err = capsys.readouterr()
    assert "36 columns, spacing 0.31" in out
    assert "error bar 1." in out
    assert err == ""
    history = json.loads(Path("a b_columns.json").read_text("utf-8"))
    (step,) = history["history"]
    assert (step["operation"], step["parameters"]["method"]) == ("find-columns", "network")
    assert history["versions"]["atomseg"] == __version__
    assert history["pixel_size_nm"] == [0.02, 0.02]


def test_output_folder_keeps_relative_paths_and_a_summary_is_written(folder, capsys):
    for name in ("in/a.npy", "in/deep/a.npy"):
        simulated_file(folder / name)
    (folder / "in/notes.txt").write_text("no image")
    assert run("find-columns", "in", "-o", "out") == 0
    found = sorted(str(path.relative_to("out")) for path in Path("out").rglob("*.*"))
    assert found == [
        "a_columns.csv", "a_columns.json", "columns_summary.csv", "deep/a_columns.csv", "deep/a_columns.json",
    ]  # fmt: skip
    rows = list(csv.DictReader(Path("out/columns_summary.csv").read_text("utf-8").splitlines()))
    assert [row["columns"] for row in rows] == ["36", "36"]
    assert [float(row["mean_spacing_px"]) for row in rows] == pytest.approx([16, 16], rel=0.02)
    assert [row["file"] for row in rows] == ["in/a.npy", "in/deep/a.npy"]


def test_inputs_of_one_name_keep_their_extension(folder):
    simulated_file(folder / "a.npy")
    np.savez("a.npz", image=np.load("a.npy"))
    assert run("find-columns", "a.npy", "a.npz") == 0
    assert {"a.npy_columns.csv", "a.npz_columns.csv"} <= set(os.listdir())


def test_a_second_run_replaces_only_with_overwrite_and_never_takes_its_own_figures_for_images(folder, capsys):
    for name in ("a.npy", "b.npy"):
        simulated_file(folder / name)
    assert run("find-columns", ".", "--figure") == 0
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert run("find-columns", ".", "--figure") == 1
    assert "--overwrite" in capsys.readouterr().err
    assert {path.name: path.stat().st_mtime_ns for path in folder.iterdir()} == before
    assert run("find-columns", ".", "--figure", "--overwrite") == 0
    assert set(os.listdir()) == set(before)
    assert Path("a_columns.csv").stat().st_mtime_ns != before["a_columns.csv"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_fails_is_summed_up_and_the_rest_is_done(folder, capsys, jobs):
    simulated_file(folder / "good.npy")
    simulated_file(folder / "also good.npy", 1)
    Path("bad.npy").write_bytes(b"\x93NUMPY but no more")
    assert run("find-columns", "*good.npy", "bad.npy", "gone.npy", "nothing-*.tif", "--jobs", jobs) == 1
    out, err = capsys.readouterr()
    assert len(re.findall("36 columns", out)) == 2
    assert "3 of 5 did not work" in err
    assert "Traceback" not in err
    for name in ("bad.npy", "gone.npy", "nothing-*.tif"):
        assert name in err.split("did not work")[1]
    lines = Path("columns_summary.csv").read_text("utf-8").splitlines()
    rows = {Path(row["file"]).name: row for row in csv.DictReader(lines)}
    assert list(rows) == ["also good.npy", "good.npy", "bad.npy", "gone.npy", "nothing-*.tif"]
    assert rows["bad.npy"]["error"]
    assert not rows["good.npy"]["error"]


def test_a_single_failure_is_one_sentence(folder, capsys):
    assert run("find-columns", "gone.npy") == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("atomseg: ")
    assert err.count("\n") == 1
    assert "gone.npy" in err


@pytest.mark.parametrize(
    "arguments",
    [
        ["find-columns"],
        ["find-columns", "a.npy", "--method", "magic"],
        ["find-columns", "a.npy", "--false-alarms", "0"],
        ["find-columns", "a.npy", "--false-alarms", "many"],
        ["find-columns", "a.npy", "--region-px", "1", "2", "3"],
        ["find-columns", "a.npy", "--pixel-size-nm", "0"],
        ["find-columns", "a.npy", "--pixel-size-nm", "nan"],
        ["find-columns", "a.npy", "--jobs", "0"],
        ["find-columns", "a.npy", "--separation", "3"],
        ["find-columns", "a.npy", "-o", __file__],
        ["refit-columns", "a.npy"],
        ["unknown"],
        [],
    ],
)
def test_wrong_usage_is_exit_code_2_and_no_traceback(folder, capsys, arguments):
    simulated_file(folder / "a.npy")
    assert run(*arguments) == 2
    out, err = capsys.readouterr()
    assert "Traceback" not in out + err
    assert out + err
    assert os.listdir() == ["a.npy"]


def test_no_arguments_and_help_show_the_commands(capsys):
    assert run("--help") == 0
    out = capsys.readouterr().out
    for name in ("find-columns", "refit-columns", "info", "doctor", "bench"):
        assert name in out
    assert run("--version") == 0
    assert capsys.readouterr().out == f"AtomSeg {__version__}\n"


def test_help_has_every_field_with_sentence_unit_bounds_and_default(capsys):
    for name, operation in operations.all_operations().items():
        assert run(name, "--help") == 0
        text = " ".join(capsys.readouterr().out.split())
        for field_name, field in operation.parameters.model_fields.items():
            assert f"--{field_name.replace('_', '-')}" in text
            assert " ".join(field.description.split()) in text
    assert run("find-columns", "--help") == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "(> 0, <= 1000) [default: 0.1]" in text
    assert "are not included. (px)" in text
    assert "<auto|cpu|cuda|mps>" in text


def test_options_reach_the_operation(folder):
    simulated_file(folder / "a.npy")
    arguments = [
        "--region-px",
        16,
        32,
        80,
        96,
        "--shape",
        "free",
        "--no-split",
        "--false-alarms",
        0.5,
        "--device",
        "cpu",
    ]
    assert run("find-columns", "a.npy", *arguments) == 0
    (step,) = json.loads(Path("a_columns.json").read_text())["history"]
    assert step["parameters"] == {
        "method": "network", "model": "columns", "polarity": "auto", "false_alarms": 0.5,
        "region_px": [16, 32, 80, 96], "shape": "free",
        "split": False, "refine": True, "device": "cpu",
    }  # fmt: skip
    found = tables.read_csv("a_columns.csv")
    assert ((found.xy_px >= (16, 32)) & (found.xy_px < (80, 96))).all()


def test_columns_are_fitted_again_from_a_csv(folder):
    simulated_file(folder / "a.npy")
    assert run("find-columns", "a.npy") == 0
    found = tables.read_csv("a_columns.csv")
    moved = found.table.copy()
    moved["x_px"][3] += 1.5
    Path("start").mkdir()
    tables.write_csv(type(found)(moved, found.image_shape), "start/edited.csv")
    assert run("refit-columns", "a.npy", "--columns", "start/edited.csv", "--column-ids", 3, "-o", "again") == 0
    again = tables.read_csv("again/a_columns.csv")
    np.testing.assert_allclose(again.xy_px, found.xy_px, atol=0.05)
    assert not np.array_equal(again.xy_px[3], moved[["x_px", "y_px"]][3].tolist())
    assert json.loads(Path("again/a_columns.json").read_text())["history"][-1]["parameters"]["column_ids"] == [3]


def test_frames_of_a_movie_are_one_table_and_keep_their_ids_when_fitted_again(folder):
    np.save("movie.npy", np.stack([np.load(simulated_file(folder / "a.npy", seed)) for seed in range(2)]))
    assert run("find-columns", "movie.npy", "--figure") == 0
    found = tables.read_csv("movie_columns.csv")
    assert found.table["frame"].tolist() == [0] * 36 + [1] * 36
    assert found.table["column_id"].tolist() == list(range(72))
    part = found.table[10:60]
    Path("part").mkdir()
    tables.write_csv(type(found)(part, found.image_shape), "part/part.csv")
    assert run("refit-columns", "movie.npy", "--columns", "part/part.csv", "-o", "again") == 0
    again = tables.read_csv("again/movie_columns.csv")
    assert again.table["column_id"].tolist() == part["column_id"].tolist()
    assert again.table["frame"].tolist() == part["frame"].tolist()


def test_volumes_and_spectra_are_refused_with_a_sentence(folder, data_folder, capsys):
    shutil.copy(data_folder / "formats/openncem/08_carbon.dm3", folder)
    shutil.copy(data_folder / "formats/generated/imagej_stack.tif", folder)
    assert run("find-columns", "08_carbon.dm3", "imagej_stack.tif") == 1
    err = capsys.readouterr().err
    assert "is a spectrum (1 x 2048), not an image" in err
    assert "holds a volume, not an image" in err
    assert run("info", "08_carbon.dm3") == 1
    assert "spectrum" in capsys.readouterr().out


def test_info_for_people_and_as_json(folder, capsys):
    simulated_file(folder / "a.npy")
    assert run("info", "a.npy") == 0
    assert "image, 128 x 128, float64, pixel size unknown" in capsys.readouterr().out
    Path("bad.tif").write_bytes(b"II*\0 and nothing more")
    assert run("info", "--json", "a.npy", "bad.tif") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["a.npy"]["datasets"][0]["shape"] == [128, 128]
    assert "bad.tif" in found["bad.tif"]["error"]
    assert run("info", "bad.tif") == 1
    assert capsys.readouterr().err.startswith("atomseg: bad.tif")


def test_unknown_benchmark_lists_the_known(capsys):
    assert run("bench", "speed") == 2
    assert "'window'" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--help"], ["find-columns", "--help"], ["--version"], ["bench", "--help"], []])
def test_help_imports_neither_torch_nor_readers_nor_qt(arguments):
    code = (
        "import sys; from atomseg_app import cli; cli.main(sys.argv[1:]); heavy = ('torch', 'scipy', 'skimage', 'h5py',"
        "'rsciio', 'PySide6', 'PIL', 'tifffile'); print([m for m in heavy if m in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stderr.splitlines()[-1] == "[]"


def test_completion_knows_the_choices_without_torch():
    environment = {
        **os.environ, "PYTHONPATH": str(ROOT), "_ATOMSEG_COMPLETE": "complete_bash",
        "COMP_WORDS": "atomseg find-columns --method ", "COMP_CWORD": "3",
    }  # fmt: skip
    code = (
        "import sys; from atomseg_app import cli; code = cli.main([]); sys.exit(9 if 'torch' in sys.modules else code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split() == ["network", "log", "hough"]


def test_ctrl_c_ends_cleanly_and_keeps_what_is_done(folder):
    for n in range(40):
        simulated_file(folder / f"{n:02}.npy", n, 256)
    process = start("find-columns", ".", "-o", "out", cwd=folder)
    assert process.stdout is not None
    assert "columns" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "cancelled" in err
    assert "Traceback" not in err
    made = sorted(path.name for path in (folder / "out").iterdir())
    assert not [name for name in made if name.startswith(".")]
    done = 1 + len(out.splitlines())
    rows = list(csv.DictReader((folder / "out/columns_summary.csv").read_text().splitlines()))
    assert len(rows) == done < 40
    for row in rows:
        tables.read_csv(folder / "out" / f"{Path(row['file']).stem}_columns.csv")


def test_ctrl_c_on_a_terminal_ends_the_workers_too(folder):
    """The whole process group gets the signal, as from a terminal."""
    for n in range(30):
        simulated_file(folder / f"{n:02}.npy", n, 256)
    process = start("find-columns", ".", "-o", "out", "--jobs", 2, cwd=folder, start_new_session=True)
    assert process.stdout is not None
    assert "columns" in process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Traceback" not in err
    until = time.monotonic() + 10
    while _alive(process.pid) and time.monotonic() < until:
        time.sleep(0.05)
    assert not _alive(process.pid)


def _alive(group: int) -> bool:
    """Whether any process of a group is left."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    return True


def test_full_disk_fails_the_file_and_leaves_no_half_result(folder):
    simulated_file(folder / "a.npy")

    def small_files_only() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))

    process = start("find-columns", "a.npy", "-o", "out", cwd=folder, preexec_fn=small_files_only)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "could not be written: File too large" in err
    assert "Traceback" not in err
    assert os.listdir("out") == []


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs a folder in which even root cannot write (/proc)")
def test_folder_that_cannot_be_written_is_one_sentence(folder, capsys):
    simulated_file(folder / "a.npy")
    assert run("find-columns", "a.npy", "-o", "/proc/results") == 1
    err = capsys.readouterr().err
    assert "could not be written" in err
    assert err.count("\n") == 1


def test_reader_of_the_output_that_goes_away_is_no_traceback(folder):
    simulated_file(folder / "a.npy")
    process = start("info", *["a.npy"] * 3, cwd=folder)
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()
    with process.stderr:
        assert "Traceback" not in process.stderr.read()
    process.wait(timeout=30)


def test_terminal_gets_a_bar(folder):
    for n in range(2):
        simulated_file(folder / f"{n}.npy", n)
    ours, theirs = pty.openpty()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm"}
    with subprocess.Popen(
        [*COMMAND, "find-columns", "."], stdout=theirs, stderr=theirs, cwd=folder, env=environment
    ) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                chunk = os.read(ours, 4096)
            except OSError:  # the other side is closed
                break
            if not chunk:
                break
            shown += chunk
    os.close(ours)
    assert process.returncode == 0
    assert "━".encode() in shown
    assert shown.count(b"36 columns, spacing") == 2


def test_whole_command_on_a_megapixel_is_quick(folder):
    """The bar is 5 s on two idle cores; CPU time tells it on a busy machine."""
    simulated_file(folder / "a.npy", size=1024)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    process = start("find-columns", "a.npy", cwd=folder)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert (after.ru_utime + after.ru_stime) - (before.ru_utime + before.ru_stime) < 10


@pytest.mark.parametrize("name", ["Si110_5nmX25us_03_none_none.png", "example_Se_implanted_MoS2.dm3", "PtIr.npz"])
def test_real_micrographs_from_the_shell(folder, data_folder, name):
    shutil.copy(data_folder / "micrographs" / name, folder / f"é {name}")
    assert run("find-columns", f"é {name}", "--figure", "--region-px", 0, 0, 256, 256) == 0
    stem = f"é {Path(name).stem}"
    columns = tables.read_csv(f"{stem}_columns.csv")
    assert len(columns) > 50
    assert ((columns.xy_px > -1) & (columns.xy_px < 257)).all()
    assert Path(f"{stem}_columns.png").stat().st_size > 10_000
