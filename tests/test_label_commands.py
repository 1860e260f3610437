"""``atomseg measure`` and ``atomseg compare-labels`` on files, as typed."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from atomseg_app.cli import main
from atomseg_app.data import Labels
from atomseg_app.io.labels import read_labels, write_labels
from atomseg_app.label_classes import LabelClass

CLASSES = (LabelClass(0, "pores"), LabelClass(1, "support"), LabelClass(2, "metal"))


def rows_of(path: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(path.read_text("utf-8").splitlines()))


def sample() -> Labels:
    values = np.zeros((24, 26, 28), np.uint8)
    values[:10] = 1
    grid = np.indices(values.shape)
    values[((grid - np.array([12, 12, 12])[:, None, None, None]) ** 2).sum(0) <= 36] = 2
    return Labels(values, (0.5, 0.5, 0.5), classes=CLASSES)


def test_measure_writes_three_tables(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_labels(tmp_path / "v_labels.tif", sample())
    assert main(["measure", str(tmp_path / "v_labels.tif"), "-o", str(tmp_path / "out.csv")]) == 0
    written = capsys.readouterr().out.split()
    assert [Path(name).name for name in written] == ["out.csv", "out_totals.csv", "out_pores.csv"]
    (row,) = rows_of(tmp_path / "out.csv")
    assert float(row["diameter_nm"]) == pytest.approx(6.0, rel=0.02)
    assert main(["measure", str(tmp_path / "v_labels.tif"), "-o", str(tmp_path / "out.csv")]) == 1
    assert "--overwrite" in capsys.readouterr().err
    again = ["measure", str(tmp_path / "v_labels.tif"), "-o", str(tmp_path / "out.csv"), "--overwrite"]
    assert main([*again, "--pixel-size-nm", "1.0"]) == 0
    (row,) = rows_of(tmp_path / "out.csv")
    assert float(row["diameter_nm"]) == pytest.approx(12.0, rel=0.02)
    assert main([*again, "--particles", "gold"]) == 1
    assert main(["measure", str(tmp_path / "v_labels.tif"), "-o", str(tmp_path / "out.txt")]) == 2


def test_compare_labels_tells_and_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    truth = sample()
    moved = Labels(np.roll(truth.values, 2, axis=2), truth.pixel_size_nm, classes=CLASSES)
    write_labels(tmp_path / "truth.mrc", truth)
    write_labels(tmp_path / "found.tif", moved)
    arguments = ["compare-labels", str(tmp_path / "found.tif"), str(tmp_path / "truth.mrc")]
    assert main([*arguments, "-o", str(tmp_path / "t.csv"), "--errors", str(tmp_path / "maps")]) == 0
    text = capsys.readouterr().out
    rows = {row["class"]: row for row in rows_of(tmp_path / "t.csv")}
    a, b = truth.values == 2, moved.values == 2
    assert float(rows["metal"]["dice"]) == pytest.approx(2 * (a & b).sum() / (a.sum() + b.sum()))
    assert f"{float(rows['metal']['dice']):.4f}" in text
    assert float(rows["metal"]["hd95_nm"]) == pytest.approx(1.0)
    errors = read_labels(tmp_path / "maps" / "found_errors_metal.tif")
    assert [np.count_nonzero(errors.values == code) for code in (1, 2, 3)] == [
        (a & b).sum(), (b & ~a).sum(), (a & ~b).sum()
    ]  # fmt: skip
    assert errors.classes[2].name == "too much"
    places = rows_of(tmp_path / "maps" / "found_errors_metal.csv")
    assert sum(int(row["voxels"]) for row in places) == (a ^ b).sum()


def test_compare_labels_refuses_other_shapes_and_what_is_no_label(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_labels(tmp_path / "one.tif", sample())
    np.save(tmp_path / "other.npy", np.zeros((24, 26, 27), np.uint8))
    np.save(tmp_path / "grey.npy", np.full((24, 26, 28), 0.5, np.float32))
    assert main(["compare-labels", str(tmp_path / "one.tif"), str(tmp_path / "other.npy")]) == 1
    error = capsys.readouterr().err
    assert "24 x 26 x 28" in error
    assert "24 x 26 x 27" in error
    assert main(["compare-labels", str(tmp_path / "one.tif"), str(tmp_path / "grey.npy")]) == 1
    assert "between the whole numbers" in capsys.readouterr().err
    assert main(["compare-labels", str(tmp_path / "one.tif"), str(tmp_path / "one.tif"), "--ignore-value", "0"]) == 0
    lines = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert lines["dice"] == ["n/a", "1.0000", "1.0000"]
