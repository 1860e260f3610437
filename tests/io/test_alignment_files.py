"""Alignments come back from CSV to the last digit and from IMOD's .xf as the same map of every point."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atomseg_app.alignment import Alignment
from atomseg_app.data import TiltSeries
from atomseg_app.errors import FileError, UserError
from atomseg_app.io.alignment_files import read_alignment, write_alignment
from atomseg_app.operations import Report

ALIGNMENT = Alignment((1.5, -2.25, 1 / 3), (0.5, 0.0, -7.125), (0.1, -0.2, 0.3), 7.0, 1.5)


def tilted(alignment: Alignment | None, axis: str = "y") -> TiltSeries:
    """A series with this alignment."""
    views = 3 if alignment is None else len(alignment.shift_x_px)
    return TiltSeries(np.zeros((views, 4, 5)), tilt_deg=tuple(range(views)), alignment=alignment, tilt_axis=axis)  # type: ignore[arg-type]


def seen(alignment: Alignment, view: int, points: np.ndarray) -> np.ndarray:
    """Where an ideal point (t, y) from the centre is seen in a view, after the words of Alignment."""
    angle = np.radians(alignment.axis_rotation_deg + alignment.rotation_deg[view])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])  # x towards y
    shift = [alignment.axis_offset_px + alignment.shift_x_px[view], alignment.shift_y_px[view]]
    return points @ turn.T + shift


def test_csv_keeps_every_digit(tmp_path: Path) -> None:
    write_alignment(tmp_path / "a.csv", tilted(ALIGNMENT))
    assert read_alignment(tmp_path / "a.csv", 3, Report()) == ALIGNMENT
    text = (tmp_path / "a.csv").read_text("utf-8")
    assert text.splitlines()[:5] == ["# tilt_axis = y",
        "# axis_offset_px = 7.0", "# axis_rotation_deg = 1.5", "view,tilt_deg,shift_x_px,shift_y_px,rotation_deg",
        "0,0.0,1.5,0.5,0.1",
    ]  # fmt: skip


def test_the_axis_that_an_alignment_is_of(tmp_path: Path) -> None:
    write_alignment(tmp_path / "a.csv", tilted(ALIGNMENT, "x"))
    assert read_alignment(tmp_path / "a.csv", 3, Report(), "x") == ALIGNMENT
    with pytest.raises(UserError, match=r"a\.csv is of a tilt axis along x, but that of the series runs along y"):
        read_alignment(tmp_path / "a.csv", 3, Report())


def test_no_alignment_is_one_of_zeros(tmp_path: Path) -> None:
    for name in ("a.csv", "a.xf"):
        write_alignment(tmp_path / name, tilted(None))
        assert read_alignment(tmp_path / name, 3, Report()) == Alignment.none(3)
    assert np.loadtxt(tmp_path / "a.xf").tolist() == [[1, 0, 0, 1, 0, 0]] * 3


def test_xf_of_a_pure_shift(tmp_path: Path) -> None:
    """An image shifted by +2, -3 is brought back by DX = -2, DY = +3."""
    write_alignment(tmp_path / "a.xf", tilted(Alignment((2.0,), (-3.0,), (0.0,))))
    assert [float(word) for word in (tmp_path / "a.xf").read_text("utf-8").split()] == [1, 0, 0, 1, -2, 3]


def test_xf_of_a_pure_rotation(tmp_path: Path) -> None:
    """What is turned from x to y is turned back: x' = y at 90 degrees."""
    write_alignment(tmp_path / "a.xf", tilted(Alignment((0.0,), (0.0,), (90.0,))))
    assert [float(word) for word in (tmp_path / "a.xf").read_text("utf-8").split()] == [0, 1, -1, 0, 0, 0]


numbers = st.floats(-300, 300)


@given(st.lists(st.tuples(numbers, numbers, st.floats(-170, 170)), min_size=1, max_size=4), numbers,
       st.floats(-170, 170), st.sampled_from("xy"))  # fmt: skip
def test_xf_takes_what_is_seen_to_where_it_belongs(
    tmp_path_factory: pytest.TempPathFactory, views: list, offset: float, turn: float, axis: str
) -> None:
    """The file, applied as IMOD does, undoes the alignment; read back, it maps every point as before."""
    path = tmp_path_factory.mktemp("xf") / "a.xf"
    alignment = Alignment(*zip(*views, strict=True), offset, turn)
    write_alignment(path, tilted(alignment, axis))
    back = read_alignment(path, len(views), Report(), axis)  # type: ignore[arg-type]
    points = np.array([[0.0, 0.0], [100.0, 0.0], [0.0, 100.0], [-31.5, 17.25]])
    rows = np.loadtxt(path, ndmin=2)
    for view in range(len(views)):
        at = seen(alignment, view, points)
        raw = at[:, ::-1] if axis == "x" else at
        np.testing.assert_allclose(raw @ rows[view, :4].reshape(2, 2).T + rows[view, 4:], points, atol=1e-3)
        np.testing.assert_allclose(seen(back, view, points), at, atol=1e-3)


def test_magnification_is_told_and_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.xf").write_text("1.01 0 0 1.01 -2.02 0\n1 0 0 1 0 0\n", "ascii")
    report = Report()
    found = read_alignment(tmp_path / "a.xf", 2, report)
    assert found.shift_x_px == pytest.approx((2.0, 0.0))
    assert report.facts.notes == ["a.xf also magnifies or stretches by up to 1 %, which is left out."]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.xf", "1 0 0 1 0 0\n", "a.xf aligns 1 views but the series has 3 images; it belongs to another series"),
        ("a.xf", "1 0 0 1 0\n", "a.xf, line 1 has 5 entries instead of the six"),
        ("a.xf", "", "a.xf holds no alignment"),
        ("a.xf", "1 0 0 1 0 nan\n", "a.xf: line 1 is 'nan', which is no number"),
        ("a.xf", "1 0 0 -1 0 0\n", "the matrix of view 0 mirrors"),
        ("a.csv", "x,y\n1,2\n", "a.csv is no alignment: it has no column shift_x_px"),
        ("a.csv", "view,shift_x_px,shift_y_px,rotation_deg\n1,0,0,0\n", "a.csv does not list the views 0 to 0"),
        ("a.csv", "view,shift_x_px,shift_y_px,rotation_deg\n0,a,0,0\n", "shift_x_px of view 0 is 'a'"),
    ],
)  # fmt: skip
def test_files_that_do_not_fit(name: str, text: str, words: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text, "ascii")
    with pytest.raises(UserError) as failure:
        read_alignment(tmp_path / name, 3, Report())
    assert words in str(failure.value)


def test_other_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"an alignment is saved as \.csv or \.xf"):
        write_alignment(tmp_path / "a.txt", tilted(None))
    with pytest.raises(FileError, match="cannot be opened: No such file"):
        read_alignment(tmp_path / "a.xf", 3, Report())
    (tmp_path / "a.xf").write_bytes(b"\xff\xfe\x80")
    with pytest.raises(FileError, match="is no text"):
        read_alignment(tmp_path / "a.xf", 3, Report())
