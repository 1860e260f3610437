"""Simulated pictures as files: everything that is written reads back with the program's own readers."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from atomseg_app.errors import Cancelled, UserError
from atomseg_app.io import files
from atomseg_app.io.tables import read_csv
from atomseg_app.operations import Report
from atomseg_app.simulate.crystals import atomic_number, element
from atomseg_app.simulate.pictures import LABELS, TRUTH_HEADER, simulate_pictures, write_pictures
from atomseg_app.simulate.preset import HARD_SET, TRAINING, Preset

CPU = torch.device("cpu")
SMALL = replace(TRAINING, size_px=64, dark=0.5)


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def write(folder: Path, count: int = 3, preset: Preset = SMALL, report: Report | None = None, **options: bool) -> dict:
    """Write pictures; the manifest."""
    path = write_pictures(preset, count, 7, folder, CPU, report or Report(), **options)
    return json.loads(path.read_text("utf-8"))


def test_pictures_read_back_with_pixel_size_and_truth(tmp_path: Path) -> None:
    manifest = write(tmp_path, labels=True)
    pictures = list(simulate_pictures(SMALL, 3, 7, CPU, Report()))
    assert manifest["preset"]["name"] == "default"
    assert (manifest["seed"], len(manifest["pictures"])) == (7, 3)
    for told, picture in zip(manifest["pictures"], pictures, strict=True):
        image = files.read(tmp_path / told["image"], None, Report())
        np.testing.assert_array_equal(image.values, picture.image.values)
        assert image.values.dtype.itemsize == 4
        assert image.pixel_size_nm == pytest.approx((told["pm_per_px"] / 1000,) * 2, rel=1e-6)
        columns = read_csv(tmp_path / told["truth"])
        assert len(columns) == told["columns"]
        np.testing.assert_array_equal(columns.table["x_px"], picture.columns.table["x_px"])
        for name in ("sum_z", "atoms", "snr"):
            np.testing.assert_array_equal(columns.table[name], picture.columns.table[name])
        assert columns.pixel_size_nm == pytest.approx(picture.columns.pixel_size_nm)
        with (tmp_path / told["truth"]).open(encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        assert tuple(rows[0]) == TRUTH_HEADER
        assert [atomic_number(row["element"]) for row in rows] == picture.columns.table["strongest_z"].tolist()
        for label in LABELS:
            read = files.read(tmp_path / told[label], None, Report())
            np.testing.assert_array_equal(read.values, picture.labels[label])
            assert read.pixel_size_nm == image.pixel_size_nm


def test_labels_belong_to_their_picture() -> None:
    """Dark columns: the picture is as recorded, its columns' amplitudes are negative, its labels are as for others."""
    kinds = set()
    for picture in simulate_pictures(replace(SMALL, dose=(300.0, 500.0), filtered=0.0), 24, 3, CPU, Report()):
        labels, dark = picture.labels, picture.facts["dark"]
        kinds.add(dark)
        assert (labels["clean"] >= 0).all()
        assert (
            np.corrcoef(labels["clean"].ravel(), picture.image.values.ravel())[0, 1] > 0.5
            or picture.facts["coarse"] > 1
        )
        if len(picture.columns) and not dark:
            assert (labels["clean"] - labels["background-free"]).min() > -0.01 * labels["clean"].max()
        assert (np.sign(picture.columns.table["amplitude"]) == (-1 if dark else 1)).all()
        np.testing.assert_array_equal(labels["circle"], labels["gaussian"] > 0.5)
    assert kinds == {True, False}


@pytest.mark.parametrize("preset", [SMALL, replace(HARD_SET, size_px=64)], ids=["default", "hard"])
def test_a_picture_does_not_depend_on_how_many_are_asked_for(preset: Preset) -> None:
    few, many = ([p.image.values for p in simulate_pictures(preset, n, 5, CPU, Report())] for n in (2, 10))
    for one, same in zip(few, many, strict=False):
        np.testing.assert_array_equal(one, same)
    assert len(many) == 10


def test_pictures_are_not_written_over_unasked(tmp_path: Path) -> None:
    write(tmp_path, 1)
    before = (tmp_path / "manifest.json").read_bytes()
    with pytest.raises(UserError, match=r"holds simulated pictures already; --overwrite"):
        write(tmp_path, 1)
    write(tmp_path, 1, overwrite=True)
    assert (tmp_path / "manifest.json").read_bytes() == before


def test_cancelling_leaves_no_manifest(tmp_path: Path) -> None:
    told: list[float] = []
    with pytest.raises(Cancelled):
        write(tmp_path, 20, report=Report(lambda f, _m: told.append(f), cancelled=lambda: len(told) > 4))
    assert not (tmp_path / "manifest.json").exists()
    assert len(list(tmp_path.glob("*.tif"))) == 4
    assert not list(tmp_path.glob(".*"))


def test_a_picture_without_columns_is_a_table_without_rows(tmp_path: Path) -> None:
    manifest = write(tmp_path, 2, replace(SMALL, empty=1.0))
    for told in manifest["pictures"]:
        assert told["columns"] == 0
        assert (tmp_path / told["truth"]).read_text().splitlines() == [",".join(TRUTH_HEADER)]
        assert np.isfinite(files.read(tmp_path / told["image"], None, Report()).values).all()


def test_symbols_of_elements() -> None:
    assert [element(number) for number in (1, 6, 38, 79, 0, 500)] == ["H", "C", "Sr", "Au", "", ""]
