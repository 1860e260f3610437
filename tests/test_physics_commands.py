"""Lattice, strain, phase maps and polarisation from the shell: tables and images in, tables, maps and figures out."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from atomseg_app import cli
from atomseg_app.data import Columns, ImageSeries
from atomseg_app.figure_maps import titled
from atomseg_app.io import files, tables, tiff_writer
from tests.atoms.crystals import columns_at, crystal
from tests.atoms.test_gpa import waves


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """An empty folder as the current one."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(*arguments) -> int:
    return cli.main([str(argument) for argument in arguments])


def table_file(path: Path, size_nm=0.02) -> Columns:
    columns, _ = crystal((20, 0), (0, 20), size_px=300, noise_px=0.1)
    columns = columns_at(columns.xy_px, 1.0, 0.1, 300, (size_nm, size_nm))
    tables.write_csv(columns, path)
    tables.write_history(columns, path.with_suffix(".json"))
    return columns


def test_strain_of_a_table_with_its_history_and_a_figure_for_each_quantity(folder, capsys):
    given = table_file(folder / "a_columns.csv")
    assert run("measure-strain", "a_columns.csv", "--window", 3, "--figure") == 0
    drawn = [f"a_strain_{name}.png" for name in ("displacement", "rotation_deg", "xx", "xy", "yy")]
    assert sorted(os.listdir()) == sorted(["a_columns.csv", "a_columns.json", "a_strain.csv", "a_strain.json", *drawn])
    found = tables.read_csv("a_strain.csv")
    assert len(found) == len(given)
    assert np.isfinite(found.table["strain_xx"]).all()
    assert "displacement_x_nm" in Path("a_strain.csv").read_text().splitlines()[0].split(",")
    (step,) = found.history
    assert (step.operation, step.parameters["window"]) == ("measure-strain", 3)
    assert found.metadata["lattice"]["grains"][0]["columns"] == len(given)
    for name in drawn:
        with Picture.open(name) as picture:
            assert np.ptp(np.asarray(picture)) > 100
    assert f"{len(given)} columns" in capsys.readouterr().out
    assert run("measure-strain", "a_columns.csv") == 1
    assert "--overwrite" in capsys.readouterr().err


def test_folders_give_tables_and_results_are_no_inputs(folder):
    for name in ("in/a_columns.csv", "in/deep/b_columns.csv"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        table_file(folder / name)
    assert run("measure-lattice", "in", "-o", "out") == 0
    found = sorted(str(path.relative_to("out")) for path in Path("out").rglob("*.*"))
    assert found == [
        "a_lattice.csv",
        "a_lattice.json",
        "deep/b_lattice.csv",
        "deep/b_lattice.json",
        "lattice_summary.csv",
    ]
    assert run("measure-strain", "out/*.csv", "out/deep/b_lattice.csv", "--jobs", 2) == 1  # the summary is no table
    kept = tables.read_csv("out/deep/b_lattice_strain.csv")
    assert [step.operation for step in kept.history] == ["measure-lattice", "measure-strain"]


def test_phase_maps_are_a_calibrated_tiff_that_is_read_back(folder):
    np.save("a.npy", waves())
    assert run("gpa", "a.npy", "--pixel-size-nm", 0.0125, "--figure") == 0
    maps = files.read("a_gpa.tif")
    assert isinstance(maps, ImageSeries)
    assert maps.values.shape == (4, 192, 192)
    assert maps.values.dtype == np.float32
    np.testing.assert_allclose(maps.pixel_size_nm, 0.0125, rtol=1e-5)
    assert np.nanmax(np.abs(maps.values[0, 40:-40, 40:-40])) < 1e-3
    about = json.loads(Path("a_gpa.json").read_text())
    assert about["format"] == "atomseg-image"
    assert about["metadata"]["layers"] == ["strain_xx", "strain_yy", "strain_xy", "rotation_deg"]
    assert {"a_gpa_strain_xx.png", "a_gpa_rotation_deg.png"} <= set(os.listdir())
    assert run("gpa", ".", "--overwrite") == 0
    assert "a_gpa_gpa.tif" not in os.listdir()
    np.save("m.npy", np.stack([waves()] * 2))
    assert run("gpa", "m.npy") == 1


def test_what_cannot_be_done_is_one_sentence(folder, capsys):
    table_file(folder / "a_columns.csv")
    np.save("a.npy", waves())
    for arguments, said in (
        (("measure-polarisation", "a_columns.csv"), "both sublattices"),
        (("measure-strain", "a.npy"), "no CSV"),
        (("measure-strain", "gone.csv"), "does not exist"),
        (("gpa", "a_columns.csv"), "a_columns.csv"),
    ):
        assert run(*arguments) == 1
        err = capsys.readouterr().err
        assert said in err
        assert err.count("\n") == 1
    assert run("measure-strain", "a_columns.csv", "--window", 4) == 2


@pytest.mark.parametrize("dtype", ["u1", "u2", "f4", "f8", "i4"])
def test_written_images_are_read_back(tmp_path, dtype):
    values = np.random.default_rng(0).integers(0, 200, (2, 5, 7)).astype(dtype)
    for shown in (ImageSeries(values, (0.02, 0.01)), ImageSeries(values).frame(1)):
        tiff_writer.write_tiff(shown, tmp_path / "a.tif")
        back = files.read(tmp_path / "a.tif")
        np.testing.assert_array_equal(back.values, shown.values)
        assert back.kind == shown.kind
        assert back.pixel_size_nm == pytest.approx(shown.pixel_size_nm)


def test_labels_have_units_that_readers_expect():
    columns = columns_at([(1, 2)], pixel_size_nm=(0.01, 0.01))
    assert titled("strain_xx") == ("strain xx (%)", 100)
    assert titled("rotation_deg") == ("rotation (°)", 1)
    assert titled("polar_x_px", columns) == ("polar x (pm)", 10)
    assert titled("polar_x_px", columns_at([(1, 2)])) == ("polar x (px)", 1)
