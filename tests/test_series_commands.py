"""Commands on a tilt series, as typed: what is told beside the files, results with their history, faults."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from atomseg_app.alignment import Alignment
from atomseg_app.cli import main
from atomseg_app.data import TiltSeries, Volume
from atomseg_app.errors import UserError
from atomseg_app.io.alignment_files import read_alignment, write_alignment
from atomseg_app.io.files import read
from atomseg_app.io.series_writer import write_series
from atomseg_app.io.volume_writer import write_volume
from atomseg_app.operations import Report

VIEWS = 9
TILTS = tuple(float(angle) for angle in np.linspace(-60, 60, VIEWS))


def values() -> np.ndarray:
    """Views of a ball and a smaller one beside it, tilted round y."""
    y, x = np.meshgrid(np.arange(24) - 11.5, np.arange(32) - 15.5, indexing="ij")
    found = []
    for tilt in np.radians(TILTS):
        chord = 2 * np.sqrt(np.maximum(36 - x**2 - y**2, 0))
        chord += 2 * np.sqrt(np.maximum(4 - (x - 9 * np.cos(tilt)) ** 2 - (y + 3) ** 2, 0))
        found.append(100 * chord)
    return np.stack(found).astype(np.int16)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Working folder with a.npy (images alone) and angles.txt."""
    monkeypatch.chdir(tmp_path)
    np.save("a.npy", values())
    Path("angles.txt").write_text("\n".join(map(str, TILTS)), "ascii")
    return tmp_path


def run(*words: object) -> int:
    """One command line."""
    return main([str(word) for word in words])


def test_angles_of_a_file_and_a_volume_by_its_name(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ("reconstruct", "a.npy", "--angles", "angles.txt", "--iterations", 2, "--pixel-size-nm", 0.5)
    assert run(*arguments, "-o", "out.ome.zarr") == 0
    assert capsys.readouterr().out == "out.ome.zarr\n"
    volume = read("out.ome.zarr")
    assert isinstance(volume, Volume)
    assert volume.shape == (32, 24, 32)
    assert volume.pixel_size_nm == (0.5, 0.5, 0.5)
    history = json.loads(Path("out.json").read_text("utf-8"))
    assert (history["kind"], history["history"][-1]["operation"]) == ("volume", "reconstruct")
    assert history["history"][-1]["parameters"]["iterations"] == 2
    assert run(*arguments) == 0
    assert capsys.readouterr().out == "a_volume.mrc\n"
    assert np.array_equal(read("a_volume.mrc").values, volume.values)


def test_prepared_series_opens_again_with_its_angles(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("prepare-tilts", "a.npy", "--angles", "angles.txt", "--binning", 2, "--exclude", "0,8") == 0
    assert capsys.readouterr().out == "a_prepared.mrc\n"
    series = read("a_prepared.mrc")
    assert isinstance(series, TiltSeries)
    assert series.tilt_deg == TILTS
    assert series.shape == (VIEWS, 12, 16)
    assert json.loads(Path("a_prepared.json").read_text("utf-8"))["excluded"] == [0, 8]


def test_pattern_and_folder_are_one_series(folder: Path) -> None:
    os.mkdir("views")
    for number, view in enumerate(values()):
        np.save(f"views/{number}.npy", view)
    Path("views/any.tlt").write_text(Path("angles.txt").read_text("ascii"), "ascii")
    given = ["views", "views/*.npy", *(f"views/{number}.npy" for number in range(VIEWS))]
    for number, names in enumerate((given[:1], given[1:2], given[2:])):
        assert run("prepare-tilts", *names, "--no-stray-pixels", "-o", f"out{number}.mrc") == 0
        assert np.array_equal(read(f"out{number}.mrc").values, values())
    assert run("prepare-tilts", "views", "--no-stray-pixels") == 0
    assert Path("views_prepared.mrc").exists()


def test_info_tells_what_files_are_together(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkdir("views")
    for number, view in enumerate(values()):
        np.save(f"views/v{number}.npy", view)
    for given in ("views", "views/v%d.npy", "views/v*.npy"):
        assert run("info", given) == 0
        out = capsys.readouterr().out
        assert out.count("  image, 24 x 32, int16") == 9
        assert f"{given} as one series\n  image-series, 9 x 24 x 32, int16" in out
    Path("views/any.tlt").write_text("1\n2\n", "ascii")
    assert run("info", "views") == 0
    assert "    any.tlt has 2 angles but there are 9 images; it was not used.\n" in capsys.readouterr().out


def test_angles_of_another_series_are_not_replaced(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("out.rawtlt").write_text("1\n2\n", "ascii")
    assert run("prepare-tilts", "a.npy", "--angles", "angles.txt", "-o", "out.mrc") == 1
    assert "out.rawtlt is already there" in capsys.readouterr().err
    assert Path("out.rawtlt").read_text("ascii") == "1\n2\n"
    assert run("prepare-tilts", "a.npy", "--angles", "angles.txt", "-o", "out.mrc", "--overwrite") == 0
    series = read("out.mrc")
    assert isinstance(series, TiltSeries)
    assert series.tilt_deg == TILTS


def test_volumes_in_and_out(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Projected, the series opens with its angles; two volumes are compared in the order given."""
    depth = np.random.default_rng(1).random((12, 10, 14)).astype(np.float32)
    write_volume("v.mrc", Volume(depth, (0.5, 0.5, 0.5)))
    write_volume("w.vti", Volume(depth + 1, (0.5, 0.5, 0.5)))
    assert run("project", "v.mrc", "--angles", "-40:40:20", "-o", "p.st") == 0
    series = read("p.st")
    assert isinstance(series, TiltSeries)
    assert series.tilt_deg == (-40, -20, 0, 20, 40)
    np.testing.assert_allclose(series.values[2], depth.sum(axis=0), rtol=1e-5)
    assert run("compare-volumes", "w.vti", "v.mrc", "-o", "d.ome.zarr") == 0
    np.testing.assert_allclose(read("d.ome.zarr").values, 1, rtol=1e-5)
    capsys.readouterr()
    assert run("compare-volumes", "v.mrc") == 1
    assert "compare-volumes needs 2 files (volume, volume), not 1." in capsys.readouterr().err
    assert run("project", "p.st") == 1
    assert "p.st holds a tilt-series, not a volume." in capsys.readouterr().err
    assert run("reconstruct", "v.mrc") == 1
    assert "v.mrc holds a volume, not a tilt series." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("a.npy",), "a.npy tells no tilt angles for its 9 images; give them (--angles FILE)"),
        (("a.npy", "--angles", "few.txt"), "few.txt has 3 angles but the series a has 9 images; it belongs to another"),
        (("a.npy", "--angles", "zero.txt"), "All 9 angles of zero.txt are 0 degrees; a tilt series needs different"),
        (("a.npy", "--angles", "rad.txt"), "rad.txt runs from -1.0472 to 1.0472, which could be radians; write 'rad'"),
        (("a.npy", "--angles", "nan.txt"), "nan.txt, line 2: 'nan' is no angle"),
        (("cut.mrc", "--angles", "angles.txt"), "cut.mrc cannot be read as MRC: its header promises 9 x 24 x 32"),
        (("one.npy", "--angles", "angles.txt"), "one.npy holds a single image; a tilt series has several views"),
        (("a.npy", "--angles", "angles.txt", "--exclude", "0-8"), "All views are excluded"),
        (("a.npy", "--angles", "angles.txt", "--exclude", "12"), "12 is no view of a series of 9"),
        (("a.npy", "--angles", "angles.txt", "--alignment", "b.xf"), "b.xf aligns 1 views but the series has 9 images"),
        (("a.npy", "--angles", "angles.txt", "-o", "out.png"), "out.png: a volume is saved as one of .mrc"),
        (("a.npy", "--angles", "angles.txt", "-o", "there.mrc"), "there.mrc is already there"),
        (("none.mrc",), "none.mrc does not exist"),
    ],
)  # fmt: skip
def test_faults_are_one_sentence(
    arguments: tuple[str, ...], words: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {"few.txt": "1\n2\n3", "zero.txt": "0\n" * VIEWS, "nan.txt": "1\nnan\n3", "b.xf": "1 0 0 1 0 0\n"}
    texts["rad.txt"] = "\n".join(f"{np.radians(angle):.5g}" for angle in TILTS)
    for name, text in texts.items():
        Path(name).write_text(text, "ascii")
    np.save("one.npy", values()[0])
    write_series("whole.mrc", TiltSeries(values(), tilt_deg=TILTS))
    content = Path("whole.mrc").read_bytes()
    Path("cut.mrc").write_bytes(content[: len(content) // 2])
    Path("there.mrc").touch()
    before = set(os.listdir())
    assert run("reconstruct", *arguments, "--iterations", 1) == 1
    said = capsys.readouterr()
    (sentence,) = [line for line in said.err.splitlines() if line.startswith("atomseg: ") and "profile" not in line]
    assert words in sentence
    assert sentence.endswith(".")
    assert said.out == ""
    assert set(os.listdir()) == before


def test_alignment_and_axis_reach_the_operation(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Files beside the series give the same volume as a series that has it all."""
    from atomseg_app import operations
    from atomseg_app.tomography.operations import RECONSTRUCT

    np.save("t.npy", values().transpose(0, 2, 1))
    alignment = Alignment(tuple(np.linspace(-1, 1, VIEWS)), (0.0,) * VIEWS, (0.0,) * VIEWS, 0.75)
    item = TiltSeries(values().transpose(0, 2, 1), tilt_deg=TILTS, tilt_axis="x", alignment=alignment, excluded=(2,))
    write_alignment("t.csv", item)
    assert run("reconstruct", "t.npy", "--angles", "angles.txt", "--tilt-axis", "x", "--alignment", "t.csv",
               "--exclude", 2, "--iterations", 2, "--algorithm", "sirt", "-o", "t.h5") == 0  # fmt: skip
    parameters = RECONSTRUCT.parse({"iterations": 2, "algorithm": "sirt"})
    expected = operations.run(RECONSTRUCT, (item,), parameters, Report())
    assert isinstance(expected, Volume)
    np.testing.assert_allclose(read("t.h5").values, expected.values, rtol=1e-5, atol=1e-5)
    assert "tilt axis seems" not in capsys.readouterr().err
    assert run("reconstruct", "t.npy", "--angles", "angles.txt", "--alignment", "t.csv", "--exclude", 2,
               "--iterations", 2, "--algorithm", "sirt", "-o", "u.h5") == 0  # fmt: skip
    assert "The tilt axis runs along x, as t.csv says." in capsys.readouterr().err
    np.testing.assert_array_equal(read("u.h5").values, read("t.h5").values)
    assert run("reconstruct", "t.npy", "--angles", "angles.txt", "--iterations", 1) == 0
    assert "the tilt axis seems to run along x; choose it if so (--tilt-axis x)" in capsys.readouterr().err


def test_refined_angles_are_told_and_taken(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    refined = tuple(angle + 0.25 for angle in TILTS)
    write_alignment("r.csv", TiltSeries(values(), tilt_deg=refined))
    given = ("prepare-tilts", "a.npy", "--alignment", "r.csv", "--overwrite", "-o", "out.mrc", "--angles")
    assert run(*given, "angles.txt") == 0
    assert "r.csv has tilt angles that differ by up to 0.25 degrees" in capsys.readouterr().err
    assert run(*given, "r.csv") == 0
    assert "differ by" not in capsys.readouterr().err
    series = read("out.mrc")
    assert isinstance(series, TiltSeries)
    assert series.tilt_deg == refined


def test_series_round_trip_with_alignment(tmp_path: Path) -> None:
    alignment = Alignment(tuple(np.linspace(-1, 1, VIEWS)), (0.25,) * VIEWS, (0.5,) * VIEWS, 0.75, 1.0)
    item = TiltSeries(values(), (0.3, 0.3), metadata={"kV": 200.0}, tilt_deg=TILTS, alignment=alignment, excluded=(1,))
    report = Report()
    write_series(tmp_path / "s.mrc", item, report)
    (tmp_path / "s.rawtlt").rename(tmp_path / "elsewhere")
    for _ in range(2):  # by the header alone, then with the list beside it
        back = read(tmp_path / "s.mrc")
        assert isinstance(back, TiltSeries)
        assert back.tilt_deg == TILTS
        assert back.pixel_size_nm == pytest.approx((0.3, 0.3))
        assert back.metadata["kV"] == 200.0
        np.testing.assert_array_equal(back.values, values())
        (tmp_path / "elsewhere").rename(tmp_path / "s.rawtlt") if (tmp_path / "elsewhere").exists() else None
    assert read_alignment(tmp_path / "s_alignment.csv", VIEWS, Report()) == alignment
    assert [note.partition(";")[0] for note in report.facts.notes] == [
        "The images of s.mrc are not moved", "s.mrc also has the excluded views 1.",
    ]  # fmt: skip
    with pytest.raises(UserError, match=r"a tilt series is saved as one of \.mrc, \.st, \.ali, \.csv, \.xf"):
        write_series(tmp_path / "s.tif", item)


def test_angles_in_the_header_by_another_reader(tmp_path: Path) -> None:
    import mrcfile

    write_series(tmp_path / "s.st", TiltSeries(values(), (0.3, 0.3), metadata={"kV": 200.0}, tilt_deg=TILTS))
    with mrcfile.open(tmp_path / "s.st") as file:
        assert file.is_image_stack()
        header = file.indexed_extended_header
        assert header["Alpha tilt"].tolist() == list(TILTS)
        assert header["Pixel size X"] == pytest.approx(3e-10)
        assert header["HT"] == pytest.approx(200_000)
        np.testing.assert_array_equal(file.data, values())
