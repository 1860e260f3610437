"""Angles of tilt series: schemes, lists as people write them, and lists that belong to another series."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from atomseg_app.alignment import Alignment
from atomseg_app.data import ImageSeries, Source, TiltSeries
from atomseg_app.errors import UserError
from atomseg_app.io.files import read
from atomseg_app.operations import Report
from atomseg_app.tomography import angle_lists
from atomseg_app.tomography.angle_lists import parse_angles, read_angle_file
from atomseg_app.tomography.tilts import doubts, saxton, start_step, view, views, with_angles


def series(count: int = 5, name: str = "") -> ImageSeries:
    """Images that are all different."""
    values = np.arange(count * 12, dtype=np.int16).reshape(count, 3, 4)
    return ImageSeries(values, (0.5, 0.5), Source(name), {"kV": 200.0})


def test_start_and_step() -> None:
    assert start_step(4, -60, 40) == (-60, -20, 20, 60)
    assert start_step(3, 60, -1.5) == (60, 58.5, 57)
    assert start_step(1, 12, 0) == (12,)
    with pytest.raises(UserError, match="A step of 0 degrees gives 5 views at one angle"):
        start_step(5, -60, 0)
    with pytest.raises(UserError, match="The angle of view 4 in the scheme is 400, which is no tilt angle"):
        start_step(5, 0, 100)


@given(st.floats(0.2, 10), st.integers(1, 20))
def test_saxton_closed_form(step: float, side: int) -> None:
    """Outwards from 0 each increment is arcsin(sin(step) cos(a)); the scheme is symmetric and turns with its sign."""
    half = [0.0]
    for _ in range(side):
        half.append(half[-1] + np.degrees(np.arcsin(np.sin(np.radians(step)) * np.cos(np.radians(half[-1])))))
    angles = saxton(2 * side + 1, -half[-1], step)
    assert angles == pytest.approx([-a for a in half[:0:-1]] + half, abs=1e-9)
    assert half[1] == pytest.approx(step)
    assert saxton(2 * side + 1, half[-1], -step) == pytest.approx(angles[::-1], abs=1e-9)
    assert np.all(np.diff(np.diff(np.abs(angles[side:]))) <= 1e-9)


def test_saxton_begins_near_its_start_or_says_why_not() -> None:
    angles = saxton(10, -70.0, 2.0)
    assert abs(angles[0] + 70) < 0.4
    assert len(angles) == 10
    with pytest.raises(UserError, match="beyond its ends"):
        saxton(2000, -70, 5)
    with pytest.raises(UserError, match="needs a start within 90 degrees"):
        saxton(5, -95, 2)


@pytest.mark.parametrize(
    "text",
    [
        "-60\n-20.5\n0\n45", "  -60.00\r\n  -20.50\r\n 0.00\r\n 45.00\r\n", "-60, -20.5, 0, 45", "-60 -20.5 0 45",
        "1 -60\n2 -20.5\n3 0\n4 45", "0,-60\n1,-20.5\n2,0\n3,45", "index,tilt_deg\n0,-60\n1,-20.5\n2,0\n3,45",
        "name;Winkel [°]\n1;-60,0\n2;-20,5\n3;0\n4;45", "# tilt angles in degrees\n-60\n-20.5\n\n0\n45\n",
        "−60°\n−20.5°\n0°\n45°", "\ufeff-60\n-20.5\n0\n45", "deg\n-60\n-20.5\n0\n45", "[-60, -20.5, 0, 45]",
        "rad\n-1.0471975511965976\n-0.3577924966588375\n0\n0.7853981633974483",
        "angle (rad)\n-1.0471975511965976\n-0.3577924966588375\n0\n0.7853981633974483",
        "view\ttilt (deg)\texposure\n1\t-60\t1\n2\t-20.5\t1\n3\t0\t1\n4\t45\t2",
    ],
)  # fmt: skip
def test_lists_as_people_write_them(text: str) -> None:
    assert parse_angles(text) == pytest.approx((-60, -20.5, 0, 45))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "The list holds no angles"),
        ("tilt\n", "The list holds no angles"),
        ("-60\nabc\n0", "The list, line 2: 'abc' is no angle"),
        ("-60\nnan\n0", "The list, line 2: 'nan' is no angle"),
        ("1 2\n2 3\n4", "line 3 has 1 numbers but the lines before it 2"),
        ("-60,5\n-58,5\n-56,5", "2 numbers a line; give one angle a line"),
        ("1 2 3\n4 5 6", "3 numbers a line"),
        ("a,b\n1,2\n3,4", "has the columns a, b; call one of them tilt_deg"),
        ("tilt,angle\n1,2\n3,4", "call one of them"),
        ("-1.05\n-0.5\n0\n0.5\n1.05", "runs from -1.05 to 1.05, which could be radians; write 'rad' or 'deg'"),
        ("mrad\n-60\n0\n60", "in milliradians"),
        ("rad\n-60 deg\n0", "names both degrees and radians"),
    ],
)
def test_lists_that_are_none(text: str, words: str) -> None:
    with pytest.raises(UserError) as failure:
        parse_angles(text)
    assert words in str(failure.value)
    assert str(failure.value).endswith(".")


def test_small_tilts_in_degrees_when_told() -> None:
    assert parse_angles("deg\n-1\n-0.5\n0\n0.5\n1") == (-1, -0.5, 0, 0.5, 1)


def test_files_of_angles(tmp_path: Path) -> None:
    mdoc = "[ZValue = 0]\nTiltAngle = 1\n[ZValue = 1]\nTiltAngle = 2\nTiltAngle = 3\n"
    for name, text in (("a.rawtlt", "1\n2\n3\n"), ("a.csv", "i,tilt_deg\n0,1\n1,2\n2,3\n"), ("a.mdoc", mdoc)):
        (tmp_path / name).write_text(text, "utf-8")
        assert read_angle_file(tmp_path / name) == (1, 2, 3)
    (tmp_path / "b.mdoc").write_text("Voltage = 300\n", "utf-8")
    with pytest.raises(UserError, match=r"b\.mdoc has no TiltAngle"):
        read_angle_file(tmp_path / "b.mdoc")
    (tmp_path / "b.tlt").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(UserError, match=r"b\.tlt is no text"):
        read_angle_file(tmp_path / "b.tlt")
    with pytest.raises(UserError, match=r"c\.tlt cannot be opened: No such file"):
        read_angle_file(tmp_path / "c.tlt")


def test_a_huge_file_is_no_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(angle_lists, "MAX_BYTES", 10)
    (tmp_path / "a.txt").write_text("1\n" * 20, "utf-8")
    with pytest.raises(UserError, match="larger than any list"):
        read_angle_file(tmp_path / "a.txt")


def test_angles_make_a_series_a_tilt_series() -> None:
    tilted = with_angles(series(), (-2, -1, 0, 1, 2), name="a.tlt")
    assert isinstance(tilted, TiltSeries)
    assert tilted.tilt_deg == (-2, -1, 0, 1, 2)
    assert tilted.metadata == {"kV": 200.0, "tilt_source": "a.tlt"}
    assert tilted.values is not None
    assert np.shares_memory(tilted.values, series().values) is False


def test_what_is_known_of_a_tilt_series_is_kept() -> None:
    before = TiltSeries(series().values, (0.5, 0.5), tilt_deg=(1, 2, 3, 4, 5), tilt_axis="x", excluded=(2,),
                        alignment=Alignment.none(5))  # fmt: skip
    after = with_angles(before, (-2, -1, 0, 1, 2))
    assert (after.tilt_axis, after.excluded, after.alignment) == ("x", (2,), before.alignment)
    assert before.tilt_deg == (1, 2, 3, 4, 5)


def test_euler_angles() -> None:
    triples = np.array([[0, -60, 0.2], [0, 0, 0], [0.1, 60, 0]])
    tilted = with_angles(series(3), triples)
    assert tilted.tilt_deg == (-60, 0, 60)
    assert tilted.euler_deg == tuple(map(tuple, triples.tolist()))
    with pytest.raises(UserError, match="2 angles a view; give one, or three"):
        with_angles(series(3), triples[:, :2])


@pytest.mark.parametrize(
    ("angles", "words"),
    [
        ((1, 2, 3, 4), "a.tlt has 4 angles but the series needle has 5 images; it belongs to another series"),
        ((0, 0, 0, 0, 0), "All 5 angles of a.tlt are 0 degrees; a tilt series needs different ones"),
        ((1, 2, float("nan"), 4, 5), "The angle of view 2 in a.tlt is nan, which is no tilt angle"),
        ((1, 2, 3, 4, 1e5), "The angle of view 4 in a.tlt is 100000, which is no tilt angle"),
    ],
)
def test_angles_that_do_not_fit(angles: tuple[float, ...], words: str) -> None:
    with pytest.raises(UserError) as failure:
        with_angles(series(name="needle.mrc"), angles, name="a.tlt")
    assert words in str(failure.value)


def test_odd_angles_are_told_but_used() -> None:
    report = Report()
    tilted = with_angles(series(), (-60, -30, 0, -30, 60), report, "a.tlt")
    assert len(tilted.tilt_deg) == 5
    assert report.facts.notes == [
        "Angles of a.tlt come twice: -30 (views 1 and 3); all views are kept.",
        "The angles of a.tlt go up and down (view 3 at -30 degrees follows 0); check that they belong to this series.",
    ]
    assert doubts((5, 4, 3, 2, 1)) == []
    assert doubts((1, 2, 3)) == []


def test_views_are_floats_one_at_a_time(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", series().values.astype(">i2"))
    tilted = with_angles(read(tmp_path / "a.npy"), (1, 2, 3, 4, 5))  # type: ignore[arg-type]
    one = view(tilted, 2)
    assert one.dtype == np.float32
    assert one.flags.c_contiguous
    np.testing.assert_array_equal(one, series().values[2])
    used = with_angles(TiltSeries(series().values, tilt_deg=(1, 2, 3, 4, 5), excluded=(0, 3)), (1, 2, 3, 4, 5))
    np.testing.assert_array_equal(np.stack(list(views(used))), series().values[[1, 2, 4]])
    np.testing.assert_array_equal(np.stack(list(views(used, [3]))), series().values[[3]])


def test_the_experimental_series(data_folder: Path) -> None:
    """HAADF.mrc: angles of the file beside it, of the header without it, and none taken from another series."""
    report = Report()
    needle = read(data_folder / "tomography" / "HAADF.mrc", report=report)
    assert isinstance(needle, TiltSeries)
    assert needle.tilt_deg == start_step(77, -76, 2)
    assert needle.metadata["tilt_source"] == "HAADF.rawtlt"
    assert isinstance(needle.values, np.memmap)
    assert report.facts.notes == []
    assert read_angle_file(data_folder / "tomography" / "HAADF.rawtlt") == needle.tilt_deg
