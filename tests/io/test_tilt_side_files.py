"""Angles beside a series: which file is used, and what is told of those that are of another series."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from atomseg_app.benchmarks.sample_files import SAMPLES, TILTS_DEG, sample_series
from atomseg_app.data import ImageSeries, TiltSeries
from atomseg_app.errors import FileError
from atomseg_app.io.files import inspect, read
from atomseg_app.operations import Report


def read_with_notes(path: Path) -> tuple[object, list[str]]:
    """What a file holds and what was told."""
    report = Report()
    return read(path, report=report), report.facts.notes


@pytest.mark.parametrize("suffix", [".rawtlt", ".tlt"])
def test_a_list_of_another_series_is_told(suffix: str, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", sample_series())
    (tmp_path / f"a{suffix}").write_text("1\n2\n3\n", "ascii")
    item, notes = read_with_notes(tmp_path / "a.npy")
    assert type(item) is ImageSeries
    assert notes == [f"a.npy: a{suffix} has 3 angles but there are 5 images; it was not used."]
    (tmp_path / f"a{suffix}").write_text("tilt angles", "ascii")
    assert read_with_notes(tmp_path / "a.npy")[1] == [f"a.npy: a{suffix} is no list of angles; it was not used."]
    (tmp_path / "a.mdoc").write_text("TiltAngle = 1\n" * 4, "ascii")
    assert (
        "a.npy: a.mdoc has 4 angles but there are 5 images; it was not used." in read_with_notes(tmp_path / "a.npy")[1]
    )
    (tmp_path / "a.mdoc").write_text("".join(f"TiltAngle = {angle}\n" for angle in TILTS_DEG), "ascii")
    item, notes = read_with_notes(tmp_path / "a.npy")
    assert isinstance(item, TiltSeries)
    assert (item.tilt_deg, item.metadata["tilt_source"], notes) == (TILTS_DEG, "a.mdoc", [])


def test_angles_that_are_all_alike_are_told(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", sample_series())
    (tmp_path / "a.tlt").write_text("0\n" * 5, "ascii")
    item, notes = read_with_notes(tmp_path / "a.npy")
    assert type(item) is ImageSeries
    assert notes == ["a.npy: All 5 angles of it are 0 degrees, so it is a series of images; give its angles."]


def test_header_and_file_beside_that_differ(tmp_path: Path) -> None:
    SAMPLES["tilts.mrc"](tmp_path / "tilts.mrc")
    angles = [angle + (3 if angle == 0 else 0) for angle in TILTS_DEG]
    (tmp_path / "tilts.rawtlt").write_text("\n".join(map(str, angles)), "ascii")
    item, notes = read_with_notes(tmp_path / "tilts.mrc")
    assert isinstance(item, TiltSeries)
    assert item.tilt_deg == tuple(angles)
    assert notes == [
        "tilts.mrc: The angles in tilts.rawtlt differ from those in the header by up to 3 degrees; the former are used."
    ]
    (tmp_path / "tilts.rawtlt").write_text("1\n2\n", "ascii")
    item, notes = read_with_notes(tmp_path / "tilts.mrc")
    assert isinstance(item, TiltSeries)
    assert item.tilt_deg == pytest.approx(TILTS_DEG)
    assert item.metadata["tilt_source"] == "MRC"
    assert notes == ["tilts.mrc: tilts.rawtlt has 2 angles but there are 5 images; it was not used."]


def test_aligned_stack_takes_the_refined_angles(data_folder: Path, tmp_path: Path) -> None:
    """The real needle as NAME.ali: .tlt before .rawtlt; without either the FEI header."""
    shutil.copyfile(data_folder / "tomography" / "HAADF.mrc", tmp_path / "n.ali")
    header = read(tmp_path / "n.ali")
    assert isinstance(header, TiltSeries)
    assert header.tilt_deg == pytest.approx(np.arange(-76, 77, 2), abs=0.1)
    refined = np.arange(-76, 77, 2) + 0.25
    (tmp_path / "n.tlt").write_text("\n".join(f"{angle:.2f}" for angle in refined), "ascii")
    shutil.copyfile(data_folder / "tomography" / "HAADF.rawtlt", tmp_path / "n.rawtlt")
    series = read(tmp_path / "n.ali")
    assert isinstance(series, TiltSeries)
    assert series.tilt_deg == tuple(refined)
    assert series.metadata["tilt_source"] == "n.tlt"


def test_truncated_series(data_folder: Path, tmp_path: Path) -> None:
    """The real needle cut in its pixels: one sentence with both sizes, nothing opened."""
    content = (data_folder / "tomography" / "HAADF.mrc").read_bytes()
    (tmp_path / "cut.mrc").write_bytes(content[: len(content) // 2])
    words = (
        r"cut\.mrc cannot be read as MRC: its header promises 77 x 256 x 256 pixels \(10\.1 MB\) but the file holds 4"
    )
    with pytest.raises(FileError, match=words):
        inspect(tmp_path / "cut.mrc")


def test_serialem_stack_with_its_mdoc(data_folder: Path) -> None:
    """Two scans at one angle are a series of images that knows it, and says so."""
    report = Report()
    item = read(data_folder / "tomography" / "SerialEM_MultiTilt_Test" / "test_000.mrc", report=report)
    assert type(item) is ImageSeries
    assert item.metadata["kV"] == 300.0
    assert item.metadata["tilt_deg"] == pytest.approx([-0.000488] * 2)
    assert item.pixel_size_nm == pytest.approx((0.788, 0.788))
    assert len(report.facts.notes) == 1
